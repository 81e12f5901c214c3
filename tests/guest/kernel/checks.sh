# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# Checks that scripts report as TAP, and edu, which they bind and have opened. To be sourced, with
# here set to the folder.

# edu0: see docs/guest-lab.md.
edu=0000:00:17.0
checks=0 failures=0
said=$(mktemp) answer=$(mktemp)

# check TEXT COMMAND...: passes when the command succeeds; what one that fails has said follows. It
# runs in this shell.
check() {
  local text=$1
  shift
  checks=$((checks + 1))
  if "$@" >"$said" 2>&1; then
    echo "ok $checks - $text"
  else
    failures=$((failures + 1))
    echo "not ok $checks - $text"
    sed 's/^/# /' "$said"
  fi
}

# finish: the plan, and the script's status.
finish() {
  echo "1..$checks"
  exit $((failures != 0))
}

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
