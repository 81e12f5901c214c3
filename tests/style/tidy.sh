#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# tidy.sh BUILD: clang-tidy, as .clang-tidy says, over the sources that the build compiles.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
build=$1
# shellcheck source=files.sh
source "$(dirname "${BASH_SOURCE[0]}")/files.sh"

# check FILE: GCC's options that clang does not know are no finding.
check() {
  local -a extra=(--extra-arg=-Wno-unknown-warning-option)
  # base.c defines what analyzer.h replaces.
  [[ $2 == */base/base.c ]] || extra+=(--extra-arg=-include --extra-arg="$PWD/tests/style/analyzer.h")
  local out
  out=$(clang-tidy --quiet -p "$1" "${extra[@]}" "$2" 2>/dev/null) || {
    # without the path that led there
    grep -A2 -F ' error: ' <<<"$out"
    return 1
  }
}
export -f check

jq -r '.[] | "\(.directory)/\(.file)"' "$build/compile_commands.json" | xargs realpath | sort -u |
  xargs -P2 -I{} bash -c 'check "$@"' check "$build" {}
