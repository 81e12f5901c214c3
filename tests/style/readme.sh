#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The program in the README is the one that is built and tested.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
# shellcheck source=files.sh
source "$(dirname "${BASH_SOURCE[0]}")/files.sh"
diff docs/examples/read_block.c <(awk '/^```$/ { on = 0 } on; /^```c$/ { on = 1 }' README.md)
