#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# nvme.sh BUILD TRANSPORT...
#
# Runs in a guest of the lab: the NVMe driver on drives of all shapes that the lab has, over each transport, as an ordinary
# user. Root gives the drives away and does nothing else. With WEIR_TEST_NO_EXPORT, the name of a transport, the kernel's
# modules do not export BARs over it.
# shellcheck source-path=SCRIPTDIR
# shellcheck source=../guest.sh
. "${0%/*}/../guest.sh"
shift

# What is run how, and what it has to find. All namespaces of a drive are used in each.
shapes=(
  "queues in a CMB            | $nvme0 | --interrupts --cmb-queues   | cmb=0x1000000 block=512 sgl=1 node=-1"
  "namespace of 4 KiB blocks  | $nvme1 | --interrupts --namespace 2  | namespaces=2 block=4096 cmb=0 node=-1"
  "NUMA node 1, PRPs only     | $nvme2 | --no-sgl                    | block=512 sgl=0 node=1"
)

bind_for_user "$nvme0" "$nvme1" "$nvme2"
ulimit -l unlimited
for transport in "$@"; do
  export=
  [[ $transport != "${WEIR_TEST_NO_EXPORT-}" ]] || export=--no-export
  for shape in "${shapes[@]}"; do
    IFS='|' read -r name drive options finds <<<"$shape"
    # shellcheck disable=SC2086 # words
    check "$transport: ${name%%  *}" as_user timeout 300 "$build/tests/sim/test_nvme_basic" \
      --transport "$transport" $export $options $finds $drive
  done
done
finish
