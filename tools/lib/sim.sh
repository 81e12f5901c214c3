# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Emulated devices for scripts. To be sourced. The script sets WEIR, the command, and calls
# stop_sims when it ends.

declare -A sim_pids

# start_sim KIND SOCKET OPTION...: `weir sim KIND`, ready when this returns. What it says goes to
# SOCKET.log.
start_sim() {
  local kind=$1 socket=$2
  shift 2
  : >"$socket.log"
  "$WEIR" sim "$kind" --socket "$socket" "$@" >"$socket.log" 2>&1 </dev/null &
  sim_pids[$socket]=$!
  for _ in {1..1000}; do
    ! grep -q '^ready: ' "$socket.log" || return 0
    kill -0 "${sim_pids[$socket]}" 2>/dev/null || break
    sleep 0.01
  done
  echo "weir sim $kind did not start:" >&2
  cat "$socket.log" >&2
  return 1
}

# stop_sim SOCKET: ends it in order; its exit status is ours.
stop_sim() {
  local pid=${sim_pids[$1]}
  unset "sim_pids[$1]"
  kill -INT "$pid" 2>/dev/null || :
  wait "$pid"
}

# stop_sims: ends all that are left, whatever state they are in.
stop_sims() {
  local socket
  for socket in "${!sim_pids[@]}"; do
    kill -KILL "${sim_pids[$socket]}" 2>/dev/null || :
    wait "${sim_pids[$socket]}" 2>/dev/null || :
    rm -f "$socket"
  done
  sim_pids=()
}
