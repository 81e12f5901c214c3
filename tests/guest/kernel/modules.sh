# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# The kernel's modules of VFIO in a guest: its own ("in-tree") or Weir's (the folder that holds
# core/vfio.ko and the others). To be sourced.

# load_modules in-tree | FOLDER
load_modules() {
  local module
  if [[ $1 == in-tree ]]; then
    modprobe -q iommufd || true # only some kernels have it
    modprobe -a vfio vfio_iommu_type1 vfio-pci
    return
  fi
  modprobe -q irqbypass || true # built into some kernels
  for module in core/vfio ioas/iommufd type1/vfio_iommu_type1 pci/vfio_pci; do
    insmod "$1/$module.ko" || return
  done
}

# unload_modules: whichever there are. Fails when one is in use.
unload_modules() {
  local module
  for module in vfio_pci vfio_pci_core vfio_iommu_type1 iommufd vfio_virqfd vfio; do
    [[ ! -d /sys/module/$module ]] || rmmod "$module" || return
  done
}
