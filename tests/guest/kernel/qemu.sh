#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# qemu.sh MODULES NAME BUILD TRANSPORT...
#
# Runs in a guest of the lab, as root: loads the modules (see modules.sh), gives an ordinary user a drive, and has that
# user's QEMU give it to a machine, which boots from it (see boot_sector.S). What the machine has written is then read
# by Weir's driver.
# shellcheck source-path=SCRIPTDIR
here=${0%/*}
modules=$1
shift 2
# shellcheck source=../guest.sh
. "$here/../guest.sh"
# shellcheck source=modules.sh
. "$here/modules.sh"
shift

bytes=8192 # what boot_sector.S copies, from LBA 1 to 100

# boots TRANSPORT: a machine without anything else.
boots() {
  local device=vfio-pci,host=$nvme2,bootindex=0,rombar=0 status=0
  local options=()
  if [[ $1 == cdev ]]; then
    options=(-object "iommufd,id=context")
    device+=,iommufd=context
  fi
  as_user timeout 200 qemu-system-x86_64 -machine q35 -accel tcg -m 64 -nodefaults -display none \
    -device isa-debug-exit,iobase=0xf4,iosize=4 "${options[@]}" -device "$device" || status=$?
  # QEMU ends with what the machine said, doubled, and 1.
  test "$status" = 33
}

write_drive() {
  as_user "$weir" nvme write "$nvme2" --lba "$1" --from "$2" --yes
}

# turned FILE BYTES: the drive has them at LBA 100, with all bits turned over, and behind them what was there.
turned() {
  as_user "$weir" nvme read "$nvme2" --lba 100 --to /tmp/back --bytes $((bytes + 4096)) --force &&
    python3 - <<'END'
source, back, before = (open(f"/tmp/{name}", "rb").read() for name in ("source", "back", "before"))
assert bytes(byte ^ 255 for byte in source) == back[:len(source)], "other data"
assert before[len(source):] == back[len(source):], "too much was written"
END
}

load_modules "$modules" || exit 1
ulimit -l unlimited
umask 022
bind_for_user "$nvme2"
for transport in "$@"; do
  export WEIR_TRANSPORT=$transport
  rm -f /tmp/back
  head -c "$bytes" /dev/urandom >/tmp/source
  head -c $((bytes + 4096)) /dev/urandom >/tmp/before
  check "$transport: a sector to boot from" write_drive 0 "$here/boot.bin"
  check "$transport: data" write_drive 1 /tmp/source
  check "$transport: what is to be overwritten" write_drive 100 /tmp/before
  check "$transport: QEMU's machine boots from the drive" boots "$transport"
  check "$transport: it read the data, and wrote it as it should" turned
done
finish
