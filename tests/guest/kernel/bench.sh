#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# bench.sh MODULES NAME [ROUNDS]
#
# Runs in a guest of the lab, as root: mapping and unmapping with the kernel's own VFIO and with
# Weir's, by turns, in the same guest. Prints for each the median of all rounds in ms, and their
# ratio: below 1, Weir's is faster. Files, which the kernel's own cannot map, are compared to memory.
# Emulated processors: ratios mean something, times do not.
# shellcheck source-path=SCRIPTDIR
set -eu
here=${0%/*} weir=$1 rounds=${3:-3}
# shellcheck source=modules.sh
. "$here/modules.sh"

[[ $weir != in-tree ]] || {
  echo 'bench.sh needs modules to compare with' >&2
  exit 2
}
nvme=0000:06:00.0
echo 514 >/proc/sys/vm/nr_hugepages
if [[ $(<"/proc/sys/vm/nr_hugepages") -lt 513 ]]; then
  echo 'there are not 513 free huge pages of 2 MiB' >&2
  exit 1
fi
ulimit -l unlimited

results=$(mktemp)
for ((round = 0; round < rounds; round++)); do
  for whose in in-tree "$weir"; do
    load_modules "$whose"
    "$here/bench_map" $nvme | sed "s|^|$([[ $whose == in-tree ]] && echo in-tree || echo weir) |" >>"$results"
    unload_modules
  done
done
# Medians: sorted, the one in the middle.
sort -k1,1 -k2,2 -k3,3n "$results" | awk -v rounds="$rounds" '
  { n[$1, $2]++; if (n[$1, $2] == int((rounds + 1) / 2)) median[$1, $2] = $3; name[$2] = 1 }
  END {
    printf "%-42s %10s %10s %7s\n", "milliseconds, median of " rounds, "in-tree", "weir", "ratio"
    for (each in name) {
      own = each
      if (!(("in-tree", own) in median))
        sub(/map-file-/, "map-", own)
      printf "%-42s %10.1f %10.1f %7.2f\n", each, median["in-tree", own], median["weir", each],
             median["weir", each] / median["in-tree", own] | "sort"
    }
  }'
