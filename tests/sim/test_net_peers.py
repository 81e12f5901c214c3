#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""weir net fwd with the kernel's TCP/IP on both sides, each in a network namespace of its own:
namespace, TAP device, emulated port, weir net fwd, emulated port, TAP device, namespace.

Run as: test_net_peers.py PATH_OF_WEIR [unittest arguments]
"""

import json
import os
import re
import subprocess
import sys
import time
import unittest
from collections import namedtuple

# Nothing is written beside the tests.
sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
from cli_case import LIMIT, Case

Link = namedtuple("Link", "rx_packets rx_errors rx_dropped tx_packets tx_errors tx_dropped")


class Namespace:
    """A network namespace with the kernel's end of an emulated port's cable."""

    def __init__(self, case, number):
        self.name = f"weir-{os.getpid()}-{number}"
        self.case = case
        self.tap = f"tap{number}"
        self.ip = f"198.18.0.{number}"
        self.prefix = ("ip", "netns", "exec", self.name)
        self.host("ip", "netns", "add", self.name)
        case.addCleanup(self.host, "ip", "netns", "del", self.name)
        # Nothing is sent but what the test asks for.
        self.run("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
        self.run("ip", "link", "set", "lo", "up")
        self.port = case.serve("igb", "--tap", self.tap, "--mac", f"52:45:49:52:01:0{number}",
                               prefix=self.prefix)

    @staticmethod
    def host(*args):
        return subprocess.run(args, capture_output=True, timeout=LIMIT, check=True).stdout

    def run(self, *args):
        return self.host(*self.prefix, *args)

    def up(self):
        # Room for what comes while the port's process waits for its turn on a CPU.
        self.run("ip", "link", "set", self.tap, "txqueuelen", "30000", "up")
        self.run("ip", "addr", "add", self.ip + "/24", "dev", self.tap)

    def counters(self):
        stats = json.loads(self.run("ip", "-s", "-j", "link", "show", self.tap))[0]["stats64"]
        return Link(*(stats[way][name] for way in ("rx", "tx")
                      for name in ("packets", "errors", "dropped")))

    def full_sockets(self):
        """Datagrams that found their socket's buffer full."""
        with open(f"/proc/{self.port.process.pid}/net/snmp", encoding="ascii") as file:
            names, values = [line.split() for line in file if line.startswith("Udp:")]
        return int(dict(zip(names, values))["RcvbufErrors"])


class Peers(Case):
    fwd_args = ()

    def setUp(self):
        super().setUp()
        self.near, self.far = Namespace(self, 1), Namespace(self, 2)
        # Both ends of the path stand before the first frame is sent, so that all counters agree.
        self.fwd = self.start("net", "fwd", self.near.port.address, self.far.port.address,
                              "--json", *self.fwd_args)
        self.wait_for_load(self.fwd)
        self.near.up()
        self.far.up()

    def ping(self, count, *args):
        """So many replies at least, each to a frame of its own. None has to be quick, and while one
        is awaited ping sends more: that nothing was lost is for the counters to say."""
        output = self.near.run("ping", "-n", "-c", str(count), "-w", str(LIMIT // 2), "-i", "0.05",
                               *args, self.far.ip).decode()
        self.assertGreaterEqual(int(re.search(r" (\d+) received", output)[1]), count, output)

    def iperf(self, seconds, *args):
        # It is one of five that want two cores, and the one that must not wait for long.
        server = subprocess.Popen([*self.far.prefix, "nice", "-n", "-15", "iperf3", "-s", "-1", "-J"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.wait_for_listener(server)
            output = self.near.run("iperf3", "-J", "-c", self.far.ip, "-t", str(seconds), *args)
            return json.loads(output)["end"]
        finally:
            server.kill()
            server.wait(LIMIT)

    def wait_for_listener(self, server):
        end = time.monotonic() + LIMIT
        while b":5201" not in self.far.run("ss", "-Hltn"):
            self.assertIsNone(server.poll())
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def settle(self):
        """Waits until no frame is under way any more: no counter moves."""
        before = None
        for _ in range(100):
            now = self.near.counters(), self.far.counters()
            if now == before:
                return now
            before = now
            time.sleep(0.3)
        self.fail("frames keep coming")

    def check_counters(self):
        """Every frame that the kernel sent on one side came on the other, and nobody between
        counted anything else."""
        near, far = self.settle()
        result = json.loads(self.interrupt(self.fwd))["result"]
        ports, forwarded = result["ports"], result["forwarded"]
        print("\n", near, far, [{name: value for name, value in port.items() if value}
                                for port in ports], forwarded, file=sys.stderr)
        for source, sink, way in ((near, far, 0), (far, near, 1)):
            self.assertEqual(source.tx_errors, 0)
            self.assertEqual((sink.rx_errors, sink.rx_dropped), (0, 0))
            self.assertEqual(ports[way]["rx_packets"], source.tx_packets)
            self.assertEqual(forwarded[way], {"from": way, "to": 1 - way, "dropped": 0,
                                              "packets": source.tx_packets})
            self.assertEqual(ports[1 - way]["tx_packets"], source.tx_packets)
            self.assertEqual(sink.rx_packets, source.tx_packets)
            self.assertEqual(ports[way]["rx_bytes"], ports[1 - way]["tx_bytes"])
        for port in ports:
            for name, value in port.items():
                if re.search("missed|dropped|error|size|fragments|jabber|aborted", name):
                    self.assertEqual(value, 0, name)

    def test_ping(self):
        self.ping(20)
        self.ping(20, "-s", "1472", "-M", "do")
        self.check_counters()

    def test_streams(self):
        self.ping(1)
        tcp = self.iperf(3)["sum_received"]["bits_per_second"]
        full = self.far.full_sockets()
        refused = self.near.counters().tx_dropped
        udp = self.iperf(10, "-u", "-b", str(int(tcp / 2)), "-l", "1448", "-w",
                         str(largest_buffer()))["sum"]
        full = self.far.full_sockets() - full
        refused = self.near.counters().tx_dropped - refused
        print(f"\nTCP {tcp / 1e6:.0f} Mbit/s; UDP {udp['bits_per_second'] / 1e6:.0f} Mbit/s, "
              f"{udp['lost_packets']} of {udp['packets']} datagrams lost: {refused} before the "
              f"first port, {full} at iperf3's full socket", file=sys.stderr)
        self.assertGreater(udp["packets"], 1000)
        self.check_counters()
        # A machine that is busy with something else loses some outside of the path, and knows it;
        # iperf3 does not miss those that come after its last.
        self.assertLessEqual(udp["lost_packets"], refused + full)


def largest_buffer():
    """Bytes that a socket may ask for."""
    with open("/proc/sys/net/core/rmem_max", encoding="ascii") as file:
        return int(file.read())


def needs():
    """What the tests in namespaces lack here, or None."""
    if os.geteuid():
        return "network namespaces and TAP devices need root"
    if not os.path.exists("/dev/net/tun"):
        return "there is no /dev/net/tun"
    return None


if __name__ == "__main__":
    if needs():
        print(needs())
        sys.exit(77)
    unittest.main(verbosity=2)
