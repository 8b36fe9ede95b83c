"""Exchange: one HTTP request and its answer: small, endless, or a change of protocol.

A thin shell over h11. Answering is a plain call into the connection's outbox; once a handler
has taken the connection over, h11 is dropped and the bytes come from a feed or a WebSocket.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from email.utils import formatdate
from http import HTTPStatus

import h11
import trio

from livetrio.errors import LocalProtocolError, RefusalCode, Refused, RemoteProtocolError
from livetrio.logs import get_logger
from livetrio.net.connection import Connection
from livetrio.net.quick import Quick
from livetrio.net.request import Headers, HttpProtocolError, Request

__all__ = [
    "STATUS",
    "Exchange",
    "final_response",
    "listen_only",
    "next_event",
    "response_head",
]

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

_MAX_CHATTER = 64 << 10
"""Bytes a peer may send while it should only listen."""
_TEXT = "text/plain; charset=utf-8"
_EVERY_ANSWER = [
    ("Server", "livetrio"),
    ("Access-Control-Allow-Origin", "*"),
    ("Cache-Control", "no-store"),
]


class Exchange:
    """One request and its answer, given to a route's handler."""

    __slots__ = ("_h11", "connection", "conversation", "head", "quick", "request", "taken")

    def __init__(
        self, connection: Connection, parser: h11.Connection, request: Request, head: bytes = b""
    ) -> None:
        self._h11: h11.Connection | None = parser
        self.connection = connection
        self.request = request
        self.taken = False
        """Has the handler taken the connection over?"""
        self.conversation: Callable[[], Awaitable[None]] | None = None
        """What goes on with a connection that was taken over, when the handler has returned."""
        self.head = head
        """The request as it was received, if it is a GET that came in one piece; b"" if not."""
        self.quick: Quick | None = None
        """Set by a handler that can answer its connection's next requests by plain calls."""

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
        headers = list(headers)
        own = {name for name, _ in headers}
        fields = [field for field in _EVERY_ANSWER if field[0] not in own]
        fields += [("Date", formatdate(usegmt=True)), *headers]
        if isinstance(body, str):
            body = body.encode() + b"\n"
            fields.append(("X-Content-Type-Options", "nosniff"))
        # A HEAD without one is for a body without an end.
        if status != HTTPStatus.NO_CONTENT and (body or self.request.method != "HEAD"):
            fields.append(("Content-Length", str(len(body))))
        if body or self.request.method == "HEAD":
            fields.append(("Content-Type", content_type))
        parser = self._parser
        if close or parser.their_state in {h11.SEND_BODY, h11.ERROR}:
            fields.append(("Connection", "close"))
        data = parser.send(h11.Response(status_code=status, headers=fields, reason=_phrase(status)))
        if body and self.request.method != "HEAD":
            data += parser.send(h11.Data(data=body))
        self.connection.outbox.send(data + parser.send(h11.EndOfMessage()))

    async def stream(
        self,
        status: int,
        body: AsyncGenerator[bytes, None],
        *,
        size: int | None,
        content_type: str,
        headers: Headers = (),
    ) -> None:
        """Answer with a body that is read as the peer takes it.

        Args:
            body: not begun where there is only a head to send; it gives `size` bytes.
            size: Content-Length; None: unknown, then in chunks, or until the close.

        Raises:
            RemoteProtocolError: whatever ends the body early; the connection is closed then, for
                nothing else tells the peer.
        """
        headers = list(headers)
        own = {name for name, _ in headers}
        fields = [field for field in _EVERY_ANSWER if field[0] not in own]
        fields += [("Date", formatdate(usegmt=True)), *headers, ("Content-Type", content_type)]
        if size is not None:
            fields.append(("Content-Length", str(size)))
        parser, outbox = self._parser, self.connection.outbox
        response = h11.Response(status_code=status, headers=fields, reason=_phrase(status))
        outbox.send(parser.send(response))
        if self.request.method != "HEAD":
            self.taken = True  # no other answer can be sent any more
            async with aclosing(body) as pieces:
                async for piece in pieces:
                    outbox.send(parser.send(h11.Data(data=piece)))
                    await outbox.flushed()
            self.taken = False
        outbox.send(parser.send(h11.EndOfMessage()))

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

    def go_on(self, conversation: Callable[[], Awaitable[None]]) -> None:
        """Leave the long part of a taken connection for after the handler's return: then nothing
        of the HTTP layer is held for hours but one coroutine's frame."""
        self.conversation = conversation

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
        received = False
        while True:
            match event := next_event(parser):
                case h11.Data():
                    if event.data:
                        if not received:  # one read may hold ten thousand chunks: let others run
                            await trio.lowlevel.checkpoint()
                        return bytes(event.data)
                case h11.NEED_DATA:
                    data = await connection.receive()
                    received = True
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


def final_response(status: int, reason: str, headers: Headers = ()) -> bytes:
    """A whole response after which the connection closes, for where h11 has no more say."""
    parser = h11.Connection(h11.SERVER)
    body = reason.encode() + b"\n"
    fields = [
        *_EVERY_ANSWER,
        *headers,
        ("Content-Type", _TEXT),
        ("X-Content-Type-Options", "nosniff"),
        ("Content-Length", str(len(body))),
        ("Connection", "close"),
    ]
    response = h11.Response(status_code=status, headers=fields, reason=_phrase(status))
    return parser.send(response) + parser.send(h11.Data(data=body))


def response_head(size: int, content_type: str, headers: Headers = ()) -> bytes:
    """The head of a 200 as `Exchange.reply` sends it, for bytes that go to many."""
    own = {name for name, _ in headers}
    fields = [field for field in _EVERY_ANSWER if field[0] not in own]
    fields += [("Date", formatdate(usegmt=True)), *headers]
    fields += [("Content-Length", str(size)), ("Content-Type", content_type)]
    lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def next_event(parser: h11.Connection) -> object:
    """h11's next event, its errors as ours."""
    try:
        return parser.next_event()
    except h11.RemoteProtocolError as error:
        reason = f"bad request: {error}"
        raise HttpProtocolError(error.error_status_hint, reason) from error


def _phrase(status: int) -> bytes:
    return HTTPStatus(status).phrase.encode()
