#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# headers.sh LANGUAGE STANDARD COMPILER...: every public header compiles alone, without a warning.
set -euo pipefail
language=$1 standard=$2
shift 2
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
includes=()
for folder in */include framework/*/include drivers/*/include; do
  [[ ! -d $folder ]] || includes+=(-I "$folder")
done
headers=(*/include/weir/*.h framework/*/include/weir/*.h drivers/*/include/weir/*.h)
for header in "${headers[@]}"; do
  # Through an include: a header that is the main file is compiled in another way.
  "$@" -x "$language" "-std=$standard" -Wall -Wextra -Wpedantic -Werror -fsyntax-only \
    "${includes[@]}" - <<<"#include <${header#*include/}>"
done
echo "${#headers[@]} headers"
