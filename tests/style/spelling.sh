#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Spelling of comments, texts and documents. Words that are right although codespell doubts them are
# in words.txt.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
# shellcheck source=files.sh
source "$(dirname "${BASH_SOURCE[0]}")/files.sh"
mapfile -t files < <(tracked ':!tests/fuzz/corpus' ':!LICENSES')
words=$(grep -v '^#' tests/style/words.txt | paste -sd,)
codespell --ignore-words-list "$words" "${files[@]}"
