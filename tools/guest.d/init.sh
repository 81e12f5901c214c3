#!/bin/busybox sh
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=dash
#
# First program of a guest. Lays the kernel's folder over the suite's root, both read-only 9p
# shares, under a tmpfs that takes all changes, and goes on with session.sh of the share "run".
/bin/busybox mkdir -p /bin /root /kernel /rw /new
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
exec </dev/console >/dev/console 2>&1
mount -t proc proc /proc
mount -t sysfs sys /sys
echo "weir-guest: $(uname -r) is up"

fail() {
  echo "weir-guest: $*"
  poweroff -f
}

for module in /modules/*; do
  [ ! -f "$module" ] || insmod "$module" || fail "cannot load $module"
done

share() {
  mount -t 9p -o "trans=virtio,version=9p2000.L,msize=262144,$3" "$1" "$2" \
    || fail "cannot mount the share $1"
}
share root /root ro,cache=loose
share kernel /kernel ro,cache=loose
mount -t tmpfs tmpfs /rw
mkdir /rw/upper /rw/work
mount -t overlay -o lowerdir=/kernel:/root,upperdir=/rw/upper,workdir=/rw/work overlay /new \
  || fail "cannot mount the overlay"

mount -t tmpfs tmpfs /new/run
mkdir -p /new/run/guest
share run /new/run/guest cache=none
mount --move /dev /new/dev
mount --move /proc /new/proc
mount --move /sys /new/sys
exec switch_root /new /run/guest/session.sh
