# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# The files under version control. To be sourced; changes to the top folder.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit

# tracked PATTERN...: files that match, one a line. Git may run as another user than the owner.
tracked() {
  git -c safe.directory="$PWD" ls-files -- "$@" | while read -r file; do
    [[ ! -f $file ]] || echo "$file"
  done
}

# scripts: bash scripts by their first line, and the pieces they source.
scripts() {
  tracked '*' | while read -r file; do
    case $file in
      *.sh) echo "$file" ;;
      *) if head -c 64 "$file" | grep -aqE '^#!.*\bbash\b'; then echo "$file"; fi ;;
    esac
  done
}
