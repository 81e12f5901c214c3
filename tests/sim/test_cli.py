#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The weir command from end to end, against emulated devices that it serves in other processes.

Run as: test_cli.py PATH_OF_WEIR [unittest arguments]
"""

import json
import os
import pty
import re
import signal
import socket as sockets
import struct
import subprocess
import sys
import time
import unittest

# Nothing is written beside the tests.
sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
from cli_case import BLOCK, LIMIT, MIB, WEIR, Case, errors, run, sha256, some_bytes


class Basics(Case):
    def test_version_and_help(self):
        self.assertRegex(self.succeed("--version").decode(), r"^weir \d+\.\d+\.\d+\n$")
        text = self.succeed("help").decode()
        self.assertEqual(text, self.succeed("--help").decode())
        commands = re.findall(r"^  ([a-z0-9]+(?: [a-z0-9]+)?)  +\S", text, re.M)
        self.assertEqual(len(commands), 18, text)
        for command in commands:
            words = command.split()
            text = self.succeed(*words, "--help").decode()
            self.assertIn("Usage: weir " + command, text)
            self.assertIn("\nExamples:\n  weir " + command, text)
            self.assertEqual(text, self.succeed("help", *words).decode())
        self.assertIn("nvme perf", self.succeed("nvme", "--help").decode())

    def test_usage(self):
        for args, text in (
                ([], "weir: a command is missing; 'weir help' lists them"),
                (["frob"], "weir: unknown command 'frob'; 'weir help' lists them"),
                (["nvme"], "weir: 'nvme' needs a command; 'weir help nvme' lists them"),
                (["nvme", "frob"], "weir: unknown command 'nvme frob'; 'weir help nvme' lists them"),
                (["help", "frob"], "weir: unknown command 'frob'; 'weir help' lists them"),
                (["ls", "--frob"], "weir: ls: unknown option '--frob'"),
                (["nvme", "perf"], "weir: nvme perf: DEV is missing; see 'weir nvme perf --help'"),
                (["nvme", "info", "a", "b"], "weir: nvme info: unexpected argument 'b'"),
                (["nvme", "read", "a"],
                 "weir: nvme read: --to FILE is missing; see 'weir nvme read --help'"),
                (["sim", "nvme"],
                 "weir: sim nvme: --socket PATH is missing; see 'weir sim nvme --help'"),
                (["doctor", "--json=yes"], "weir: doctor: option '--json' takes no value")):
            with self.subTest(args=args):
                self.fail_with(2, text, *args)

    def test_output_that_cannot_be_written(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([WEIR, "help"], stdout=full, stderr=subprocess.PIPE,
                                  timeout=LIMIT, check=False)
        self.assertEqual(done.stderr, b"weir: cannot write to standard output\n")
        self.assertEqual(done.returncode, 1)

    def test_doctor(self):
        code, stdout, stderr = run("doctor", "--json")
        findings = json.loads(stdout)["findings"]
        self.assertGreaterEqual(len(findings), 5)
        for finding in findings:
            self.assertEqual(set(finding), {"id", "severity", "blocks", "text", "fix"})
            self.assertIn(finding["severity"], ("ok", "note", "problem"))
        blocked = any(finding["blocks"] == "all" for finding in findings)
        self.assertEqual(code, int(blocked), stderr)

    def test_doctor_exit_code(self):
        os.makedirs(self.path("proc"))
        self.make("proc/meminfo", b"MemAvailable: 1024 kB\n")
        code, stdout, stderr = run("doctor", "--root", self.folder)
        self.assertEqual(code, 1)
        self.assertIn(b"problem  1 MiB of memory are available", stdout)
        self.assertEqual(len(stderr.splitlines()), 1)

    def test_ls_without_devices(self):
        self.assertEqual(self.succeed("ls", "--root", self.folder).count(b"\n"), 1)
        self.assertEqual(json.loads(self.succeed("ls", "--root", self.folder, "--json")), [])


class Information(Case):
    def test_ls(self):
        nvme = self.serve("nvme", "--size", "1M")
        membar = self.serve("membar", "--size", "1M")
        rows = json.loads(self.succeed("ls", "--json", nvme.address, membar.address))
        self.assertEqual([row["address"] for row in rows], [nvme.address, membar.address])
        self.assertEqual([row["class"] for row in rows], [0x010802, 0x050000])
        self.assertEqual([row["driver"] for row in rows], ["vfio-user"] * 2)
        self.assertIn(b"NVMe controller", self.succeed("ls", nvme.address))

    def test_info(self):
        server = self.serve("nvme", "--size", "8M", "--lba-size", "4K", "--namespaces", 2,
                            "--queues", 3, "--mqes", 64, "--dstrd", 2, "--write-cache",
                            "--read-only", "--cmb", "64K", "--mdts", 5, "--serial", "A 1")
        info = json.loads(self.succeed("nvme", "info", server.address, "--json"))
        self.assertEqual(info["address"], server.address)
        self.assertEqual(info["serial"], "A 1")
        self.assertEqual(info["queues"], 3)
        self.assertEqual(info["max_queue_entries"], 64)
        self.assertEqual(info["doorbell_stride"], 16)
        self.assertEqual(info["max_transfer"], 4096 << 5)
        self.assertTrue(info["volatile_write_cache"])
        self.assertEqual([ns["id"] for ns in info["namespaces"]], [1, 2])
        for namespace in info["namespaces"]:
            self.assertEqual(namespace["block_size"], 4096)
            self.assertEqual(namespace["bytes"], 4 * MIB)
            self.assertTrue(namespace["read_only"])
        self.assertIn(info["serial"].encode(), self.succeed("nvme", "info", server.address))


class ReadAndWrite(Case):
    def round_trip(self, server, count, lba, *args):
        data = some_bytes(count, count + lba)
        source = self.make("source", data)
        target = self.path("target")
        stdout = self.succeed("nvme", "write", server.address, "--from", source, "--lba", lba,
                              "--yes", *args)
        self.assertIn(b"serial", stdout)
        self.succeed("nvme", "read", server.address, "--to", target, "--lba", lba, "--bytes", count,
                     "--force", *args)
        with open(target, "rb") as file:
            self.assertEqual(sha256(file.read()), sha256(data))

    def test_round_trips(self):
        server = self.serve("nvme", "--size", "16M")
        for count, lba in ((BLOCK, 0), (BLOCK, 16 * MIB // BLOCK - 1), (3 * MIB + BLOCK, 7),
                           (16 * MIB, 0)):
            for depth in (1, 32):
                with self.subTest(count=count, lba=lba, depth=depth):
                    self.round_trip(server, count, lba, "--queue-depth", depth)
        self.assertEqual(server.stop(), 0)

    def test_shapes(self):
        """Whatever the controller looks like, the data is right."""
        for shape in (["--lba-size", "4K"], ["--mdts", 1], ["--noiob", 9], ["--no-sgl"],
                      ["--trap-doorbells"], ["--no-shadow-doorbells"], ["--mqes", 5],
                      ["--dstrd", 0], ["--mpsmin", 1], ["--no-mmap-dma"], ["--write-cache"],
                      ["--queues", 1], ["--cmb", "1M"], ["--spin-us", 1]):
            with self.subTest(shape=shape):
                server = self.serve("nvme", "--size", "4M", *shape)
                self.round_trip(server, MIB + 4096, 3)
                self.assertEqual(server.stop(), 0)

    def test_file_backing(self):
        backing = self.make("disk", bytes(2 * MIB))
        server = self.serve("nvme", "--file", backing, "--write-cache")
        self.round_trip(server, MIB, 512)
        self.assertEqual(server.stop(), 0)
        with open(backing, "rb") as file:
            contents = file.read()
        self.assertEqual(len(contents), 2 * MIB)
        self.assertEqual(sha256(contents[512 * BLOCK:512 * BLOCK + MIB]),
                         sha256(some_bytes(MIB, MIB + 512)))
        self.assertEqual(contents[:512 * BLOCK], bytes(512 * BLOCK))

    def test_namespaces(self):
        server = self.serve("nvme", "--size", "4M", "--namespaces", 2)
        self.round_trip(server, 2 * MIB, 0, "--namespace", 2)
        self.assertEqual(self.read_back(server, 0, 2 * MIB), bytes(2 * MIB))

    def test_streams(self):
        server = self.serve("nvme", "--size", "4M")
        data = some_bytes(MIB, 1)
        self.succeed("nvme", "write", server.address, "--from", "-", "--bytes", "1M", "--yes",
                     stdin=data + b"more")
        self.assertEqual(self.read_back(server, 0, MIB), data)
        self.assertEqual(self.read_back(server, 2048, BLOCK), bytes(BLOCK))

    def test_slow_stream(self):
        """A pipe that gives odd pieces with pauses."""
        server = self.serve("nvme", "--size", "4M")
        data = some_bytes(8 * BLOCK, 2)
        process = subprocess.Popen([WEIR, "nvme", "write", server.address, "--from", "-", "--bytes",
                                    str(len(data)), "--yes"], stdin=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL)
        for start in range(0, len(data), 1000):
            process.stdin.write(data[start:start + 1000])
            process.stdin.flush()
            time.sleep(0.05)
        process.stdin.close()
        self.assertEqual(process.wait(LIMIT), 0)
        self.assertEqual(self.read_back(server, 0, len(data)), data)

    def test_whole_namespace(self):
        server = self.serve("nvme", "--size", "1M")
        target = self.path("target")
        self.succeed("nvme", "read", server.address, "--to", target, "--lba", 1)
        self.assertEqual(os.path.getsize(target), MIB - BLOCK)

    def test_confirmation(self):
        """Without --yes the device is named, and nothing is written."""
        server = self.serve("nvme", "--size", "1M")
        source = self.make("source", some_bytes(BLOCK, 1))
        info = json.loads(self.succeed("nvme", "info", server.address, "--json"))
        self.fail_with(2, "weir: nvme write: this overwrites 1 blocks from LBA 5 of namespace 1 of "
                       f"{server.address} ({info['model']}, serial {info['serial']}); --yes does it",
                       "nvme", "write", server.address, "--from", source, "--lba", 5)
        self.fail_with(2, "weir: nvme perf: this destroys what is on namespace 1 of "
                       f"{server.address} ({info['model']}, serial {info['serial']}); --yes does it",
                       "nvme", "perf", server.address, "--rw", "randwrite")
        self.assertEqual(self.read_back(server, 0, MIB), bytes(MIB))

    def test_half_files_do_not_stay(self):
        server = self.serve("nvme", "--size", "8M", "--fault", "status=0x281,status-every=20")
        target = self.path("target")
        before = set(os.listdir(self.folder))
        code, _, stderr = run("nvme", "read", server.address, "--to", target)
        self.assertEqual(code, 1)
        self.assertRegex("\n".join(errors(stderr)),
                         r"^weir: nvme read: read of 256 blocks at LBA \d+: .+$")
        self.assertEqual(set(os.listdir(self.folder)), before)

    def test_interrupted_read(self):
        server = self.serve("nvme", "--size", "8M", "--fault", "delay-every=1,delay-us=200000")
        before = set(os.listdir(self.folder))
        process = self.start("nvme", "read", server.address, "--to", self.path("target"),
                             "--queue-depth", 1)
        self.wait_for_temporary(before)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(LIMIT), 1)
        self.assertRegex(process.stderr.read().decode(),
                         r"(?m)^weir: nvme read: interrupted after \d+ of 8388608 bytes$")
        self.assertEqual(set(os.listdir(self.folder)), before)

    def test_reader_that_goes_away(self):
        """A closed pipe is a failed write; the controller is shut down in order."""
        server = self.serve("nvme", "--size", "8M")
        process = self.start("nvme", "read", server.address, "--to", "-")
        process.stdout.read(10)
        process.stdout.close()
        self.assertEqual(process.wait(LIMIT), 1)
        self.assertEqual(errors(process.stderr.read().decode()),
                         ["weir: nvme read: cannot write to standard output: Broken pipe"])

    def test_progress(self):
        """Long work shows how far it is, on a terminal."""
        server = self.serve("nvme", "--size", "4M", "--fault", "delay-every=1,delay-us=50000")
        terminal, stderr = pty.openpty()
        self.addCleanup(os.close, terminal)
        process = subprocess.Popen([WEIR, "nvme", "read", server.address, "--to", "/dev/null",
                                    "--force", "--queue-depth", "1"], stderr=stderr)
        os.close(stderr)
        self.assertEqual(process.wait(LIMIT), 0)
        self.assertRegex(os.read(terminal, 100000).decode(),
                         r"\r\x1b\[K\d+\.\d [KM]iB of 4\.0 MiB, \d+\.\d MB/s")

    def wait_for_temporary(self, before):
        end = time.monotonic() + LIMIT
        while set(os.listdir(self.folder)) == before:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)


class BadInput(Case):
    def test_devices(self):
        nothing = self.path("nothing.sock")
        self.fail_with(1, re.compile(rf"^weir: nvme info: vfio-user:{nothing}: .*no such socket"),
                       "nvme", "info", "vfio-user:" + nothing)
        plain = self.make("plain", b"")
        self.fail_with(1, re.compile(rf"^weir: nvme info: vfio-user:{plain}: "), "nvme", "info",
                       "vfio-user:" + plain)
        self.fail_with(1, re.compile(r'^weir: nvme info: "frob" is neither '), "nvme", "info",
                       "frob")
        self.fail_with(1, re.compile(r"^weir: nvme info: 0000:ff:1f\.7"), "nvme", "info",
                       "0000:ff:1f.7")

    def test_dead_socket(self):
        """The socket of a server that was killed: nobody listens, and it can be served again."""
        server = self.serve("nvme", "--size", "1M")
        server.kill()
        self.fail_with(1, re.compile(rf"^weir: nvme info: {server.address}: "), "nvme", "info",
                       server.address)
        server = self.serve("nvme", "--size", "1M", name=os.path.basename(server.path))
        self.succeed("nvme", "info", server.address)

    def test_not_nvme(self):
        server = self.serve("membar", "--size", "1M")
        self.fail_with(1, re.compile(r"^weir: nvme info: .*class"), "nvme", "info", server.address)

    def test_io_limits(self):
        server = self.serve("nvme", "--size", "1M", "--mqes", 64, "--queues", 2, "--mdts", 4)
        for code, text, args in (
                (2, "queue depth 0 is under the minimum of 1", ["--queue-depth", 0]),
                (2, "queue depth 5000 is over the limit of 4095", ["--queue-depth", 5000]),
                (2, "queue depth '12x' is not a number such as 17 or 0x11",
                 ["--queue-depth", "12x"]),
                (2, "queue depth '-1' is not a number such as 17 or 0x11", ["--queue-depth=-1"]),
                (1, "queue depth 64 is over the controller's 63", ["--queue-depth", 64]),
                (1, "queues 3 is over the 2 that the controller grants", ["--queues", 3]),
                (2, "queues 0 is under the minimum of 1", ["--queues", 0]),
                (1, "io size 1000 is no multiple of the 512-byte blocks of namespace 1",
                 ["--io-size", 1000]),
                (1, "io size 131072 is over the controller's limit of 65536 bytes",
                 ["--io-size", "128K"]),
                (2, "io size 4194304 is over the limit of 2097152 bytes", ["--io-size", "4M"]),
                (2, "rw 'frob' is not one of read, write, randread, randwrite, randrw",
                 ["--rw", "frob"]),
                (2, "rwmix 101 is over the limit of 100", ["--rwmix", 101]),
                (2, "time 'soon' is not a time in seconds such as 10 or 0.5", ["--time", "soon"]),
                (2, "namespace 0 is under the minimum of 1", ["--namespace", 0]),
                (1, f"{server.address} has no active namespace 2 (its highest possible id is 1)",
                 ["--namespace", 2]),
                (2, "cpu '0-' is not a list of CPUs such as 0,2-5", ["--cpu", "0-"]),
                (2, "CPU 1023 is not there or not allowed here", ["--cpu", "1023"]),
                (2, "cpu names 1 CPUs for 2 queues", ["--cpu", "0", "--queues", 2]),
                (2, "verify does not go with randrw: randwrite reads each write back",
                 ["--verify", "--rw", "randrw", "--yes"])):
            with self.subTest(args=args):
                self.fail_with(code, "weir: nvme perf: " + text, "nvme", "perf", server.address,
                               *args)

    def test_namespace_too_small(self):
        server = self.serve("nvme", "--size", "4K")
        self.fail_with(1, "weir: nvme perf: namespace 1 has 4096 bytes, less than one I/O of 4096 "
                       "bytes for each queue", "nvme", "perf", server.address, "--queues", 2)

    def test_too_much_memory(self):
        server = self.serve("nvme", "--size", "1M")
        self.fail_with(2, re.compile(r"^weir: nvme perf: queues, queue depth and I/O size need "
                                     r"\d+ MiB of buffers, over the limit of 65536 MiB$"),
                       "nvme", "perf", server.address, "--queues", 1024, "--queue-depth", 4095,
                       "--io-size", "2M")

    def test_reads(self):
        server = self.serve("nvme", "--size", "1M")
        there = self.make("there", b"precious")
        for code, text, args in (
                (1, "bytes 100 is no multiple of the 512-byte blocks of namespace 1",
                 ["--bytes", 100]),
                (2, "bytes 0 is under the minimum of 1 bytes", ["--bytes", 0]),
                (1, "LBA 2048 + 1 is past the end of namespace 1, which has 2048 blocks of 512 "
                 "bytes", ["--lba", 2048]),
                (1, "LBA 2047 + 2 is past the end of namespace 1, which has 2048 blocks of 512 "
                 "bytes", ["--lba", 2047, "--bytes", "1K"]),
                (1, "LBA 18446744073709551615 + 1 is past the end of namespace 1, which has 2048 "
                 "blocks of 512 bytes", ["--lba", 18446744073709551615, "--bytes", 512]),
                (2, "lba 18446744073709551616 is over the limit of 18446744073709551615",
                 ["--lba", 18446744073709551616])):
            with self.subTest(args=args):
                self.fail_with(code, "weir: nvme read: " + text, "nvme", "read", server.address,
                               "--to", self.path("target"), *args)
        self.fail_with(1, f"weir: nvme read: {there} is there already; --force replaces it",
                       "nvme", "read", server.address, "--to", there)
        self.fail_with(1, f"weir: nvme read: cannot create {self.folder}/no/file: No such file or "
                       "directory", "nvme", "read", server.address, "--to",
                       self.path("no/file"))
        self.assertFalse(os.path.exists(self.path("target")))
        with open(there, "rb") as file:
            self.assertEqual(file.read(), b"precious")

    def test_writes(self):
        """Nothing is written by any of these."""
        server = self.serve("nvme", "--size", "1M")
        odd = self.make("odd", some_bytes(1000, 1))
        large = self.make("large", some_bytes(MIB + BLOCK, 2))
        small = self.make("small", some_bytes(BLOCK, 3))
        empty = self.make("empty", b"")
        end = "which has 2048 blocks of 512 bytes"
        for code, text, args in (
                (1, f"cannot open {self.path('none')}: No such file or directory",
                 ["--from", self.path("none")]),
                (1, f"{self.folder} is a folder", ["--from", self.folder]),
                (1, f"{empty} is empty", ["--from", empty]),
                (1, f"{odd}: size 1000 is no multiple of the 512-byte blocks of namespace 1",
                 ["--from", odd]),
                (1, f"LBA 0 + 2049 is past the end of namespace 1, {end}", ["--from", large]),
                (1, f"LBA 2048 + 1 is past the end of namespace 1, {end}",
                 ["--from", small, "--lba", 2048]),
                (1, f"bytes 1024 is over the 512 bytes of {small}",
                 ["--from", small, "--bytes", 1024]),
                (2, "standard input has no size of its own: --bytes N is needed", ["--from", "-"]),
                (1, f"LBA 0 + 4096 is past the end of namespace 1, {end}",
                 ["--from", "-", "--bytes", "2M"])):
            with self.subTest(args=args):
                self.fail_with(code, "weir: nvme write: " + text, "nvme", "write", server.address,
                               "--yes", *args)
        self.assertEqual(self.read_back(server, 0, MIB), bytes(MIB))

    def test_unreadable(self):
        """Permissions do not stop root, so this is a link to itself."""
        server = self.serve("nvme", "--size", "1M")
        os.symlink("loop", self.path("loop"))
        self.fail_with(1, f"weir: nvme write: cannot open {self.path('loop')}: Too many levels of "
                       "symbolic links", "nvme", "write", server.address, "--from",
                       self.path("loop"), "--yes")

    def test_read_only(self):
        server = self.serve("nvme", "--size", "1M", "--read-only")
        source = self.make("source", bytes(BLOCK))
        text = f"namespace 1 of {server.address} is read-only"
        self.fail_with(1, "weir: nvme write: " + text, "nvme", "write", server.address, "--from",
                       source, "--yes")
        self.fail_with(1, "weir: nvme perf: " + text, "nvme", "perf", server.address, "--rw",
                       "write", "--yes")

    def test_control_characters(self):
        """An argument cannot make more than one line of a message."""
        self.fail_with(2, "weir: unknown command 'a?b'; 'weir help' lists them", "a\nb")

    def test_servers(self):
        socket = self.path("x.sock")
        for text, args in (
                (r"size 'big' is not a size", ["--size", "big"]),
                (r"file and null exclude each other", ["--file", "x", "--null"]),
                (r"size does not go with file", ["--file", "x", "--size", "1M"]),
                (r"queues 65 is over the limit of 64", ["--queues", 65]),
                (r'fault "frob=1" is not one of ', ["--fault", "frob=1"]),
                (r"CPU 1023 is not there", ["--cpu", 1023])):
            with self.subTest(args=args):
                self.fail_with(2, re.compile("^weir: sim nvme: " + text), "sim", "nvme", "--socket",
                               socket, *args)
        self.fail_with(1, re.compile(r"^weir: sim nvme: .*No such file"), "sim", "nvme", "--socket",
                       socket, "--file", self.path("none"))
        server = self.serve("nvme", "--size", "1M")
        self.fail_with(1, re.compile(r"^weir: sim nvme: "), "sim", "nvme", "--socket", server.path)
        plain = self.make("plain", b"precious")
        self.fail_with(1, re.compile(r"^weir: sim membar: "), "sim", "membar", "--socket", plain)
        self.assertTrue(os.path.exists(plain))
        self.assertFalse(os.path.exists(socket))

    def test_network_controller(self):
        socket, peer = self.path("a.sock"), self.path("b.sock")
        text = self.make("text", b"this is no capture file, but long enough")
        for code, said, args in (
                (2, "the cable has one other end: peer, tap, tap-fd, pcap or null, not 0", []),
                (2, "the cable has one other end: peer, tap, tap-fd, pcap or null, not 2",
                 ["--null", "--tap", "x"]),
                (2, "lossless goes with peer only", ["--null", "--lossless"]),
                (2, 'mac: "52:45:49:52:00:0" is no address', ["--null", "--mac", "52:45:49:52:00:0"]),
                (2, 'mac: "52:45:49:52:00: 0" is no', ["--null", "--mac", "52:45:49:52:00: 0"]),
                (1, "address 01:00:00:00:00:00 is a group's",
                 ["--null", "--mac", "01:00:00:00:00:00"]),
                (2, 'fault "frob=1" is not one of crc-every ', ["--null", "--fault", "frob=1"]),
                (1, "TAP device \"averyveryverylongname\": a name has 1 to 15 characters",
                 ["--tap", "averyveryverylongname"]),
                (1, "descriptor 0 is no TAP device's", ["--tap-fd", 0]),
                (1, f"{text} is no pcap file: it begins with ", ["--pcap-in", text]),
                (1, "/nowhere/x: No such file", ["--pcap-out", "/nowhere/x"])):
            with self.subTest(args=args):
                self.fail_with(code, re.compile("^weir: sim igb: " + re.escape(said)), "sim", "igb",
                               "--socket", socket, *args)
        server = self.serve("igb", "--peer", peer, name="a.sock")
        self.assertTrue(os.path.exists(peer))
        self.assertEqual(server.process.stdout.readline().decode(), f"ready: vfio-user:{peer}\n")
        self.assertEqual(server.stop(), 0)
        self.assertFalse(os.path.exists(socket) or os.path.exists(peer))


class Client:
    """A client of the vfio-user protocol that answers nothing by itself."""
    VERSION, DMA_MAP, REGION_READ, REGION_WRITE, DMA_READ = 1, 2, 9, 10, 11
    REPLY = 1

    def __init__(self, path):
        self.socket = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
        self.socket.settimeout(LIMIT)
        self.socket.connect(path)
        self.call(self.VERSION, struct.pack("<HH", 0, 1))

    def close(self):
        self.socket.close()

    def send(self, command, payload, flags=0, number=1):
        self.socket.sendall(struct.pack("<HHIII", number, command, 16 + len(payload), flags, 0) +
                            payload)

    def take(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise ConnectionResetError("the server is gone")
            data += part
        return data

    def receive(self):
        """The next message: its id, command, flags and payload."""
        number, command, size, flags, error = struct.unpack("<HHIII", self.take(16))
        if error:
            raise OSError(error, os.strerror(error))
        return number, command, flags, self.take(size - 16)

    def call(self, command, payload):
        self.send(command, payload)
        return self.receive()[3]

    def write(self, region, offset, value, count=4):
        self.call(self.REGION_WRITE, struct.pack("<QII", offset, region, count) +
                  value.to_bytes(count, "little"))

    def read(self, region, offset):
        reply = self.call(self.REGION_READ, struct.pack("<QII", offset, region, 4))
        return int.from_bytes(reply[16:], "little")


class Igb(Case):
    CONFIG, REGISTERS = 7, 0
    IOVA = 0x100000

    def test_one_client_of_both(self):
        """While one controller waits for its client, that client may wait for the other one."""
        peer = self.path("b.sock")
        server = self.serve("igb", "--peer", peer, "--no-mmap-dma", name="a.sock")
        first, second = Client(server.path), Client(peer)
        self.addCleanup(first.close)
        self.addCleanup(second.close)
        first.write(self.CONFIG, 4, 6, 2)
        first.call(Client.DMA_MAP, struct.pack("<IIQQQ", 32, 3, 0, self.IOVA, 4096))
        for register, value in ((0x0000, 1 << 6), (0xe000, self.IOVA), (0xe008, 128), (0xe018, 1),
                                (0xe028, 1 << 25)):
            first.write(self.REGISTERS, register, value)
        first.send(Client.REGION_WRITE, struct.pack("<QIII", 0x0400, 0, 4, 2))
        # The reply, and that it wants its descriptor, in either order.
        got = {message[1]: message for message in (first.receive(), first.receive())}
        number, _, _, request = got[Client.DMA_READ]
        self.assertEqual(struct.unpack("<QQ", request), (self.IOVA, 16))
        self.assertEqual(second.read(self.REGISTERS, 0x0000), 0x201)
        first.send(Client.DMA_READ, request + bytes(16), Client.REPLY, number)
        self.assertEqual(first.read(self.REGISTERS, 0xe010), 0)
        self.assertEqual(server.stop(), 0)


class Perf(Case):
    def perf(self, server, *args):
        stdout = self.succeed("nvme", "perf", server.address, "--time", 0.5, "--json", *args)
        result = json.loads(stdout)
        self.check_result(result)
        return result

    def check_result(self, output):
        result, parameters = output["result"], output["parameters"]
        self.assertGreater(result["iops"], 0)
        self.assertAlmostEqual(result["bytes_per_second"],
                               result["iops"] * parameters["io_size"],
                               delta=parameters["io_size"])
        latency = result["latency_ns"]
        order = ["min", "p50", "p90", "p99", "p99_9", "max"]
        values = [latency[name] for name in order]
        self.assertEqual(values, sorted(values))
        self.assertGreaterEqual(latency["mean"], latency["min"])
        self.assertLessEqual(latency["mean"], latency["max"])
        if result["latency_samples"]:
            self.assertGreater(latency["min"], 0)

    def test_kinds(self):
        server = self.serve("nvme", "--size", "8M")
        for kind in ("read", "write", "randread", "randwrite", "randrw"):
            for args in ([], ["--latency", "all"]):
                with self.subTest(kind=kind, args=args):
                    output = self.perf(server, "--rw", kind, "--yes", *args)
                    self.assertEqual(output["parameters"]["rw"], kind)
                    result = output["result"]
                    self.assertEqual(result["latency_sampled"], "1/1" if args else "1/64")
                    every = 1 if args else 64
                    self.assertAlmostEqual(result["latency_samples"], result["ios"] / every,
                                           delta=2)
                    self.assertEqual(result["data"], "not checked")

    def test_depths_and_queues(self):
        server = self.serve("nvme", "--size", "8M")
        for depth in (1, 2, 63, 64, 65, 128, 1000, 4095):
            with self.subTest(depth=depth):
                self.perf(server, "--queue-depth", depth)
        for queues in (2, 4):
            with self.subTest(queues=queues):
                self.perf(server, "--queues", queues, "--queue-depth", 8)

    def test_pinned(self):
        server = self.serve("nvme", "--size", "8M", "--cpu", min(os.sched_getaffinity(0)))
        cpu = max(os.sched_getaffinity(0))
        output = self.perf(server, "--cpu", cpu)
        self.assertEqual(output["parameters"]["cpus"], [cpu])

    def test_reads_write_nothing_and_writes_stay_inside(self):
        server = self.serve("nvme", "--size", "2M", "--namespaces", 2)
        self.perf(server, "--rw", "randread")
        self.assertEqual(self.read_back(server, 0, MIB), bytes(MIB))
        data = some_bytes(MIB, 9)
        self.succeed("nvme", "write", server.address, "--namespace", 1, "--from",
                     self.make("source", data), "--yes")
        self.perf(server, "--rw", "randwrite", "--namespace", 2, "--yes")
        self.assertEqual(self.read_back(server, 0, MIB), data)

    def test_verify(self):
        server = self.serve("nvme", "--size", "1M")
        for kind in ("write", "randwrite"):
            for args in ([], ["--queues", 2], ["--io-size", "16K"]):
                with self.subTest(kind=kind, args=args):
                    output = self.perf(server, "--rw", kind, "--verify", "--yes", *args)
                    self.assertEqual(output["result"]["data"], "checked")

    def test_verify_reads(self):
        """Reads recognise what a write with the same seed left, and nothing else."""
        server = self.serve("nvme", "--size", "64K")
        self.perf(server, "--rw", "write", "--verify", "--yes", "--seed", 5)
        self.perf(server, "--rw", "randread", "--verify", "--seed", 5)
        code, _, stderr = run("nvme", "perf", server.address, "--rw", "read", "--verify", "--seed",
                              6, "--time", 0.3)
        self.assertEqual(code, 1)
        self.assertRegex("\n".join(errors(stderr)), r"^weir: nvme perf: wrong data at LBA 0, byte 0:")

    def test_verify_finds_one_wrong_byte(self):
        server = self.serve("nvme", "--size", "64K")
        self.perf(server, "--rw", "write", "--verify", "--yes")
        block = bytearray(self.read_back(server, 77, BLOCK))
        block[100] ^= 1
        self.succeed("nvme", "write", server.address, "--from", self.make("block", block), "--lba",
                     77, "--yes")
        code, _, stderr = run("nvme", "perf", server.address, "--rw", "read", "--verify", "--time",
                              5)
        self.assertEqual(code, 1)
        self.assertRegex("\n".join(errors(stderr)),
                         r"^weir: nvme perf: wrong data at LBA 77, byte 96: expected ")

    def test_null_device_is_found_out(self):
        server = self.serve("nvme", "--size", "1M", "--null")
        self.perf(server)
        code, _, stderr = run("nvme", "perf", server.address, "--rw", "write", "--verify", "--yes",
                              "--time", 1)
        self.assertEqual(code, 1)
        self.assertRegex("\n".join(errors(stderr)), "^weir: nvme perf: wrong data at LBA ")

    def test_table(self):
        server = self.serve("nvme", "--size", "1M")
        text = self.succeed("nvme", "perf", server.address, "--time", 0.3, "--rw", "write",
                            "--yes").decode()
        first = text.splitlines()[0]
        self.assertIn(server.address, first)
        self.assertRegex(first, r"serial \S+, namespace 1 \(1\.0 MiB\)")
        self.assertIn("\nwrites destroy what is on it\n", text)
        self.assertRegex(text, r"(?m)^\d+ IOPS, \d+\.\d MB/s: ")
        self.assertIn("\ndata is not checked\n", text)
        self.assertRegex(text, r"min +mean +p50 +p90 +p99 +p99\.9 +max\n( +\d+\.\d{3}){7}\n")

    def test_failed_ios(self):
        server = self.serve("nvme", "--size", "1M", "--fault", "status=0x281,status-every=5")
        code, stdout, stderr = run("nvme", "perf", server.address, "--time", 0.3, "--json")
        self.assertEqual(code, 1)
        output = json.loads(stdout)
        self.check_result(output)
        result = output["result"]
        share = result["failed"] / (result["failed"] + result["ios"])
        self.assertAlmostEqual(share, 1 / 5, delta=0.05)
        self.assertEqual(errors(stderr), ["weir: nvme perf: " + result["error"]])
        self.assertRegex(result["error"], r"^\d+ I/Os failed; I/O of 8 blocks at LBA \d+: ")

    def test_failed_io_is_named(self):
        server = self.serve("nvme", "--size", "1M", "--fault", "status=0x281,status-every=5")
        code, _, stderr = run("nvme", "perf", server.address, "--time", 0.1, "--rw", "read",
                              "--queue-depth", 1)
        self.assertEqual(code, 1)
        self.assertRegex("\n".join(errors(stderr)),
                         r"^weir: nvme perf: \d+ I/Os failed; I/O of 8 blocks at LBA 32: ")

    def test_interrupted(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(signal=number):
                server = self.serve("nvme", "--size", "1M")
                process = self.start("nvme", "perf", server.address, "--time", 1000, "--json")
                self.wait_for_load(process)
                process.send_signal(number)
                self.assertEqual(process.wait(LIMIT), 0)
                output = json.loads(process.stdout.read())
                self.check_result(output)
                self.assertTrue(output["result"]["interrupted"])
                self.assertLess(output["result"]["seconds"], LIMIT)
                self.assertEqual(errors(process.stderr.read().decode()), [])
                self.succeed("nvme", "info", server.address)
                self.assertEqual(server.stop(), 0)

    def test_one_owner(self):
        server = self.serve("nvme", "--size", "1M")
        process = self.start("nvme", "perf", server.address, "--time", 1000, "--json")
        self.wait_for_load(process)
        self.fail_with(1, re.compile(rf"^weir: nvme info: .*held by process {process.pid}\b"),
                       "nvme", "info", server.address)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(LIMIT), 0)
        self.succeed("nvme", "info", server.address)

    def lost_under_load(self, server, lose):
        process = self.start("nvme", "perf", server.address, "--time", 1000, "--json")
        self.wait_for_load(process)
        lose()
        self.assertEqual(process.wait(LIMIT), 1)
        output = json.loads(process.stdout.read())
        self.check_result(output)
        self.assertEqual(errors(process.stderr.read().decode()),
                         ["weir: nvme perf: " + output["result"]["error"]])
        self.assertTrue(output["result"]["error"].startswith(server.address + ": "))

    def test_server_killed(self):
        server = self.serve("nvme", "--size", "1M")
        self.lost_under_load(server, server.kill)

    def test_server_ends(self):
        server = self.serve("nvme", "--size", "1M")
        self.lost_under_load(server, lambda: self.assertEqual(server.stop(), 0))

    def test_faults(self):
        """A controller that misbehaves ends the run with one clear line, and soon."""
        for fault in ("wrong-cid-every=1000", "duplicate-cid-every=1000", "unplug-after=1000",
                      "truncate-after=1000", "fatal-after=1000"):
            with self.subTest(fault=fault):
                server = self.serve("nvme", "--size", "1M", "--fault", fault)
                code, stdout, stderr = run("nvme", "perf", server.address, "--time", 40, "--json")
                self.assertEqual(code, 1)
                result = json.loads(stdout)["result"]
                self.assertLess(result["seconds"], 30)
                self.assertEqual(errors(stderr), ["weir: nvme perf: " + result["error"]])
                server.stop()


class PeerToPeer(Case):
    def setUp(self):
        super().setUp()
        self.first = self.serve("nvme", "--size", "4M")
        self.second = self.serve("nvme", "--size", "4M", "--lba-size", "4K")
        self.memory = self.serve("membar", "--size", "1M")
        self.data = some_bytes(4 * MIB, 4)
        self.succeed("nvme", "write", self.first.address, "--from", self.make("data", self.data),
                     "--yes")

    def copy(self, *args):
        return ["p2p", "copy", "--nvme", self.first.address, "--memory", self.memory.address, *args]

    def test_through_memory(self):
        for lba, to_lba, offset, count in ((0, 0, 0, MIB), (9, 1, 4096, 4096), (3, 2, 516, 65536)):
            with self.subTest(lba=lba, offset=offset, count=count):
                self.succeed(*self.copy("--to-nvme", self.second.address, "--lba", lba, "--to-lba",
                                        to_lba, "--offset", offset, "--bytes", count, "--yes"))
                copied = self.read_back(self.second, to_lba, count)
                self.assertEqual(sha256(copied), sha256(self.data[lba * BLOCK:lba * BLOCK + count]))

    def test_from_memory(self):
        """Memory that nobody filled is zero; the blocks around are as before."""
        self.succeed(*self.copy("--direction", "from-memory", "--lba", 8, "--bytes", "64K", "--yes"))
        expected = self.data[:4096] + bytes(65536) + self.data[4096 + 65536:]
        self.assertEqual(sha256(self.read_back(self.first, 0, 4 * MIB)), sha256(expected))

    def test_bad_input(self):
        to_second = ["--to-nvme", self.second.address, "--yes"]
        for code, text, args in (
                (2, "--bytes N is missing; see 'weir p2p copy --help'", []),
                (1, "2097152 bytes from offset 0 go past the end of "
                 f"{self.memory.address}, which has 1048576 bytes of memory", ["--bytes", "2M"]),
                (1, "4096 bytes from offset 18446744073709551612 go past the end of "
                 f"{self.memory.address}, which has 1048576 bytes of memory",
                 ["--bytes", "4K", "--offset", 18446744073709551612]),
                (2, "offset 2 is no multiple of 4", ["--bytes", "4K", "--offset", 2]),
                (1, "bytes 100 is no multiple of the 512-byte blocks of namespace 1",
                 ["--bytes", 100]),
                (1, "bytes 512 is no multiple of the 4096-byte blocks of namespace 1",
                 ["--bytes", 512, *to_second]),
                (1, "LBA 8192 + 8 is past the end of namespace 1, which has 8192 blocks of 512 "
                 "bytes", ["--bytes", "4K", "--lba", 8192]),
                (1, "LBA 1024 + 1 is past the end of namespace 1, which has 1024 blocks of 4096 "
                 "bytes", ["--bytes", "4K", "--to-lba", 1024, *to_second]),
                (2, "to-nvme goes with direction to-memory only",
                 ["--bytes", "4K", "--direction", "from-memory", *to_second])):
            with self.subTest(args=args):
                self.fail_with(code, "weir: p2p copy: " + text, *self.copy(*args))
        self.fail_with(2, re.compile(r"^weir: p2p copy: this overwrites 4096 bytes .*--yes does it$"),
                       *self.copy("--bytes", "4K", "--direction", "from-memory"))
        self.fail_with(1, re.compile(r"^weir: p2p copy: "), "p2p", "copy", "--nvme",
                       self.first.address, "--memory", self.second.address, "--bytes", "4K")
        self.assertEqual(sha256(self.read_back(self.first, 0, 4 * MIB)), sha256(self.data))
        self.assertEqual(self.read_back(self.second, 0, 4 * MIB), bytes(4 * MIB))


if __name__ == "__main__":
    unittest.main(verbosity=2)
