#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The example that forwards DPDK's packets, between two cables: what goes in on one side comes out
on the other as it was.

Run as: test_net_mbuf.py PATH_OF_WEIR PATH_OF_L2FWD [unittest arguments]
"""

import os
import subprocess
import sys
import unittest

# Nothing is written beside the tests.
sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
from cli_case import LIMIT
from net_case import NetCase, parse

L2FWD = sys.argv.pop(1)
EAL = ("--no-pci", "--no-huge", "--no-shconf", "--no-telemetry", "-l", "0", "--")


class Mbufs(NetCase):
    def l2fwd(self, *ports):
        # EAL's files are not where those of the machine's programs are.
        process = subprocess.Popen([L2FWD, *EAL, *ports], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE,
                                   env={**os.environ, "RUNTIME_DIRECTORY": self.folder})
        self.addCleanup(self.end, process)
        return process

    def test_both_ways(self):
        near, near_inner = self.pair("--lossless")
        far_inner, far = self.pair("--lossless", "--mac", "52:45:49:52:02:00")
        process = self.l2fwd(near_inner, far_inner)
        while process.stdout.readline() != b"forwarding\n":
            self.assertIsNone(process.poll())
        # No more than a ring holds: the example drops what the other port has no room for.
        for ports in ((near, far), (far, near)):
            frames, _, _ = self.transfer(["--size", "64-1518", "--flows", 5], count=400,
                                         ports=ports)
            self.assertEqual([(p.flow, p.sequence) for p in map(parse, frames)],
                             [(n % 5, n // 5) for n in range(400)])
        process.send_signal(2)
        _, stderr = process.communicate(timeout=LIMIT)
        self.assertEqual([line for line in stderr.decode().splitlines()
                          if not line.startswith("EAL: ")], [])
        self.assertEqual(process.returncode, 0)

    def test_bad_input(self):
        process = self.l2fwd("vfio-user:" + self.path("nothing"), "vfio-user:x")
        _, stderr = process.communicate(timeout=LIMIT)
        self.assertEqual(process.returncode, 1)
        self.assertIn(f"l2fwd: vfio-user:{self.path('nothing')}: ", stderr.decode())


if __name__ == "__main__":
    unittest.main(verbosity=2)
