#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# selftests.sh MODULES NAME PROGRAMS
#
# Runs in a guest of the lab, as root: the kernel's selftests/vfio that are in the folder PROGRAMS, on
# edu. Each prints TAP; what is above them counts.
# shellcheck source-path=SCRIPTDIR
set -u
here=${0%/*} programs=$3
# shellcheck source=modules.sh
. "$here/modules.sh"

edu=0000:00:17.0
load_modules "$1" || exit 1
echo vfio-pci >/sys/bus/pci/devices/$edu/driver_override
echo $edu >/sys/bus/pci/drivers_probe
ulimit -l unlimited
for program in vfio_dma_mapping_test vfio_dma_mapping_mmio_test vfio_pci_device_init_perf_test \
  vfio_pci_device_test vfio_iommufd_setup_test; do
  echo "# program $program"
  timeout 200 "$programs/$program" $edu 2>&1
  echo "# status $?"
done
