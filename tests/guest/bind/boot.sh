#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# boot.sh BUILD FOLDER broken | mended | settled
#
# One of three boots of the same machine, of which FOLDER keeps what a disk would: in the first its IOMMU is off and
# nothing is set up, doctor mends that; in the second devices are bound for good; in the third all has to be as it was
# left. FOLDER/cmdline is what the boot loader is to hand the next boot.

# Functions are called by names that are put together: shellcheck believes that nobody calls them.
# shellcheck disable=SC2317
# shellcheck source-path=SCRIPTDIR
# shellcheck source=lib.sh
. "${0%/*}/lib.sh"
folder=$2

rules=/etc/udev/rules.d
kept=(etc/default/grub etc/security/limits.d etc/sysctl.d etc/modules-load.d etc/modprobe.d "${rules#/}")

# What lasts over a boot.
keep() {
  (cd / && mkdir -p "${kept[@]:1}" && tar -cf "$folder/etc.tar" "${kept[@]}")
}

# As Debian boots: the lists of modules, udev with all devices there are, sysctl.
start_system() {
  local module file
  tar -xf "$folder/etc.tar" -C /
  for file in /etc/modules-load.d/*.conf; do
    while read -r module; do
      case $module in '' | '#'*) ;; *) modprobe "$module" ;; esac
    done <"$file"
  done
  PATH=/usr/lib/systemd:/lib/systemd:$PATH systemd-udevd --daemon
  udevadm trigger --type=subsystems --action=add
  udevadm trigger --type=devices --action=add
  udevadm settle --timeout=60
  sysctl -q --system
}

# The part of GRUB that doctor calls.
make_grub() {
  mkdir -p /etc/default
  printf '%s\n' 'GRUB_DEFAULT=0' 'GRUB_CMDLINE_LINUX_DEFAULT=""' 'GRUB_CMDLINE_LINUX="quiet intel_iommu=off"' \
    >/etc/default/grub
  printf '%s\n' '#!/bin/sh' '. /etc/default/grub' \
    "echo \"\$GRUB_CMDLINE_LINUX \$GRUB_CMDLINE_LINUX_DEFAULT\" >'$folder/cmdline'" >/usr/sbin/update-grub
  chmod +x /usr/sbin/update-grub
}

broken() {
  make_grub
  modprobe -a nvme vfio-pci
  [ ! -e /proc/sys/kernel/numa_balancing ] || echo 0 >/proc/sys/kernel/numa_balancing
  check 'IOMMU off: iommu-off and nothing else' finds iommu-off root
  check 'IOMMU off: iommu-off of a drive, too' finds iommu-off root "$nvme1"
  check 'IOMMU off: the error of opening tells' opening_says iommu-off "$nvme1" root
  check 'IOMMU off: bind refuses' refuses 'is in no IOMMU group' weir bind "$nvme1"
  check 'IOMMU off: the drive keeps its driver' has_driver "$nvme1" nvme
  check 'IOMMU off: ls says it' prints 'in no IOMMU group' weir ls "$nvme1"
  [ ! -e /proc/sys/kernel/numa_balancing ] || echo 1 >/proc/sys/kernel/numa_balancing
  echo 0 >"$pages/nr_hugepages"
  modprobe -r vfio-pci vfio_iommu_type1
  check 'all at once: --fix runs' weir doctor --fix --user "$guest_user" --json
  check 'all at once: the rest needs a boot' finds iommu-off "$guest_user"
  check 'all at once: the next will not have it off' same 'quiet  ' "$(cat "$folder/cmdline")"
  keep
}

mended() {
  start_system
  check 'a boot later: nothing to find' finds '' "$guest_user"
  check 'a boot later: huge pages' same 256 "$(cat "$pages/nr_hugepages")"
  check 'persist: a dry run shows it' prints '^would write /etc/udev' weir bind --persist --dry-run "$nvme1" --user "$guest_user"
  check 'persist: and writes nothing' same '' "$(compgen -G "$rules/*weir*")"
  check 'persist: bound' prints '^wrote /etc/udev' weir bind --persist "$nvme1" "$igb1" --user "$guest_user"
  check 'persist: opens' opens "$nvme1" "$guest_user"
  check 'persist: another only until the next boot' weir bind "$nvme2" --user "$guest_user"
  keep
}

# The driver of the drives is loaded before udev, as from an initramfs; igb by udev.
settled() {
  modprobe nvme
  check 'before udev: the kernel has it' has_driver "$nvme1" nvme
  start_system
  check 'after a boot: the drive is bound' has_driver "$nvme1" vfio-pci
  check 'after a boot: the network function is bound' has_driver "$igb1" vfio-pci
  check 'after a boot: not the others' same 'nvme nvme igb' \
    "$(link_of "$nvme0" driver) $(link_of "$nvme2" driver) $(link_of "$igb0" driver)"
  check 'after a boot: the node is of the user' same "$guest_user 600" "$(stat -c '%U %a' "$(group_node "$nvme1")")"
  check 'after a boot: it opens' opens "$nvme1" "$guest_user"
  check 'after a boot: nothing to find' finds '' "$guest_user"
  check 'after a boot: nor about the network function' finds '' "$guest_user" "$igb1"
  check 'unbind: told that it comes back' prints 'bound again at the next boot' weir unbind "$nvme1"
  check 'unbind: the kernel has the drive' has_driver "$nvme1" nvme
  check 'a drive that is plugged in again is bound' replug "$nvme1"
  check 'unbind --persist' prints '^removed /etc/udev' weir unbind --persist "$nvme1" "$igb1"
  check 'unbind --persist: the kernel has both' same 'nvme igb' "$(link_of "$nvme1" driver) $(link_of "$igb1" driver)"
  check 'unbind --persist: nothing is left' same '' "$(compgen -G "$rules/*weir*"
    compgen -G '/etc/modules-load.d/weir-bind*')"
}

# To the kernel a function that was removed and found again is new.
replug() {
  echo 1 >"$sysfs/$1/remove"
  echo 1 >/sys/bus/pci/rescan
  udevadm settle --timeout=60
  wait_for has_driver "$1" vfio-pci && wait_for opens "$1" "$guest_user"
}

"$3"
finish
