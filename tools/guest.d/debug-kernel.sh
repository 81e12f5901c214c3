#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# Builds the debug kernel; run inside the trixie root, which has the compiler Debian uses for it.
#   debug-kernel.sh SOURCE.tar.xz FRAGMENT WORK OUT
# OUT receives what kernel packages would install: usr/lib/modules/VERSION with vmlinuz and the
# modules, and in usr/src the headers that other modules are built against.
set -eu
source=$1 fragment=$2 work=$3 out=$4

mkdir -p "$work/source" "$work/build"
tar -C "$work/source" --strip-components=1 -xf "$source"
cd "$work/source"
make() { command make --no-print-directory -s O="$work/build" -j"$(nproc)" "$@"; }

make KCONFIG_ALLCONFIG="$fragment" allnoconfig
grep '^CONFIG_' "$fragment" | while IFS='=' read -r option value; do
  if [ "$value" = n ]; then
    ! grep -q "^$option=" "$work/build/.config"
  else
    grep -qFx "$option=$value" "$work/build/.config"
  fi || echo "$option=$value"
done > "$work/dropped"
if [ -s "$work/dropped" ]; then
  echo "the kernel's configuration drops these options of $fragment:" >&2
  cat "$work/dropped" >&2
  exit 1
fi

make bzImage modules
version=$(make kernelrelease)
modules=$out/usr/lib/modules/$version
headers=/usr/src/linux-headers-$version
make INSTALL_MOD_PATH="$out/usr" modules_install
cp "$work/build/arch/x86/boot/bzImage" "$modules/vmlinuz"
cp "$work/build/.config" "$modules/config"
make run-command KBUILD_RUN_COMMAND="\$(srctree)/scripts/package/install-extmod-build $out$headers"
ln -sfn "$headers" "$modules/build"
ln -s usr/lib "$out/lib"
