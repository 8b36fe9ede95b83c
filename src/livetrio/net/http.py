"""HTTP/1.1 for the stream plane: a thin shell over h11 for small answers and endless bodies.

One task per connection, and that is the connection's own. Small answers keep the connection
alive; a handler may also take it over for an endless body or a WebSocket, and then h11 is
dropped and the bytes come from a feed. Every listener of the stream plane serves the same
table of routes, which the composition root fills.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus

import h11
import trio

from livetrio.errors import LocalProtocolError, RefusalCode, Refused, RemoteProtocolError
from livetrio.logs import get_logger
from livetrio.net.connection import Connection
from livetrio.net.listen import Caps
from livetrio.net.request import (
    MAX_HEAD,
    HttpProtocolError,
    Network,
    Request,
    forwarded_for,
    parse_request,
)

__all__ = ["STATUS", "Exchange", "HttpServer", "Route", "final_response", "listen_only"]

log = get_logger(__name__)

STATUS = {
    RefusalCode.BAD_REQUEST: 400,
    RefusalCode.UNAUTHORIZED: 401,
    RefusalCode.FORBIDDEN: 403,
    RefusalCode.NOT_FOUND: 404,
    RefusalCode.CONFLICT: 409,
    RefusalCode.GONE: 410,
    RefusalCode.TOO_MANY: 429,
    RefusalCode.UNAVAILABLE: 503,
}
"""The HTTP word for each refusal."""

HEAD_TIMEOUT = 10.0
"""Seconds for a request head to arrive, counted from the last answer (or the connection)."""
_MAX_CHATTER = 64 << 10
"""Bytes a peer may send while it should only listen."""
_TEXT = "text/plain; charset=utf-8"
_PREFLIGHT_AGE = "86400"  # seconds: a day, more than any browser keeps it
_EVERY_ANSWER = [
    ("Server", "livetrio"),
    ("Access-Control-Allow-Origin", "*"),
    ("Cache-Control", "no-store"),
]

Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Route:
    """What answers some paths."""

    methods: frozenset[str]
    match: Callable[[str], bool]
    """Is this decoded path one of ours?"""
    handler: Callable[[Exchange], Awaitable[None]]


class Exchange:
    """One request and its answer, given to a route's handler."""

    __slots__ = ("_h11", "connection", "request", "taken")

    def __init__(self, connection: Connection, parser: h11.Connection, request: Request) -> None:
        self._h11: h11.Connection | None = parser
        self.connection = connection
        self.request = request
        self.taken = False
        """Has the handler taken the connection over?"""

    def reply(
        self,
        status: int,
        body: bytes | str = b"",
        *,
        content_type: str = _TEXT,
        headers: Headers = (),
        close: bool = False,
    ) -> None:
        """Answer in full. A plain call; the connection closes if the request was not read out.

        A body given as text ends in a newline and may not be sniffed, like Go's `http.Error`.
        """
        fields = [*_EVERY_ANSWER, ("Date", formatdate(usegmt=True)), *headers]
        if isinstance(body, str):
            body = body.encode() + b"\n"
            fields.append(("X-Content-Type-Options", "nosniff"))
        if status != HTTPStatus.NO_CONTENT:
            fields.append(("Content-Length", str(len(body))))
        if body:
            fields.append(("Content-Type", content_type))
        parser = self._parser
        if close or parser.their_state in {h11.SEND_BODY, h11.ERROR}:
            fields.append(("Connection", "close"))
        data = parser.send(h11.Response(status_code=status, headers=fields, reason=_phrase(status)))
        if body and self.request.method != "HEAD":
            data += parser.send(h11.Data(data=body))
        self.connection.outbox.send(data + parser.send(h11.EndOfMessage()))

    def refuse(self, refusal: Refused) -> None:
        """Answer with the refusal's status and reason; the hint goes to the log alone."""
        log.info("request refused", **self._about(), reason=refusal.reason, hint=refusal.hint)
        self.reply(STATUS[refusal.code], refusal.reason)

    def begin_endless(self, content_type: str) -> bool:
        """Send the head of a body without an end and take the connection over.

        Returns: whether the body goes in chunks (HTTP/1.1) or raw until the close (HTTP/1.0).
        """
        fields = [
            *_EVERY_ANSWER,
            ("Date", formatdate(usegmt=True)),
            ("Content-Type", content_type),
            ("Connection", "close"),
            ("X-Accel-Buffering", "no"),  # or Nginx in front would hold it back
        ]
        response = h11.Response(status_code=200, headers=fields, reason=b"OK")
        self.connection.outbox.send(self._parser.send(response))
        self._take()
        return self.request.version >= (1, 1)

    def switch(self, headers: Headers) -> bytes:
        """Answer 101 and take the connection over; returns what came behind the request."""
        parser = self._parser
        if self.request.has_body:
            raise HttpProtocolError(400, "upgrade of a request with a body")
        fields = [("Server", "livetrio"), *headers]
        response = h11.InformationalResponse(
            status_code=101, headers=fields, reason=b"Switching Protocols"
        )
        self.connection.outbox.send(parser.send(response))
        early, _ = parser.trailing_data
        self._take()
        return early

    async def receive_body(self) -> bytes:
        """The next piece of the request's body, b"" at its proper end.

        Put a deadline (or `watch_idle`) on it.

        Raises:
            HttpProtocolError: broken chunks.
            trio.BrokenResourceError: the peer left in the middle.
        """
        parser, connection = self._parser, self.connection
        if parser.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
            connection.outbox.send(parser.send(go_on))
        while True:
            match event := _next_event(parser):
                case h11.Data():
                    if event.data:
                        return bytes(event.data)
                case h11.NEED_DATA:
                    data = await connection.receive()
                    if not data:
                        raise trio.BrokenResourceError("left in the middle of its request")
                    parser.receive_data(data)
                case _:
                    return b""

    @property
    def _parser(self) -> h11.Connection:
        if self._h11 is None:
            raise LocalProtocolError("the connection was taken over already")
        return self._h11

    def _take(self) -> None:
        # An idle viewer must not hold the parser and the request's headers for hours.
        self.taken = True
        self._h11 = None
        self.request.headers = {}

    def _about(self) -> dict[str, str]:
        # No path: a publisher's path is its secret key.
        return {"peer": str(self.connection), "method": self.request.method}


