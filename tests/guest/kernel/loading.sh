#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# loading.sh MODULES NAME
#
# Runs in a guest of the lab, as root: loads VFIO's modules and unloads them, idle, in use and while
# programs open devices. Prints TAP.
# shellcheck source-path=SCRIPTDIR

# Functions are called through check: shellcheck believes that nobody calls them.
# shellcheck disable=SC2317
set -u
here=${0%/*} modules=$1
# shellcheck source=modules.sh
. "$here/modules.sh"
# shellcheck source=checks.sh
. "$here/checks.sh"

rounds=4
# What can be held, and which modules it needs; what is raced for.
declare -A used=([container]=vfio [device]='vfio_pci vfio_iommu_type1 vfio')
things=(container device)
races=(race)
# The kernel's own modules of the lab have neither /dev/iommu nor devices' nodes.
if [[ $2 == weir-* ]]; then
  used+=([context]=iommufd [parked]='vfio_pci vfio' [bound]='vfio_pci iommufd vfio')
  things+=(context parked bound)
  races+=(race-nodes)
fi

is_gone() {
  local path
  for path in /dev/vfio/{vfio,devices} /dev/iommu /sys/class/vfio{,-dev} /sys/bus/pci/drivers/vfio-pci; do
    [[ ! -e $path ]] || {
      echo "$path is still there"
      return 1
    }
  done
}

# The last file is closed on the killed process's way out.
unload_soon() {
  local tries
  for ((tries = 0; tries < 100; tries++)); do
    unload_modules 2>/dev/null && return
    sleep 0.1
  done
  unload_modules
}

has_parameters() {
  local module=$1 parameter
  shift
  for parameter in "$@"; do
    [[ -e /sys/module/$module/parameters/$parameter ]] || {
      echo "$module has no parameter $parameter"
      return 1
    }
  done
}

check 'the modules load' load_modules "$modules"
check 'type 1 has its parameters' has_parameters vfio_iommu_type1 allow_unsafe_interrupts dma_entry_limit \
  disable_hugepages
check 'vfio_pci has its parameters' has_parameters vfio_pci nointxmask disable_idle_d3 enable_sriov disable_denylist
check 'they unload' unload_modules
check 'and leave no node, class or driver' is_gone

for what in "${things[@]}"; do
  check 'the modules load again' load_modules "$modules"
  check 'a device is bound' bind_edu
  check "a process has a $what" hold "$what"
  for module in ${used[$what]}; do
    check "with an open $what, $module stays" fails rmmod "$module"
  done
  release_holder
  check "the process with the $what killed, they unload" unload_soon
  check 'and leave nothing' is_gone
done

for ((round = 1; round <= rounds; round++)); do
  check 'the modules load again' load_modules "$modules"
  check 'a device is bound' bind_edu
  race=${races[round % ${#races[@]}]}
  "$here/hold" "$edu" "$race" 6 >/dev/null 2>&1 &
  racers=($!)
  "$here/hold" "$edu" "$race" 6 >/dev/null 2>&1 &
  racers+=($!)
  sleep 2
  # Now and then nobody has it open: then one module goes, and those who come next are refused.
  timeout 3 bash -c 'until rmmod vfio_pci 2>/dev/null; do :; done'
  opened=1
  for racer in "${racers[@]}"; do
    wait "$racer" && opened=0
  done
  check "round $round: devices were opened meanwhile" test $opened = 0
  check "round $round: after programs that opened devices, they unload" unload_soon
  check "round $round: and leave nothing" is_gone
done
finish
