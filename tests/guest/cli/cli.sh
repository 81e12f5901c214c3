#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# cli.sh BUILD TRANSPORT...
#
# Runs in a guest of the lab: the weir command's work on drives and on memory behind a BAR, over each transport, as an
# ordinary user. Root gives the devices away and does nothing else.
#
# With WEIR_TEST_NO_EXPORT, the name of a transport, the kernel's modules do not export BARs over it.
#
# cli.sh BUILD perf | data | copy | refusal ARGUMENT...
#
# The parts, which the user runs in a folder of their own. QEMU's NVMe reports success also for a transfer that the IOMMU
# refused: what counts is the data, and that what is around it is as before.
# shellcheck source-path=SCRIPTDIR
# shellcheck source=../guest.sh
. "${0%/*}/../guest.sh"
shift

margin=65536 # bytes on each side of what is written

# perf DEVICE NAMESPACE: I/O of every kind, then such that is checked.
perf() {
  local options
  for options in '--rw randread --queue-depth 32' '--rw write --queue-depth 128' \
    '--rw randrw --queue-depth 1 --queues 2 --io-size 16K'; do
    # shellcheck disable=SC2086 # words
    "$weir" nvme perf "$1" --namespace "$2" $options --time 0.5 --yes --json |
      jq -e '.result | .failed == 0 and .error == null and .ios > 0'
  done
  "$weir" nvme perf "$1" --namespace "$2" --rw randwrite --verify --time 0.5 --yes --json |
    jq -e '.result | .data == "checked" and .failed == 0 and .error == null and .ios > 0'
}

# make_files BYTES: source, random; poison, which differs from it, with room for the margins; expected, the source
# between margins of poison.
make_files() {
  head -c "$1" /dev/urandom >source
  head -c $(($1 + 2 * margin)) /dev/zero | tr '\0' '\245' >poison
  { head -c "$margin" poison && cat source && head -c "$margin" poison; } >expected
}

# write_blocks DEVICE NAMESPACE LBA FILE, and read_blocks, which takes BYTES, too.
write_blocks() {
  "$weir" nvme write "$1" --namespace "$2" --lba "$3" --from "$4" --yes
}

read_blocks() {
  "$weir" nvme read "$1" --namespace "$2" --lba "$3" --to "$4" --bytes "$5" --force
}

# data DEVICE NAMESPACE BLOCK LBA BLOCKS: there and back.
data() {
  local bytes=$(($3 * $5)) around=$((margin / $3))
  make_files "$bytes"
  write_blocks "$1" "$2" $(($4 - around)) poison
  write_blocks "$1" "$2" "$4" source
  read_blocks "$1" "$2" "$4" back "$bytes"
  [ "$(sha256sum <back)" = "$(sha256sum <source)" ]
  read_blocks "$1" "$2" $(($4 - around)) back $((bytes + 2 * margin))
  cmp back expected
}

# copy FROM TO NAMESPACE BLOCK BYTES: from the first namespace of one drive through the memory to one of another.
copy() {
  local from=$1 to=$2 to_namespace=$3 to_block=$4 bytes=$5
  local all=$((bytes + 2 * margin)) offset=$((1 << 20)) source_lba=3 to_lba=1000 spare=100000
  make_files "$bytes"
  # Poison in the memory and at the target.
  write_blocks "$from" 1 "$spare" poison
  "$weir" p2p copy --nvme "$from" --lba "$spare" --memory "$memory" --offset $((offset - margin)) --bytes "$all"
  write_blocks "$to" "$to_namespace" $((to_lba - margin / to_block)) poison
  read_blocks "$to" "$to_namespace" $((to_lba - margin / to_block)) back "$all"
  cmp back poison

  write_blocks "$from" 1 "$source_lba" source
  "$weir" p2p copy --nvme "$from" --lba "$source_lba" --memory "$memory" --offset "$offset" --bytes "$bytes" \
    --to-nvme "$to" --to-namespace "$to_namespace" --to-lba "$to_lba" --yes
  read_blocks "$to" "$to_namespace" $((to_lba - margin / to_block)) back "$all"
  cmp back expected
  read_blocks "$from" 1 "$source_lba" back "$bytes"
  cmp back source

  # What the memory holds now, by way of the first drive.
  "$weir" p2p copy --direction from-memory --nvme "$from" --lba "$spare" --memory "$memory" \
    --offset $((offset - margin)) --bytes "$all" --yes
  read_blocks "$from" 1 "$spare" back "$all"
  cmp back expected
}

# refusal FROM TO NAMESPACE BLOCK: where BARs cannot be shared, copying says so, and the target stays as it is.
refusal() {
  make_files 65536
  write_blocks "$1" 1 3 source
  write_blocks "$2" "$3" 1000 poison
  ! "$weir" p2p copy --nvme "$1" --lba 3 --memory "$memory" --offset 1048576 --bytes 65536 \
    --to-nvme "$2" --to-namespace "$3" --to-lba 1000 --yes 2>error || return
  cat error
  [ "$(wc -l <error)" = 1 ] && grep -q 'does not export BARs' error || return
  read_blocks "$2" "$3" 1000 back "$(stat -c %s poison)"
  cmp back poison
}

# part NAME PART ARGUMENT...: as the user.
part() {
  local name=$1
  shift
  check "$transport: $name" as_user WEIR_TRANSPORT="$transport" timeout 300 bash "$0" "$build" "$@"
}

# all TRANSPORT...
all() {
  bind_for_user "$nvme0" "$nvme1" "$nvme2" "$memory"
  ulimit -l unlimited
  for transport in "$@"; do
    part 'weir nvme perf' perf "$nvme0" 1
    part 'weir nvme write and read, 4 KiB blocks' data "$nvme1" 2 4096 500 1001
    part 'weir nvme write and read, NUMA node 1' data "$nvme2" 1 512 8000 8001
    if [[ $transport == "${WEIR_TEST_NO_EXPORT-}" ]]; then
      part 'weir p2p copy is refused' refusal "$nvme0" "$nvme1" 2
      continue
    fi
    part 'weir p2p copy, a drive beside the memory' copy "$nvme0" "$nvme1" 2 4096 $((4 << 20))
    part 'weir p2p copy, drives elsewhere' copy "$nvme2" "$nvme1" 1 512 $((1 << 20))
  done
  finish
}

case $1 in
  perf | data | copy | refusal)
    set -ex -o pipefail
    cd "$(mktemp -d)"
    ;;
esac
case $1 in
  perf) perf "${@:2}" ;;
  data) data "${@:2}" ;;
  copy) copy "${@:2}" ;;
  refusal) refusal "${@:2}" ;;
  *) all "$@" ;;
esac