class HttpServer:
    """A `net.listen` handler: call it with a connection."""

    def __init__(
        self, routes: Sequence[Route], *, trusted: Sequence[Network] = (), caps: Caps | None = None
    ) -> None:
        """Serve these routes, the first that matches.

        Args:
            trusted: proxies whose X-Forwarded-For is believed.
            caps: the node's, so that those behind a proxy are counted one by one.
        """
        self._routes = routes
        self._trusted = trusted
        self._caps = caps

    async def __call__(self, connection: Connection) -> None:
        """Answer requests until the peer, a handler or a broken request ends it."""
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        proxy = connection.peer, connection.port
        while (exchange := await self._next_exchange(connection, parser)) is not None:
            connection.peer, connection.port = proxy
            with self._asker_counted(exchange) as admitted:
                if admitted:
                    await self._answer(exchange)
            if exchange.taken or parser.states != {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
                return
            # One answer must be out before the next request is looked at, and a peer that has
            # sent a thousand of them in one piece must let others run.
            await connection.outbox.flushed()
            await trio.lowlevel.checkpoint()
            parser.start_next_cycle()

    async def _next_exchange(
        self, connection: Connection, parser: h11.Connection
    ) -> Exchange | None:
        """Read one request head; None when the peer is done."""
        first = parser.trailing_data[0]
        try:
            with trio.move_on_after(HEAD_TIMEOUT):
                while (event := _next_event(parser)) is h11.NEED_DATA:
                    data = await connection.receive()
                    if not data and not first:
                        return None  # closed between two requests
                    first = first or data[:16]
                    parser.receive_data(data)
                if not isinstance(event, h11.Request):
                    return None
                request = parse_request(event)
                if not request.has_body:
                    _next_event(parser)  # the end of the message
                return Exchange(connection, parser, request)
            if not first:
                return None  # silent between two requests
            raise HttpProtocolError(408, f"request head not finished in {HEAD_TIMEOUT:g} s")
        except HttpProtocolError as error:
            reason = _other_protocol(first) or str(error)
            connection.outbox.send(final_response(error.status, reason))
            raise HttpProtocolError(error.status, reason) from error

    async def _answer(self, exchange: Exchange) -> None:
        try:
            await self._dispatch(exchange)
        except Refused as refusal:
            if exchange.taken:
                raise
            exchange.refuse(refusal)
        except RemoteProtocolError as error:
            if not exchange.taken:
                status = error.status if isinstance(error, HttpProtocolError) else 400
                exchange.connection.outbox.send(final_response(status, str(error)))
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
        if connection.trusted and chain:
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


async def listen_only(connection: Connection) -> None:
    """Return when the peer of an endless body has gone; what it says is discarded, bounded.

    The end of its sending side counts as going, as with Go's servers and Nginx: no player
    closes half a connection, and one that vanished must not be kept.
    """
    heard = 0
    while data := await connection.receive():
        heard += len(data)
        if heard > _MAX_CHATTER:
            raise RemoteProtocolError("keeps sending where it should only listen")


def final_response(status: int, reason: str) -> bytes:
    """A whole response after which the connection closes, for where h11 has no more say."""
    parser = h11.Connection(h11.SERVER)
    body = reason.encode() + b"\n"
    fields = [
        *_EVERY_ANSWER,
        ("Content-Type", _TEXT),
        ("X-Content-Type-Options", "nosniff"),
        ("Content-Length", str(len(body))),
        ("Connection", "close"),
    ]
    response = h11.Response(status_code=status, headers=fields, reason=_phrase(status))
    return parser.send(response) + parser.send(h11.Data(data=body))


def _next_event(parser: h11.Connection) -> object:
    try:
        return parser.next_event()
    except h11.RemoteProtocolError as error:
        reason = f"bad request: {error}"
        raise HttpProtocolError(error.error_status_hint, reason) from error


def _phrase(status: int) -> bytes:
    return HTTPStatus(status).phrase.encode()


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
