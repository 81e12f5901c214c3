# SPDX-License-Identifier: BSD-3-Clause
"""What tests of network ports have in common: two emulated ones with a cable between them, frames
from weir net gen, and what weir net dump makes of them. Takes sys.argv[1] as cli_case does."""

import ipaddress
import json
import signal
import struct
import time
from collections import namedtuple

from cli_case import LIMIT, Case, errors

FCS = 4
WIRE_OVERHEAD = 20
Frame = namedtuple("Frame", "wire_bytes data seconds")
Packet = namedtuple("Packet", "dst_mac src_mac vlan src dst src_port dst_port flow sequence")


def read_capture(data):
    """The frames of a file in the format of libpcap, with times in nanoseconds."""
    magic, major, minor, _, _, snaplen, link = struct.unpack_from("=IHHiIII", data)
    assert (magic, major, minor, link) == (0xA1B23C4D, 2, 4, 1)
    frames, at = [], 24
    while at < len(data):
        seconds, nanoseconds, kept, wire_bytes = struct.unpack_from("=IIII", data, at)
        at += 16
        assert kept == min(wire_bytes, snaplen) and len(data) >= at + kept
        frames.append(Frame(wire_bytes, data[at:at + kept], seconds + nanoseconds / 1e9))
        at += kept
    return frames


def ones_sum(data):
    """The sum of RFC 1071: 0xffff when a checksum in the data is right."""
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def parse(frame):
    """A packet of weir net gen, with every length and checksum checked."""
    data, at, vlan = frame.data, 14, None
    kind = struct.unpack_from("!H", data, 12)[0]
    if kind == 0x8100:
        vlan, kind = struct.unpack_from("!HH", data, 14)
        at = 18
    if kind == 0x0800:
        version, _, total, _, _, _, protocol, _, src, dst = struct.unpack_from(
            "!BBHHHBBH4s4s", data, at)
        assert version == 0x45 and ones_sum(data[at:at + 20]) == 0xFFFF
        udp = at + 20
    else:
        assert kind == 0x86DD
        _, length, protocol, _, src, dst = struct.unpack_from("!IHBB16s16s", data, at)
        total, udp = length + 40, at + 40
    assert protocol == 17 and at + total == len(data)
    src_port, dst_port, length, checksum = struct.unpack_from("!HHHH", data, udp)
    assert length == len(data) - udp and checksum
    assert ones_sum(src + dst + struct.pack("!HH", protocol, length) + data[udp:]) == 0xFFFF
    magic, flow, sequence = struct.unpack_from("!4sIQ", data, udp + 8)
    assert magic == b"WEIR" and not any(data[udp + 24:])
    return Packet(data[0:6].hex(":"), data[6:12].hex(":"), vlan, str(ipaddress.ip_address(src)),
                  str(ipaddress.ip_address(dst)), src_port, dst_port, flow, sequence)


class NetCase(Case):
    def pair(self, *args):
        """Two ports with a cable between them. Returns their addresses."""
        peer = self.path(f"peer{self.nr_servers}.sock")
        self.server = self.serve("igb", "--peer", peer, *args)
        self.assertEqual(self.server.process.stdout.readline().decode(),
                         f"ready: vfio-user:{peer}\n")
        return self.server.address, "vfio-user:" + peer

    def json(self, *args):
        return json.loads(self.succeed(*args, "--json"))

    def transfer(self, gen_args, dump_args=(), count=500, ports=None):
        """Sends from one port what the other writes to a file; returns the frames and what both
        commands say."""
        sender, receiver = ports or self.pair("--lossless")
        file = self.path("seen.pcap")
        dump = self.start("net", "dump", receiver, "--to", file, "--json", "--force",
                          "--interval", 0, *dump_args)
        self.wait_for_load(dump)
        gen = self.json("net", "gen", sender, "--count", count, *gen_args)
        self.assertEqual(gen["result"]["sent"], count)
        if "--count" not in dump_args:
            # What was sent lies in the other port's ring, or its program's hands.
            time.sleep(0.5)
            dump.send_signal(signal.SIGINT)
        stdout, stderr = dump.communicate(timeout=LIMIT)
        self.assertEqual(errors(stderr.decode()), [])
        self.assertEqual(dump.returncode, 0)
        with open(file, "rb") as opened:
            return read_capture(opened.read()), gen, json.loads(stdout)
