"""The HTTP of a WHIP or WHEP client: POST an offer, DELETE the session (RFC 9725).

Each request has a connection of its own: minutes lie between the two, and a load balancer may
have sent them to different hosts.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

import h11
import trio

from livetrio import __version__
from livetrio.errors import RefusalCode, Refused, RemoteProtocolError
from livetrio.logs import get_logger
from livetrio.net.connection import Connection
from livetrio.net.guard import guarded
from livetrio.webrtc.outbound import Attempt, OutboundEnded, Url, within

__all__ = ["posted"]

log = get_logger(__name__)
U = TypeVar("U", bound=Url)

_MAX_REDIRECTS: Final = 3
_MAX_HEAD: Final = 16 << 10
_MAX_BODY: Final = 64 << 10
"""Bytes; of an SDP as well as of an error's explanation."""
_GOODBYE: Final = 2.0
"""Seconds for the DELETE."""
_REDIRECTS: Final = frozenset({301, 302, 307, 308})
"""303 asks for a GET, which no endpoint has."""
_REFUSED: Final = {400, 406, 409, 413, 415, 422}
_FORBIDDEN: Final = {401, 403}
_SHOWN: Final = 120
"""Characters of what a server says of its reasons."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    location: str
    body: str


@asynccontextmanager
async def posted(attempt: Attempt[U], url: U, offer: str) -> AsyncIterator[str]:
    """The endpoint's answer to our offer, an SDP; leaving the block ends the session there.

    Raises:
        OutboundEnded: no answer in time, or the endpoint cannot serve us now.
        Refused: FORBIDDEN, our token; BAD_REQUEST, our offer. Both will not change soon.
        RemoteProtocolError: it does not speak HTTP, or not WHIP.
    """
    with within(attempt.timeouts.handshake, "no answer to the offer in time"):
        endpoint, answer = await _post(attempt, url, offer)
    resource = endpoint.redirected(answer.location) if answer.location else None
    try:
        yield answer.body
    finally:
        if resource is not None:
            with trio.move_on_after(_GOODBYE, shield=True), guarded(_unheard):
                async with attempt.dial(resource) as connection:
                    await _ask(connection, "DELETE", resource)


async def _post(attempt: Attempt[U], url: U, offer: str) -> tuple[U, _Answer]:
    for _ in range(_MAX_REDIRECTS + 1):
        async with attempt.dial(url) as connection:
            answer = await _ask(connection, "POST", url, offer)
        if answer.status == 201:
            return url, answer
        if answer.status not in _REDIRECTS or not answer.location:
            break
        url = url.redirected(answer.location)
    else:
        raise OutboundEnded(f"more than {_MAX_REDIRECTS} redirects")
    reason = f"the endpoint answers {answer.status} {' '.join(answer.body[:_SHOWN].split())}"
    if answer.status in _FORBIDDEN:
        raise Refused(RefusalCode.FORBIDDEN, reason)
    if answer.status in _REFUSED:
        raise Refused(RefusalCode.BAD_REQUEST, reason)
    raise OutboundEnded(reason)


async def _ask(connection: Connection, method: str, url: Url, offer: str = "") -> _Answer:
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
    body = offer.encode()
    request = h11.Request(method=method, target=url.target, headers=_headers(url, body))
    events: Sequence[h11.Event] = (request, h11.Data(data=body), h11.EndOfMessage())
    for event in events:
        connection.outbox.send(http.send(event) or b"")
    try:
        return await _answer(connection, http)
    except h11.RemoteProtocolError as error:
        raise RemoteProtocolError(f"HTTP: {error}") from None


async def _answer(connection: Connection, http: h11.Connection) -> _Answer:
    status, location, body = 0, "", bytearray()
    while True:
        match event := http.next_event():
            case h11.Response():
                status = event.status_code
                headers = dict(event.headers)
                location = headers.get(b"location", b"").decode("latin-1")
            case h11.Data():
                body += event.data
                if len(body) > _MAX_BODY:
                    raise RemoteProtocolError(f"an answer of over {_MAX_BODY} bytes")
            case h11.EndOfMessage():
                return _Answer(status, location, body.decode("utf-8", "replace"))
            case h11.ConnectionClosed():
                raise RemoteProtocolError("closed without an answer")
            case h11.NEED_DATA:
                http.receive_data(await connection.receive())


def _headers(url: Url, body: bytes) -> list[tuple[str, str]]:
    headers = [
        ("Host", url.origin.partition("://")[2]),
        ("User-Agent", f"livetrio/{__version__}"),
        ("Accept", "application/sdp"),
        ("Connection", "close"),
        ("Content-Length", str(len(body))),
    ]
    if body:
        headers.append(("Content-Type", "application/sdp"))
    if url.user is not None:
        name, _, password = url.user.partition(":")
        if password:
            credentials = base64.b64encode(url.user.encode()).decode("ascii")
            headers.append(("Authorization", f"Basic {credentials}"))
        else:
            headers.append(("Authorization", f"Bearer {name}"))
    return headers


def _unheard(error: BaseException) -> None:
    """A server that does not hear the goodbye finds out by ICE."""
    log.debug("session not deleted", reason=str(error))
