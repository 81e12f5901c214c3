#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Tests the guest lab on one kernel: test_lab.py KERNEL BUILD. Prints TAP.

BUILD is the build folder, which holds tests/guest/lab_check; it is what the guests see.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
GUEST = HERE.parents[1] / "tools/guest"
sys.dont_write_bytecode = True
sys.path.insert(0, f"{GUEST}.d")

# pylint: disable=wrong-import-position
from cache import default_folder

DEBUG = "7.2-debug"
ANY = "7.2"  # for what does not depend on the kernel
HANG_SECONDS = 30
WRITTEN = b"written by lab_check"


class Tap:
    def __init__(self):
        self.checks = self.failed = 0

    def check(self, passed, text, details=""):
        self.checks += 1
        self.failed += not passed
        print(f"{'ok' if passed else 'not ok'} {self.checks} - {text}", flush=True)
        if not passed:
            print("".join(f"# {line}\n" for line in details.splitlines()), end="", flush=True)

    def finish(self):
        print(f"1..{self.checks}")
        return 1 if self.failed else 0


class Lab:
    def __init__(self, kernel, build):
        self.tap = Tap()
        self.kernel = kernel
        self.build = build
        self.work = build / f"guest/lab-{kernel}"
        self.program = build / "tests/guest/lab_check"

    def start(self, *options, command):
        argv = [GUEST, "run", "--kernel", self.kernel, "--share", self.build, "--work", self.work]
        return subprocess.Popen(
            [*argv, *options, "--", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )

    def finish(self, process):
        """(status, output, what the lab said)"""
        output, said = process.communicate()
        return process.returncode, output, said

    def checks_inside(self):
        """The guest's own checks become ours, numbered on."""
        drives = self.work / "drives"
        options = ["--timeout", "240", "--drives", str(drives)]
        status, output, said = self.finish(
            self.start(*options, command=[self.program, self.kernel])
        )
        for passed, text in re.findall(r"^(ok|not ok) \d+ - (.*)$", output, re.MULTILINE):
            self.tap.check(passed == "ok", text)
        plan = re.search(r"^1\.\.(\d+)$", output, re.MULTILINE)
        whole = plan is not None and int(plan[1]) == self.tap.checks
        self.tap.check(whole, "all checks inside the guest ran", output + said)
        self.tap.check(status == 0, f"the run succeeds, kernel log included: {status}", said)
        with open(drives / "disk1.img", "rb") as image:
            self.tap.check(
                image.read(len(WRITTEN)) == WRITTEN, "what a guest wrote is on its drive"
            )

    def start_hung(self):
        """Beside the other guests, so that the wait for its time to be up costs none."""
        hang = ["sh", "-c", "echo started; sleep 1000"]
        options = ["--device-set", "bare", "--timeout", str(HANG_SECONDS)]
        return self.start(*options, command=hang)

    def hung_is_ended(self, hung):
        status, output, said = self.finish(hung)
        right = status == 124 and output == "started\n"
        self.tap.check(right, f"a hung command is ended: {status}", output + said)

    def ordinary_user(self):
        script = "id -un; { echo x > /etc/passwd; } 2>&1 || echo refused; ls /etc/left-by-lab_check"
        user = self.start(
            "--device-set", "bare", "--user", command=["sh", "-c", f"{script}; exit 7"]
        )
        status, output, said = self.finish(user)
        said = output + said
        self.tap.check(status == 7, f"the command's status comes back: {status}", said)
        plain = output.startswith("lab\n") and "refused" in output
        self.tap.check(plain, "the command runs as an ordinary user", said)
        self.tap.check("cannot access" in output, "an earlier run's changes are gone", said)

    def build_provoke(self):
        folder = self.work / "provoke"
        shutil.copytree(HERE / "provoke", folder)
        argv = [GUEST, "inside", "--kernel", self.kernel, "--share", folder, "--"]
        if os.geteuid() != 0:
            argv = ["sudo", f"WEIR_CACHE={default_folder()}", *argv]
        done = subprocess.run(
            [*argv, "sh", "-c", 'make -s -C "$KDIR" M="$PWD" modules'],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.tap.check(
            done.returncode == 0, "a module builds against the kernel's headers", done.stdout
        )
        return folder / "provoke.ko"

    def kernel_log_is_judged(self):
        """What goes wrong on purpose has to be found, or all other runs prove nothing."""
        provoked = {"warn": "WARN"}
        if self.kernel == DEBUG:
            # lockdep comes first: it stops checking when another checker has reported
            provoked = {"lockdep": "lockdep", "warn": "WARN", "kasan": "KASAN", "ubsan": "UBSAN"}
            provoked |= {"sleep": "BUG", "leak": "kmemleak"}
        module = self.build_provoke()
        script = "".join(
            f"insmod {module} what={what} && rmmod provoke || exit 1; " for what in provoked
        )
        command = ["sh", "-c", f"{script} {self.program} fault"]
        run = self.start("--device-set", "bare", "--timeout", "240", command=command)
        status, output, said = self.finish(run)
        text = f"findings fail a run whose command succeeds: {status}"
        self.tap.check(status == 120, text, output + said)
        found = re.findall(r"kernel log: (.*)", said)
        for kind in [*provoked.values(), "DMAR fault"]:
            self.tap.check(kind in found, f"a provoked {kind} is found", f"found: {found}")


def main():
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} KERNEL BUILD")
    lab = Lab(sys.argv[1], Path(sys.argv[2]).resolve())
    shutil.rmtree(lab.work, ignore_errors=True)
    lab.work.mkdir(parents=True)
    lab.checks_inside()
    lab.kernel_log_is_judged()
    if lab.kernel == ANY:
        hung = lab.start_hung()
        lab.ordinary_user()
        lab.hung_is_ended(hung)
    return lab.tap.finish()


if __name__ == "__main__":
    sys.exit(main())
