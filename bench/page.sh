# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# For the scripts that write a page of the documents: what stands at its head. Sourced in the folder of
# the tree, before anything is measured.

load_before=$(cut -d' ' -f1 /proc/loadavg)

# page_head SCRIPT TITLE COMMAND: and the first rows of a table, to which the caller may add.
page_head() {
  cat <<HEAD
<!-- SPDX-License-Identifier: BSD-3-Clause -->
<!-- Written by $1. -->
# $2

| | |
|---|---|
| command | \`$3\` |
| commit | $(git -c safe.directory="$PWD" describe --always --dirty --abbrev=12 --exclude='*') |
| date | $(date -u +%Y-%m-%d) |
| machine | $(nproc) cores of $(lscpu | sed -n 's/^Model name: *//p'), Linux $(uname -r) |
| load before | $load_before: what other programs took; 0 is right |
HEAD
}
