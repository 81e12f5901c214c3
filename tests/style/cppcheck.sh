#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# cppcheck.sh BUILD: cppcheck over what the build compiles. What it gets wrong in one place is
# suppressed there (cppcheck-suppress, with the reason).
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
build=$1
# shellcheck source=files.sh
source "$(dirname "${BASH_SOURCE[0]}")/files.sh"
mkdir -p "$build/cppcheck"
# It does not read system headers: it has to be given the macros of sys/queue.h. Tests are left out:
# it does not know that cmocka's assertions end a test. legacyUninitvar: gcc and clang follow paths
# better.
queue=$(cc -E -include sys/queue.h - </dev/null | grep -oP '"\K/.*/sys/queue\.h' | head -n 1)
cppcheck --project="$build/compile_commands.json" --cppcheck-build-dir="$build/cppcheck" \
  --enable=warning,performance,portability --inline-suppr --error-exitcode=1 --quiet -j2 \
  -D__x86_64__ --include="$queue" -i "$PWD/tests" --suppress='*:*/sys/queue.h' \
  --suppress=legacyUninitvar --template=gcc
