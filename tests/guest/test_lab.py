#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Tests the guest lab on one kernel: test_lab.py KERNEL BUILD. Prints TAP.

BUILD is the build folder, which holds tests/guest/lab_check; it is what the guests see.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
GUEST = HERE.parents[1] / "tools/guest"
DEBUG = "7.2-debug"
HANG_SECONDS = 10


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
        self.work = build / "guest"
        self.program = build / "tests/guest/lab_check"

    def start(self, *options, command):
        return subprocess.Popen(
            [
                GUEST,
                "run",
                "--kernel",
                self.kernel,
                "--share",
                self.build,
                "--work",
                self.work,
                *options,
                "--",
                *command,
            ],
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
        status, output, said = self.finish(
            self.start("--timeout", "240", command=[self.program, self.kernel])
        )
        for passed, text in re.findall(r"^(ok|not ok) \d+ - (.*)$", output, re.MULTILINE):
            self.tap.check(passed == "ok", text)
        plan = re.search(r"^1\.\.(\d+)$", output, re.MULTILINE)
        self.tap.check(
            plan is not None and int(plan[1]) == self.tap.checks,
            "all checks inside the guest ran",
            output + said,
        )
        self.tap.check(
            status == 0, f"the run's status is {status}, its kernel log has no findings", said
        )

    def ordinary_user_beside_a_hung_guest(self):
        user = self.start(
            "--device-set",
            "bare",
            "--user",
            command=["sh", "-c", "id -un; { echo x > /etc/passwd; } 2>&1 || echo refused; exit 7"],
        )
        hung = self.start(
            "--device-set",
            "bare",
            "--timeout",
            str(HANG_SECONDS),
            command=["sh", "-c", "echo started; sleep 1000"],
        )
        status, output, said = self.finish(user)
        self.tap.check(status == 7, f"the command's status comes back: {status}", output + said)
        self.tap.check(
            output.splitlines()[:1] == ["lab"] and "refused" in output,
            "the command runs as an ordinary user",
            output + said,
        )
        status, output, said = self.finish(hung)
        self.tap.check(
            status == 124 and output == "started\n",
            f"a hung command is ended: {status}",
            output + said,
        )

    def build_provoke(self):
        folder = self.build / f"guest/provoke-{self.kernel}"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(HERE / "provoke", folder)
        done = subprocess.run(
            [
                GUEST,
                "inside",
                "--kernel",
                self.kernel,
                "--share",
                folder,
                "--",
                "sh",
                "-c",
                'make -s -C "$KDIR" M="$PWD" modules',
            ],
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
            # lockdep stops all its checking at its first report, so it comes last
            provoked |= {
                "kasan": "KASAN",
                "ubsan": "UBSAN",
                "sleep": "BUG",
                "leak": "kmemleak",
                "lockdep": "lockdep",
            }
        module = self.build_provoke()
        script = "".join(
            f"insmod {module} what={what} && rmmod provoke || exit 1; " for what in provoked
        )
        status, output, said = self.finish(
            self.start(
                "--device-set",
                "bare",
                "--timeout",
                "240",
                command=["sh", "-c", f"{script} {self.program} fault"],
            )
        )
        self.tap.check(
            status == 120, f"findings fail a run whose command succeeds: {status}", output + said
        )
        for kind in [*provoked.values(), "DMAR fault"]:
            self.tap.check(f"kernel log: {kind}\n" in said, f"a provoked {kind} is found", said)


def main():
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} KERNEL BUILD")
    lab = Lab(sys.argv[1], Path(sys.argv[2]).resolve())
    lab.work.mkdir(exist_ok=True)
    lab.checks_inside()
    lab.ordinary_user_beside_a_hung_guest()
    lab.kernel_log_is_judged()
    return lab.tap.finish()


if __name__ == "__main__":
    sys.exit(main())
