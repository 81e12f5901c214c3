#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# selftests_build.sh TARBALL FOLDER OUTPUT
#
# Runs in a root of the lab: builds the programs of the kernel's selftests/vfio, statically and from
# sources as the distribution has them, into OUTPUT. FOLDER, of one's own, holds uuid-dev, unpacked.
# calloc_assert() is not in the source package: it is given as a macro.
set -euo pipefail
tarball=$1 work=$2 output=$3
top=$(basename "$tarball" .tar.xz)
mkdir -p "$work/linux"
tar -xf "$tarball" -C "$work/linux" --strip-components=1 \
  "$top"/{Makefile,Kbuild,Kconfig,scripts,include,arch/x86,tools,drivers/dma/ioat,drivers/dma/idxd}
cd "$work/linux"
make -s headers ARCH=x86
libraries=$work/usr/lib/x86_64-linux-gnu
make -s -C tools/testing/selftests/vfio -j2 OUTPUT="$output" \
  KHDR_INCLUDES="-isystem $work/linux/usr/include" \
  EXTRA_CFLAGS="-isystem $work/usr/include '-Dcalloc_assert(n,s)=calloc(n,s)'" \
  LDFLAGS="-static -L$libraries"
