# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# The checks of tap.sh, and edu, which scripts bind and have opened. To be sourced, with here set to the
# folder.
# shellcheck source-path=SCRIPTDIR
# shellcheck source=../tap.sh
. "${BASH_SOURCE[0]%/*}/../tap.sh"

# edu0: see docs/guest-lab.md.
edu=0000:00:17.0
answer=$(mktemp)

# fails COMMAND...: what is to fail.
fails() {
  ! "$@"
}

is_bound() {
  [[ $(readlink "/sys/bus/pci/devices/$edu/driver") == */vfio-pci ]]
}

bind_edu() {
  echo vfio-pci >"/sys/bus/pci/devices/$edu/driver_override"
  is_bound || echo "$edu" >/sys/bus/pci/drivers_probe
  is_bound
}

# hold WHAT: a process that has it open, when this returns; its id is in holder.
hold() {
  local tries
  # shellcheck disable=SC2154 # the caller has set here
  "$here/hold" "$edu" "$1" >"$answer" &
  holder=$!
  for ((tries = 0; tries < 100; tries++)); do
    ! grep -q held "$answer" || return 0
    sleep 0.1
  done
  return 1
}

release_holder() {
  kill -KILL "$holder"
  wait "$holder" 2>/dev/null
}
