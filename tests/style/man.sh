#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Manual pages are well-formed.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
# shellcheck source=files.sh
source "$(dirname "${BASH_SOURCE[0]}")/files.sh"
mapfile -t files < <(tracked 'docs/man/*.[1-8]')
if ((!${#files[@]})); then
  echo 'there is no manual page'
  exit 77
fi
mandoc -T lint -W warning "${files[@]}"
