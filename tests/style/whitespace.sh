#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# No space at the end of a line, no carriage return, a newline at the end of each file, and no blank
# line there.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
# shellcheck source=files.sh
source "$(dirname "${BASH_SOURCE[0]}")/files.sh"
status=0
while read -r file; do
  [[ $file != tests/fuzz/corpus/* ]] || continue
  if grep -HnP '[ \t\r]+$' "$file"; then
    status=1
  fi
  if [[ -s $file && -n $(tail -c 1 "$file") ]]; then
    echo "$file: no newline at its end"
    status=1
  elif [[ $(tail -c 2 "$file" | od -An -tx1) == ' 0a 0a' ]]; then
    echo "$file: a blank line at its end"
    status=1
  fi
done < <(tracked '*')
exit $status
