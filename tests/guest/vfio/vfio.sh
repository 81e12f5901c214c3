#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# vfio.sh BUILD TRANSPORT...
#
# Runs in a guest of the lab: the framework on devices behind VFIO, over each transport, as an ordinary user who was given
# all devices but one, and as root, who may do more. With WEIR_TEST_NO_EXPORT, the name of a transport, the kernel's modules
# do not export BARs over it.
# shellcheck source-path=SCRIPTDIR
# shellcheck source=../guest.sh
. "${0%/*}/../guest.sh"
shift

bind_for_user "$nvme0" "$nvme1" "$memory"
check "weir bind $nvme2" "$weir" bind "$nvme2"
ulimit -l unlimited
test_vfio=$build/tests/guest/vfio/test_vfio
for transport in "$@"; do
  check "$transport as $guest_user" as_user timeout 300 \
    "$test_vfio" "$transport" "$nvme0" "$nvme1" "$memory" "$unbound" "$nvme2"
  check "$transport as root: reset by the bus" timeout 300 \
    "$test_vfio" "$transport" "$nvme0" "$nvme1" "$memory" "$unbound" "$nvme2" test_hot_reset
done
finish
