"""A Centrifugo client in JSON, written from the contract, and a service to talk to."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import jwt
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from kit.peers import listening
from livetrio.access.im_token import ImTokens
from livetrio.config import ImTokenConfig
from livetrio.im.centrifuge_api import CentrifugeApi
from livetrio.im.centrifuge_policy import CentrifugePolicy
from livetrio.im.centrifuge_service import CentrifugeService
from livetrio.im.hub import Hub, open_hub
from livetrio.im.identity import Identities
from livetrio.net.http import HttpServer
from livetrio.net.listen import Address, Caps, Listener, bind

__all__ = [
    "SECRET",
    "Centrifuge",
    "CentrifugeClient",
    "StreamClient",
    "centrifuge",
    "soon",
    "token",
]

SECRET = "a secret of a site, long enough to be one"
_PATIENCE = 120.0
"""Seconds; virtual ones pass quickly and must not be shorter than the server's own deadlines."""


def token(user: str = "", *, secret: str = SECRET, **claims: Any) -> str:
    """A token as the site makes it."""
    return jwt.encode({"sub": user, **claims}, secret.ljust(32), "HS256")


def soon(seconds: float) -> int:
    """A time of Unix."""
    return int(time.time() + seconds)


class CentrifugeClient:
    """Over a WebSocket. Replies and pushes are JSON objects, in the order they come."""

    def __init__(self, socket: WebSocketConnection) -> None:
        self.socket = socket
        self._ids = itertools.count(1)
        self._lines: list[dict[str, Any]] = []
        self.pushes: list[dict[str, Any]] = []

    async def send(self, *commands: dict[str, Any]) -> None:
        """Commands, in one frame."""
        await self.send_raw("\n".join(json.dumps(command) for command in commands))

    async def send_raw(self, frame: str | bytes) -> None:
        await self.socket.send_message(frame)

    async def line(self) -> dict[str, Any]:
        """The next reply, push or ping."""
        while not self._lines:
            self._lines += [json.loads(line) for line in (await self._frame()).split("\n")]
        return self._lines.pop(0)

    async def ask(self, **command: Any) -> dict[str, Any]:
        """One command; its reply. Pushes that come before are kept in `pushes`."""
        id_ = next(self._ids)
        await self.send({"id": id_, **command})
        while (line := await self.line()).get("id") != id_:
            if line:
                self.pushes.append(line["push"])
        return line

    async def push(self) -> dict[str, Any]:
        """The next push; pings are skipped."""
        while not self.pushes:
            line = await self.line()
            if line:
                assert "id" not in line, line
                self.pushes.append(line["push"])
        return self.pushes.pop(0)

    async def connect(self, token: str = "", **fields: Any) -> dict[str, Any]:
        """Connect; the result."""
        reply = await self.ask(connect={"token": token, **fields})
        return reply.get("connect") or reply

    async def subscribe(self, channel: str, **fields: Any) -> dict[str, Any]:
        """Subscribe; the result, or the error."""
        reply = await self.ask(subscribe={"channel": channel, **fields})
        return reply.get("subscribe", reply.get("error"))

    async def publish(self, channel: str, data: Any) -> dict[str, Any]:
        return await self.ask(publish={"channel": channel, "data": data})

    async def said(self) -> Any:
        """The data of the next publication."""
        return (await self.push())["pub"]["data"]

    async def closed(self, heard: list[dict[str, Any]] | None = None) -> tuple[int, str]:
        """Wait until the server has closed: code and reason.

        heard: takes what comes before.
        """
        heard = [] if heard is None else heard
        try:
            while True:
                heard.append(await self.line())
        except ConnectionClosed as closed:
            return closed.reason.code, closed.reason.reason or ""

    async def closed_raw(self) -> tuple[int, str]:
        """The same, of frames that are no JSON."""
        try:
            while True:
                await self._frame()
        except ConnectionClosed as closed:
            return closed.reason.code, closed.reason.reason or ""

    async def _frame(self) -> str:
        with trio.fail_after(_PATIENCE):
            return await self.socket.get_message()


