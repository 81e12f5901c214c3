#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# install.sh MODULES NAME [FOLDER]
#
# Runs in a guest of the lab, as root: tools/kernel-install, of which build.sh has put a copy beside the
# modules, on a machine whose own VFIO is loaded, in use, or idle, and back. With the folder
# in which dkms.sh has had DKMS build them, it is DKMS that installs them. Prints TAP.
# shellcheck source-path=SCRIPTDIR

# Functions are called through check: shellcheck believes that nobody calls them.
# shellcheck disable=SC2317
set -u
here=${0%/*} how=(--built "$1")
install=$1/installer/tools/kernel-install dkms=${3:-}
[[ ! $dkms ]] || how=(--dkms)
# shellcheck source=checks.sh
. "$here/checks.sh"
modules=/lib/modules/$(uname -r)

# The guest's own modules are thousands, and the emulated processor is slow: depmod sees these.
shrink_modules() {
  local small
  small=$(mktemp -d)
  (cd "$modules" && find . \( -path '*/vfio/*' -o -path '*/iommufd/*' -o -name 'irqbypass.ko*' -o -name 'nvme*.ko*' \) \
    -name '*.ko*' -exec cp --parents {} "$small" \;)
  cp "$modules"/modules.{builtin,builtin.modinfo,order} "$small"
  cp -P "$modules/build" "$small"
  mount --bind "$small" "$modules" && depmod
}

# picture: all that installing may touch, but for what DKMS keeps.
picture() {
  find "$modules" /etc/modprobe.d /usr/local/lib /var/lib/weir -type f ! -name 'modules.*' -exec sha256sum {} + 2>/dev/null |
    sort
  find "$modules" /usr/local/lib /var/lib/weir -type d 2>/dev/null | sort
  ls /usr/src
}

dkms_has_installed() {
  dkms status weir | tee /dev/stderr | grep -q "$(uname -r).*: installed"
}

dkms_has_nothing() {
  [[ -z $(dkms status weir) && -z $(ls /var/lib/dkms) ]]
}

# As if the kernel were a later one than that for which it was asked for.
pretend_another_kernel() {
  mv "/var/lib/weir/kernel-install/$(uname -r)" /var/lib/weir/kernel-install/1.0-other
}

is_as_before() {
  diff <(echo "$before") <(picture)
}

# loaded_are in-tree|weir MODULE...
loaded_are() {
  local whose=$1 module taint
  shift
  for module in "$@"; do
    taint=$(<"/sys/module/$module/taint") || return
    [[ $whose == weir ]] && [[ $taint != *O* ]] && echo "$module is the kernel's own" && return 1
    [[ $whose == in-tree ]] && [[ $taint == *O* ]] && echo "$module is Weir's" && return 1
  done
  return 0
}

# refuses_with PATTERN COMMAND...: fails, and says something that matches.
refuses_with() {
  local pattern=$1 output
  shift
  if output=$("$@" 2>&1); then
    echo "succeeds: $output"
    return 1
  fi
  grep -E "$pattern" <<<"$output" || {
    echo "$output"
    return 1
  }
}

load_own_by_path() {
  insmod "$(find "$modules/kernel" -name 'vfio.ko*' | head -n 1)"
}

ln -sfn /proc/self/fd /dev/fd # as udev would
[[ ! $dkms ]] || check "DKMS has what it has built" mount --bind "$dkms" /var/lib/dkms
check 'a machine with few modules' shrink_modules
check 'its own VFIO is loaded' modprobe -a vfio-pci vfio_iommu_type1
check 'a device is bound to it' bind_edu
before=$(picture)
loaded=$(cd /sys/module && ls -d vfio* iommufd 2>/dev/null)

check 'a process has the device' hold device
check 'then installing is refused, and the process named' \
  refuses_with "process $holder \(hold\): .*/dev/vfio/" "$install" "${how[@]}"
check 'and nothing has changed' is_as_before
release_holder

check 'without it, Weir is installed' "$install" "${how[@]}"
[[ ! $dkms ]] || check 'by DKMS' dkms_has_installed
check "Weir's modules are loaded" loaded_are weir vfio iommufd vfio_iommu_type1 vfio_pci
check 'the device is bound to them' is_bound
check 'and can be opened' hold device
check 'with the device open, undoing is refused, and the process named' \
  refuses_with "process $holder \(hold\): " "$install" --undo
check 'it goes on working' kill -0 "$holder"
check '--check names it, too' bash -c "'$install' --check | grep -q 'process $holder '"
release_holder
check 'installing twice is refused' refuses_with 'installed .* already' "$install" "${how[@]}"

check 'all unloaded' rmmod vfio_pci vfio_iommu_type1 iommufd vfio
check 'modprobe vfio-pci loads what is needed' modprobe vfio-pci
check "and it is all Weir's" loaded_are weir vfio iommufd vfio_iommu_type1 vfio_pci
check 'all unloaded again' rmmod vfio_pci vfio_iommu_type1 iommufd vfio
check "the kernel's own vfio, loaded by its path" load_own_by_path
check 'is in the way of modprobe vfio-pci, which says so' \
  refuses_with "the kernel's own vfio is" modprobe vfio-pci
[[ ! $dkms ]] || check 'the kernel is another one' pretend_another_kernel
check 'undoing' "$install" --undo
[[ ! $dkms ]] || check 'leaves DKMS without them' dkms_has_nothing
check 'leaves all as it was before' is_as_before
check "the kernel's own modules are loaded again" test "$loaded" = "$(cd /sys/module && ls -d vfio* iommufd 2>/dev/null)"
check 'and are its own' loaded_are in-tree vfio vfio_iommu_type1 vfio_pci
check 'undoing twice is refused' refuses_with 'nothing is installed' "$install" --undo
finish
