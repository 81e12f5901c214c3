#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Process 1 of a guest once its root stands: runs the job of the share "run" (mounted here), leaves
# output, status and kernel log there, and powers off. The runner has written job.sh, which sets
#   share cwd user interactive command
cd /run/guest || exit 1
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
declare share cwd user interactive
declare -a command
# shellcheck source=/dev/null
. ./job.sh

mount -t tmpfs tmpfs /tmp
mkdir -p /dev/pts /dev/shm /dev/hugepages
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t debugfs debugfs /sys/kernel/debug
mount -t hugetlbfs hugetlbfs /dev/hugepages
ip link set lo up
echo guest > /proc/sys/kernel/hostname

# The ports that udev would name.
mkdir -p /dev/virtio-ports
for port in /sys/class/virtio-ports/*; do
  ln -s "/dev/${port##*/}" "/dev/virtio-ports/$(<"$port/name")"
done
install -m 755 request.sh /usr/local/bin/guest-request

# The share stands at the path that it has outside, which the ordinary user must be able to reach.
mkdir -p "$share"
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=none share "$share"
for ((path = 1; path <= ${#share}; path++)); do
  [ "${share:path:1}" != / ] || chmod o+x "${share:0:path}"
done
cd "$cwd" || exit 1

as=()
if [ "$user" != root ]; then
  as=(setpriv --reuid "$user" --regid "$user" --init-groups env HOME="/home/$user" USER="$user")
fi
if [ "$interactive" ]; then
  setsid --ctty --wait "${as[@]}" "${command[@]}" <>/dev/ttyS0 >&0 2>&0
else
  setsid --wait "${as[@]}" "${command[@]}" </dev/null >>/run/guest/output 2>&1
fi
status=$?

cd /run/guest || exit 1
if [ -e /sys/kernel/debug/kmemleak ]; then
  # An object is reported when it is 5 s old and the second scan too finds no pointer to it.
  sleep 5
  echo scan > /sys/kernel/debug/kmemleak
  echo scan > /sys/kernel/debug/kmemleak
  cat /sys/kernel/debug/kmemleak > kmemleak
fi
dmesg > kernel.log
echo "$status" > status
sync
busybox poweroff -f
