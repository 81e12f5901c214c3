#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# programs.sh MODULES NAME PROGRAM ARGUMENT...
#
# Runs in a guest of the lab, as root: loads the modules (see modules.sh), then runs one of the programs of
# the folders beside this one on them, which are the tests of the kernel's own modules.
# shellcheck source-path=SCRIPTDIR
set -eu
here=${0%/*}
# shellcheck source=modules.sh
. "$here/modules.sh"

load_modules "$1"
# Weir's do not export BARs as dma-bufs.
[[ $1 == in-tree ]] || export WEIR_TEST_NO_EXPORT=cdev
exec "$here/../$3" "${@:4}"
