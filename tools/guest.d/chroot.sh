#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# chroot.sh SCRATCH LAYERS FOLDER... -- COMMAND...
# Runs COMMAND in an overlay of LAYERS with each FOLDER mounted at its own path. To be started in a
# mount namespace of its own (unshare --mount), which takes all these mounts with it when it ends.
set -eu
scratch=$1 layers=$2
shift 2

mount -t tmpfs tmpfs "$scratch"
root=$scratch/root upper=$scratch/upper work=$scratch/work
mkdir "$root" "$upper" "$work"
mount -t overlay -o "lowerdir=$layers,upperdir=$upper,workdir=$work" overlay "$root"
mount --rbind /dev "$root/dev"
mount --rbind /proc "$root/proc"
while [ "$1" != -- ]; do
  mkdir -p "$root$1"
  mount --bind "$1" "$root$1"
  last=$1
  shift
done
shift
exec chroot "$root" /usr/bin/env --ignore-environment --chdir="${last:-/}" \
  PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"
