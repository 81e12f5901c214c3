#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""weir net from end to end, on two emulated ports with a cable between them, whose frames are
judged here and by tcpdump.

Run as: test_net.py PATH_OF_WEIR PATH_OF_IGB_UNPLUGGED [unittest arguments]
"""

import ipaddress
import json
import os
import re
import signal
import subprocess
import sys
import time
import unittest
from collections import Counter

# Nothing is written beside the tests.
sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
from cli_case import LIMIT, errors
from net_case import FCS, WIRE_OVERHEAD, NetCase, Packet, parse, read_capture

UNPLUGGED = sys.argv.pop(1)


class Information(NetCase):
    def test_info(self):
        first, second = self.pair("--mac", "02:11:22:33:44:55")
        info = self.json("net", "info", first)
        self.assertEqual(info["address"], first)
        self.assertEqual(info["driver"], "igb")
        self.assertEqual(info["model"], "Intel 82576")
        self.assertEqual(info["mac"], "02:11:22:33:44:55")
        self.assertEqual(self.json("net", "info", second)["mac"], "02:11:22:33:44:56")
        self.assertEqual(info["link"]["speed_mbps"], 1000)
        self.assertTrue(info["link"]["up"] and info["link"]["full_duplex"])
        self.assertEqual(info["limits"]["rx_queues"], 16)
        self.assertEqual(info["limits"]["ring_multiple"], 8)
        self.assertTrue(info["capabilities"]["rss"])
        self.assertEqual(info["statistics"]["rx_packets"], 0)
        text = self.succeed("net", "info", first).decode()
        for expected in (first, "Intel 82576", "02:11:22:33:44:55", "1000 Mb/s, full duplex"):
            self.assertIn(expected, text)


class Generate(NetCase):
    def test_plain(self):
        frames, gen, dump = self.transfer([])
        self.assertEqual(len(frames), 500)
        for n, frame in enumerate(frames):
            self.assertEqual(len(frame.data), 60)
            self.assertEqual(parse(frame),
                             Packet("02:00:00:00:00:01", "52:45:49:52:00:00", None, "198.18.0.1",
                                    "198.18.0.2", 49152, 9, 0, n))
        self.assertEqual(gen["result"]["sent_bytes"], 500 * 64)
        self.assertEqual(gen["result"]["ports"][0]["tx_packets"], 500)
        self.assertEqual(gen["result"]["ports"][0]["tx_bytes"], 500 * 64)
        self.assertEqual(dump["result"]["written"], 500)
        self.assertEqual(dump["result"]["ports"][0]["rx_packets"], 500)
        self.assertEqual(dump["result"]["ports"][0]["rx_bytes"], 500 * 64)
        self.assertEqual(gen["result"]["error"], None)
        self.assertFalse(gen["result"]["interrupted"])

    def test_flows(self):
        for vary, number in (("src-port", lambda p: p.src_port - 1000),
                             ("dst-port", lambda p: p.dst_port - 2000),
                             ("src-ip", lambda p: int(ipaddress.ip_address(p.src)) & 0xFFFF),
                             ("dst-ip", lambda p: int(ipaddress.ip_address(p.dst)) & 0xFFFF)):
            with self.subTest(vary=vary):
                frames, _, _ = self.transfer(
                    ["--flows", 7, "--vary", vary, "--src-port", 1000, "--dst-port", 2000,
                     "--src-ip", "10.1.0.0", "--dst-ip", "10.2.0.0"], count=70)
                seen = [parse(frame) for frame in frames]
                self.assertEqual([(number(p), p.flow, p.sequence) for p in seen],
                                 [(n % 7, n % 7, n // 7) for n in range(70)])

    def test_queues(self):
        """Every flow is one thread's, and in its order."""
        frames, gen, _ = self.transfer(["--flows", 10, "--queues", 4, "--size", "64-1518"],
                                       count=1003)
        seen = [parse(frame) for frame in frames]
        self.assertEqual(len(seen), 1003)
        for flow in range(10):
            sequences = [p.sequence for p in seen if p.flow == flow]
            self.assertEqual(sequences, list(range(len(sequences))))
        self.assertEqual(gen["parameters"]["queues"], 4)

    def test_sizes(self):
        frames, _, _ = self.transfer(["--size", "imix"], count=1200)
        self.assertEqual(Counter(frame.wire_bytes + FCS for frame in frames),
                         {64: 700, 594: 400, 1518: 100})
        frames, _, _ = self.transfer(["--size", "100-110", "--seed", 9], count=1000)
        self.assertEqual({frame.wire_bytes + FCS for frame in frames}, set(range(100, 111)))
        for frame in frames:
            parse(frame)
        frames, _, _ = self.transfer(["--size", "9018", "--mtu", 9000], ["--mtu", 9000])
        self.assertEqual({len(frame.data) for frame in frames}, {9014})
        self.assertEqual(len(frames), 500)

    def test_ipv6_and_vlan(self):
        frames, _, _ = self.transfer(
            ["--src-ip", "2001:db8::1", "--dst-ip", "2001:db8::ffff:ffff", "--vlan", 4094,
             "--size", "86-200", "--src-mac", "02:00:00:00:00:0a", "--dst-mac",
             "02:00:00:00:00:0b"])
        for n, frame in enumerate(frames):
            packet = parse(frame)
            self.assertEqual(packet[:8], ("02:00:00:00:00:0b", "02:00:00:00:00:0a", 4094,
                                          "2001:db8::1", "2001:db8::ffff:ffff", 49152, 9, 0))
            self.assertEqual(packet.sequence, n)
        self.assertEqual(len(frames), 500)

    def test_rates(self):
        """Never over the rate, whatever else the machine does."""
        sender, _ = self.pair()
        for rate, cost, size in (("2000pps", 1, 64), ("2Mbps", (64 + WIRE_OVERHEAD) * 8, 64),
                                 ("0.5%", (1518 + WIRE_OVERHEAD) * 8, 1518)):
            with self.subTest(rate=rate):
                number = {"2000pps": 2000, "2Mbps": 2e6, "0.5%": 5e6}[rate]
                output = self.json("net", "gen", sender, "--rate", rate, "--size", size, "--time", 1)
                result = output["result"]
                self.assertLessEqual(result["sent"] * cost,
                                     number * (result["seconds"] + 0.2) + 2 * cost)
                self.assertGreater(result["sent"], 0)
                self.assertEqual(output["parameters"]["rate"], rate)

    def test_table(self):
        sender, _ = self.pair()
        text = self.succeed("net", "gen", sender, "--rate", "1000pps", "--time", 1.2, "--interval",
                            0.5).decode()
        self.assertIn(f"port 0: {sender}, Intel 82576, 52:45:49:52:00:00, 1000 Mb/s", text)
        self.assertIn("198.18.0.1 to 198.18.0.2, 1 flow, size 64, rate 1000pps\n", text)
        self.assertRegex(text, r"\n  seconds port       rx pps    rx Mb/s       tx pps")
        self.assertEqual(len(re.findall(r"^ +\d\.\d +0 ", text, re.M)), 2, text)
        self.assertRegex(text, r"\n\d+ packets sent, \d+ pps, [\d.]+ Mb/s on the wire; 0 received\n$")

    def test_intervals_add_up(self):
        sender, _ = self.pair()
        result = self.json("net", "gen", sender, "--rate", "1000pps", "--time", 1, "--interval",
                           0.1)["result"]
        total = sum(row["ports"][0]["tx_packets"] for row in result["intervals"])
        self.assertGreaterEqual(len(result["intervals"]), 2)
        self.assertLessEqual(total, result["ports"][0]["tx_packets"])
        self.assertGreaterEqual(total, result["ports"][0]["tx_packets"] - 1000)
        ends = [row["end"] for row in result["intervals"]]
        self.assertEqual(ends, sorted(ends))

    def test_interrupted(self):
        sender, _ = self.pair()
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(signal=number):
                process = self.start("net", "gen", sender, "--time", 1000, "--json")
                self.wait_for_load(process)
                process.send_signal(number)
                stdout, stderr = process.communicate(timeout=LIMIT)
                self.assertEqual(errors(stderr.decode()), [])
                self.assertEqual(process.returncode, 0)
                result = json.loads(stdout)["result"]
                self.assertTrue(result["interrupted"])
                self.assertGreater(result["sent"], 0)
                self.assertEqual(result["sent"], result["ports"][0]["tx_packets"])

    def test_port_that_goes(self):
        server = self.serve("igb", "--null")
        process = self.start("net", "gen", server.address, "--time", 1000, "--json")
        self.wait_for_load(process)
        server.kill()
        stdout, stderr = process.communicate(timeout=LIMIT)
        result = json.loads(stdout)["result"]
        self.assertEqual(process.returncode, 1)
        self.assertEqual(errors(stderr.decode()), ["weir: net gen: " + result["error"]])
        self.assertTrue(result["error"].startswith(server.address + ": "), result["error"])


