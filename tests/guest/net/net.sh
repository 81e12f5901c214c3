#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# net.sh BUILD TRANSPORT...
#
# Runs in a guest of the lab: the network drivers on the two 82576 that the lab has wired to each other, over each
# transport, as an ordinary user. Root gives the devices away and does nothing else.
# shellcheck source-path=SCRIPTDIR
# shellcheck source=../guest.sh
. "${0%/*}/../guest.sh"
shift

igb0=0000:07:00.0 igb1=0000:08:00.0

bind_for_user "$igb0" "$igb1"
ulimit -l unlimited
for transport in "$@"; do
  for options in '' '--interrupts'; do
    # shellcheck disable=SC2086 # words
    check "$transport: 82576 to 82576 ${options:-(polled)}" as_user timeout 300 \
      "$build/tests/sim/test_net_basic" --transport "$transport" $options "$igb0" "$igb1"
  done
done
finish
