#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Cuts a guest's power under load, boots it again, compares: power_cut.py KERNEL BUILD. Prints TAP.

BUILD is the build folder, which holds tests/guest/faults/test_power_cut; it is what the guests see.
"""

import shutil
import subprocess
import sys
from pathlib import Path

GUEST = Path(__file__).resolve().parents[3] / "tools/guest"
SECONDS = 120
POWER_LOST = 125  # the guest ended without a status


def run(kernel, build, folder, what):
    """(status, what was said)"""
    options = ["--kernel", kernel, "--share", build, "--work", folder, "--timeout", str(SECONDS)]
    program = build / "tests/guest/faults/test_power_cut"
    command = [program, what, "group", folder / "record"]
    done = subprocess.run(
        [GUEST, "run", *options, "--drives", folder / "drives", "--", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    return done.returncode, done.stdout


def tell(number, passed, text, said):
    print(f"{'ok' if passed else 'not ok'} {number} - {text}", flush=True)
    if not passed:
        print("".join(f"# {line}\n" for line in said.splitlines()), end="", flush=True)
    return passed


def main():
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} KERNEL BUILD")
    kernel, build = sys.argv[1], Path(sys.argv[2]).resolve()
    folder = build / f"guest/power-cut-{kernel}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    status, said = run(kernel, build, folder, "cut")
    lost = status == POWER_LOST and (folder / "record").exists()
    passed = tell(1, lost, f"the power is cut under load: {status}", said)
    status, said = run(kernel, build, folder, "check")
    figures = said.strip().splitlines()[-1] if said.strip() else ""
    passed &= tell(2, status == 0, f"what was flushed is there: {figures}", said)
    print("1..2")
    if passed:
        shutil.rmtree(folder)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
