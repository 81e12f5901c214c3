#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# doctor.sh BUILD [PART...]
#
# Breaks a guest of the lab in every way that weir doctor knows and one boot allows. Each fault has to give its own
# finding and no other, the finding's fix, run as it is printed, has to mend it, and then the device opens. Each part
# finds the machine in order, and leaves it so.

# Functions are called by names that are put together: shellcheck believes that nobody calls them.
# shellcheck disable=SC2317
# shellcheck source-path=SCRIPTDIR
# shellcheck source=lib.sh
. "${0%/*}/lib.sh"

node1=/sys/devices/system/node/node1/hugepages/hugepages-2048kB
entries=/sys/module/vfio_iommu_type1/parameters/dma_entry_limit
numa=/proc/sys/kernel/numa_balancing
modules=/lib/modules/$(uname -r)

# machine NAME ID WHO: the machine has been broken.
machine() {
  check "$1: $2 and nothing else" finds "$2" "$3"
  check "$1: the fix runs" mend "$2"
  check "$1: is mended" finds '' "$3"
}

# device NAME ID WHO ADDRESS: the way to a function has been broken.
device() {
  check "$1: $2 and nothing else" finds "$2" "$3" "$4"
  check "$1: the error of opening tells" opening_says "$2" "$4" "$3"
  check "$1: the fix runs" mend "$2"
  check "$1: then it opens" opens "$4" "$3"
  check "$1: is mended" finds '' "$3" "$4"
}

unload_vfio() {
  modprobe -r vfio-pci vfio_iommu_type1
}

# What a machine that was never set up lacks.
fresh() {
  modprobe nvme
  check 'a fresh machine: doctor --fix runs' prints '^fixed +vfio-pci-not-loaded' weir doctor --fix --user "$guest_user"
  check 'a fresh machine: nothing is left for the user' finds '' "$guest_user"
  check 'a fresh machine: nor for root' finds '' root
  device 'a drive of the kernel' device-not-bound "$guest_user" "$nvme1"
  check 'the user finds nothing either' as "$guest_user" weir doctor "$nvme1"
  check 'json has all members' shape
}

shape() {
  weir doctor --json | jq -e '(.fixed == []) and (.findings | length > 5) and all(.findings[];
    (keys == ["blocks", "fix", "id", "severity", "text"]) and all(.[]; type == "string"))'
}

huge_pages() {
  echo 0 >"$pages/nr_hugepages"
  check 'no huge pages: hugepages-none and nothing else' finds hugepages-none root
  check 'no huge pages: the fix is hugeadm' prints hugeadm found hugepages-none fix
  check 'no huge pages: the fix runs' mend hugepages-none
  check 'no huge pages: is mended' finds '' root
  check 'no huge pages: there are 256 now' same 256 "$(cat "$pages/nr_hugepages")"
  echo 0 >"$node1/nr_hugepages"
  machine 'no huge pages on one node' hugepages-node root
  echo 16 >"$node1/nr_hugepages"
  numactl --membind=1 fallocate -l 32M /dev/hugepages/taken
  machine 'huge pages that are all in use' hugepages-used root
  rm /dev/hugepages/taken
}

balancing() {
  if [ ! -e "$numa" ]; then
    skip 'NUMA balancing' 'this kernel has none'
    return
  fi
  echo 1 >"$numa"
  machine 'NUMA balancing' numa-balancing root
}

# Asked for in a session of its own, which has the limit.
files() {
  local few='ulimit -Sn 20; weir doctor' raise
  check 'few files: files-low and nothing else' same files-low \
    "$(bash -c "$few --json" 2>/dev/null | jq -r '.findings[] | select(.severity != "ok") | .id')"
  check 'few files: not even emulated devices work' refuses 'not even emulated devices' bash -c "$few"
  raise=$(quoted ulimit bash -c "$few")
  check 'few files: the command helps' bash -c "ulimit -Sn 20; $raise && weir doctor"
}

limits() {
  rm "$limits"
  echo "$guest_user - memlock 64" >/etc/security/limits.d/10-low.conf
  check 'little memory to lock: memlock-low of the machine' finds memlock-low "$guest_user"
  check 'little memory to lock: does not concern root' finds '' root
  device 'little memory to lock' memlock-low "$guest_user" "$nvme1"
  check 'little memory to lock: nor the machine' finds '' "$guest_user"
  echo 100 >"$entries"
  machine 'few DMA entries' dma-entries-low root
}

rights() {
  nodes "$nvme1" | xargs chown root:root
  device 'a node of root' vfio-permission "$guest_user" "$nvme1"
  shared_nodes | xargs chmod 600
  device 'shared nodes that are shut' vfio-permission "$guest_user" "$nvme1"
}

missing_nodes() {
  nodes "$nvme1" | xargs rm
  device 'no node' vfio-nodes-missing root "$nvme1"
  shared_nodes | xargs rm
  check 'no shared node: vfio-nodes-missing of the machine' finds vfio-nodes-missing root
  device 'no shared node' vfio-nodes-missing root "$nvme1"
  # The kernel does not take back what it has not made.
  rm "$(group_node "$nvme1")"
}

drivers() {
  give_to '' "$nvme1"
  device 'no driver' device-not-bound "$guest_user" "$nvme1"
  give_to nvme "$nvme1"
  device 'another driver' device-not-bound "$guest_user" "$nvme1"
}