class Dump(NetCase):
    def test_tcpdump_reads_it(self):
        frames, _, _ = self.transfer(["--size", "64-1518", "--flows", 3], count=300)
        done = subprocess.run(["tcpdump", "-nn", "-vv", "-r", self.path("seen.pcap")],
                              capture_output=True, timeout=LIMIT, check=True)
        text = done.stdout.decode()
        self.assertEqual(text.count("[udp sum ok]"), 300)
        self.assertNotIn("bad", text)
        self.assertEqual(text.count("198.18.0.1.49153 > 198.18.0.2.9"), 100)
        self.assertLess(abs(frames[0].seconds - time.time()), 3600)

    def test_filter(self):
        frames, _, dump = self.transfer(["--flows", 5], ["--filter", "udp src port 49154"])
        self.assertEqual({parse(frame).flow for frame in frames}, {2})
        self.assertEqual(len(frames), 100)
        self.assertEqual(dump["result"]["received"], 500)
        self.assertEqual(dump["result"]["written"], 100)
        self.assertEqual(dump["parameters"]["filter"], "udp src port 49154")

    def test_limits(self):
        frames, _, dump = self.transfer(["--size", "200"], ["--count", 50, "--snaplen", 70])
        self.assertEqual(len(frames), 50)
        self.assertEqual({len(frame.data) for frame in frames}, {70})
        self.assertEqual({frame.wire_bytes for frame in frames}, {196})
        self.assertEqual(dump["result"]["written_bytes"], 50 * 70)

    def test_only_own(self):
        ports = self.pair("--lossless")
        frames, _, _ = self.transfer([], ["--only-own"], ports=ports)
        self.assertEqual(frames, [])
        frames, _, _ = self.transfer(["--dst-mac", "52:45:49:52:00:01"], ["--only-own"],
                                     ports=ports)
        self.assertEqual(len(frames), 500)

    def test_pipe(self):
        """Somebody who reads along sees frames before the end."""
        sender, receiver = self.pair()
        dump = self.start("net", "dump", receiver, "--to", "-")
        self.wait_for_load(dump)
        self.json("net", "gen", sender, "--count", 10)
        data = b""
        while len(data) < 24 + 10 * 76:
            data += os.read(dump.stdout.fileno(), 4096)
        self.assertEqual([parse(frame).sequence for frame in read_capture(data)], list(range(10)))
        self.assertEqual(self.interrupt(dump), b"")

    def test_reader_that_goes_away(self):
        sender, receiver = self.pair()
        dump = self.start("net", "dump", receiver, "--to", "-")
        self.wait_for_load(dump)
        dump.stdout.close()
        self.json("net", "gen", sender, "--count", 10)
        self.assertEqual(dump.wait(LIMIT), 1)
        self.assertEqual(errors(dump.stderr.read().decode()),
                         ["weir: net dump: cannot write to standard output: Broken pipe"])

    def test_port_that_goes(self):
        """What was captured until then is kept."""
        sender, receiver = self.pair()
        file = self.path("kept.pcap")
        dump = self.start("net", "dump", receiver, "--to", file, "--json")
        self.wait_for_load(dump)
        self.json("net", "gen", sender, "--count", 10)
        self.assertFalse(os.path.exists(file))
        time.sleep(0.5)
        self.server.kill()
        stdout, stderr = dump.communicate(timeout=LIMIT)
        self.assertEqual(dump.returncode, 1)
        self.assertEqual(errors(stderr.decode()),
                         ["weir: net dump: " + json.loads(stdout)["result"]["error"]])
        with open(file, "rb") as opened:
            self.assertEqual(len(read_capture(opened.read())), 10)

    def test_existing_file(self):
        _, receiver = self.pair()
        file = self.make("there.pcap", b"precious")
        self.fail_with(1, f"weir: net dump: {file} is there already; --force replaces it", "net",
                       "dump", receiver, "--to", file, "--time", 1)
        self.succeed("net", "dump", receiver, "--to", file, "--time", 0.1, "--force")
        with open(file, "rb") as opened:
            self.assertEqual(read_capture(opened.read()), [])


