#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# programs.sh MODULES NAME nvme|cli BUILD TRANSPORT...
#
# Runs in a guest of the lab, as root: loads the modules (see modules.sh), then runs the driver's or the
# command's tests on them, which are those of the kernel's own modules.
# shellcheck source-path=SCRIPTDIR
set -eu
here=${0%/*}
# shellcheck source=modules.sh
. "$here/modules.sh"

load_modules "$1"
exec "$here/../$3/$3.sh" "${@:4}"
