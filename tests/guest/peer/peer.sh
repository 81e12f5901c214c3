#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# peer.sh BUILD GUEST KERNEL
#
# Emulated drives with others at the far end: QEMU's client of vfio-user and, in its guest, the kernel's NVMe driver.
# The guest uses every drive in its ways and leaves a file system and random bytes on it; Weir's driver then reads them
# from the same servers.
#
# peer.sh BUILD inside DRIVE...
#
# The guest's part, as root in a folder that both see. Drives are named by their serial numbers.
# shellcheck disable=SC2317 # functions are called by check
# shellcheck source-path=SCRIPTDIR
# shellcheck source=../guest.sh
. "${0%/*}/../guest.sh"
shift

# What each drive is: plain; with large blocks, on a file, with a cache; without what is optional; with all data moved
# by message; with one command in flight for each queue.
declare -A options=(
  [plain]='--size 256M'
  [file]='--file disk.img --lba-size 4096 --write-cache --dstrd 0'
  [bare]='--size 256M --trap-doorbells --no-shadow-doorbells --no-sgl --mdts 1'
  [message]='--size 256M --no-mmap-dma --queues 1'
  [narrow]='--size 256M --mqes 2 --cmb 2M'
)
random_at=$((200 << 20)) random_bytes=$(((9 << 20) + 4096))

# block_device SERIAL: the name of the drive's.
block_device() {
  local device
  for device in /sys/block/nvme*; do
    if grep -qx "$1 *" "$device/device/serial"; then
      echo "/dev/${device##*/}"
      return 0
    fi
  done
  return 1
}

# use_raw DRIVE: the random bytes, in I/Os that are longer than some of the drives take.
use_raw() {
  head -c "$random_bytes" /dev/urandom >"$1.random"
  dd if="$1.random" of="$device" bs=4K seek=$((random_at / 4096)) oflag=direct conv=notrunc,fsync status=none &&
    dd if="$device" of=back bs=1M iflag=direct,skip_bytes,count_bytes skip="$random_at" count="$random_bytes" \
      status=none &&
    cmp "$1.random" back
}

# use_files DRIVE: a file system with files of the guest's, written through the page cache.
use_files() {
  mke2fs -q -F -t ext4 "$device" 128M && mkdir -p mounted && mount "$device" mounted &&
    cp -r /usr/sbin /etc mounted && sync -f mounted && umount mounted && e2fsck -fn "$device" &&
    mount "$device" mounted && diff -r --no-dereference /etc mounted/etc &&
    diff -r --no-dereference /usr/sbin mounted/sbin && umount mounted
}

# use_deep: many at once, each checked by what was written; from both processors.
use_deep() {
  fio --name=deep --filename="$device" --offset=128M --size=32M --io_size=24M --rw=randrw --bsrange=4k-96k \
    --blockalign=4k --iodepth=64 --ioengine=io_uring --direct=1 --numjobs=2 --offset_increment=32M \
    --verify=crc32c --verify_fatal=1 --group_reporting
}

# use_zeroes: write zeroes and deallocate, past what is to stay.
use_zeroes() {
  dd if=/dev/urandom of="$device" bs=1M seek=220 count=4 oflag=direct status=none &&
    blkdiscard --zeroout --offset $((221 << 20)) --length $((1 << 20)) "$device" &&
    blkdiscard --offset $((222 << 20)) --length $((1 << 20)) "$device" &&
    dd if="$device" bs=1M skip=221 count=1 iflag=direct status=none | cmp -n $((1 << 20)) - /dev/zero
}

# use_admin: what nvme-cli asks, a reset, and the drive goes on.
use_admin() {
  local controller=${device%n*}
  nvme id-ctrl "$controller" && nvme id-ns "$device" && nvme smart-log "$controller" &&
    nvme error-log "$controller" && nvme get-feature --feature-id 7 "$controller" && nvme list-ns "$controller" &&
    nvme reset "$controller" && dd if="$device" of=/dev/null bs=1M count=4 iflag=direct status=none
}

no_errors() {
  ! dmesg | grep -E 'nvme.*(timeout|I/O Error)'
}

inside() {
  modprobe nvme
  for drive in "$@"; do
    for _ in $(seq 100); do
      device=$(block_device "$drive") && break
      sleep 0.1
    done
    check "$drive: the kernel takes the drive" test -b "$device" || continue
    check "$drive: random bytes, there and back" use_raw "$drive"
    check "$drive: a file system" use_files
    check "$drive: both processors, queues full" use_deep
    check "$drive: zeroes" use_zeroes
    check "$drive: nvme-cli, and a reset" use_admin
  done
  check 'no command failed' no_errors
  exit $((failures != 0))
}

# weir_reads DRIVE: what the guest left, by Weir's driver.
weir_reads() {
  "$weir" nvme read "vfio-user:$1.socket" --lba $((random_at / block)) --bytes "$random_bytes" --to back --force &&
    cmp "$1.random" back &&
    "$weir" nvme read "vfio-user:$1.socket" --lba 0 --bytes $((128 << 20)) --to back --force && e2fsck -fn back
}

outside() {
  local guest=$1 kernel=$2 drive status sockets=()
  local WEIR=$weir
  # shellcheck source=../../../tools/lib/sim.sh
  . "$(dirname "$guest")/lib/sim.sh"
  mkdir -p "$build/guest" && work=$(mktemp -d "$build/guest/peer-XXXXXX") && cd "$work" || exit 1
  trap 'stop_sims; cd / && rm -rf "$work"' EXIT
  truncate -s 256M disk.img
  for drive in "${!options[@]}"; do
    # shellcheck disable=SC2086 # words
    start_sim nvme "$drive.socket" --serial "$drive" ${options[$drive]} || exit 1
    sockets+=(--vfio-user "$drive.socket")
  done
  "$guest" run --kernel "$kernel" --device-set none "${sockets[@]}" --share "$build" --work "$build/guest" \
    --timeout 300 -- "$build/tests/guest/peer/peer.sh" "$build" inside "${!options[@]}" | tee output
  status=${PIPESTATUS[0]}
  checks=$(grep -cE '^(not )?ok ' output)
  failures=$(grep -c '^not ok ' output)
  check 'all of the guest ran, and its kernel log is clean' test "$status, $checks" = "0, $((6 * ${#options[@]} + 1))"
  for drive in "${!options[@]}"; do
    block=512
    [ "$drive" != file ] || block=4096
    check "$drive: Weir's driver finds what the guest left" weir_reads "$drive"
    stop_sim "$drive.socket"
    check "$drive: the server ends in order" test $? = 0
  done
  finish
}

case $1 in
  inside) inside "${@:2}" ;;
  *) outside "$@" ;;
esac
