"""Members: how one joins a room over each protocol, and how a probe reads what it is sent."""

from __future__ import annotations

import json
import re
import socket
import struct
from typing import NamedTuple

__all__ = ["KINDS", "ROOM", "ImAddress", "Member", "Probe", "message"]

KINDS = ("ws", "tcp", "centrifuge")
"""goim over WebSocket and TCP; Centrifugo's JSON over WebSocket."""
ROOM = "chat://bench"

_AUTH, _AUTH_REPLY = 7, 8
_UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_PATHS = {"ws": "/sub", "centrifuge": "/connection/websocket"}
_STAMP = re.compile(rb'"at":(\d+)')


class ImAddress(NamedTuple):
    """Ports of the loopback interface."""

    websocket: int
    tcp: int
    push: int


class Joining(NamedTuple):
    """What is sent, and what the answer to it holds when it is whole."""

    data: bytes
    until: bytes


def message(at: int, number: int) -> bytes:
    """One line of danmaku with the time it was sent, nanoseconds."""
    said = {"text": f"a line of danmaku like any other, {number}", "at": at}
    return json.dumps(said, separators=(",", ":")).encode()


class Member:
    """One connection on its way into the room: `step` is called whenever there is input."""

    def __init__(self, kind: str, address: ImAddress, number: int) -> None:
        port = address.tcp if kind == "tcp" else address.websocket
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.socket.setblocking(False)
        self._steps = _steps(kind, number)
        self._heard = b""
        self.joined = False
        self._waiting = self._steps.pop(0)
        self.socket.send(self._waiting.data)

    def step(self, data: bytes) -> None:
        """Answer the server's answer; `joined` is set after the last one."""
        self._heard += data
        if self._waiting.until not in self._heard:
            return
        self._heard = b""
        if not self._steps:
            self.joined = True
            return
        self._waiting = self._steps.pop(0)
        self.socket.send(self._waiting.data)


def _steps(kind: str, number: int) -> list[Joining]:
    if kind == "centrifuge":
        connect = json.dumps({"id": 1, "connect": {"name": "bench"}}).encode()
        join = json.dumps({"id": 2, "subscribe": {"channel": ROOM}}).encode()
        return [
            _upgrade(kind),
            Joining(_frame(1, connect), b'"connect"'),
            Joining(_frame(1, join), b'"subscribe"'),
        ]
    login = json.dumps(
        {"mid": number + 1, "room_id": ROOM, "platform": "bench", "accepts": [1000]}
    ).encode()
    package = struct.pack(">ihhii", 16 + len(login), 16, 1, _AUTH, 1) + login
    reply = struct.pack(">i", _AUTH_REPLY)
    if kind == "tcp":
        return [Joining(package, reply)]
    return [_upgrade(kind), Joining(_frame(2, package), reply)]


def _upgrade(kind: str) -> Joining:
    return Joining(_UPGRADE.format(path=_PATHS[kind]).encode(), b"\r\n\r\n")


def _frame(opcode: int, payload: bytes) -> bytes:
    """A client's frame, with the mask of zeros that leaves the payload as it is."""
    size = (
        bytes([0x80 | len(payload)])
        if len(payload) < 126
        else b"\xfe" + struct.pack(">H", len(payload))
    )
    return bytes([0x80 | opcode]) + size + bytes(4) + payload


class Probe:
    """A member that looks at all it is sent."""

    def __init__(self, kind: str, member: Member) -> None:
        self.socket = member.socket
        self.writes = 0
        """Frames, which is to say writes of the server. (goim TCP has no frames: reads.)"""
        self._kind = kind
        self._rest = b""

    def read(self, data: bytes) -> list[int]:
        """The times of sending of what is complete with these bytes."""
        if self._kind == "tcp":
            self.writes += 1
            text, _, self._rest = (self._rest + data).rpartition(b"}")
            return [int(at) for at in _STAMP.findall(text)]
        data = self._rest + data
        at, found = 0, []
        while (end := _end_of_frame(data, at)) is not None:
            found += [int(stamp) for stamp in _STAMP.findall(data, at, end)]
            self.writes += 1
            at = end
        self._rest = data[at:]
        return found


def _end_of_frame(data: bytes, at: int) -> int | None:
    """Where the frame that begins here ends, if all of it is here."""
    if len(data) < at + 2:
        return None
    size, start = data[at + 1], at + 2
    if size == 126:
        size, start = int.from_bytes(data[start : start + 2], "big"), start + 2
    elif size == 127:
        size, start = int.from_bytes(data[start : start + 8], "big"), start + 8
    return start + size if len(data) >= max(start + size, start) else None
