#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# fuzz.sh MODULES NAME OPTION...
#
# Runs in a guest of the lab with the device set "functions", as root: the fuzzer (fuzz.c), with its
# options, over devices of every kind, two of them in one group. At the end nobody has the modules.
# Prints TAP.
# shellcheck source-path=SCRIPTDIR

# Functions are called through check: shellcheck believes that nobody calls them.
# shellcheck disable=SC2317
set -u
shopt -s lastpipe
here=${0%/*}
# shellcheck source=modules.sh
. "$here/modules.sh"
# shellcheck source=checks.sh
. "$here/checks.sh"

# See docs/guest-lab.md: memory, an NVMe drive, network cards.
devices=("$edu=edu" 0000:04:00.0=memory 0000:06:00.0=other 0000:07:00.0=other 0000:09:00.0=other)

# Of the device below rp8: all of them, because they are reset together.
find_functions() {
  local bus function
  bus=$(</sys/bus/pci/devices/0000:00:18.0/secondary_bus_number) || return
  bus=$(printf '0000:%02x:00' "$bus")
  for function in {0..3}; do
    [[ -e /sys/bus/pci/devices/$bus.$function ]] || return
    devices+=("$bus.$function=other")
  done
}

bind_all() {
  local device
  for device in "${devices[@]%=*}"; do
    echo vfio-pci >"/sys/bus/pci/devices/$device/driver_override" || return
    [[ -e /sys/bus/pci/devices/$device/driver ]] || echo "$device" >/sys/bus/pci/drivers_probe
    [[ $(readlink "/sys/bus/pci/devices/$device/driver") == */vfio-pci ]] || return
  done
}

has_killed_nobody() {
  ! dmesg | grep 'Out of memory'
}

# relay COMMAND...: its checks become some of ours, what else it says is passed on. Its status is in status.
relay() {
  local line
  "$@" 2>&1 | while IFS= read -r line; do
    case $line in
      'ok '* | 'not ok '*)
        checks=$((checks + 1))
        [[ $line == ok* ]] || failures=$((failures + 1))
        echo "${line%% [0-9]*} $checks - ${line#* - }"
        ;;
      1..*) ;;
      *) echo "$line" ;;
    esac
  done
  status=${PIPESTATUS[0]}
}

check 'there are four functions of one device' find_functions
check 'the modules load' load_modules "$1"
check 'all devices are bound' bind_all
relay "$here/fuzz" "${@:3}" "${devices[@]}"
check 'the fuzzer came to its end' test "$status" -le 1
check 'there was memory for all' has_killed_nobody
check 'the modules can be unloaded' unload_modules
finish
