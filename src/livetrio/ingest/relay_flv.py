"""HTTP-FLV as a relay's source: one GET, at most three redirects, an endless body."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import h11

from livetrio import __version__
from livetrio.errors import RemoteProtocolError
from livetrio.ingest.relay_attempt import Attempt, RelayEnded, within
from livetrio.ingest.relay_url import HttpUrl
from livetrio.net.connection import Connection
from livetrio.packet import Packet
from livetrio.wire.flv import FileReader

__all__ = ["FlvSource", "open_flv_source"]

MAX_REDIRECTS: Final = 3
_MAX_HEAD: Final = 16 << 10
"""Bytes of a response's head (and of a chunk's header)."""
_REDIRECTS: Final = {301, 302, 303, 307, 308}


@asynccontextmanager
async def open_flv_source(attempt: Attempt) -> AsyncIterator[tuple[Connection, FlvSource]]:
    """Ask for the stream and follow redirects; each is dialled under the same rules.

    Raises:
        RelayEnded: the answer is not a stream, or comes too late.
        RemoteProtocolError: it is not HTTP.
    """
    assert isinstance(attempt.url, HttpUrl)
    url = attempt.url
    for _ in range(MAX_REDIRECTS + 1):
        async with attempt.dial(url) as connection:
            source = FlvSource(connection)
            with within(attempt.timeouts.handshake, "no answer to the request in time"):
                location = await source.ask(url)
            if location is None:
                yield connection, source
                return
        url = url.redirected(location)
    raise RelayEnded(f"more than {MAX_REDIRECTS} redirects")


class FlvSource:
    """The body of one HTTP response, read as an FLV file."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
        self._file = FileReader()

    async def ask(self, url: HttpUrl) -> str | None:
        """Send the request and read the head of the answer; where it redirects, or None."""
        request = h11.Request(method="GET", target=url.target, headers=_headers(url))
        self._send(request)
        self._send(h11.EndOfMessage())
        while not isinstance(event := await self._next(), h11.Response):
            pass  # 1xx: to be ignored (RFC 9110, section 15.2)
        headers = dict(event.headers)
        if event.status_code in _REDIRECTS and b"location" in headers:
            return headers[b"location"].decode("latin-1")
        if event.status_code != 200:
            raise RelayEnded(f"the source answers {event.status_code}")
        return None

    async def read(self) -> list[Packet]:
        """The packets that came with the next bytes; may be empty.

        Raises:
            RelayEnded: the body has ended.
            RemoteProtocolError: it is not FLV, or not HTTP.
        """
        match await self._next():
            case h11.Data(data=data):
                return self._file.feed(bytes(data))
            case _:
                raise RelayEnded("the source has ended")

    def _send(self, event: h11.Event) -> None:
        self._connection.outbox.send(self._http.send(event) or b"")

    async def _next(self) -> h11.Event:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(await self._connection.receive())
        except h11.RemoteProtocolError as error:
            raise RemoteProtocolError(f"HTTP: {error}") from None
        if isinstance(event, h11.ConnectionClosed):
            raise RelayEnded("the source closed the connection")
        assert isinstance(event, h11.Event)
        return event


def _headers(url: HttpUrl) -> list[tuple[str, str]]:
    headers = [
        ("Host", url.origin.partition("://")[2]),
        ("User-Agent", f"livetrio/{__version__}"),
        ("Accept", "video/x-flv, */*;q=0.1"),
        ("Accept-Encoding", "identity"),
        ("Connection", "close"),
    ]
    if url.user is not None:
        credentials = base64.b64encode(url.user.encode()).decode("ascii")
        headers.append(("Authorization", f"Basic {credentials}"))
    return headers
