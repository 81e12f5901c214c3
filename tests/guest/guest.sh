# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# For scripts that a guest of the lab runs as root: checks that are reported as TAP, devices that are
# given to an ordinary user, programs run as that user. To be sourced, with BUILD, the build folder, as
# the script's first argument.
set -u

build=$1
weir=$build/apps/weir/weir
guest_user=lab # of the lab's roots

# What docs/guest-lab.md says of them.
# shellcheck disable=SC2034 # used by the scripts that source this
nvme0=0000:03:00.0 nvme1=0000:06:00.0 nvme2=0000:81:00.0 memory=0000:04:00.0 unbound=0000:08:00.0

# The guest has no cmocka of its own.
export LD_LIBRARY_PATH=$build/tests/guest

checks=0 failures=0

# check NAME COMMAND...: passes when the command succeeds; what one that fails has said follows.
check() {
  local name=$1 output status start=$SECONDS
  shift
  output=$("$@" 2>&1 </dev/null)
  status=$?
  checks=$((checks + 1))
  if [ "$status" = 0 ]; then
    echo "ok $checks - $name ($((SECONDS - start)) s)"
    return 0
  fi
  failures=$((failures + 1))
  echo "not ok $checks - $name: status $status ($((SECONDS - start)) s)"
  printf '%s\n' "$output" | sed 's/^/# /'
  return 1
}

# skip NAME REASON: says what is not checked here, and why.
skip() {
  checks=$((checks + 1))
  echo "ok $checks - $1 # SKIP $2"
}

# finish: the plan, and the script's status.
finish() {
  echo "1..$checks"
  exit $((failures != 0))
}

# as_user COMMAND...: as the ordinary user, who may lock as much memory as the calling shell.
as_user() {
  setpriv --reuid "$guest_user" --regid "$guest_user" --init-groups \
    env HOME="/home/$guest_user" USER="$guest_user" "$@"
}

# bind_for_user DEVICE...: the devices' drivers give way to vfio-pci, and the user may open them.
bind_for_user() {
  check "weir bind --user $guest_user $*" "$weir" bind --user "$guest_user" "$@"
}
