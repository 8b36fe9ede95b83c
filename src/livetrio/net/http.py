"""HTTP/1.1 for the stream plane: requests in, each to the route it is for.

One task per connection, and that is the connection's own. Every listener of the stream plane
serves the same table of routes, which the composition root fills.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import h11
import trio

from livetrio.config import Network
from livetrio.errors import RefusalCode, Refused, RemoteProtocolError
from livetrio.net.connection import Connection
from livetrio.net.exchange import Exchange, final_response, next_event
from livetrio.net.lane import Lane
from livetrio.net.listen import Caps
from livetrio.net.repeats import Repeats
from livetrio.net.request import (
    MAX_HEAD,
    MAX_QUERY_FIELDS,
    Headers,
    HttpProtocolError,
    Request,
    forwarded_for,
    parse_request,
)

__all__ = ["HEAD_TIMEOUT", "HttpServer", "Route"]

HEAD_TIMEOUT = 10.0
"""Seconds for a request head to arrive, counted from the last answer (or the connection)."""
_ADMITTED = nullcontext(True)
"""In place of `_asker_counted` where there is no proxy."""
_PREFLIGHT_AGE = "86400"  # seconds: a day, more than any browser keeps it


@dataclass(frozen=True, slots=True)
class Route:
    """What answers some paths."""

    methods: frozenset[str]
    match: Callable[[str], bool]
    """Is this decoded path one of ours?"""
    handler: Callable[[Exchange], Awaitable[None]]


class HttpServer:
    """A `net.listen` handler: call it with a connection."""

    def __init__(
        self,
        routes: Sequence[Route],
        *,
        trusted: Sequence[Network] = (),
        caps: Caps | None = None,
        max_query_fields: int = MAX_QUERY_FIELDS,
        lane: Lane | None = None,
    ) -> None:
        """Serve these routes, the first that matches.

        Args:
            trusted: proxies whose X-Forwarded-For is believed.
            caps: the node's, so that those behind a proxy are counted one by one.
            max_query_fields: parameters that a request may have.
            lane: where connections wait whose next requests are like their last.
        """
        self._lane = lane
        self._max_query_fields = max_query_fields
        self._routes = routes
        self._trusted = trusted
        self._caps = caps
        self._repeats = Repeats(caps, HEAD_TIMEOUT)

    async def __call__(self, connection: Connection) -> None:
        """Answer requests until the peer, a handler or a broken request ends it."""
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        proxy = connection.peer, connection.port
        early = b""
        while (exchange := await self._next_exchange(connection, parser, early)) is not None:
            connection.peer, connection.port = proxy
            with self._asker_counted(exchange) if connection.trusted else _ADMITTED as admitted:
                if admitted:
                    await self._answer(exchange)
                conversation = exchange.conversation
                if conversation is not None:
                    # Idle WebSockets are many: of each the parser would take two kilobytes.
                    del parser, exchange
                    await conversation()
                    return
            if exchange.taken or parser.states != {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
                return
            # One answer must be out before the next request is looked at, and a peer that has
            # sent a thousand of them in one piece must let others run.
            await connection.outbox.flushed()
            await trio.lowlevel.checkpoint()
            parser.start_next_cycle()
            early = b""
            quick, head, lane = exchange.quick, exchange.head, self._lane
            if quick is not None and head:
                if lane is not None and lane.takes(connection):
                    early = await lane.stay(connection, head, quick)
                else:
                    early = await self._repeats.stay(connection, head, quick, proxy[0])
                if not early:
                    return

    async def _next_exchange(
        self, connection: Connection, parser: h11.Connection, early: bytes
    ) -> Exchange | None:
        """Read one request head, which begins with early; None when the peer is done."""
        head = early
        if early:
            parser.receive_data(early)
        first = parser.trailing_data[0]
        pieces = 1 if first else 0
        try:
            with trio.move_on_after(HEAD_TIMEOUT):
                while (event := next_event(parser)) is h11.NEED_DATA:
                    data = await connection.receive()
                    if not data and not first:
                        return None  # closed between two requests
                    first = first or data[:16]
                    head, pieces = data, pieces + 1
                    parser.receive_data(data)
                if not isinstance(event, h11.Request):
                    return None
                request = parse_request(event, self._max_query_fields)
                if not request.has_body:
                    next_event(parser)  # the end of the message
                whole = pieces == 1 and head.startswith(b"GET ") and not request.has_body
                if not whole or parser.trailing_data[0]:
                    head = b""
                return Exchange(connection, parser, request, head)
            if not first:
                return None  # silent between two requests
            raise HttpProtocolError(408, f"request head not finished in {HEAD_TIMEOUT:g} s")
        except HttpProtocolError as error:
            reason = _other_protocol(first) or str(error)
            connection.outbox.send(final_response(error.status, reason))
            raise RemoteProtocolError(reason) from error

    async def _answer(self, exchange: Exchange) -> None:
        try:
            await self._dispatch(exchange)
        except Refused as refusal:
            if exchange.taken:
                raise
            exchange.refuse(refusal)
        except RemoteProtocolError as error:
            if not exchange.taken:
                if not isinstance(told := error, HttpProtocolError):
                    told = HttpProtocolError(400, str(error))
                last_words = final_response(told.status, str(told), told.headers)
                exchange.connection.outbox.send(last_words)
            raise

    async def _dispatch(self, exchange: Exchange) -> None:
        request = exchange.request
        if request.headers.get("content-type") == "application/x-fcs":
            raise HttpProtocolError(400, "RTMPT is not supported")
        matching = [route for route in self._routes if route.match(request.path)]
        for route in matching:
            if request.method in route.methods:
                await route.handler(exchange)
                return
        methods = sorted({"OPTIONS"}.union(*(route.methods for route in matching)))
        allow = ("Allow", ", ".join(methods))
        if request.method == "OPTIONS" and (matching or request.path == "*"):
            exchange.reply(204, headers=[allow, *_preflight(request, allow[1])])
        elif matching:
            exchange.reply(405, "method not allowed", headers=[allow])
        else:
            exchange.reply(404, "not found")

    @contextmanager
    def _asker_counted(self, exchange: Exchange) -> Iterator[bool]:
        """Behind a trusted proxy: know the real address, and count it while it is served."""
        connection = exchange.connection
        chain = exchange.request.headers.get("x-forwarded-for", "")
        asker = connection.peer
        if chain:
            asker = forwarded_for(chain, asker, self._trusted)
        if asker == connection.peer:
            yield True
            return
        connection.peer, connection.port = asker, 0
        if self._caps is None:
            yield True
        elif not self._caps.enter(asker):
            exchange.refuse(Refused(RefusalCode.TOO_MANY, "too many connections"))
            yield False
        else:
            try:
                yield True
            finally:
                self._caps.leave(asker)


def _preflight(request: Request, methods: str) -> Headers:
    yield "Access-Control-Allow-Methods", methods
    yield "Access-Control-Allow-Headers", "*, Authorization, Content-Type, Range"
    yield "Access-Control-Max-Age", _PREFLIGHT_AGE
    if request.headers.get("access-control-request-private-network") == "true":
        yield "Access-Control-Allow-Private-Network", "true"


def _other_protocol(first: bytes) -> str:
    """What a peer that does not speak HTTP seems to speak; "" if it does not show."""
    if first[:2] == b"\x16\x03":
        return "TLS hello on the plain HTTP port"
    if first[:1] in {b"\x03", b"\x06"}:
        return "RTMP handshake on the HTTP port"
    return ""
