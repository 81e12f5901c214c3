#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Sources are formatted as .clang-format says.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
# shellcheck source=files.sh
source "$(dirname "${BASH_SOURCE[0]}")/files.sh"
mapfile -t files < <(tracked '*.c' '*.h' '*.cc')
clang-format --dry-run -Werror "${files[@]}"
