"""Members of every kind inside the test's own process, cheap and blunt: they join and count bytes.

A stalled one never reads again once it has joined, with a receive buffer so small that the
server's own buffers fill.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import quote

import trio

from kit.goim import pack
from kit.websocket import BINARY, TEXT, client_frame, handshake
from livetrio.config import Address

__all__ = ["KINDS", "ROOM", "ImCrowd"]

KINDS = ("goim-tcp", "goim-ws", "centrifuge-ws", "centrifuge-http-stream", "centrifuge-sse")
ROOM = "chat://crowd"

_AUTH, _SEND = 7, 4
_STALLED_BUFFER = 4096
_RECEIVE = 65536


@dataclass(slots=True)
class ImCrowd:
    """Members of one server's room; each is an async function for a nursery and ends with the
    server."""

    addresses: Mapping[str, Address]
    received: dict[str, int] = field(default_factory=dict)
    """Bytes that members of each kind were sent."""
    here: int = 0
    """Members that have been answered and are still there."""

    async def member(self, kind: str, number: int, *, stalled: bool = False) -> None:
        """One connection, from its first byte to the server's last."""
        port = self.addresses["goim_tcp" if kind == "goim-tcp" else "im"].port
        with suppress(OSError, trio.BrokenResourceError, EOFError):
            async with await _connect(port, stalled=stalled) as stream:
                for step in _steps(kind, number):
                    await stream.send_all(step)
                    self._count(kind, await stream.receive_some(_RECEIVE))
                self.here += 1
                try:
                    if stalled:
                        await trio.sleep_forever()
                    while True:
                        self._count(kind, await stream.receive_some(_RECEIVE))
                finally:
                    self.here -= 1

    def _count(self, kind: str, data: bytes) -> None:
        if not data:
            raise EOFError
        self.received[kind] = self.received.get(kind, 0) + len(data)


def _steps(kind: str, number: int) -> list[bytes]:
    """What is sent, each after the answer to the one before."""
    login = json.dumps({"mid": number + 1, "room_id": ROOM, "accepts": [1000]}).encode()
    connect = {"id": 1, "connect": {}}
    join = {"id": 2, "subscribe": {"channel": ROOM}}
    match kind:
        case "goim-tcp":
            return [pack(_AUTH, login)]
        case "goim-ws":
            return [handshake("/sub"), client_frame(BINARY, pack(_AUTH, login))]
        case "centrifuge-ws":
            both = f"{json.dumps(connect)}\n{json.dumps(join)}".encode()
            return [handshake("/connection/websocket"), client_frame(TEXT, both)]
        case "centrifuge-http-stream":
            body = json.dumps(connect).encode()
            head = (
                f"POST /connection/http_stream HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}"
            )
            return [f"{head}\r\n\r\n".encode() + body]
        case _:
            asked = quote(json.dumps(connect))
            return [f"GET /connection/sse?cf_connect={asked} HTTP/1.1\r\nHost: x\r\n\r\n".encode()]


async def _connect(port: int, *, stalled: bool) -> trio.SocketStream:
    sock = trio.socket.socket()
    try:
        if stalled:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _STALLED_BUFFER)
        await sock.connect(("127.0.0.1", port))
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(sock)
