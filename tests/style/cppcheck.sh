#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# cppcheck.sh BUILD: cppcheck over what the build compiles. What it gets wrong in a place is
# suppressed there (cppcheck-suppress, with the reason).
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
build=$1
# shellcheck source=files.sh
source "$(dirname "${BASH_SOURCE[0]}")/files.sh"
# normalCheckLevelMaxBranches, missingInclude: about cppcheck, not about us. unusedFunction and
# unmatchedSuppression need every configuration at once. cmocka's asserts are unknown to it, so
# tests look to it as if they used pointers before checking them.
mkdir -p "$build/cppcheck"
cppcheck --project="$build/compile_commands.json" --cppcheck-build-dir="$build/cppcheck" \
  --enable=warning,performance,portability --inline-suppr --error-exitcode=1 --quiet -j2 \
  --suppress=missingIncludeSystem --suppress='*:*/tests/unit/*' --template=gcc
