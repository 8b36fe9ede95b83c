"""A goim client written from the contract, over TCP and WebSocket, and a service to talk to."""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from kit.peers import listening
from livetrio.errors import RefusalCode, Refused
from livetrio.im.goim_service import GoimPolicy, GoimService
from livetrio.im.hub import Hub, open_hub
from livetrio.im.identity import Identity
from livetrio.net.http import HttpServer
from livetrio.net.listen import Address, Listener, bind

__all__ = ["Goim", "GoimClient", "Got", "TcpClient", "WsClient", "goim", "pack", "trusting"]

_PATIENCE = 30.0
"""Seconds; virtual ones pass quickly and must not be shorter than the server's own deadlines."""


class Got(NamedTuple):
    """A frame as a client reads it."""

    ver: int
    op: int
    seq: int
    body: bytes


def pack(op: int, body: bytes = b"", *, seq: int = 1, ver: int = 1) -> bytes:
    """A package, written from the contract and not with our own encoder."""
    return struct.pack(">ihhii", 16 + len(body), 16, ver, op, seq) + body


def unpack(data: bytes) -> list[Got]:
    """A run of packages."""
    found = []
    while data:
        size, header, ver, op, seq = struct.unpack_from(">ihhii", data)
        assert header == 16
        found.append(Got(ver, op, seq, data[16:size]))
        data = data[size:]
    return found


class GoimClient:
    """What both transports have in common."""

    def __init__(self) -> None:
        self._frames: list[Got] = []

    async def send(self, op: int, body: bytes = b"", *, seq: int = 1, ver: int = 1) -> None:
        await self.send_raw(pack(op, body, seq=seq, ver=ver))

    async def send_raw(self, data: bytes) -> None:
        raise NotImplementedError

    async def _more(self) -> list[Got]:
        raise NotImplementedError

    async def frame(self) -> Got:
        """The next frame; pushes come one by one, whatever they were wrapped in."""
        while not self._frames:
            with trio.fail_after(_PATIENCE):
                self._frames += await self._more()
        return self._frames.pop(0)

    async def auth(self, **fields: object) -> Got:
        """Log in; returns the reply."""
        await self.send(7, json.dumps(fields).encode(), seq=11)
        return await self.frame()

    async def beat(self) -> int:
        """A heartbeat; returns how many are in the room."""
        await self.send(2, seq=5)
        got = await self.frame()
        assert (got.op, got.seq) == (3, 5)
        return int.from_bytes(got.body, "big", signed=True)

    async def ask(self, op: int, body: bytes = b"") -> Got:
        await self.send(op, body, seq=9)
        return await self.frame()

    async def closed(self) -> bool:
        """Wait until the server has closed; False if it sent another frame first."""
        try:
            await self.frame()
        except (EOFError, ConnectionClosed, trio.BrokenResourceError):
            return True
        return False


class TcpClient(GoimClient):
    """Pushes come as they are."""

    def __init__(self, stream: trio.SocketStream) -> None:
        super().__init__()
        self.stream = stream
        self._data = b""

    async def send_raw(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def _more(self) -> list[Got]:
        while True:
            if len(self._data) >= 4:
                size = int.from_bytes(self._data[:4], "big")
                if len(self._data) >= size:
                    whole, self._data = self._data[:size], self._data[size:]
                    return unpack(whole)
            piece = await self.stream.receive_some()
            if not piece:
                raise EOFError
            self._data += piece


class WsClient(GoimClient):
    """Pushes come in op 9."""

    def __init__(self, socket: WebSocketConnection) -> None:
        super().__init__()
        self.socket = socket

    async def send_raw(self, data: bytes) -> None:
        await self.socket.send_message(data)

    async def message(self) -> str | bytes:
        with trio.fail_after(_PATIENCE):
            return await self.socket.get_message()

    async def _more(self) -> list[Got]:
        message = await self.socket.get_message()
        assert isinstance(message, bytes)
        frames = unpack(message)
        if frames[0].op == 9 and frames[0].body:
            assert len(frames) == 1
            return unpack(frames[0].body)
        return frames


@dataclass
class Goim:
    """A service, its hub and its ports."""

    hub: Hub
    service: GoimService
    tcp_port: int
    ws_port: int
    _nursery: trio.Nursery = field(repr=False)

    @asynccontextmanager
    async def tcp(self) -> AsyncIterator[TcpClient]:
        async with await trio.open_tcp_stream("127.0.0.1", self.tcp_port) as stream:
            yield TcpClient(stream)

    @asynccontextmanager
    async def ws(self) -> AsyncIterator[WsClient]:
        stream = await trio.open_tcp_stream("127.0.0.1", self.ws_port)
        try:
            async with trio.open_nursery() as nursery:
                yield WsClient(await wrap_client_stream(nursery, stream, "test", "/sub"))
                nursery.cancel_scope.cancel()
        finally:
            await trio.aclose_forcefully(stream)

    def client(self, kind: str):
        """By the name of the transport: "tcp" or "ws"."""
        return self.tcp() if kind == "tcp" else self.ws()


async def trusting(login, client: str, ip: str) -> Identity:
    """Believes the mid; tokens are "token of USER"."""
    if login.token:
        if not login.token.startswith("token of "):
            raise Refused(RefusalCode.UNAUTHORIZED, "invalid token")
        return Identity(user=login.token.removeprefix("token of "))
    return Identity(user=str(login.mid) if login.mid else "", device=login.key)


@asynccontextmanager
async def goim(*, identify=trusting, hub_options=None, **policy) -> AsyncIterator[Goim]:
    """A hub and goim on it, on free ports."""
    async with open_hub(**(hub_options or {})) as hub:
        service = GoimService(hub, identify, GoimPolicy(**policy))
        http = HttpServer(service.routes())
        tcp = Listener("goim_tcp", bind("goim_tcp", Address("127.0.0.1", 0)))
        ws = Listener("im", bind("im", Address("127.0.0.1", 0)))
        async with (
            trio.open_nursery() as nursery,
            listening(tcp, service.serve_tcp) as tcp_port,
            listening(ws, http) as ws_port,
        ):
            nursery.start_soon(service.run)
            yield Goim(hub, service, tcp_port, ws_port, nursery)
            nursery.cancel_scope.cancel()
