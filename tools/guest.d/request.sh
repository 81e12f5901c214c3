#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# guest-request COMMAND [NAME=VALUE...]   or   guest-request '{"execute": ..., "arguments": {...}}'
# Sends a QMP command to the QEMU this guest runs in, prints the answer. Status 0 when QEMU did it.
set -eu
if [[ $1 == '{'* ]]; then
  request=$1
else
  arguments=
  for pair in "${@:2}"; do
    arguments+="${arguments:+, }\"${pair%%=*}\": \"${pair#*=}\""
  done
  request="{\"execute\": \"$1\", \"arguments\": {$arguments}}"
fi
exec 3<>/dev/virtio-ports/weir.request
printf '%s\n' "$request" >&3
read -r answer <&3
printf '%s\n' "$answer"
[[ $answer == *'"return"'* ]]
