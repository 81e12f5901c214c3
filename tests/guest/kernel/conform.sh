#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# conform.sh MODULES NAME PART...
#
# Runs in a guest of the lab, as root: loads the modules (see modules.sh) and holds them to what
# VFIO is to do. NAME is what known-deviations.txt calls them.
# shellcheck source-path=SCRIPTDIR
set -eu
here=${0%/*}
# shellcheck source=modules.sh
. "$here/modules.sh"

load_modules "$1"
ulimit -l unlimited
exec "$here/conform" --modules "$2" --files "$1" --deviations "$here/known-deviations.txt" "${@:3}"
