#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Each layer of the framework includes only what is to its left (docs/architecture.md).
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
# shellcheck source=files.sh
source "$(dirname "${BASH_SOURCE[0]}")/files.sh"
layers=(base memory ioas device p2p handoff)
status=0
while read -r folder; do
  [[ " ${layers[*]} " == *" $folder "* ]] || { echo "$folder: which layer is that?" && status=1; }
done < <(tracked 'framework/src/*' | cut -d/ -f3 | sort -u)
for ((i = 0; i < ${#layers[@]} - 1; i++)); do
  right=$(IFS='|' && echo "${layers[*]:i+1}")
  mapfile -t files < <(tracked "framework/src/${layers[i]}/*.[ch]")
  if grep -nE "^#include \"($right)/" "${files[@]}"; then
    echo "${layers[i]} is to the left of these"
    status=1
  fi
done
exit $status
