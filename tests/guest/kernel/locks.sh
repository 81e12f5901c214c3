#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# locks.sh MODULES NAME FOLDER PART...
#
# Runs in a guest of the lab, as root: runs parts of conform, and leaves in the folder what lockdep
# has seen meanwhile. The modules stay loaded until then: their classes of locks go with them.
set -u
here=${0%/*} folder=$3
"$here/conform.sh" "$1" "$2" "${@:4}"
status=$?
cp /proc/lockdep_chains /proc/lockdep_stats "$folder"
exit $status
