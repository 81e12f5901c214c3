#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# run.sh TREE BUILD KERNEL in-tree|weir SECONDS [GUEST-OPTION...] -- SCRIPT ARGUMENT...
#
# Runs a script of this folder in a guest, with the folder of VFIO's modules and the name of these
# put before its arguments. Weir's are built first, and what installs them is put beside them, for the
# guest sees nothing of the tree: build.sh.
set -euo pipefail
tree=$1 build=$2 kernel=$3 whose=$4 seconds=$5
shift 5
options=()
while [[ $1 != -- ]]; do
  options+=("$1")
  shift
done
script=$2
shift 2

modules=in-tree
if [[ $whose == weir ]]; then
  modules=$build/kernel/$kernel
  # Standard output is for TAP.
  "${BASH_SOURCE[0]%/*}/build.sh" "$tree" "$build" "$kernel" >&2
fi
exec "$tree/tools/guest" run --kernel "$kernel" --share "$build" --work "$build/guest" \
  --timeout "$seconds" "${options[@]}" -- \
  "$build/tests/guest/kernel/$script" "$modules" "$whose-$kernel" "$@"
