#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dkms.sh TREE BUILD KERNEL SECONDS
#
# install.sh with DKMS, in a guest. A guest would take a quarter of an hour to compile: DKMS builds the
# modules on this machine, in the root that the guest will have, and the guest's DKMS finds them built.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}") tree=$1 build=$2 kernel=$3 seconds=$4
built=$build/dkms/$kernel
sudo=()
((!EUID)) || sudo=(sudo "WEIR_CACHE=${WEIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/weir}")
"${sudo[@]}" rm -rf "$built"
mkdir -p "$built"
# shellcheck disable=SC2016 # for the other shell
"${sudo[@]}" "$tree/tools/guest" inside --kernel "$kernel" --share "$tree" -- bash -euc '
  tree=$0 built=$1
  mount --bind "$built" /var/lib/dkms
  . "$tree/tools/kernel-install.d/dkms.sh"
  version=$(dkms_version "$tree")
  dkms_stage "$tree" "$version"
  dkms build "weir/$version" -k "$(basename "${KDIR%/build}")" ||
    { cat /var/lib/dkms/weir/*/build/make.log; exit 1; }
  ' "$tree" "$built" >&2
exec "$here/run.sh" "$tree" "$build" "$kernel" weir "$seconds" -- install.sh "$built"
