#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# run.sh TREE BUILD KERNEL in-tree|weir SECONDS [GUEST-OPTION...] -- SCRIPT ARGUMENT...
#
# Runs a script of this folder in a guest, with the folder of VFIO's modules and the name of these
# put before its arguments. Weir's are built first, as root: see tools/kernel-build. Beside them is
# put what installs them, for the guest sees nothing of the tree.
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
  mkdir -p "$modules"
  # Tests may run beside each other: what is there and as it should be is not touched.
  exec {lock}>"$modules/lock"
  flock "$lock"
  sudo=()
  ((!EUID)) || sudo=(sudo "WEIR_CACHE=${WEIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/weir}")
  # Standard output is for TAP.
  "${sudo[@]}" "$tree/tools/guest" inside --kernel "$kernel" --share "$tree" -- \
    make -s -C "$tree/kernel" "BUILD=$modules" W=1 WERROR=1 "-j$(nproc)" >&2
  mkdir -p "$modules/installer/tools"
  cp -ru "$tree"/tools/{kernel-install,kernel-install.d,lib} "$modules/installer/tools/"
  cp -u "$tree/meson.build" "$modules/installer/"
  exec {lock}>&-
fi
exec "$tree/tools/guest" run --kernel "$kernel" --share "$build" --work "$build/guest" \
  --timeout "$seconds" "${options[@]}" -- \
  "$build/tests/guest/kernel/$script" "$modules" "$whose-$kernel" "$@"