class Forward(NetCase):
    def forward(self, *args):
        """weir net fwd between two cables. Returns its process, and the ports at the far ends."""
        near, near_inner = self.pair("--lossless")
        far_inner, far = self.pair("--lossless", "--mac", "52:45:49:52:02:00")
        process = self.start("net", "fwd", near_inner, far_inner, *args)
        self.wait_for_load(process)
        return process, near, far

    def check(self, process, counts):
        """All that was forwarded each way."""
        result = json.loads(self.interrupt(process))["result"]
        self.assertTrue(result["interrupted"])
        self.assertIsNone(result["error"])
        for way, count in enumerate(counts):
            self.assertEqual(result["forwarded"][way],
                             {"from": way, "to": 1 - way, "packets": count, "dropped": 0})
            self.assertEqual(result["ports"][way]["rx_packets"], count)
            self.assertEqual(result["ports"][1 - way]["tx_packets"], count)
            self.assertEqual(result["ports"][way]["rx_bytes"],
                             result["ports"][1 - way]["tx_bytes"])

    def test_both_ways(self):
        process, near, far = self.forward("--json")
        for ports, count in (((near, far), 5000), ((far, near), 3000)):
            frames, _, _ = self.transfer(["--size", "68-1522", "--vlan", 7, "--flows", 3],
                                         count=count, ports=ports)
            seen = [parse(frame) for frame in frames]
            self.assertEqual([(p.flow, p.sequence) for p in seen],
                             [(n % 3, n // 3) for n in range(count)])
            self.assertEqual({p.vlan for p in seen}, {7})
        self.check(process, (5000, 3000))

    def test_queues(self):
        """Flows are spread over the queues, each keeps its order."""
        process, near, far = self.forward("--json", "--queues", 4)
        # No more than one ring holds: with several queues, one that is full drops.
        frames, _, _ = self.transfer(["--flows", 64, "--vary", "dst-ip"], count=448,
                                     ports=(near, far))
        seen = [parse(frame) for frame in frames]
        self.assertEqual(len(seen), 448)
        for flow in range(64):
            self.assertEqual([p.sequence for p in seen if p.flow == flow], list(range(7)))
        self.check(process, (448, 0))

    def test_jumbo(self):
        process, near, far = self.forward("--json", "--mtu", 9000)
        frames, _, _ = self.transfer(["--size", "64-9018", "--mtu", 9000], ["--mtu", 9000],
                                     count=1000, ports=(near, far))
        self.assertEqual([parse(frame).sequence for frame in frames], list(range(1000)))
        self.assertGreater(max(len(frame.data) for frame in frames), 8000)
        self.check(process, (1000, 0))

    def test_table(self):
        process, near, far = self.forward("--interval", 0.2)
        self.transfer([], ports=(near, far))
        text = self.interrupt(process).decode()
        self.assertRegex(text, r"^port 0: .*\nport 1: .*\n  seconds port ")
        self.assertRegex(text, r"\nafter [\d.]+ s, interrupted:\n"
                         r"port 0: received 500 packets, 32000 bytes; sent 0 packets, 0 bytes; 0 "
                         r"lost\n"
                         r"port 1: received 0 packets, 0 bytes; sent 500 packets, 32000 bytes; 0 "
                         r"lost\n"
                         r"port 0 to port 1: 500 packets forwarded, 0 dropped\n"
                         r"port 1 to port 0: 0 packets forwarded, 0 dropped\n$")

    def test_time(self):
        process, _, _ = self.forward("--json", "--time", 1)
        stdout, _ = process.communicate(timeout=LIMIT)
        self.assertEqual(process.returncode, 0)
        self.assertFalse(json.loads(stdout)["result"]["interrupted"])

    def test_port_that_goes(self):
        process, near, far = self.forward("--json")
        self.transfer([], ports=(near, far))
        self.server.kill()
        stdout, stderr = process.communicate(timeout=LIMIT)
        result = json.loads(stdout)["result"]
        self.assertEqual(process.returncode, 1)
        self.assertEqual(errors(stderr.decode()), ["weir: net fwd: " + result["error"]])
        self.assertTrue(result["error"].startswith(self.server.address), result["error"])
        self.assertEqual(result["forwarded"][0]["packets"], 500)


class BadInput(NetCase):
    def test_numbers(self):
        first, second = self.pair()
        for code, text, args in (
                (1, "MTU 9707 is out of the device's 68 to 9706", ["--mtu", 9707]),
                (1, "MTU 67 is out of the device's 68 to 9706", ["--mtu", 67]),
                (2, "mtu 0 is under the minimum of 1", ["--mtu", 0]),
                (1, "17 receive queues are over the device's 16", ["--queues", 17]),
                (2, "queues 0 is under the minimum of 1", ["--queues", 0]),
                (1, "receive ring of 100 is no multiple of 8", ["--ring", 100]),
                (1, "receive ring of 24 is out of the device's 32 to 4096", ["--ring", 24]),
                (1, "receive ring of 4104 is out of the device's 32 to 4096", ["--ring", 4104]),
                (2, "time '1m' is not a time in seconds such as 10 or 0.5", ["--time", "1m"]),
                (2, "cpu names 1 CPUs for 2 queues", ["--cpu", 0, "--queues", 2]),
                (2, "CPU 1023 is not there or not allowed here", ["--cpu", 1023])):
            with self.subTest(args=args):
                self.fail_with(code, "weir: net fwd: " + text, "net", "fwd", first, second, *args)

    def test_too_much_memory(self):
        first, second = self.pair()
        self.fail_with(2, re.compile(r"^weir: net fwd: queues, ring and MTU need \d+ MiB of "
                                     r"buffers, over the limit of 65536 MiB$"),
                       "net", "fwd", first, second, "--queues", 1024, "--ring", 65536)

    def test_ports(self):
        first, second = self.pair()
        nothing = "vfio-user:" + self.path("nothing.sock")
        nvme = self.serve("nvme", "--size", "1M")
        self.fail_with(2, f"weir: net fwd: both ports are {first}", "net", "fwd", first, first)
        self.fail_with(2, "weir: net fwd: PORT PORT is missing; see 'weir net fwd --help'", "net",
                       "fwd", first)
        self.fail_with(1, re.compile(f"^weir: net fwd: {nothing}: "), "net", "fwd", first, nothing)
        self.fail_with(1, re.compile(f"^weir: net info: .*{nvme.address}"), "net", "info",
                       nvme.address)
        process = self.start("net", "fwd", first, second)
        self.wait_for_load(process)
        for port in (first, second):
            self.fail_with(1, f"weir: net info: {port} is held by process {process.pid} (weir)",
                           "net", "info", port)
        self.interrupt(process)
        self.succeed("net", "info", first)

    def test_gen(self):
        port, _ = self.pair()
        for text, args in (
                ("rate '10' is not max nor a rate such as 1000pps, 2.5Mpps, 100Mbps or 50%",
                 ["--rate", "10"]),
                ("rate 101% is over the limit of 100%", ["--rate", "101%"]),
                ("size 63 is under the minimum of 64 bytes", ["--size", "63"]),
                ("size 1519 is over the 1518 bytes that an MTU of 1500 allows", ["--size", 1519]),
                ("size 1518 is over the 118 bytes that an MTU of 100 allows",
                 ["--size", "imix", "--mtu", 100]),
                ("size 64 is under the 66 bytes that these headers need", ["--vlan", 5]),
                ("vlan 4095 is over the limit of 4094", ["--vlan", 4095]),
                ("flows 16385 is over the 16384 ports from the first on", ["--flows", 16385]),
                ("flows 1 is under the 2 queues, of which each needs one", ["--queues", 2]),
                ("count 1 is under the 2 queues, of which each sends some",
                 ["--queues", 2, "--flows", 2, "--count", 1]),
                ("dst mac '02:0' is not an Ethernet address such as 02:00:00:00:00:01",
                 ["--dst-mac", "02:0"]),
                ("src ip '1.2.3' is not an IP address such as 192.0.2.1 or 2001:db8::1",
                 ["--src-ip", "1.2.3"]),
                ("one IP address is of version 4 and the other of version 6",
                 ["--src-ip", "2001:db8::1"]),
                ("vary 'port' is not one of src-port, dst-port, src-ip, dst-ip",
                 ["--vary", "port"])):
            with self.subTest(args=args):
                self.fail_with(2, "weir: net gen: " + text, "net", "gen", port, *args)

    def test_dump(self):
        port, _ = self.pair()
        for code, text, args in (
                (2, "--to FILE is missing; see 'weir net dump --help'", []),
                (2, "json does not go with --to -: both are standard output",
                 ["--to", "-", "--json"]),
                (1, "cannot create /nowhere/x: No such file or directory", ["--to", "/nowhere/x"]),
                (2, "snaplen 0 is under the minimum of 1", ["--to", "-", "--snaplen", 0])):
            with self.subTest(args=args):
                self.fail_with(code, "weir: net dump: " + text, "net", "dump", port, *args)
        self.fail_with(2, re.compile("^weir: net dump: filter 'udp prot 5': "), "net", "dump", port,
                       "--to", "-", "--filter", "udp prot 5")

    def test_link_down(self):
        path = self.path("unplugged.sock")
        with subprocess.Popen([UNPLUGGED, path], stdout=subprocess.PIPE) as process:
            try:
                self.assertEqual(process.stdout.readline().decode(), f"ready: vfio-user:{path}\n")
                port = "vfio-user:" + path
                self.assertFalse(self.json("net", "info", port)["link"]["up"])
                self.assertRegex(self.succeed("net", "info", port).decode(), r"link +down\n")
                for args in (["gen", port], ["dump", port, "--to", self.path("no.pcap")]):
                    self.fail_with(1, f"weir: net {args[0]}: the link of {port} is down, and did "
                                   "not come up within 0.2 s", "net", *args, "--link-wait", 0.2)
                self.assertFalse(os.path.exists(self.path("no.pcap")))
                waiting = self.start("net", "gen", port, "--link-wait", 1000)
                time.sleep(1)
                waiting.send_signal(signal.SIGINT)
                _, stderr = waiting.communicate(timeout=LIMIT)
                self.assertEqual(errors(stderr.decode()), [
                    f"weir: net gen: interrupted while the link of {port} was down"])
            finally:
                process.terminate()
                process.wait(LIMIT)


if __name__ == "__main__":
    unittest.main(verbosity=2)
