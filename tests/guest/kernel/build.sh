#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# build.sh TREE BUILD KERNEL [MAKE-ARGUMENT...]
#
# Builds Weir's modules for a kernel of the lab, every warning an error, into BUILD/kernel/KERNEL, and
# copies what installs them to its folder installer. As root: see tools/kernel-build. Tests may run
# beside each other: one builds at a time, and what is there and as it should be is not touched.
set -euo pipefail
tree=$1 modules=$2/kernel/$3 kernel=$3
shift 3
mkdir -p "$modules/installer/tools"
exec {lock}>"$modules/lock"
flock "$lock"
sudo=()
((!EUID)) || sudo=(sudo "WEIR_CACHE=${WEIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/weir}")
# Debian's headers of 7.2 lack the script that asks whether sparse is able, and without its yes none is
# run: sparse.sh gives sparse what it needs.
# shellcheck disable=SC2016 # for the other shell
"${sudo[@]}" "$tree/tools/guest" inside --kernel "$kernel" --share "$tree" -- sh -c '
  for scripts in /usr/src/linux-headers-*-common/scripts; do
    [ ! -d "$scripts" ] || [ -e "$scripts/checker-valid.sh" ] ||
      install -m 755 /dev/stdin "$scripts/checker-valid.sh" <<END
#!/bin/sh
echo 1
END
  done
  exec make "$@"' - \
  -s -C "$tree/kernel" "BUILD=$modules" W=1 WERROR=1 "-j$(nproc)" "$@"
cp -ru "$tree"/tools/{kernel-install,kernel-install.d,lib} "$modules/installer/tools/"
cp -u "$tree/meson.build" "$modules/installer/"
cp -ru "$tree/kernel" "$modules/installer/"
