#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Scripts pass shellcheck and are executable exactly when they have a first line that says how.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
# shellcheck source=files.sh
source "$(dirname "${BASH_SOURCE[0]}")/files.sh"
mapfile -t files < <(scripts)
status=0
for file in "${files[@]}"; do
  first=$(head -n 1 "$file")
  if [[ $first == '#!'* && ! -x $file ]]; then
    echo "$file: begins with $first and is not executable"
    status=1
  elif [[ $first != '#!'* && -x $file ]]; then
    echo "$file: is executable and does not say how"
    status=1
  fi
done
shellcheck -x "${files[@]}" || status=1
exit $status
