#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# install.sh BUILD COMPILER...: installs into a temporary root, finds the library there with
# pkg-config, builds the README's program against it, shared and static, and runs it against the
# installed command's emulated drive.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
build=$1
shift
cc=("$@")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=../../tools/lib/sim.sh
source tools/lib/sim.sh
root=$(mktemp -d /tmp/weir-install-XXXXXX)
trap 'stop_sims; rm -rf "$root"' EXIT

DESTDIR=$root meson install -C "$build" --no-rebuild --quiet
pc=$(find "$root" -name weir-nvme.pc)
[[ -n $pc ]] || { echo 'weir-nvme.pc is not installed' && exit 1; }
export PKG_CONFIG_PATH=${pc%/*} PKG_CONFIG_SYSROOT_DIR=$root
export LD_LIBRARY_PATH=${pc%/pkgconfig/*}
read -ra cflags < <(pkg-config --cflags weir-nvme)
read -ra libs < <(pkg-config --libs weir-nvme)
read -ra static_libs < <(pkg-config --libs --static weir-nvme |
  sed -E 's/-l(weir(-[a-z]+)?)\b/-l:lib\1.a/g')

for header in framework/include/weir/*.h framework/*/include/weir/*.h drivers/*/include/weir/*.h; do
  "${cc[@]}" "${cflags[@]}" -Wall -Werror -fsyntax-only -x c - <<<"#include <weir/${header##*/}>"
done
echo 'every public header is installed and compiles there'

# A program that has a function of such a name would be called in the library's place.
for library in "${pc%/pkgconfig/*}"/libweir*.so; do
  if nm -D --defined-only --format=posix "$library" | grep -viE '^weir_'; then
    echo "${library##*/} has names that are not its own"
    exit 1
  fi
done
echo 'the names in the libraries are their own'

"${cc[@]}" -Wall -Wextra -Werror docs/examples/read_block.c -o "$root/shared" "${cflags[@]}" \
  "${libs[@]}"
"${cc[@]}" docs/examples/read_block.c -o "$root/static" "${cflags[@]}" "${static_libs[@]}"
if ldd "$root/static" | grep weir; then
  echo 'the static program needs a shared library of ours'
  exit 1
fi
echo 'the program builds, shared and static'

# DPDK is not in the temporary root: only our own folders are looked for there.
export PKG_CONFIG_SYSROOT_DIR=
prefix=$(pkg-config --variable=prefix weir-net)
read -ra net < <(pkg-config --cflags --libs weir-net | sed -E "s#-([IL])$prefix#-\1$root$prefix#g")
"${cc[@]}" -Wall docs/examples/l2fwd.c -o "$root/l2fwd" "${net[@]}"
if RUNTIME_DIRECTORY=$root "$root/l2fwd" --no-pci --no-huge --no-shconf -- 2>"$root/message" ||
  ! grep -q '^usage: l2fwd' "$root/message"; then
  cat "$root/message"
  exit 1
fi
echo 'the example with packets of DPDK builds, and starts'

WEIR=$(find "$root" -path '*/bin/weir')
head -c 1M /dev/urandom >"$root/drive"
start_sim nvme "$root/nvme" --file "$root/drive"
for program in shared static; do
  "$root/$program" "vfio-user:$root/nvme" | cmp - <(head -c 4096 "$root/drive")
done
stop_sim "$root/nvme"
echo 'it reads what is on the drive'

if "$root/shared" "vfio-user:$root/nothing" 2>"$root/message"; then
  echo 'it does not fail without a device'
  exit 1
fi
grep -q "$root/nothing" "$root/message"
echo "without a device it says: $(<"$root/message")"
