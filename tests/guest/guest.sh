# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# For scripts that a guest of the lab runs as root: the checks of tap.sh, devices that are given to an
# ordinary user, programs run as that user. To be sourced, with BUILD, the build folder, as the script's
# first argument.
# shellcheck source-path=SCRIPTDIR
# shellcheck source=tap.sh
. "${BASH_SOURCE[0]%/*}/tap.sh"
set -u

build=$1
weir=$build/apps/weir/weir
guest_user=lab # of the lab's roots

# What docs/guest-lab.md says of them.
# shellcheck disable=SC2034 # used by the scripts that source this
nvme0=0000:03:00.0 nvme1=0000:06:00.0 nvme2=0000:81:00.0 memory=0000:04:00.0 unbound=0000:08:00.0

# The guest has no cmocka of its own.
export LD_LIBRARY_PATH=$build/tests/guest

# as_user COMMAND...: as the ordinary user, who may lock as much memory as the calling shell.
as_user() {
  setpriv --reuid "$guest_user" --regid "$guest_user" --init-groups \
    env HOME="/home/$guest_user" USER="$guest_user" "$@"
}

# bind_for_user DEVICE...: the devices' drivers give way to vfio-pci, and the user may open them.
bind_for_user() {
  check "weir bind --user $guest_user $*" "$weir" bind --user "$guest_user" "$@"
}
