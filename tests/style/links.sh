#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Documents link to files that are there.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
# shellcheck source=files.sh
source "$(dirname "${BASH_SOURCE[0]}")/files.sh"
status=0
while read -r file; do
  while read -r link; do
    [[ $link != *://* && -n ${link%%#*} ]] || continue
    if [[ ! -e $(dirname "$file")/${link%%#*} ]]; then
      echo "$file: no $link"
      status=1
    fi
  done < <(grep -oP '\]\(\K[^)]+' "$file")
done < <(tracked '*.md')
exit $status