in_use() {
  local block free
  give_to nvme "$nvme1"
  wait_for block_of "$nvme1"
  block=$(block_of "$nvme1")
  hold "$block" root
  check 'open in a process: device-in-use and nothing else' finds device-in-use root "$nvme1"
  check 'open in a process: it is named' prints "is open in sleep \(process $holder\)" found device-in-use text
  check 'open in a process: there is no fix' same '' "$(found device-in-use fix)"
  check 'open in a process: the error of opening tells' opening_says device-in-use "$nvme1" root
  let_go
  if has_file_system; then
    mount_drive "$block" "$scratch/mounted"
    check 'mounted: device-in-use and nothing else' finds device-in-use root "$nvme1"
    check 'mounted: the error of opening tells' opening_says device-in-use "$nvme1" root
    free=$(quoted umount weir nvme info "$nvme1")
    check 'mounted: the command frees it' sh -c "$free"
  else
    skip 'mounted' 'this kernel has no file system on drives'
  fi
  device 'not in use any more' device-not-bound "$guest_user" "$nvme1"
}

group() {
  local pair
  modprobe e1000e
  pair=$(plug_pair)
  check 'two functions in a group' same "$(group_node "$pair")" "$(group_node "${pair%.0}.1")"
  give_to '' "$pair"
  echo vfio-pci >"$sysfs/$pair/driver_override"
  echo "$pair" >/sys/bus/pci/drivers_probe
  check 'a group that is not viable: the machine has the same finding' finds group-not-viable "$guest_user"
  device 'a group that is not viable' group-not-viable "$guest_user" "$pair"
  check 'a group that is not viable: all of it is bound' has_driver "${pair%.0}.1" vfio-pci
  weir unbind "$pair" "${pair%.0}.1" >/dev/null
}

module() {
  weir unbind "$nvme1" >/dev/null
  unload_vfio
  machine 'the module is not loaded' vfio-pci-not-loaded root
  check 'the module is not loaded: nor will it be missing after a boot' grep -qx vfio-pci /etc/modules-load.d/weir.conf
  unload_vfio
  give_to '' "$nvme1"
  echo vfio-pci >"$sysfs/$nvme1/driver_override"
  device 'only the module is missing' vfio-pci-not-loaded root "$nvme1"
  weir unbind "$nvme1" >/dev/null
  unload_vfio
}

# apt-get of this guest brings back what hide_module() hid, when it is called as a script would: it asks for nothing.
hide_module() {
  local file
  file=$(find "$modules/" -name 'vfio-pci.ko*')
  cp "$file" "$modules/modules.dep" "$modules/modules.dep.bin" "$scratch"
  rm "$file" "$modules/modules.dep.bin"
  sed -i '/vfio-pci\.ko/d' "$modules/modules.dep"
  printf '%s\n' '#!/bin/sh' '[ "$*" = "install -y linux-image-amd64" ] || exit 100' \
    "cp $scratch/modules.dep* $modules && cp $scratch/${file##*/} $file" >/usr/local/bin/apt-get
  chmod +x /usr/local/bin/apt-get
}

no_module() {
  give_to nvme "$nvme1"
  hide_module
  check 'no module: vfio-pci-missing of the machine' finds vfio-pci-missing root
  check 'no module: vfio-pci-missing and nothing else' finds vfio-pci-missing root "$nvme1"
  check 'no module: the error of opening tells' opening_says vfio-pci-missing "$nvme1" root
  check 'no module: bind says so in a line' refuses 'cannot load the vfio-pci module' weir bind "$nvme1"
  check 'no module: and leaves the driver' has_driver "$nvme1" nvme
  check 'no module: the fix runs' mend vfio-pci-missing
  device 'no module, until then' device-not-bound root "$nvme1"
}

everything() {
  weir unbind "$nvme1" >/dev/null
  give_to nvme "$nvme1"
  unload_vfio
  echo 0 >"$pages/nr_hugepages"
  rm "$limits"
  check 'all at once: --fix mends the machine' weir doctor --fix --user "$guest_user" --json
  check 'all at once: --fix mends the way to a drive' weir doctor --fix --user "$guest_user" "$nvme1"
  check 'all at once: it opens' opens "$nvme1" "$guest_user"
  check 'all at once: nothing is left' finds '' "$guest_user"
  check 'all at once: nothing is to be fixed' same '[]' "$(weir doctor --fix --user "$guest_user" --json | jq -c .fixed)"
}

refusals() {
  check 'a user may not run fixes' refuses "only root .*--user $guest_user" as "$guest_user" weir doctor --fix
  check 'an address that is not there' refuses '0000:99:00.0 cannot be opened' weir doctor 0000:99:00.0
  check 'an address that is not there: device-missing' finds device-missing root 0000:99:00.0
  check 'a bridge' finds device-bridge root "$empty_port"
  check 'a user that is not there' refuses "there is no user 'nobody-here'" weir doctor --user nobody-here
}

parts=("${@:2}")
[ $# -gt 1 ] || parts=(huge_pages balancing files limits rights missing_nodes drivers in_use group module no_module
  everything refusals)
fresh
for part in "${parts[@]}"; do
  "$part"
done
finish
