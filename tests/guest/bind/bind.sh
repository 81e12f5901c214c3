#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# bind.sh BUILD [PART...]
#
# weir ls, bind and unbind in a guest of the lab: what they show, what they do, what they refuse, and who may then open
# a device.

# Functions are called by names that are put together: shellcheck believes that nobody calls them.
# shellcheck disable=SC2317
# shellcheck source-path=SCRIPTDIR
# shellcheck source=lib.sh
. "${0%/*}/lib.sh"

# shows JQ ADDRESS: what ls says of a function makes the filter true.
shows() {
  weir ls --json "$2" | jq -e ".[0] | $1"
}

listing() {
  check 'ls: the drives and network functions, by address' same \
    "$(for each in "$sysfs"/*; do
      case $(cat "$each/class") in 0x0108* | 0x02*) echo "${each##*/}" ;; esac
    done | sort)" "$(weir ls --json | jq -r '.[].address')"
  check 'ls: a bridge is none' bash -c "! weir ls | grep -q '^$empty_port'"
  check 'ls: NUMA node' shows '.node == 1' "$nvme2"
  check 'ls: no NUMA node' shows '.node == -1' "$nvme1"
  check 'ls: no driver' shows '.driver == null and .state == "bound to no driver"' "$nvme1"
  modprobe -a nvme igb e1000e
  check 'ls: driver' shows '.driver == "nvme" and .state == "bound to nvme"' "$nvme1"
  check 'ls: what to do' shows ".fix == \"weir bind $nvme1\" and (.ready | not)" "$nvme1"
  check 'ls: what to do for the user' same "weir bind $nvme1 --user $guest_user" \
    "$(as "$guest_user" weir ls --json "$nvme1" | jq -r '.[0].fix')"
  check 'ls: group' shows ".iommu_group == \"$(link_of "$nvme0" iommu_group)\"" "$nvme0"
  check 'ls: the others of the group' shows \
    ".group_members == [\"0000:02:00.0\"]" "$nvme0"
  check 'ls: link' shows ".link.speed == \"$(cat "$sysfs/$nvme1/current_link_speed")\" and
    .link.width == $(cat "$sysfs/$nvme1/current_link_width")" "$nvme1"
  check 'ls: name' shows '.name | test("Red Hat.*NVM")' "$nvme1"
  check 'ls: a table' prints "^$nvme2 +nvme +$(link_of "$nvme2" iommu_group) +1 +[0-9.]+ GT/s x[0-9]+ " weir ls
  check 'ls: the members in the table' prints "^  in a group with 0000:" weir ls "$nvme0"
  check 'ls: an address that is not there' refuses 'there is no PCI function 0000:99:00.0' weir ls 0000:99:00.0
}

# What is on the drives, to be compared later.
fill() {
  local block
  block=$(block_of "$1") && dd if=/dev/urandom of="$block" bs=1M count=1 oflag=direct status=none && sum "$1"
}

sum() {
  dd if="$(block_of "$1")" bs=1M count=1 iflag=direct status=none | sha256sum
}

there_and_back() {
  local before drivers
  wait_for block_of "$nvme1"
  before=$(fill "$nvme1")
  drivers=$(ls /sys/bus/pci/drivers)
  check 'dry run: says what it would do' prints "^$nvme1: would go from nvme to vfio-pci" weir bind --dry-run "$nvme1"
  check 'dry run: does nothing' has_driver "$nvme1" nvme
  check 'dry run: not even load the module' same "$drivers" "$(ls /sys/bus/pci/drivers)"
  check 'bind: says what it was' prints "^$nvme1: bound to vfio-pci, was nvme" weir bind "$nvme1"
  check 'bind: by driver_override' same vfio-pci "$(cat "$sysfs/$nvme1/driver_override")"
  check 'bind: takes no other drive' has_driver "$nvme2" nvme
  check 'bind: ready' shows '.ready and .driver == "vfio-pci"' "$nvme1"
  check 'bind: it opens' opens "$nvme1" root
  check 'bind: once more' prints 'bound to vfio-pci already' weir bind "${nvme1#0000:}"
  check 'unbind: says to whom' prints "^$nvme1: bound to nvme, was vfio-pci" weir unbind "$nvme1"
  check 'unbind: nothing is overridden' same '(null)' "$(cat "$sysfs/$nvme1/driver_override")"
  check 'unbind: the drive is there again' wait_for block_of "$nvme1"
  check 'unbind: with its data' same "$before" "$(sum "$nvme1")"
  check 'unbind: once more' refuses 'is bound to nvme, not to vfio-pci' weir unbind "$nvme1"
}

