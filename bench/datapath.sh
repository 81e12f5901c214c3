#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# datapath.sh LIBRARY COLD FUNCTION...: looks at the burst calls as they were compiled, and at all that
# they call but the functions listed in COLD. No atomic read-modify-write, no system call, no call through
# a pointer, no call into another library.
set -euo pipefail
library=$1
mapfile -t cold < <(grep -v '^#' "$2" | awk '{ print $1 }')
code=$(mktemp)
trap 'rm -f "$code"' EXIT
objdump -d --no-show-raw-insn "$library" >"$code"

status=0
complain() {
  echo "$1: $2"
  status=1
}

# is_cold FUNCTION: listed, whatever suffix the compiler gave a copy of it.
is_cold() {
  [[ " ${cold[*]} " == *" ${1%%.*} "* ]]
}

todo=("${@:3}")
declare -A seen
while ((${#todo[@]})); do
  function=${todo[0]}
  todo=("${todo[@]:1}")
  [[ -z ${seen[$function]:-} ]] || continue
  seen[$function]=1
  body=$(awk -v name="<$function>:" '$2 == name { on = 1; next } /^$/ { on = 0 } on' "$code")
  if [[ -z $body ]]; then
    complain "$function" 'not found in the library'
    continue
  fi
  while read -r line; do
    complain "$function" "$line"
  done < <(grep -E '\slock |\sxchg .*\(|\ssyscall|\sint |\scall +\*' <<<"$body" || :)
  while read -r target; do
    if [[ $target == *@plt ]]; then
      complain "$function" "calls $target"
    elif [[ $target != "$function" ]] && ! is_cold "$target"; then
      todo+=("$target")
    fi
  done < <(grep -E '\s(call|j[a-z]+) ' <<<"$body" | grep -oP '<\K[^>+]+' | sort -u)
done
for function in "${!seen[@]}"; do
  echo "looked at $function"
done | sort
exit $status
