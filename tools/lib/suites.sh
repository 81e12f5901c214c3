# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Meson build folders and test suites. To be sourced after steps.sh.

# Totals over everything that ran.
passed=0
failed=0
skipped=0

# use_build_folder: all that is made lies under build/.
use_build_folder() {
  mkdir -p build/logs 2>/dev/null || :
  [[ -w build/logs ]] || die "$PWD/build belongs to another user: remove it first"
  export LOG_DIR=$PWD/build/logs
}

# build FOLDER OPTION...: configures once and builds.
build() {
  local dir=$1
  shift
  if [[ ! -f $dir/build.ninja ]]; then
    step "configure $dir" meson setup "$dir" "$@" || return 1
  fi
  step "build $dir" ninja --quiet -C "$dir"
}

# count LOG RESULT...: tests in a testlog.json with one of the results.
count() {
  local log=$1
  shift
  jq -s --args '[.[] | select(.result | IN($ARGS.positional[]))] | length' "$@" <"$log"
}

# report LOG: failed tests with the end of their output, skipped ones with their reason (the last
# line they printed).
report() {
  jq -r 'def text: (.stdout // "") + (.stderr // "") | rtrimstr("\n") | split("\n");
    if .result == "SKIP" then "  skipped: \(.name): \(text[-1])"
    elif .result == "OK" or .result == "EXPECTEDFAIL" then empty
    else "  \(.result): \(.name) (\(.duration | floor) s)", (text[-40:][] | "    | " + .) end' <"$1"
}

# run_suite FOLDER SUITE BUDGET [LABEL]: runs a suite of a build folder, adds to the totals. A suite
# without tests is a failure. BUDGET is in seconds: printed, not enforced (each test has its limit).
run_suite() {
  local dir=$1 suite=$2 budget=$3 label=${4:-$2} log=$1/meson-logs/testlog.json start ok skip bad over=
  start=$(now_ms)
  rm -f "$log"
  meson test -C "$dir" --no-rebuild --suite "$suite" </dev/null >"$LOG_DIR/suite.log" 2>&1 || :
  if [[ ! -s $log ]]; then
    echo "$label: no test ran:"
    tail -n 20 "$LOG_DIR/suite.log"
    failed=$((failed + 1))
    return 0
  fi
  ok=$(count "$log" OK EXPECTEDFAIL)
  skip=$(count "$log" SKIP)
  bad=$(($(jq -s length <"$log") - ok - skip))
  (($(now_ms) - start <= budget * 1000)) || over=', over budget'
  printf '%-12s %3d passed, %d failed, %d skipped %12s (budget %d s%s)\n' "$label" "$ok" "$bad" "$skip" \
    "$(seconds_since "$start")" "$budget" "$over"
  report "$log"
  passed=$((passed + ok))
  failed=$((failed + bad))
  skipped=$((skipped + skip))
}