several() {
  local status
  give_to '' "$nvme2"
  echo nvme >"$sysfs/$nvme0/driver_override"
  check 'several: bound, and their groups shown' prints "in nobody's way" weir bind "$nvme0" "$nvme2" "$igb1" "$memory"
  check 'several: memory, too' has_driver "$memory" vfio-pci
  check 'several: ls lists all that is bound to VFIO' prints "^$memory +vfio-pci" weir ls
  check 'several: back' weir unbind "$nvme0" "$nvme2" "$igb1" "$memory"
  check 'several: to nvme' has_driver "$nvme0" nvme
  check 'several: what was overridden still is' same nvme "$(cat "$sysfs/$nvme0/driver_override")"
  check 'several: to no driver' has_driver "$nvme2" ''
  check 'several: to igb' has_driver "$igb1" igb
  weir bind "$nvme1" >"$scratch/first" 2>&1 &
  weir bind "$nvme1" >"$scratch/second" 2>&1
  status=$?
  wait $!
  check 'two at a time: the one waits and finds it done' same "0 0 $nvme1: bound to vfio-pci already" \
    "$? $status $(cat "$scratch/first" "$scratch/second" | grep 'bound to vfio-pci already')"
  modprobe -r nvme
  check 'the old driver has gone: it is loaded' weir unbind "$nvme1"
  check 'the old driver has gone: and has the drive' has_driver "$nvme1" nvme
  echo "$nvme2" >/sys/bus/pci/drivers/nvme/bind 2>/dev/null
}

# holds NAME PATTERN COMMAND: bind refuses nvme1, names what uses it, and after the command that it prints it is free.
holds() {
  local command
  check "$1: refused" refuses "$2" weir bind "$nvme1"
  check "$1: and left alone" has_driver "$nvme1" nvme
  check "$1: ls says it, too" bash -c "weir ls $nvme1 | grep -q 'in use: '"
  command=$(quoted "$3" weir bind "$nvme1")
  check "$1: the command that is printed" sh -c "$command"
  check "$1: frees it" weir bind --dry-run "$nvme1"
}

# partition DEVICE: one of 64 MiB at 1 MiB, in a table of the old kind.
partition() {
  dd if=/dev/zero of="$1" bs=512 count=1 status=none
  printf '\0\0\0\0\203\0\0\0\0\10\0\0\0\0\2\0' | dd of="$1" bs=1 seek=446 conv=notrunc status=none
  printf '\125\252' | dd of="$1" bs=1 seek=510 conv=notrunc status=none
  blockdev --rereadpt "$1"
}

used_drives() {
  local block
  wait_for block_of "$nvme1"
  block=$(block_of "$nvme1")
  hold "$block" root
  check 'open in a process: refused' refuses "$block is open in sleep \(process $holder\)" weir bind "$nvme1"
  let_go
  if ! has_file_system; then
    skip 'mounted, swapped on, part of a volume' 'this kernel has no file system on drives'
    return
  fi
  mount_drive "$block" "$scratch/mounted"
  holds mounted "${block#/dev/} is mounted on $scratch/mounted" umount
  partition "$block"
  mount_drive "${block}p1" "$scratch/mounted"
  holds 'a mounted partition' "${block#/dev/}p1 is mounted on $scratch/mounted" umount
  dd if=/dev/zero of="$block" bs=512 count=1 status=none
  blockdev --rereadpt "$block"
  mkswap "$block" >/dev/null && swapon "$block"
  holds 'swapped on' "${block#/dev/} is used as swap" swapoff
  dmsetup --noudevsync --noudevrules create stacked --table "0 131072 linear $block 0"
  check 'part of a volume: refused' refuses "${block#/dev/} is part of dm-0 \(stacked\)$" weir bind "$nvme1"
  mount_drive /dev/dm-0 "$scratch/mounted"
  check 'part of a mounted volume: refused' \
    refuses "${block#/dev/} is part of dm-0 \(stacked\), mounted on $scratch/mounted: 'umount" weir bind "$nvme1"
  umount "$scratch/mounted"
  dmsetup --noudevsync --noudevrules remove stacked
  mkfs.ext4 -qF "$block"
  unshare --mount --propagation private bash -c "mount -t ext4 $block /mnt && touch $scratch/is-mounted && exec sleep 1000" &
  holder=$!
  wait_for test -e "$scratch/is-mounted"
  check 'mounted elsewhere: refused' refuses 'claimed by the kernel: mounted in another' weir bind "$nvme1"
  let_go
  check 'mounted elsewhere: free with its end' wait_for weir bind --dry-run "$nvme1"
}

used_network() {
  local port command
  wait_for compgen -G "$sysfs/$igb1/net/*"
  port=$(ls "$sysfs/$igb1/net")
  ip link set "$port" up
  check 'a network function that is up and has no address is free' weir bind --dry-run "$igb1"
  ip address add 192.0.2.1/32 dev "$port"
  check 'a network function with an address: refused' refuses "$port is up and has an IPv4 address" weir bind "$igb1"
  command=$(quoted ip weir bind "$igb1")
  check 'a network function with an address: the command that is printed' sh -c "$command"
  check 'a network function with an address: frees it' weir bind --dry-run "$igb1"
  echo 1 >"$sysfs/$igb0/sriov_numvfs"
  check 'virtual functions: refused' refuses 'it has 1 virtual functions' weir bind "$igb0"
  command=$(quoted echo weir bind "$igb0")
  check 'virtual functions: the command that is printed' sh -c "$command"
  check 'virtual functions: frees it' weir bind --dry-run "$igb0"
}