class StreamClient(CentrifugeClient):
    """Over an HTTP body; commands but the first go to /emulation."""

    def __init__(self, here: Centrifuge, stream: trio.SocketStream, kind: str) -> None:
        super().__init__(None)  # type: ignore[arg-type]
        self._here = here
        self._stream = stream
        self._kind = kind
        self._data = b""
        self.head = ""
        self.session: dict[str, str] = {}

    async def send_raw(self, frame: str | bytes) -> None:
        if not self.head:
            await self._begin(frame)
            return
        body = json.dumps({**self.session, "data": frame}).encode()
        status = await self._here.post("/emulation", body)
        assert status == 204, status

    async def connect(self, token: str = "", **fields: Any) -> dict[str, Any]:
        result = await super().connect(token, **fields)
        self.session = {name: result.get(name, "") for name in ("session", "node")}
        return result

    async def closed(self, heard: list[dict[str, Any]] | None = None) -> tuple[int, str]:
        while "disconnect" not in (push := await self.push()):
            pass
        assert await self._chunk() == b""
        return push["disconnect"]["code"], push["disconnect"]["reason"]

    async def _begin(self, frame: str | bytes) -> None:
        if self._kind == "sse":
            query = f"/connection/sse?cf_connect={quote(frame)}"
            request = f"GET {query} HTTP/1.1\r\nHost: test\r\n\r\n".encode()
        else:
            body = frame.encode() if isinstance(frame, str) else frame
            request = (
                "POST /connection/http_stream HTTP/1.1\r\nHost: test\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            ).encode() + body
        await self._stream.send_all(request)
        self.head = (await self._until(b"\r\n\r\n")).decode()

    async def _frame(self) -> str:
        chunk = await self._chunk()
        if not chunk:
            raise EOFError
        text = chunk.decode()
        if self._kind == "sse":
            events = text.removesuffix("\n\n").split("\n\n")
            assert all(event.startswith("data: ") for event in events)
            return "\n".join(event.removeprefix("data: ") for event in events)
        return text.removesuffix("\n")

    async def _chunk(self) -> bytes:
        size = int(await self._until(b"\r\n"), 16)
        while len(self._data) < size + 2:
            await self._more()
        chunk, self._data = self._data[:size], self._data[size + 2 :]
        return chunk

    async def _until(self, end: bytes) -> bytes:
        while end not in self._data:
            await self._more()
        found, _, self._data = self._data.partition(end)
        return found

    async def _more(self) -> None:
        with trio.fail_after(_PATIENCE):
            piece = await self._stream.receive_some()
        if not piece:
            raise EOFError
        self._data += piece


@dataclass
class Centrifuge:
    """A service, its hub and its port."""

    hub: Hub
    service: CentrifugeService
    api: CentrifugeApi
    port: int
    _nursery: trio.Nursery = field(repr=False)

    @asynccontextmanager
    async def ws(
        self, path: str = "/connection/websocket", **options: Any
    ) -> AsyncIterator[CentrifugeClient]:
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        try:
            async with trio.open_nursery() as nursery:
                socket = await wrap_client_stream(nursery, stream, "test", path, **options)
                yield CentrifugeClient(socket)
                nursery.cancel_scope.cancel()
        finally:
            await trio.aclose_forcefully(stream)

    @asynccontextmanager
    async def stream(self, kind: str) -> AsyncIterator[StreamClient]:
        """kind: "http_stream" or "sse"."""
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
            yield StreamClient(self, stream, kind)

    def client(self, kind: str):
        """By the name of the transport: "ws", "http_stream", "sse"."""
        return self.ws() if kind == "ws" else self.stream(kind)

    @asynccontextmanager
    async def connected(self, user: str = "", **fields: Any) -> AsyncIterator[CentrifugeClient]:
        """A WebSocket client that is somebody."""
        async with self.ws() as client:
            result = await client.connect(token(user) if user else "", **fields)
            assert "client" in result, result
            yield client

    async def post(self, path: str, body: bytes, kind: str = "application/json") -> int:
        """The status of a request on a connection of its own."""
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
            head = (
                f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Type: {kind}\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            await stream.send_all(head.encode() + body)
            answer = b""
            with trio.fail_after(_PATIENCE):
                async for piece in stream:
                    answer += piece
        return int(answer.split(b" ", 2)[1])


@asynccontextmanager
async def centrifuge(
    *, anonymous: bool = True, hub_options: Any = None, identities: Any = None, **policy: Any
) -> AsyncIterator[Centrifuge]:
    """A hub and Centrifugo's protocol on it, on a free port."""
    async with open_hub(**(hub_options or {})) as hub:
        tokens = ImTokens(ImTokenConfig(secret=SECRET))
        identities = identities or Identities(tokens, allow_anonymous=anonymous)
        service = CentrifugeService(hub, identities, CentrifugePolicy(**policy))
        listener = Listener("im", bind("im", Address("127.0.0.1", 0)), caps=Caps())
        async with (
            trio.open_nursery() as nursery,
            listening(listener, HttpServer(service.routes())) as port,
        ):
            nursery.start_soon(service.run)
            yield Centrifuge(hub, service, CentrifugeApi(hub, service), port, nursery)
            nursery.cancel_scope.cancel()
