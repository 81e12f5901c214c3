#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# collect.sh FOLDER HEADER: makes one header of the probes' answers. It is left alone when nothing
# changes, so that nothing is built again.
set -eu
folder=$1 header=$2
# A compiler or kernel folder that does not work at all must not pass for an old kernel.
if [ "$(cat "$folder/COMPILER.answer")" != 1 ]; then
  cat "$folder/COMPILER.answer.log" >&2
  echo "the compiler does not compile a source of six lines for this kernel" >&2
  exit 1
fi
{
  echo '/* What this kernel has, by compat/probe. Generated. */'
  sed -n 's/^#ifdef PROBE_//p' "$folder/probes.c" | while read -r name; do
    echo "#define WEIR_HAVE_$name $(cat "$folder/$name.answer")"
  done
} >"$header.new"
if cmp -s "$header.new" "$header"; then
  rm "$header.new"
else
  mv "$header.new" "$header"
fi
