#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# testpmd.sh MODULES NAME
#
# Runs in a guest of the lab, as root: the distribution's dpdk-testpmd, unmodified, on the lab's network
# cards: traffic between two of them and to the kernel's own stack, each kind of interrupt, as an ordinary
# user, killed under load. Prints TAP. What counts is what testpmd says at its prompt, word by word.
# shellcheck source-path=SCRIPTDIR

# Functions are called through check: shellcheck believes that nobody calls them.
# shellcheck disable=SC2317
set -u
here=${0%/*} modules=$1
# shellcheck source=modules.sh
. "$here/modules.sh"
# shellcheck source=checks.sh
. "$here/checks.sh"
# shellcheck source=../testpmd.sh
. "$here/../testpmd.sh"

# See docs/guest-lab.md: the first two are wired to each other, the third to the kernel's virtio0.
igb0=0000:07:00.0 igb1=0000:08:00.0 e1000e0=0000:09:00.0 virtio0=0000:0a:00.0
user=$testpmd_user

bind_to_vfio() {
  local device
  for device; do
    echo vfio-pci >"/sys/bus/pci/devices/$device/driver_override"
    echo "$device" >/sys/bus/pci/drivers_probe
    [[ $(readlink "/sys/bus/pci/devices/$device/driver") == */vfio-pci ]] || return
  done
}

group_of() {
  basename "$(readlink "/sys/bus/pci/devices/$1/iommu_group")"
}

# Each port sends what the other has received. The packets of the first burst would be 32 a port: that there
# are more says that they were received, and sent from where they were received to.
traffic_goes_round() {
  tell 'start tx_first' && within 120 has_received 0 1000 && within 120 has_received 1 1000
}

traffic_is_whole() {
  tell stop && read_counters 0 && read_counters 1 || return
  echo "port 0 has received ${counters[0-RX-packets]}, sent ${counters[0-TX-packets]}"
  echo "port 1 has received ${counters[1-RX-packets]}, sent ${counters[1-TX-packets]}"
  nothing_lost 0 && nothing_lost 1 &&
    ((${counters[0-RX-packets]} == ${counters[1-TX-packets]} && ${counters[1-RX-packets]} == ${counters[0-TX-packets]}))
}

# interrupts KIND DEVICE: those that have come so far.
interrupts() {
  awk -v name="vfio-$1" -v device="($2)" '
    NR == 1 { processors = NF }
    index($0, name) && index($0, device) { for (i = 2; i < 2 + processors; i++) sum += $i }
    END { print sum + 0 }' /proc/interrupts
}

# set_link DEVICE true|false: what the lab calls it.
set_link() {
  guest-request "{\"execute\": \"set_link\", \"arguments\": {\"name\": \"$1-wire\", \"up\": $2}}"
}

# link_state_comes DEVICE BDF KIND: each change of the first port's link is told, by an interrupt.
link_state_comes() {
  local up before events
  for up in false true; do
    before=$(interrupts "$3" "$2")
    events=$(grep -cF "$link_event" "$log")
    set_link "$1" "$up" || return
    within 60 occurs $((events + 1)) "$link_event" || {
      cat "$log" /proc/interrupts
      return 1
    }
    (($(interrupts "$3" "$2") > before)) || {
      cat /proc/interrupts
      return 1
    }
    within 60 link_is "$up" || return
  done
}
link_event='Port 0: link state change event'

link_is() {
  local before state=down
  before=$(wc -l <"$log")
  [[ $1 == false ]] || state=up
  tell 'show port info 0' && tail -n +"$((before + 1))" "$log" | grep -q "^Link status: $state"
}

# The peer is the kernel's stack, which looks at the checksums of the answers.
give_address() {
  local interface
  modprobe virtio_net
  interface=$(ls /sys/bus/pci/devices/"$virtio0"/virtio*/net) &&
    ip address add 192.0.2.1/24 dev "$interface" && ip link set "$interface" up
}

ping_is_answered() {
  tell start && busybox ping -c 20 -i 0.1 -s 1400 -W 20 192.0.2.2 >"$work/ping"
  cat "$work/ping"
  grep -q '^20 packets transmitted, 20 packets received' "$work/ping"
}

echoes_are_counted() {
  tell stop && read_counters 0 && nothing_lost 0 &&
    ((${counters[0-RX-packets]} >= 20 && ${counters[0-TX-packets]} >= 20))
}

give_to_user() {
  local device
  for device; do
    chown "$user" "/dev/vfio/$(group_of "$device")" || return
  done
}

is_killed() {
  kill -KILL "$testpmd" || return
  wait "$testpmd" 2>/dev/null
  (($? == 128 + 9))
}

# What was open goes on the killed process's way out.
groups_open_again() {
  local device
  for device; do
    (exec 4<>"/dev/vfio/$(group_of "$device")") || return
  done
}

no_interrupt_is_left() {
  fails grep vfio- /proc/interrupts
}

ulimit -l unlimited
check 'the modules load' load_modules "$modules"
check 'the network cards are bound' bind_to_vfio $igb0 $igb1 $e1000e0

check 'testpmd starts on two igb' testpmd_starts root "$igb0 $igb1" '' ''
check 'packets go round between them' traffic_goes_round
check 'each has received what the other has sent, and nothing is lost' traffic_is_whole
check 'the link goes and comes, told by MSI-X' link_state_comes igb0 $igb0 msix
check 'testpmd ends' testpmd_quits
check 'no interrupt is left' no_interrupt_is_left

check "the kernel has the other end of e1000e's wire" give_address
check 'testpmd starts on e1000e, with the line interrupt' testpmd_starts root $e1000e0 --vfio-intr=legacy --forward-mode=icmpecho
check "it answers the kernel's ping" ping_is_answered
check 'and has counted what it received and sent' echoes_are_counted
check 'the link goes and comes, told by the line' link_state_comes e1000e0 $e1000e0 intx
check 'testpmd ends again' testpmd_quits

check 'the igb are given to a user' give_to_user $igb0 $igb1
check 'testpmd starts as that user, with MSI' testpmd_starts user "$igb0 $igb1" --vfio-intr=msi ''
check 'the link goes and comes, told by MSI' link_state_comes igb0 $igb0 msi
check "the user's packets go round" traffic_goes_round
check 'testpmd is killed under load' is_killed
check 'no interrupt of the killed one is left' no_interrupt_is_left
check 'the groups can be opened again' groups_open_again $igb0 $igb1
check 'testpmd starts once more' testpmd_starts user "$igb0 $igb1" '' ''
check 'packets go round once more' traffic_goes_round
check 'each has received what the other has sent, once more' traffic_is_whole
check 'testpmd ends once more' testpmd_quits
check 'the modules unload' unload_modules
finish
