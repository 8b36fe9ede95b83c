"""An HTTP client that sends any bytes at all, and the stream plane's server on a free port."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from kit.peers import listening
from livetrio.access.gate import PublishGrant
from livetrio.net.http import HttpServer, Route
from livetrio.net.lane import Lane
from livetrio.net.listen import Address, Listener, bind
from livetrio.net.request import MAX_QUERY_FIELDS
from livetrio.packet import StreamKey

__all__ = ["HttpClient", "OpenGate", "Response", "get", "http_client", "serving"]

_PATIENCE = 60.0
"""Seconds; virtual ones pass quickly and must not be shorter than the server's own deadlines."""


@dataclass(frozen=True, slots=True)
class Response:
    """Status, headers by lower-case name, body."""

    status: int
    headers: dict[str, str]
    body: bytes = b""


class HttpClient:
    """One connection; every wait has a deadline."""

    def __init__(self, stream: trio.SocketStream | trio.SSLStream) -> None:
        self.stream = stream
        self._buffer = b""
        self._ended = False

    async def send(self, data: bytes) -> None:
        with trio.fail_after(_PATIENCE):
            await self.stream.send_all(data)

    async def ask(
        self, target: str, method: str = "GET", *, version: str = "1.1", **headers: str
    ) -> None:
        """Send a request head; header names have "_" for "-"."""
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        head = [f"{method} {target} HTTP/{version}", "Host: test", *lines]
        await self.send("\r\n".join([*head, "", ""]).encode())

    async def head(self) -> Response:
        """The next response head; the body stays where it is."""
        text = (await self.until(b"\r\n\r\n")).decode("latin-1")
        status, *lines = text.removesuffix("\r\n\r\n").split("\r\n")
        pairs = [line.split(": ", 1) for line in lines]
        headers = {name.lower(): value for name, value in pairs}
        assert len(headers) == len(pairs), f"a header twice: {text}"
        return Response(int(status.split(" ")[1]), headers)

    async def response(self, *, to_head: bool = False) -> Response:
        """The next whole response with a Content-Length."""
        head = await self.head()
        size = 0 if to_head else int(head.headers.get("content-length", "0"))
        return Response(head.status, head.headers, await self.exactly(size))

    async def chunk(self) -> bytes:
        """The next chunk of a chunked body, b"" for the last."""
        size = int(await self.until(b"\r\n"), 16)
        return (await self.exactly(size + 2)).removesuffix(b"\r\n")

    async def frame(self) -> tuple[int, bytes]:
        """The next WebSocket frame: its first byte (FIN and opcode) and payload."""
        first, size = await self.exactly(2)
        assert size < 128, "a server masks nothing"
        if size > 125:
            size = int.from_bytes(await self.exactly(2 if size == 126 else 8), "big")
        return first, await self.exactly(size)

    async def exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            await self._more()
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    async def until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            await self._more()
        data, _, self._buffer = self._buffer.partition(mark)
        return data + mark

    async def some(self) -> bytes:
        """What comes next, in any size; b"" at the end."""
        try:
            if not self._buffer:
                await self._more()
        except EOFError:
            return b""
        data, self._buffer = self._buffer, b""
        return data

    async def rest(self) -> bytes:
        """All that comes until the server closes."""
        try:
            while True:
                await self._more()
        except EOFError:
            data, self._buffer = self._buffer, b""
            return data

    async def _more(self) -> None:
        data = b""
        if not self._ended:  # a TLS stream may not be read again
            with trio.fail_after(_PATIENCE):
                data = await self.stream.receive_some()
        if not data:
            self._ended = True
            raise EOFError(f"closed after {self._buffer[:200]!r}")
        self._buffer += data


@asynccontextmanager
async def http_client(port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[HttpClient]:
    """A connection to the port on the loopback, over TLS to "localhost" if a context is given."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        if tls is None:
            yield HttpClient(stream)
        else:
            yield HttpClient(
                trio.SSLStream(stream, tls, server_hostname="localhost", https_compatible=True)
            )


async def get(port: int, target: str, method: str = "GET", **headers: str) -> Response:
    """One request on a connection of its own."""
    async with http_client(port) as client:
        await client.ask(target, method, **headers)
        return await client.response(to_head=method == "HEAD")


@asynccontextmanager
async def serving(
    *routes: Route,
    max_query_fields: int = MAX_QUERY_FIELDS,
    lane: Lane | None = None,
    **options,
) -> AsyncIterator[int]:
    """An `HttpServer` with these routes; gives its port.

    Args:
        lane: of the server; somebody else runs it.
        options: of Listener (`tls`, `limits`, `trusted`, `caps`).
    """
    listener = Listener("http", bind("http", Address("127.0.0.1", 0)), **options)
    trusted, caps = options.get("trusted", ()), options.get("caps")
    server = HttpServer(
        routes, trusted=trusted, caps=caps, max_query_fields=max_query_fields, lane=lane
    )
    async with listening(listener, server) as port:
        yield port


class OpenGate:
    """Everybody may do everything; names are taken as they come."""

    def __init__(self, *, takeover: bool = False) -> None:
        self.takeover = takeover
        self.asked: list[tuple[str, str, dict[str, str], str]] = []

    async def may_play(self, app: str, name: str, query: Mapping[str, str], peer: str) -> StreamKey:
        self.asked.append((app, name, dict(query), peer))
        return StreamKey(app, name)

    async def may_publish(
        self, app: str, name: str, query: Mapping[str, str], peer: str
    ) -> PublishGrant:
        return PublishGrant(await self.may_play(app, name, query, peer), self.takeover)
