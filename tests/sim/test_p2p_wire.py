#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""weir p2p send and receive: from a drive through a device's memory to the wire, and from there
through another device's memory to a drive. Arguments: the weir command, and what unittest takes."""

import re
import signal
import time
import unittest

from cli_case import BLOCK, LIMIT, MIB, errors, run, sha256, some_bytes
from net_case import NetCase

MARK = b"payload of weir p2p "
MAX_MAPPING = 256 * MIB
LOOKS = 8
LINE = re.compile(r"^(\S+): 0x([0-9a-f]+)-0x([0-9a-f]+) (r?w?) (host|device) memory$", re.M)
PAYLOAD = re.compile(r"^payload: 0x([0-9a-f]+)-0x([0-9a-f]+) of (\S+), "
                     r"0x([0-9a-f]+)-0x([0-9a-f]+) of (\S+)$", re.M)


def marked_bytes(count, seed):
    """Random data of which every block begins in a way that nothing else does."""
    data = bytearray(some_bytes(count, seed))
    for at in range(0, count, BLOCK):
        data[at:at + len(MARK)] = MARK
    return bytes(data)


def host_memory(pid):
    """What a process has mapped, but for the memory of an emulated device."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, \
         open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            words = line.split()
            start, end = (int(word, 16) for word in words[0].split("-"))
            # What is larger than all that the program has is a sanitizer's reservation.
            if words[1][0] != "r" or "weir-membar" in line or end - start > MAX_MAPPING:
                continue
            try:
                memory.seek(start)
                yield line, memory.read(end - start)
            except (OSError, OverflowError, ValueError):
                continue  # such as [vvar]


class P2pWireCase(NetCase):
    SIZE = 8 * MIB

    def setUp(self):
        super().setUp()
        self.make_devices()

    def make_devices(self, *port_args, block=BLOCK, to_block="4K", size=SIZE, to_size=SIZE):
        self.source = self.serve("nvme", "--size", size, "--lba-size", block)
        self.target = self.serve("nvme", "--size", to_size, "--lba-size", to_block)
        self.memories = [self.serve("membar", "--size", "4M") for _ in range(2)]
        self.ports = self.pair(*port_args)

    def fill(self, data):
        self.data = data
        self.succeed("nvme", "write", self.source.address, "--from", self.make("data", data),
                     "--yes")

    def side(self, receives, *args, nvme=None, memory=None, port=None):
        return ["p2p", "receive" if receives else "send",
                "--nvme", nvme or (self.target if receives else self.source).address,
                "--memory", memory or self.memories[receives].address,
                "--port", port or self.ports[receives],
                *(["--yes"] if receives else []), *args]

    def start_side(self, receives, *args):
        """Starts one; returns it, and what it says before it begins."""
        process = self.start(*self.side(receives, *args))
        said = ""
        while not re.search("^(ready for|sending) .*\n", said, re.M):
            line = process.stdout.readline().decode()
            if not line:
                break
            said += line
        return process, said

    def start_receiver(self, *args):
        return self.start_side(True, *args)

    def finish(self, receiver):
        stdout, stderr = receiver.communicate(timeout=LIMIT)
        return receiver.returncode, stdout.decode(), errors(stderr.decode())

    def transfer(self, *args, send=(), receive=()):
        """One that succeeds."""
        receiver, _ = self.start_receiver(*args, *receive)
        self.succeed(*self.side(False, *args, *send))
        code, _, stderr = self.finish(receiver)
        self.assertEqual((code, stderr), (0, []))


class Transfer(P2pWireCase):
    def test_bytes_are_the_same(self):
        """Whatever the frames, the memory, the blocks: the second drive has what the first had."""
        self.fill(marked_bytes(self.SIZE, 1))
        for args, send, receive, lba, to_lba, count in (
                ((), (), (), 0, 0, self.SIZE),
                ((), ("--window", "256K"), ("--window", "132K"), 0, 0, MIB),
                (("--payload", "8K"), ("--offset", "1M", "--window", "1M"),
                 ("--offset", 516, "--window", "2M"), 16, 2, 72 * 1024),
                ((), ("--queue-depth", 1), ("--queue-depth", 3), 3, 100, 4096),
                ((), (), (), 9, 7, 36 * 1024)):
            with self.subTest(args=args, send=send, receive=receive, count=count):
                self.transfer("--bytes", count, *args, send=("--lba", lba, *send),
                              receive=("--lba", to_lba, *receive))
                copied = self.read_back(self.target, to_lba, count)
                self.assertEqual(sha256(copied),
                                 sha256(self.data[lba * BLOCK:lba * BLOCK + count]))

    def test_payload_is_in_device_memory_only(self):
        """The table of mappings says so, and the memory of both processes has none of the data."""
        self.fill(marked_bytes(self.SIZE, 2))
        args = ("--bytes", self.SIZE, "--mappings", "--wait", LIMIT)
        receiver, said = self.start_receiver(*args)
        sender, sender_said = self.start_side(False, *args)
        looked = 0
        for _ in range(LOOKS):
            if receiver.poll() is not None or sender.poll() is not None:
                break
            for process in (receiver, sender):
                process.send_signal(signal.SIGSTOP)
            for process in (receiver, sender):
                if process.poll() is None:
                    for line, content in host_memory(process.pid):
                        self.assertNotIn(MARK, content, line)
                        looked += len(content)
                process.send_signal(signal.SIGCONT)
            time.sleep(0.002)
        self.assertGreater(looked, 0)
        code, _, stderr = self.finish(receiver)
        self.assertEqual((code, stderr), (0, []))
        _, stderr = sender.communicate(timeout=LIMIT)
        self.assertEqual((sender.returncode, errors(stderr.decode())), (0, []))
        self.assertEqual(sha256(self.read_back(self.target, 0, self.SIZE)), sha256(self.data))
        for text, nvme, port, prots in (
                (sender_said, self.source.address, self.ports[0], ("w", "r")),
                (said, self.target.address, self.ports[1], ("r", "w"))):
            rows = [(name, int(start, 16), int(end, 16), prot, kind)
                    for name, start, end, prot, kind in LINE.findall(text)]
            start, end, name, port_start, port_end, port_name = PAYLOAD.search(text).groups()
            self.assertEqual((name, port_name), (nvme, port))
            for device, low, high, prot in ((nvme, int(start, 16), int(end, 16), prots[0]),
                                            (port, int(port_start, 16), int(port_end, 16),
                                             prots[1])):
                inside = [row for row in rows if row[0] == device and row[1] <= low <= row[2]]
                self.assertEqual([row[3:] for row in inside], [(prot, "device")])
                self.assertLessEqual(high, inside[0][2])
                # What of the host it can reach besides is for queues.
                others = [row for row in rows if row[0] == device and row not in inside]
                self.assertEqual([row[4] for row in others], ["host"])


class Failures(P2pWireCase):
    def both_fail(self, sender_says, receiver_says, count, *args, send=(), receive=()):
        receiver, _ = self.start_receiver("--bytes", count, *args, *receive)
        code, _, stderr = run(*self.side(False, "--bytes", count, *args, *send))
        self.assertEqual(code, 1)
        self.assertRegex("\n".join(errors(stderr)), sender_says)
        code, _, stderr = self.finish(receiver)
        self.assertEqual(code, 1)
        self.assertRegex("\n".join(stderr), receiver_says)

    def test_lost_frame(self):
        """It is found by its number, and both sides say so."""
        self.ports = self.pair("--fault", "crc-every=40")
        self.fill(marked_bytes(MIB, 3))
        text = r"what came after byte \d+ of 1048576 is that of byte \d+: a frame was lost$"
        self.both_fail(r"^weir: p2p send: the other side gave up: what came after byte \d+ of ",
                       "^weir: p2p receive: " + text, MIB)

    def open_stream(self, *args):
        """Both sides, of which the receiver has heard of the sender."""
        receiver, _ = self.start_receiver("--bytes", self.SIZE, *args)
        sender, _ = self.start_side(False, "--bytes", self.SIZE)
        self.assertRegex(receiver.stdout.readline().decode(), "^receiving from 52:45:49:52:00:00$")
        return sender, receiver

    def test_sender_that_goes(self):
        self.ports = self.pair("--fault", "stuck-after=100")
        sender, receiver = self.open_stream("--wait", 1)
        sender.kill()
        sender.wait(LIMIT)
        code, _, stderr = self.finish(receiver)
        self.assertEqual(code, 1)
        self.assertRegex("\n".join(stderr), r"^weir: p2p receive: nothing came for 1\.0 s after "
                         r"\d+ of 8388608 bytes$")

    def test_interrupted_sender(self):
        """It tells the receiver, which is slow."""
        self.target = self.serve("nvme", "--size", self.SIZE, "--lba-size", "4K", "--fault",
                                 "delay-every=1,delay-us=100000")
        sender, receiver = self.open_stream()
        sender.send_signal(signal.SIGINT)
        _, stderr = sender.communicate(timeout=LIMIT)
        self.assertEqual(sender.returncode, 1)
        self.assertRegex("\n".join(errors(stderr.decode())),
                         r"^weir: p2p send: interrupted after \d+ of 8388608 bytes$")
        code, _, stderr = self.finish(receiver)
        self.assertEqual(code, 1)
        self.assertRegex("\n".join(stderr),
                         "^weir: p2p receive: the other side gave up: interrupted after ")

    def test_no_receiver(self):
        self.fail_with_errors(f"no receiver answered at {self.ports[0]} for 0.5 s",
                              *self.side(False, "--bytes", "4K", "--wait", 0.5))

    def test_sides_that_differ(self):
        for receive, words in ((("--bytes", 8192), "4096 bytes in frames of 4096, the receiver "
                                "expects 8192 in frames of 4096"),
                               (("--bytes", 4096, "--payload", 8192), "4096 bytes in frames of "
                                "4096, the receiver expects 4096 in frames of 8192")):
            with self.subTest(receive=receive):
                receiver, _ = self.start_receiver(*receive)
                self.fail_with_errors("the other side gave up: the sender has " + words,
                                      *self.side(False, "--bytes", 4096))
                code, _, stderr = self.finish(receiver)
                self.assertEqual((code, stderr),
                                 (1, [f"weir: p2p receive: the sender has {words}"]))

    def fail_with_errors(self, text, *args):
        code, _, stderr = run(*args)
        self.assertEqual((code, errors(stderr)), (1, [f"weir: {args[0]} {args[1]}: {text}"]))

    def test_no_link(self):
        self.ports = self.pair("--fault", "no-link")
        for receives in (False, True):
            self.fail_with(1, f"weir: p2p {'receive' if receives else 'send'}: the link of "
                           f"{self.ports[receives]} is down, and did not come up within 0.2 s",
                           *self.side(receives, "--bytes", "4K", "--link-wait", 0.2))

    def test_bad_input(self):
        memory = self.memories[0].address
        to_memory = self.memories[1].address
        for receives, code, text, args in (
                (False, 2, "--bytes N is missing; see 'weir p2p send --help'", []),
                (False, 1, "bytes 100 is no multiple of the 512-byte blocks of namespace 1",
                 ["--bytes", 100]),
                (True, 1, "bytes 512 is no multiple of the 4096-byte blocks of namespace 1",
                 ["--bytes", 512]),
                (True, 1, "payload 512 is no multiple of the 4096-byte blocks of namespace 1",
                 ["--bytes", "4K", "--payload", 512]),
                (False, 1, "payload 1000 is no multiple of the 512-byte blocks of namespace 1",
                 ["--bytes", "4K", "--payload", 1000]),
                (False, 1, "LBA 0 + 32768 is past the end of namespace 1, which has 16384 blocks "
                 "of 512 bytes", ["--bytes", "16M"]),
                (True, 1, "LBA 2047 + 2 is past the end of namespace 1, which has 2048 blocks of "
                 "4096 bytes", ["--bytes", "8K", "--lba", 2047]),
                (False, 1, f"4194304 bytes from offset 4096 go past the end of {memory}, which has "
                 "4194304 bytes of memory", ["--bytes", "4K", "--offset", "4K"]),
                (True, 1, f"8388608 bytes from offset 0 go past the end of {to_memory}, which has "
                 "4194304 bytes of memory", ["--bytes", "4K", "--window", "8M"]),
                (False, 2, "offset 2 is no multiple of 4", ["--bytes", "4K", "--offset", 2]),
                (False, 2, "window 4096 is less than the 262144 that frames of 4096 bytes need",
                 ["--bytes", "4K", "--window", 4096]),
                (True, 2, "window 4096 is less than the 131072 that frames of 4096 bytes need",
                 ["--bytes", "4K", "--window", 4096]),
                (False, 2, re.compile("payload.*9000"), ["--bytes", "4K", "--payload", 9000])):
            with self.subTest(receives=receives, args=args):
                name = "receive" if receives else "send"
                if isinstance(text, str):
                    text = f"weir: p2p {name}: {text}"
                self.fail_with(code, text, *self.side(receives, *args))
        self.fail_with(2, re.compile("^weir: p2p receive: this overwrites 4096 bytes .*--yes does "
                                     "it$"),
                       *[arg for arg in self.side(True, "--bytes", "4K") if arg != "--yes"])

    def test_wrong_devices(self):
        """No memory behind the device, no port, no drive."""
        self.fail_with(1, re.compile("^weir: p2p send: .* is no memory device$"),
                       *self.side(False, "--bytes", "4K", memory=self.target.address))
        self.fail_with(1, re.compile("^weir: p2p send: no network driver for "),
                       *self.side(False, "--bytes", "4K", port=self.memories[1].address))
        self.fail_with(1, re.compile("^weir: p2p send: "),
                       *self.side(False, "--bytes", "4K", nvme=self.memories[1].address))


if __name__ == "__main__":
    unittest.main(verbosity=2)
