# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# Checks that scripts report as TAP. To be sourced.

checks=0 failures=0
check_output=$(mktemp)

# check NAME COMMAND...: passes when the command succeeds; what one that fails has said follows. It
# runs in this shell, without input.
check() {
  local name=$1 status start=$SECONDS
  shift
  "$@" >"$check_output" 2>&1 </dev/null
  status=$?
  checks=$((checks + 1))
  if [ "$status" = 0 ]; then
    echo "ok $checks - $name ($((SECONDS - start)) s)"
    return 0
  fi
  failures=$((failures + 1))
  echo "not ok $checks - $name: status $status ($((SECONDS - start)) s)"
  sed 's/^/# /' "$check_output"
  return 1
}

# skip NAME REASON: says what is not checked here, and why.
skip() {
  checks=$((checks + 1))
  echo "ok $checks - $1 # SKIP $2"
}

# finish: the plan, and the script's status.
finish() {
  rm -f "$check_output"
  echo "1..$checks"
  exit $((failures != 0))
}
