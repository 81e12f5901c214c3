# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# The distribution's dpdk-testpmd, told what to do at its prompt. For scripts that a guest of the lab runs as
# root; to be sourced. What counts is what testpmd says, word by word.

testpmd_user=lab # of the lab's roots
work=$(mktemp -d)
log=$work/log

# within SECONDS COMMAND...: the command succeeds before they are over.
within() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < end)) || return
    sleep 0.3
  done
}

# occurs COUNT TEXT: in what testpmd has said.
occurs() {
  (($(grep -cF "$2" "$log") >= $1))
}

prompt='testpmd> '
prompts=0

testpmd_runs() {
  kill -0 "$testpmd" 2>/dev/null
}

testpmd_is_gone() {
  ! testpmd_runs
}

prompted() {
  testpmd_runs || return 0
  occurs $((prompts + 1)) "$prompt"
}

# at_prompt: testpmd waits for a command.
at_prompt() {
  within 120 prompted && testpmd_runs && prompts=$((prompts + 1)) && return
  cat "$log"
  return 1
}

# testpmd_starts root|user DEVICES EAL-OPTIONS OPTIONS: the options are words. Its process is testpmd then.
testpmd_starts() {
  local who=$1 devices=$2 eal=$3 options=$4 device command=()
  if [[ $who == user ]]; then
    # The user cannot see physical addresses, nor write where huge pages are mounted.
    eal+=' --in-memory'
    command=(setpriv --reuid "$testpmd_user" --regid "$testpmd_user" --init-groups env "HOME=/home/$testpmd_user")
  fi
  for device in $devices; do
    eal+=" -a $device"
  done
  # shellcheck disable=SC2206 # words
  command+=(stdbuf -oL dpdk-testpmd -l '0,1' --iova-mode=va $eal -- -i --total-num-mbufs=4096 $options)
  prompts=0
  : >"$log"
  # Open for reading, too, so that testpmd sees no end of what it reads; a new one each time, so that it gets
  # nothing that was meant for another.
  rm -f "$work/commands"
  mkfifo "$work/commands"
  exec 3<>"$work/commands"
  "${command[@]}" <&3 >>"$log" 2>&1 3>&- &
  testpmd=$!
  at_prompt
}

# tell COMMAND: testpmd has done it.
tell() {
  echo "$1" >&3
  at_prompt
}

testpmd_quits() {
  local status
  echo quit >&3
  within 60 testpmd_is_gone || kill -KILL "$testpmd"
  wait "$testpmd"
  status=$?
  ((!status)) || cat "$log"
  return "$status"
}

# read_counters PORT: all of the port's counters, into counters under PORT-NAME.
declare -A counters
read_counters() {
  local before name value
  before=$(wc -l <"$log")
  tell "show port stats $1" || return
  for name in RX-packets RX-missed RX-errors RX-nombuf TX-packets TX-errors; do
    value=$(tail -n +"$((before + 1))" "$log" | sed -nE "s/.*\b$name: +([0-9]+).*/\1/p")
    [[ $value =~ ^[0-9]+$ ]] || {
      echo "'$value' is no number of $name of port $1"
      cat "$log"
      return 1
    }
    counters[$1-$name]=$value
  done
}

has_received() {
  read_counters "$1" && ((${counters[$1-RX-packets]} >= $2))
}

nothing_lost() {
  local name
  for name in RX-missed RX-errors RX-nombuf TX-errors; do
    ((${counters[$1-$name]} == 0)) || {
      echo "port $1 has ${counters[$1-$name]} $name"
      return 1
    }
  done
}
