# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Debian packages. To be sourced after steps.sh.

# What the build needs.
# shellcheck disable=SC2034 # used by the scripts that source this
BUILD_PACKAGES=(gcc g++ libc6-dev meson ninja-build pkg-config libnuma-dev libjansson-dev libpcap-dev)
# What the tests need on top.
# shellcheck disable=SC2034
CHECK_PACKAGES=(git jq python3 libdpdk-dev libcmocka-dev libbenchmark-dev binutils strace
  tcpdump iperf3 iputils-ping iproute2 procps
  clang clang-format clang-tidy cppcheck codespell shellcheck pyflakes3 mandoc doxygen)

# missing_packages NAME...: those that are not installed, one a line.
missing_packages() {
  local name
  for name in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) == installed ]] || echo "$name"
  done
}

# install_packages NAME...: as root, or through sudo.
install_packages() {
  local -a sudo=()
  if ((EUID)); then
    sudo=(sudo)
  fi
  "${sudo[@]}" apt-get -q update </dev/null &&
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get -q install -y --no-install-recommends "$@" </dev/null
}

# need_packages NAME...: installs what is missing.
need_packages() {
  local -a missing
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]})) || return 0
  command -v apt-get >/dev/null || die "missing: ${missing[*]}; there is no apt-get to install them"
  ((!EUID)) || command -v sudo >/dev/null ||
    die "missing packages; as root: apt-get install ${missing[*]}"
  echo "missing: ${missing[*]}"
  step "install ${#missing[@]} packages" install_packages "${missing[@]}" ||
    die 'cannot go on without them'
}

# need_clang_runtime: clang's sanitizers and libFuzzer, which Debian packages by clang's version.
need_clang_runtime() {
  local major
  major=$(clang -dumpversion)
  need_packages "libclang-rt-${major%%.*}-dev"
}
