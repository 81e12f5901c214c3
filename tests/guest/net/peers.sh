#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# peers.sh BUILD TRANSPORT...
#
# Runs in a guest of the lab: the network commands on one of the two 82576 that the lab has wired to each
# other, DPDK's testpmd on the other, both as an ordinary user. Each counts what the other says that it sent.
# shellcheck source-path=SCRIPTDIR

# Functions are called through check: shellcheck believes that nobody calls them.
# shellcheck disable=SC2317
# shellcheck source=../guest.sh
. "${0%/*}/../guest.sh"
# shellcheck source=../testpmd.sh
. "${0%/*}/../testpmd.sh"
shift

igb0=0000:07:00.0 igb1=0000:08:00.0
packets=2000
dumped=1000
# Of a capture: its header, and a header and a frame of 64 bytes for each.
dump_bytes=$((24 + dumped * (16 + 64)))

# weir_net TRANSPORT ARGUMENT...: as the user.
weir_net() {
  local transport=$1
  shift
  as_user "WEIR_TRANSPORT=$transport" timeout 200 "$weir" net "$@"
}

# Flows of both kinds, on several queues each way. What is under way when the last packet is sent does not
# come back in time.
packets_come_back() {
  local before=${counters[0-RX-packets]} sent=0 received=0
  weir_net "$1" gen "$igb0" --count "$packets" --rate 1000pps --queues 4 --flows 64 "${@:2}" >"$work/gen"
  cat "$work/gen"
  # The guest has no /dev/fd.
  read -r sent received <<<"$(sed -nE 's/^([0-9]+) packets sent.*; ([0-9]+) received$/\1 \2/p' "$work/gen")"
  ((sent == packets && received > packets / 2 && received <= packets)) || return
  read_counters 0 && nothing_lost 0 &&
    ((${counters[0-RX-packets]} == before + packets && ${counters[0-TX-packets]} == ${counters[0-RX-packets]}))
}

# What testpmd sends is what it says, and whole: the filter looks at the headers, and all have one length.
packets_are_heard() {
  local file=/home/$guest_user/heard.$1.pcap
  weir_net "$1" dump "$igb0" --to "$file" --count "$dumped" \
    --filter 'udp and src host 198.18.0.1 and dst host 198.18.0.2 and dst port 9' || return
  stat -c '%s bytes' "$file"
  (($(stat -c %s "$file") == dump_bytes))
}

sends() {
  tell stop && tell 'set fwd txonly' && tell start
}

bind_for_user "$igb0" "$igb1"
ulimit -l unlimited
check 'testpmd starts, to send back what it gets' \
  testpmd_starts user "$igb1" '' '--port-topology=loop --forward-mode=macswap'
check 'it forwards' tell start
check 'it has counters' read_counters 0
for transport in "$@"; do
  check "$transport: IPv4 packets come back" packets_come_back "$transport" --vary dst-ip
  check "$transport: IPv6 packets come back" packets_come_back "$transport" --vary dst-port --size 86-1518 \
    --src-ip 2001:db8::1 --dst-ip 2001:db8::2
done
check 'testpmd sends packets of its own' sends
for transport in "$@"; do
  check "$transport: its packets are heard" packets_are_heard "$transport"
done
check 'testpmd ends' testpmd_quits
finish
