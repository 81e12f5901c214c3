#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# vfio.sh BUILD USER TRANSPORT... [-- PROGRAM...]
#
# Runs in a guest of the lab, as root: binds the lab's NVMe drives and its ivshmem to vfio-pci, and runs the test
# programs (all of them by default: vfio nvme unplug) over each transport, as root and, where that makes sense, as USER
# who is given the nodes of all devices but one. Prints TAP; what a program that fails has said follows as comments.
#
# vfio.sh replug | cut_off
#
# What the unplug program runs: plugs nvme2 in again; takes it away from under everybody.

# Functions are called by names that are put together: shellcheck believes that nobody calls them.
# shellcheck disable=SC2317
set -u

devices=/sys/bus/pci/devices
nvme0=0000:03:00.0 memory=0000:04:00.0 nvme1=0000:06:00.0 unbound=0000:08:00.0 nvme2=0000:81:00.0
port=80:01.0 # above nvme2

bind_vfio() {
  echo vfio-pci >"$devices/$1/driver_override"
  [ ! -e "$devices/$1/driver" ] || echo "$1" >"$devices/$1/driver/unbind"
  echo "$1" >/sys/bus/pci/drivers_probe
}

replug() {
  local tries
  for ((tries = 0; tries < 60; tries++)); do
    guest-request device_add driver=nvme id=nvme2 serial=weir-nvme2 drive=disk3 bus=rp3 && break
    sleep 0.5
  done >/dev/null
  for ((tries = 0; tries < 120; tries++)); do
    [ ! -e "$devices/$nvme2" ] || break
    sleep 0.5
  done
  bind_vfio "$nvme2"
}

# Switches the slot's power off below the kernel, and then has the kernel take the device away, for which it waits until
# nobody has it open (PCI Express 3.0 §7.8.10: power controller and indicator off).
cut_off() {
  setpci -s "$port" CAP_EXP+18.w=0700:0700
  echo 1 >"$devices/$nvme2/remove" &
}

case $1 in
  replug | cut_off)
    "$1"
    exit
    ;;
esac

build=$1 user=$2
shift 2
transports=() programs=(vfio nvme unplug)
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  transports+=("$1")
  shift
done
[ $# -lt 2 ] || programs=("${@:2}")

# The guest has no cmocka of its own.
export LD_LIBRARY_PATH=$build/tests/guest/vfio
checks=0 failed=0

# The nodes of a device: its group's and its own.
nodes() {
  local group cdev
  group=$(readlink "$devices/$1/iommu_group")
  echo "/dev/vfio/${group##*/}"
  for cdev in "$devices/$1"/vfio-dev/vfio*; do
    [ ! -e "/dev/vfio/devices/${cdev##*/}" ] || echo "/dev/vfio/devices/${cdev##*/}"
  done
}

check() {
  local name=$1 output status
  shift
  output=$("$@" 2>&1)
  status=$?
  checks=$((checks + 1))
  if [ "$status" = 0 ]; then
    echo "ok $checks - $name"
    return
  fi
  failed=1
  echo "not ok $checks - $name: status $status"
  printf '%s\n' "$output" | sed 's/^/# /'
}

as_user() {
  setpriv --reuid "$user" --regid "$user" --init-groups "$@"
}

run_vfio() {
  check "$1 as root: vfio" timeout 600 "$build/tests/guest/vfio/test_vfio" "$1" "$nvme0" "$nvme1" "$memory" "$unbound"
  check "$1 as $user: vfio" as_user timeout 600 "$build/tests/guest/vfio/test_vfio" \
    "$1" "$nvme0" "$nvme1" "$memory" "$unbound" "$nvme2"
}

run_nvme() {
  check "$1 as root: nvme0" timeout 600 "$build/tests/sim/test_nvme_basic" --interrupts --transport "$1" "$nvme0"
  check "$1 as $user: nvme1" as_user timeout 600 "$build/tests/sim/test_nvme_basic" --no-sgl --transport "$1" "$nvme1"
  check "$1 as root: nvme2" timeout 600 "$build/tests/sim/test_nvme_basic" --interrupts --transport "$1" "$nvme2"
}

run_unplug() {
  check "$1 as root: unplug" timeout 600 "$build/tests/guest/vfio/test_vfio_unplug" "$1" "$nvme2" \
    "guest-request device_del id=nvme2" "bash $0 cut_off" "bash $0 replug"
}

modprobe vfio-pci || exit 1
for device in "$nvme0" "$nvme1" "$nvme2" "$memory"; do
  bind_vfio "$device"
done
for device in "$nvme0" "$nvme1" "$memory"; do
  nodes "$device" | xargs chown "$user"
done
[ ! -e /dev/iommu ] || chown "$user" /dev/iommu
ulimit -l unlimited

for transport in "${transports[@]}"; do
  for program in "${programs[@]}"; do
    "run_$program" "$transport"
  done
done
echo "1..$checks"
exit $failed
