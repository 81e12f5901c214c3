# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the weir command have in common. The first argument of a program that imports
this is the command's path, and is taken out of sys.argv."""

import hashlib
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

WEIR = sys.argv.pop(1)
LIMIT = 60  # seconds that any one command may take
MIB = 1 << 20
BLOCK = 512


def run(*args, stdin=b"", env=None):
    """Runs weir to its end; returns its exit code, standard output and standard error."""
    done = subprocess.run([WEIR, *map(str, args)], input=stdin, capture_output=True, timeout=LIMIT,
                          check=False, env=env)
    return done.returncode, done.stdout, done.stderr.decode()


def errors(stderr):
    """The lines of standard error but notices, which depend on the machine."""
    return [line for line in stderr.splitlines() if not line.startswith("note: ")]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def some_bytes(count, seed):
    return random.Random(seed).randbytes(count)


class Server:
    """An emulated device in a process of its own, which `prefix` may put somewhere else."""

    def __init__(self, path, kind, *args, prefix=()):
        self.path = path
        self.address = "vfio-user:" + path
        # Not a pipe: nobody reads what it says later.
        with open(path + ".err", "wb") as stderr:
            self.process = subprocess.Popen([*prefix, WEIR, "sim", kind, "--socket", path,
                                             *map(str, args)],
                                            stdout=subprocess.PIPE, stderr=stderr)
        self.ready = self.process.stdout.readline().decode()

    def kill(self):
        self.process.kill()
        self.process.wait(LIMIT)

    def stop(self):
        """Ends it in order; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(LIMIT)
        finally:
            self.process.kill()
            self.process.stdout.close()
        return code


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="weir-cli-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.nr_servers = 0

    def path(self, name):
        return os.path.join(self.folder, name)

    def make(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data)
        return self.path(name)

    def serve(self, kind, *args, name=None, prefix=()):
        self.nr_servers += 1
        server = Server(self.path(name or f"device{self.nr_servers}.sock"), kind, *args,
                        prefix=prefix)
        self.addCleanup(server.stop)
        self.assertEqual(server.ready, f"ready: {server.address}\n")
        return server

    def succeed(self, *args, stdin=b""):
        code, stdout, stderr = run(*args, stdin=stdin)
        self.assertEqual(errors(stderr), [])
        self.assertEqual(code, 0)
        return stdout

    def fail_with(self, code, text, *args, stdin=b""):
        """The command fails with one line on standard error, which is exactly `text` or, when that
        is a pattern, matches it, and prints nothing else."""
        result, stdout, stderr = run(*args, stdin=stdin)
        self.assertEqual(stdout, b"")
        self.assertEqual(len(stderr.splitlines()), 1, stderr)
        if isinstance(text, re.Pattern):
            self.assertRegex(stderr.rstrip("\n"), text)
        else:
            self.assertEqual(stderr, text + "\n")
        self.assertEqual(result, code)

    def read_back(self, server, lba, count):
        return self.succeed("nvme", "read", server.address, "--to", "-", "--lba", lba, "--bytes",
                            count)

    def start(self, *args):
        """Starts weir in the background."""
        process = subprocess.Popen([WEIR, *map(str, args)], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        process.kill()
        process.wait(LIMIT)
        process.stdout.close()
        process.stderr.close()

    def interrupt(self, process):
        """Ends a command in order; returns its output."""
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=LIMIT)
        self.assertEqual(errors(stderr.decode()), [])
        self.assertEqual(process.returncode, 0)
        return stdout

    def wait_for_load(self, process):
        """Waits until weir nvme perf, or weir net, runs: it has a second thread then."""
        end = time.monotonic() + LIMIT
        while len(os.listdir(f"/proc/{process.pid}/task")) < 2:
            self.assertIsNone(process.poll())
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)
        time.sleep(0.5)
