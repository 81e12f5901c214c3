# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# For the scripts of this folder that run in a guest of the lab, as root: what they ask of the weir command, and the checks of
# guest.sh. To be sourced, with BUILD, the build folder, as the script's first argument.
# shellcheck source-path=SCRIPTDIR
# shellcheck source=../guest.sh
. "${BASH_SOURCE[0]%/*}/../guest.sh"

sysfs=/sys/bus/pci/devices
# What docs/guest-lab.md says of them.
# shellcheck disable=SC2034 # used by the scripts that source this
igb0=0000:07:00.0 igb1=0000:08:00.0 empty_port=0000:00:18.0
# shellcheck disable=SC2034
pages=/sys/kernel/mm/hugepages/hugepages-2048kB limits=/etc/security/limits.d/80-weir-$guest_user.conf
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch"
export PATH=$build/apps/weir:$PATH

# as WHO COMMAND...: as root, or in a session of the user's own, which has the user's limits.
as() {
  local who=$1
  shift
  if [ "$who" = root ]; then
    "$@"
  else
    su -s /bin/bash "$who" -c "$(printf '%q ' "$@")"
  fi
}

# same EXPECTED ACTUAL
same() {
  [ "$1" = "$2" ] || {
    printf 'expected: %s\nfound:    %s\n' "$1" "$2"
    return 1
  }
}

# refuses PATTERN COMMAND...: status 1, and one line that has the pattern (a regular expression of grep -E).
refuses() {
  local pattern=$1 status
  shift
  "$@" >"$scratch/out" 2>"$scratch/err"
  status=$?
  cat "$scratch/out" "$scratch/err"
  [ "$status" = 1 ] && [ "$(wc -l <"$scratch/err")" = 1 ] && grep -qE -- "$pattern" "$scratch/err"
}

# prints PATTERN COMMAND...: status 0, and a line that has the pattern.
prints() {
  local pattern=$1
  shift
  "$@" >"$scratch/out" 2>&1 || {
    cat "$scratch/out"
    return 1
  }
  cat "$scratch/out"
  grep -qE -- "$pattern" "$scratch/out"
}

# wait_for COMMAND...: until it succeeds, half a minute at most.
wait_for() {
  local tries
  for ((tries = 0; tries < 120; tries++)); do
    "$@" >/dev/null 2>&1 && return
    sleep 0.25
  done
  echo "in vain: $*"
  return 1
}

# link_of ADDRESS NAME: the last part of where a link of a function points.
link_of() {
  local target
  target=$(readlink "$sysfs/$1/$2") && echo "${target##*/}"
}

# has_driver ADDRESS DRIVER: "" for none
has_driver() {
  same "$2" "$(link_of "$1" driver)"
}

group_node() {
  echo "/dev/vfio/$(link_of "$1" iommu_group)"
}

# nodes ADDRESS: those of the function alone: its group's, and its own where the kernel makes such.
nodes() {
  local cdev
  group_node "$1"
  for cdev in "$sysfs/$1"/vfio-dev/vfio*; do
    [ ! -e "$cdev/dev" ] || echo "/dev/vfio/devices/${cdev##*/}"
  done
}

# shared_nodes: those that all functions need.
shared_nodes() {
  local node
  for node in /dev/vfio/vfio /dev/iommu; do
    [ ! -e "$node" ] || echo "$node"
  done
}

# opens ADDRESS WHO
opens() {
  as "$2" weir nvme info "$1"
}

# finds "ID..." WHO [ADDRESS]: nothing but these is what doctor finds, asked by root about that user. Its answer stays in
# $scratch/findings.
finds() {
  local who=()
  [ "$2" = root ] || who=(--user "$2")
  weir doctor --json "${who[@]}" "${@:3}" >"$scratch/findings"
  same "$1" "$(jq -r '[.findings[] | select(.severity != "ok") | .id] | join(" ")' "$scratch/findings")" ||
    ! cat "$scratch/findings"
}

# found ID MEMBER: of the first such finding in the last answer
found() {
  jq -r --arg id "$1" --arg name "$2" 'first(.findings[] | select(.id == $id))[$name]' "$scratch/findings"
}

# mend ID: runs the fix of the finding in the last answer, as it stands.
mend() {
  local fix
  fix=$(found "$1" fix)
  echo "fix: $fix"
  [ -n "$fix" ] && sh -c "$fix"
}

# opening_says ID ADDRESS WHO: who cannot open a function is told in one line what doctor found, and what mends it.
opening_says() {
  local text fix
  text=$(found "$1" text) fix=$(found "$1" fix)
  refuses '^weir: nvme info: ' opens "$2" "$3" || return
  grep -qF -- "$text" "$scratch/err" && grep -qF -- "$fix" "$scratch/err"
}

# quoted PATTERN COMMAND...: the command between quotes, with the pattern, in what the command says.
quoted() {
  "${@:2}" 2>&1 | grep -oE "'$1[^']*'" | head -n 1 | tr -d "'"
}

# give_to DRIVER ADDRESS: away from VFIO, by hand; "" for none
give_to() {
  [ ! -e "$sysfs/$2/driver" ] || echo "$2" >"$sysfs/$2/driver/unbind"
  echo >"$sysfs/$2/driver_override"
  [ -z "$1" ] || echo "$2" >"/sys/bus/pci/drivers/$1/bind"
}

# hold FILE WHO: a process of theirs, $holder, has it open, until let_go.
hold() {
  # shellcheck disable=SC2016 # the inner shell expands it
  setpriv --reuid "$2" --regid "$2" --clear-groups bash -c 'exec 9<>"$0" && exec sleep 1000' "$1" &
  holder=$!
  wait_for grep -qx sleep "/proc/$holder/comm"
}

let_go() {
  kill "$holder"
  wait "$holder" 2>/dev/null
}

# mount_drive DEVICE FOLDER: with a file system on it that is made for it
mount_drive() {
  mkdir -p "$2" && mkfs.ext4 -qF "$1" && mount -t ext4 "$1" "$2"
}

has_file_system() {
  modprobe -q ext4 && grep -qw ext4 /proc/filesystems
}

# block_of ADDRESS: of the drive's namespace 1, with or without native multipath; the kernel's numbers mean nothing.
block_of() {
  local controller path
  controller=$(ls "$sysfs/$1/nvme") || return
  for path in /sys/class/block/nvme*; do
    grep -qsx 1 "$path/nsid" || continue
    if [[ $(readlink "$path") == */"$controller"/* || -e $path/../$controller ]]; then
      echo "/dev/${path##*/}"
      return
    fi
  done
  return 1
}

# plug_pair: two functions in one slot, which have no ACS between them and so share an IOMMU group: a drive and a network
# function. Their drivers are to be loaded. Prints the drive's address.
plug_pair() {
  local request='{"execute": "device_add", "arguments": {"bus": "rp8", "multifunction": true,' address
  guest-request "$request \"driver\": \"e1000e\", \"id\": \"pair1\", \"addr\": \"0.1\", \"romfile\": \"\"}}" >&2 || return
  guest-request "$request \"driver\": \"nvme\", \"id\": \"pair0\", \"addr\": \"0.0\", \"serial\": \"weir-pair\"}}" >&2 || return
  wait_for compgen -G "$sysfs/$empty_port/0000:*.1/driver" >&2 || return
  wait_for compgen -G "$sysfs/$empty_port/0000:*.0/driver" >&2 || return
  address=$(compgen -G "$sysfs/$empty_port/0000:*.0")
  echo "${address##*/}"
}
