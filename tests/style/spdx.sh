#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Every text file names its licence in its first lines, and the licence's text is in LICENSES/.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
# shellcheck source=files.sh
source "$(dirname "${BASH_SOURCE[0]}")/files.sh"
status=0
while read -r file; do
  case $file in
    # the licences themselves, and inputs of tests, which are what they are
    LICENSES/* | tests/fuzz/corpus/*) continue ;;
  esac
  licence=$(head -n 5 "$file" | grep -aoP 'SPDX-License-Identifier: \K[A-Za-z0-9.-]+' | head -n 1) || licence=
  if [[ -z $licence ]]; then
    echo "$file: no SPDX-License-Identifier in its first five lines"
    status=1
  elif [[ ! -f LICENSES/$licence.txt ]]; then
    echo "$file: LICENSES/$licence.txt is missing"
    status=1
  fi
done < <(tracked '*')
exit $status
