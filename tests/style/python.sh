#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Python passes pyflakes.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
# shellcheck source=files.sh
source "$(dirname "${BASH_SOURCE[0]}")/files.sh"
mapfile -t files < <(tracked '*' | while read -r file; do
  if [[ $file == *.py ]] || head -c 64 "$file" | grep -aqE '^#!.*\bpython3?\b'; then
    echo "$file"
  fi
done)
((${#files[@]}))
pyflakes3 "${files[@]}"
