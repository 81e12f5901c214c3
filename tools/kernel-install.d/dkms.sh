# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# Weir's modules as DKMS has them. To be sourced after tools/lib/steps.sh.

# dkms_version TREE: of the modules, as DKMS knows them.
dkms_version() {
  sed -n "s/^ *version: '\(.*\)',/\1/p" "$1/meson.build" | head -n 1
}

# dkms_stage TREE VERSION: their source, where DKMS looks for it.
dkms_stage() {
  local tree=$1 version=$2 target=/usr/src/weir-$2
  rm -rf "$target"
  mkdir -p "$target"
  cp -r "$tree/kernel" "$target/"
  sed "s/#VERSION#/$version/" "$tree/tools/kernel-install.d/dkms.conf" >"$target/dkms.conf"
}

# dkms_has_built VERSION [-k RELEASE]: for that kernel, or for any.
dkms_has_built() {
  dkms status "weir/$1" "${@:2}" | grep -qE ': (built|installed)'
}

# dkms_remove VERSION -k RELEASE | --all: with the last kernel's, the source.
dkms_remove() {
  step 'have DKMS remove the modules' dkms remove "weir/$1" "${@:2}" || echo 'DKMS could not remove all of it'
  [[ -n $(dkms status "weir/$1") ]] || rm -rf "/usr/src/weir-$1"
}