shared_group() {
  local pair other command
  pair=$(plug_pair)
  other=${pair%.0}.1
  check 'a shared group: refused' refuses "would not be viable: $other is bound to e1000e" weir bind "$pair"
  check 'a shared group: both are left alone' same 'nvme e1000e' "$(link_of "$pair" driver) $(link_of "$other" driver)"
  check 'a shared group: all members are shown' bash -c "weir bind $pair 2>/dev/null | grep -q '^  $other *e1000e *IN THE WAY'"
  check 'a shared group: ls names the other' prints "^  in a group with $other" weir ls "$pair"
  command=$(quoted 'weir bind' weir bind "$pair")
  check 'a shared group: the command that is printed' sh -c "$command"
  check 'a shared group: binds both' has_driver "$other" vfio-pci
  check 'a shared group: it opens' opens "$pair" root
  weir unbind "$pair" >/dev/null
  check 'a shared group: half of it is not enough' refuses "not viable: $pair is bound to nvme" opens "$other" root
  weir unbind "$other" >/dev/null
  check 'a shared group: each has its driver again' same 'nvme e1000e' \
    "$(link_of "$pair" driver) $(link_of "$other" driver)"
}

# The first line of what fails is all there is: see refuses().
refusals() {
  check 'no address' refuses "'here' is no PCI address" weir bind here
  check 'a path for an address' refuses 'is no PCI address' weir bind ../../../etc
  check 'a function that is not there' refuses 'there is no PCI function 0000:99:00.0' weir bind 0000:99:00.0
  check 'a bridge' refuses "$empty_port is a bridge" weir bind "$empty_port"
  check 'one of two is not there: none is bound' refuses 'no PCI function' weir bind "$nvme1" 0000:99:00.0
  check 'none is bound' has_driver "$nvme1" nvme
  check 'no rights' refuses 'only root may change drivers' as "$guest_user" weir bind "$nvme1"
  check 'no rights to unbind' refuses 'only root may change drivers' as "$guest_user" weir unbind "$nvme1"
  check 'no rights are needed to ask' as "$guest_user" weir bind --dry-run "$nvme1"
  check 'no such user' refuses "there is no user 'nobody-here'" weir bind "$nvme1" --user nobody-here
  check 'a user and a group' refuses 'exclude each other' weir bind "$nvme1" --user "$guest_user" --group "$guest_user"
  check 'nothing was bound' has_driver "$nvme1" nvme
}

permissions() {
  local node
  echo "$guest_user - memlock unlimited" >"$limits"
  check 'a user: bound for it' prints "open to user $guest_user" weir bind "$nvme1" --user "$guest_user"
  node=$(group_node "$nvme1")
  check 'a user: the node is of the user alone' same "$guest_user 600" "$(stat -c '%U %a' "$node")"
  check 'a user: opens it' opens "$nvme1" "$guest_user"
  check 'a user: and no other device' refuses 'bound to nvme' opens "$nvme2" "$guest_user"
  check 'a user: others do not' refuses 'user nobody may not open' opens "$nvme1" nobody
  check 'a user: ready' same true "$(as "$guest_user" weir ls --json "$nvme1" | jq '.[0].ready')"
  for node in $(nodes "$nvme1"); do
    hold "$node" "$guest_user"
    check "in use by VFIO: ${node%%[0-9]*}" refuses "$node is open in sleep \(process $holder\)" weir unbind "$nvme1"
    let_go
  done
  check 'a user: unbound' weir unbind "$nvme1"
  check 'a group: bound for it' prints "open to group $guest_user" weir bind "$nvme1" --group "$guest_user"
  node=$(group_node "$nvme1")
  check 'a group: the node' same "root $guest_user 660" "$(stat -c '%U %G %a' "$node")"
  check 'a group: a member opens it' opens "$nvme1" "$guest_user"
  check 'a group: others do not' refuses 'user nobody may not open' opens "$nvme1" nobody
  check 'a group: unbound' weir unbind "$nvme1"
  check "nobody's: bound" weir bind "$nvme1"
  check "nobody's: nothing is left of earlier rights" same 'root root 600' "$(stat -c '%U %G %a' "$(group_node "$nvme1")")"
  check "nobody's: unbound" weir unbind "$nvme1"
}

parts=("${@:2}")
[ $# -gt 1 ] || parts=(there_and_back several used_drives used_network shared_group refusals permissions)
listing
for part in "${parts[@]}"; do
  "$part"
done
finish
