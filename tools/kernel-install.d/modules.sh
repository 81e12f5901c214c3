# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# VFIO's modules that are loaded: whose they are, who uses them, how they go. To be sourced after
# tools/lib/steps.sh.

# Weir's, by the folder of the build that holds each, in the order in which they load.
# shellcheck disable=SC2034 # used by the scripts that source this
weir_modules=(core/vfio ioas/iommufd type1/vfio_iommu_type1 pci/vfio_pci)

# All that belong to VFIO, the kernel's drivers of single devices included; who uses others first.
all_modules=(mlx5_vfio_pci pds_vfio_pci hisi_acc_vfio_pci virtio_vfio_pci nvgrace_gpu_vfio_pci qat_vfio_pci
  vfio_pci vfio_pci_core mdev vfio_iommu_type1 vfio_virqfd iommufd vfio)

is_loaded() {
  [[ -d /sys/module/$1 ]]
}

# is_ours MODULE: loaded, and not the kernel's own. O: built outside of the kernel's tree.
is_ours() {
  is_loaded "$1" && grep -q O "/sys/module/$1/taint"
}

# loaded_modules: one a line.
loaded_modules() {
  local module
  for module in "${all_modules[@]}"; do
    if is_loaded "$module"; then
      echo "$module"
    fi
  done
}

# files_of_vfio: process and file, of every process that has VFIO's files open or mapped.
files_of_vfio() {
  {
    find /proc/[0-9]*/fd -lname '/dev/vfio/*' -printf '%p %l\n' -o -lname '/dev/iommu' -printf '%p %l\n' \
      -o -lname '*[vfio-*' -printf '%p %l\n' || true # processes end meanwhile
    grep -sHoE '(/dev/vfio/|anon_inode:\[vfio).*' /proc/[0-9]*/maps | sed 's/maps:\(.*\)/maps \1 (mapped)/' || true
  } 2>/dev/null | sed 's|^/proc/\([0-9]*\)/[^ ]*|\1|' | sort -u
}

# users_of_vfio: processes that have VFIO's files open or mapped, and what, one a line.
users_of_vfio() {
  local process what name
  local -A held=()
  while read -r process what; do
    held[$process]+=" $what"
  done < <(files_of_vfio)
  for process in "${!held[@]}"; do
    read -r name <"/proc/$process/comm" || name='?'
    echo "process $process ($name):${held[$process]}"
  done 2>/dev/null
}

# other_users: modules that use VFIO's and are none of them, one a line.
other_users() {
  local module holder
  for module in $(loaded_modules); do
    for holder in "/sys/module/$module/holders/"*; do
      holder=${holder##*/}
      [[ $holder == '*' || " ${all_modules[*]} " == *" $holder "* ]] || echo "module $holder uses $module"
    done
  done
}

# check_idle: nobody uses VFIO. Otherwise says who does.
check_idle() {
  local users
  users=$(users_of_vfio && other_users)
  [[ -n $users ]] || return 0
  echo 'VFIO is in use, and stays as it is:' >&2
  printf '  %s\n' "${users//$'\n'/$'\n'  }" >&2
  return 1
}

# unload_vfio: all of it, when nobody uses it. Otherwise says who does, and nothing has changed.
# Devices that are bound and not open lose their driver, and find the new one by driver_override.
unload_vfio() {
  local module
  local -a gone=()
  check_idle || return
  for module in $(loaded_modules); do
    if ! rmmod "$module"; then
      echo "$module cannot be unloaded, for the reason above; the others are loaded again" >&2
      ((!${#gone[@]})) || modprobe -a "${gone[@]}"
      return 1
    fi
    gone=("$module" "${gone[@]}")
  done
}
