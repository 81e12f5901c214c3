#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# checkpatch.sh: the kernel's own checkpatch.pl, of the source that the lab's debug kernel is built
# from, finds nothing in kernel/ but what is listed here.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
# shellcheck source=files.sh
source "$(dirname "${BASH_SOURCE[0]}")/files.sh"

# TYPE FILE: what it says of these files that is not so, or cannot be otherwise. A line that nothing is
# said of any more fails, too.
allowed=(
  # kmalloc_obj() and kzalloc_obj() are of 7.0; the modules are for 6.1, too.
  'ALLOC_WITH_SIZEOF kernel/*'
  # User space has no BIT().
  'BIT_MACRO kernel/uapi/*'
  # Where clang-format breaks a line before a string that would be too long behind the parenthesis.
  'OPEN_ENDED_LINE kernel/*'
  # Macros of compat.h have the arguments of their namesake for other kernels, which uses them all.
  'MACRO_ARG_UNUSED kernel/compat/compat.h'
  # An iterator has to name its variable more than once.
  'MACRO_ARG_REUSE kernel/ioas/private.h'
  # The name of a type.
  'MACRO_ARG_REUSE kernel/ioas/door.c'
)

mapfile -t files < <(tracked 'kernel/*')
sudo=()
((!EUID)) || sudo=(sudo "WEIR_CACHE=${WEIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/weir}")
# shellcheck disable=SC2016 # for the other shell
found=$("${sudo[@]}" tools/guest inside --kernel 7.2-debug -- sh -c \
  '"$KDIR/scripts/checkpatch.pl" --no-tree --file --strict --terse --show-types --no-summary "$@"; [ $? -le 1 ]' \
  - "${files[@]}")
if ! grep -q '^kernel/' <<<"$found"; then
  echo "checkpatch.pl says nothing, not even what is known: $found"
  exit 1
fi

status=0
declare -A used
while read -r line; do
  file=${line%%:*}
  type=${line#*: *:} type=${type%%:*}
  for entry in "${allowed[@]}"; do
    # shellcheck disable=SC2053 # a pattern
    if [[ $type == "${entry% *}" && $file == ${entry#* } ]]; then
      used[$entry]=1
      continue 2
    fi
  done
  echo "$line"
  status=1
done <<<"$found"
for entry in "${allowed[@]}"; do
  [[ -n ${used[$entry]:-} ]] || { echo "allowed, and not found: $entry" && status=1; }
done
exit $status
