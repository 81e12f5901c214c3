# SPDX-License-Identifier: BSD-3-Clause
"""Relays a guest's requests to QEMU's monitor: lines of QMP in, lines of QMP out.

The relay has the monitor to itself, answers requests in the order in which QEMU does, and keeps
events away from the guest. It never blocks on a guest that does not read.
"""

import json

LINE_LIMIT = 64 * 1024


class Lines:
    """A stream cut into lines. A line over the limit, if there is one, is cut too."""

    def __init__(self, socket, limit=None):
        self.socket = socket
        self.limit = limit
        self.rest = b""

    def read(self):
        """Complete lines that have come in; None at the end of the stream."""
        try:
            data = self.socket.recv(LINE_LIMIT)
        except BlockingIOError:
            return []
        except ConnectionError:
            return None
        if not data:
            return None
        *lines, self.rest = (self.rest + data).split(b"\n")
        if self.limit and len(self.rest) > self.limit:
            lines, self.rest = [*lines, self.rest], b""
        return [line for line in lines if line.strip()]

    def write(self, message):
        try:
            self.socket.send(json.dumps(message).encode() + b"\n")
        except OSError:
            pass  # the other side is gone or does not read: it has no use for this


def error(text):
    return {"error": {"class": "GenericError", "desc": text}}


class Relay:
    def __init__(self, guest, monitor):
        guest.setblocking(False)
        monitor.setblocking(False)
        self.guest = Lines(guest, limit=LINE_LIMIT)
        self.monitor = Lines(monitor)
        self.monitor.write({"execute": "qmp_capabilities", "id": "start"})

    def from_guest(self):
        """Passes requests on; False when the guest's end is closed."""
        lines = self.guest.read()
        for line in lines or []:
            try:
                request = json.loads(line)
            except ValueError:
                self.guest.write(error("the request is no line of JSON"))
                continue
            if not isinstance(request, dict) or not isinstance(request.get("execute"), str):
                self.guest.write(error("the request has no 'execute'"))
                continue
            self.monitor.write(
                {
                    "execute": request["execute"],
                    "arguments": request.get("arguments", {}),
                    "id": "guest",
                }
            )
        return lines is not None

    def from_monitor(self):
        """Passes answers to the guest's requests back; False when QEMU's end is closed."""
        lines = self.monitor.read()
        for line in lines or []:
            answer = json.loads(line)
            if answer.pop("id", None) == "guest":
                self.guest.write(answer)
        return lines is not None
