#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# no_syscalls.sh WEIR IO_LOOP: a million reads, and no system call of any thread between the first and
# the last.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
WEIR=$1
io_loop=$2
ios=1000000
# shellcheck source=../tools/lib/sim.sh
source "$(dirname "${BASH_SOURCE[0]}")/../tools/lib/sim.sh"
dir=$(mktemp -d /tmp/weir-syscalls-XXXXXX)
trap 'stop_sims; rm -rf "$dir"' EXIT

start_sim nvme "$dir/nvme" --null
strace -f -o "$dir/trace" "$io_loop" "vfio-user:$dir/nvme" "$ios"
for mark in first end; do
  grep -q "write(-1, \"$mark\"" "$dir/trace" || { echo "strace did not see the mark '$mark'" && exit 1; }
done
awk '/write\(-1, "end"/ { exit } on; /write\(-1, "first"/ { on = 1 }' "$dir/trace" >"$dir/between"
echo "$(wc -l <"$dir/trace") system calls in all, $(wc -l <"$dir/between") during $ios I/Os"
head -n 20 "$dir/between"
[[ ! -s $dir/between ]]
