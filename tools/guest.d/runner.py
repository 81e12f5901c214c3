# SPDX-License-Identifier: BSD-3-Clause
"""Runs a job in a guest: boots it, passes output and requests on, ends it in time, judges it."""

import os
import selectors
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import kernellog
import kernels
import machine
from cache import LabError, say
from monitor import Relay

HERE = Path(__file__).resolve().parent

FINDINGS = 120  # the command succeeded, the kernel log does not look like it
TIME_IS_UP = 124  # as timeout(1)
BANNER = b"weir-guest: "
BOOT_ATTEMPTS = 3
BOOT_SECONDS = {kernels.DEBUG: 300}
BOOT_SECONDS_USUAL = 120
TICK = 0.05


@dataclass
class Job:
    kernel: str
    devices: object
    command: list
    share: Path
    cwd: Path
    work: Path
    user: str = "root"
    append: list = field(default_factory=list)
    vfio_user: list = field(default_factory=list)
    seconds: float = 120
    drives: Path = None
    interactive: bool = False
    expect_dmar_fault: bool = False
    keep: bool = False


class NoBanner(Exception):
    """The boot went wrong before anything of ours ran: worth another attempt."""


class Guest:
    """One boot of a job, in a folder of its own."""

    def __init__(self, cache, job, folder):
        self.job = job
        self.folder = folder
        self.printed = 0
        self.prepare()
        ours_request, theirs_request = socket.socketpair()
        ours_monitor, theirs_monitor = socket.socketpair()
        argv, environment = machine.command_line(
            cache, job, folder, theirs_request.fileno(), theirs_monitor.fileno()
        )
        (folder / "qemu.command").write_text(shlex.join(argv) + "\n")
        with theirs_request, theirs_monitor, open(folder / "qemu.log", "wb") as log:
            # A runner that is killed takes its QEMU along.
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *argv],
                cwd=folder,
                env={**os.environ, **environment},
                stdin=None if job.interactive else subprocess.DEVNULL,
                stdout=None if job.interactive else log,
                stderr=log,
                pass_fds=[theirs_request.fileno(), theirs_monitor.fileno()],
                process_group=None if job.interactive else 0,
            )
        self.sockets = [ours_request, ours_monitor]
        self.relay = Relay(ours_request, ours_monitor)

    def prepare(self):
        share = self.folder / "share"
        share.mkdir()
        for name in ("session.sh", "request.sh"):
            shutil.copy(HERE / name, share)
        job = self.job
        words = " ".join(shlex.quote(word) for word in job.command)
        lines = [f"share={shlex.quote(str(job.share))}", f"cwd={shlex.quote(str(job.cwd))}"]
        lines += [f"user={job.user}", f"interactive={'yes' if job.interactive else ''}"]
        lines += [f"command=({words})"]
        (share / "job.sh").write_text("\n".join(lines) + "\n")
        (share / "output").touch()
        drives = self.folder / "drives"
        if job.drives:
            job.drives.mkdir(parents=True, exist_ok=True)
            drives.symlink_to(job.drives.absolute())
        else:
            drives.mkdir()
        for name, size in job.devices.drives.items():
            image = drives / f"{name}.img"
            if not image.exists():
                image.touch()
                os.truncate(image, size)

    def text(self, name):
        path = self.folder / name
        return path.read_text(errors="replace") if path.exists() else ""

    def print_output(self):
        with open(self.folder / "share/output", "rb") as output:
            output.seek(self.printed)
            data = output.read()
        self.printed += len(data)
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    def has_banner(self):
        console = self.folder / "console.log"
        return console.exists() and BANNER in console.read_bytes()

    def wait(self):
        """Serves the guest until QEMU ends; False when its time was up before that."""
        with selectors.DefaultSelector() as selector:
            relay = self.relay
            selector.register(relay.guest.socket, selectors.EVENT_READ, relay.from_guest)
            selector.register(relay.monitor.socket, selectors.EVENT_READ, relay.from_monitor)
            up = self.job.interactive
            limit = time.monotonic() + BOOT_SECONDS.get(self.job.kernel, BOOT_SECONDS_USUAL)
            while self.process.poll() is None:
                for key, _ in selector.select(TICK):
                    if not key.data():
                        selector.unregister(key.fileobj)
                self.print_output()
                if not up and self.has_banner():
                    up = True
                    limit = time.monotonic() + self.job.seconds
                if time.monotonic() > limit and not self.job.interactive:
                    if up:
                        return False
                    raise NoBanner
            self.print_output()
        if not up and not self.has_banner():
            if self.process.returncode:
                raise LabError(f"QEMU failed{self.last_words()}")
            raise NoBanner
        return True

    def end(self):
        if self.process.poll() is None:
            if self.job.interactive:
                self.process.kill()
            else:
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for each in self.sockets:
            each.close()
        if not self.job.drives:
            shutil.rmtree(self.folder / "drives")

    def last_words(self):
        """The ends of what the guest's console and QEMU said."""
        lines = (
            self.text("console.log").splitlines()[-25:] + self.text("qemu.log").splitlines()[-5:]
        )
        return "".join(f"\n    {line}" for line in lines)


def judge(guest, in_time):
    """The run's exit status; says on stderr what is wrong."""
    job = guest.job
    status = guest.text("share/status").strip()
    log = guest.text("share/kernel.log" if status else "console.log")
    findings = kernellog.scan(log) + kernellog.scan(guest.text("share/kmemleak"))
    faults = [finding for finding in findings if finding.kind == kernellog.DMAR]
    if job.expect_dmar_fault:
        findings = [finding for finding in findings if finding not in faults]
    for finding in filter(kernellog.known, findings):
        say(f"kernel log: {finding.kind}, known: {kernellog.known(finding)}")
    findings = [finding for finding in findings if not kernellog.known(finding)]
    for finding in findings:
        say(f"kernel log: {finding.kind}")
        print("\n".join("    " + line for line in finding.lines), file=sys.stderr)
    if not in_time:
        say(f"time is up: not done {job.seconds:g} s after boot{guest.last_words()}")
        return TIME_IS_UP
    if not status:
        raise LabError(f"the guest ended without a status{guest.last_words()}")
    if findings:
        say(f"{len(findings)} findings in the kernel log fail this run")
        return int(status) or FINDINGS
    if job.expect_dmar_fault and not faults:
        say("the kernel log has no DMAR fault, but this run expects one")
        return int(status) or FINDINGS
    return int(status)


def run(cache, job):
    """Boots until the banner shows, at most BOOT_ATTEMPTS times; the exit status of the run."""
    job.work.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, BOOT_ATTEMPTS + 1):
        folder = Path(tempfile.mkdtemp(prefix=f"{job.kernel}-", dir=job.work))
        guest = Guest(cache, job, folder)
        try:
            in_time = guest.wait()
        except NoBanner:
            say(f"boot {attempt} of {BOOT_ATTEMPTS} never printed its banner: {folder}")
            continue
        finally:
            guest.end()
        keep = True
        try:
            status = 0 if job.interactive else judge(guest, in_time)
            keep = status != 0 or job.keep
        finally:
            if keep:
                say(f"logs are in {folder}")
            else:
                shutil.rmtree(folder)
        return status
    raise LabError(
        f"{BOOT_ATTEMPTS} boots of {job.kernel} never printed their banner{guest.last_words()}"
    )
