#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# boots.sh GUEST KERNEL BUILD SECONDS
#
# Boots a machine three times, each time with what the boot before has left: see boot.sh. Prints TAP.
set -u
guest=$1 kernel=$2 build=$3 seconds=$4
folder=$build/guest/boots-$kernel
# shellcheck source-path=SCRIPTDIR
# shellcheck source=../tap.sh
. "${0%/*}/../tap.sh"

# boot STAGE: its checks become ours, numbered on.
boot() {
  local line status
  "$guest" run --kernel "$kernel" --share "$build" --work "$build/guest" --timeout "$seconds" \
    --append "$(cat "$folder/cmdline")" -- "$build/tests/guest/bind/boot.sh" "$build" "$folder" "$1" >"$folder/output"
  status=$?
  while IFS= read -r line; do
    case $line in
      'ok '*) check "$1: ${line#* - }" true ;;
      'not ok '*) check "$1: ${line#* - }" false ;;
      1..*) ;;
      *) printf '# %s\n' "$line" ;;
    esac
  done <"$folder/output"
  check "$1: the guest succeeds" test "$status" = 0
}

rm -rf "$folder"
mkdir -p "$folder"
echo 'quiet intel_iommu=off' >"$folder/cmdline"
for stage in broken mended settled; do
  boot "$stage"
done
finish
