# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Steps with their time. To be sourced.

# Milliseconds on the wall clock.
now_ms() {
  local t=${EPOCHREALTIME/[.,]/}
  echo $((t / 1000))
}

# seconds_since START: "12.3 s", from a now_ms value.
seconds_since() {
  local ms=$(($(now_ms) - $1))
  printf '%d.%d s' $((ms / 1000)) $((ms % 1000 / 100))
}

# die TEXT...: ends the script; the text says what to do.
die() {
  echo "${0##*/}: $*" >&2
  exit 1
}

# step NAME COMMAND...: runs quietly, prints one line with the time; the output only on failure. It
# goes to a file in LOG_DIR, which the script has set; STEP_LOG names it.
step() {
  local name=$1 start
  STEP_LOG=$LOG_DIR/${name//[^A-Za-z0-9]/-}.log
  shift
  start=$(now_ms)
  if "$@" >"$STEP_LOG" 2>&1; then
    printf '%-52s %8s\n' "$name" "$(seconds_since "$start")"
    return 0
  fi
  printf '%-52s failed after %s:\n' "$name" "$(seconds_since "$start")"
  tail -n 60 "$STEP_LOG"
  return 1
}
