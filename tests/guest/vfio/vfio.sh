#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# vfio.sh BUILD TRANSPORT...
#
# Runs in a guest of the lab: the framework on devices behind VFIO, over each transport, as an ordinary user who was given
# all devices but one, and as root, who may do more.
#
# vfio.sh BUILD plug | cut_off
#
# What the unplug program runs: plugs nvme2 in again; takes it away from under everybody.
# shellcheck source-path=SCRIPTDIR
# shellcheck source=../guest.sh
. "${0%/*}/../guest.sh"
shift

sysfs=/sys/bus/pci/devices
port=80:01.0 # above nvme2

plug() {
  local tries
  for ((tries = 0; tries < 60; tries++)); do
    guest-request device_add driver=nvme id=nvme2 serial=weir-nvme2 drive=disk3 bus=rp3 && break
    sleep 0.5
  done >/dev/null
  for ((tries = 0; tries < 120; tries++)); do
    [ ! -e "$sysfs/$nvme2" ] || break
    sleep 0.5
  done
  "$weir" bind "$nvme2"
}

# Switches the slot's power off below the kernel, and then has the kernel take the device away, for which it waits until
# nobody has it open (PCI Express 3.0 §7.8.10: power controller and indicator off).
cut_off() {
  setpci -s "$port" CAP_EXP+18.w=0700:0700
  echo 1 >"$sysfs/$nvme2/remove" &
}

case $1 in
  plug)
    plug
    exit
    ;;
  cut_off)
    cut_off
    exit
    ;;
esac

bind_for_user "$nvme0" "$nvme1" "$memory"
check "weir bind $nvme2" "$weir" bind "$nvme2"
ulimit -l unlimited
test_vfio=$build/tests/guest/vfio/test_vfio
for transport in "$@"; do
  check "$transport as $guest_user" as_user timeout 300 \
    "$test_vfio" "$transport" "$nvme0" "$nvme1" "$memory" "$unbound" "$nvme2"
  check "$transport as root: reset by the bus" timeout 300 \
    "$test_vfio" "$transport" "$nvme0" "$nvme1" "$memory" "$unbound" "$nvme2" test_hot_reset
  if [ -e /proc/lockdep ]; then
    skip "$transport as root: unplug" \
      "after a reset by the bus the kernel's VFIO takes its locks in another order here, which lockdep reports"
  else
    check "$transport as root: unplug" timeout 300 "${test_vfio}_unplug" "$transport" "$nvme2" \
      "guest-request device_del id=nvme2" "bash $0 $build cut_off" "bash $0 $build plug"
  fi
done
finish
