"""Emulation: the protocol over HTTP bodies, for where WebSockets do not get through.

The answer to `/connection/http_stream` (or `/connection/sse`) never ends and carries what the
server says; what the client says after its first command comes as requests to `/emulation`,
which name the unguessable session that the answer to CONNECT has told.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import trio

from livetrio.errors import RemoteProtocolError
from livetrio.im.centrifuge_carriers import Carrier, StreamCarrier
from livetrio.im.centrifuge_policy import CentrifugePolicy
from livetrio.im.centrifuge_views import CentrifugeView, sse_view, stream_view
from livetrio.net.exchange import Exchange, listen_only
from livetrio.net.http import Route
from livetrio.net.request import HttpProtocolError
from livetrio.wire.centrifuge import json_codec, protobuf_codec

__all__ = ["Emulation"]

_BODY_TIMEOUT: Final = 10.0
_BINARY: Final = "application/octet-stream"
_EVENTS: Final = "text/event-stream; charset=utf-8"
_GET, _POST = frozenset({"GET"}), frozenset({"POST"})


class Emulation:
    """The HTTP side; conversations are the service's."""

    def __init__(
        self,
        node: str,
        policy: CentrifugePolicy,
        converse: Callable[[Carrier], Awaitable[None]],
    ) -> None:
        self._node = node
        self._policy = policy
        self._converse = converse
        self._carriers: dict[str, StreamCarrier] = {}

    def routes(self) -> list[Route]:
        """For the IM port."""
        return [
            Route(_POST, "/connection/http_stream".__eq__, self._http_stream),
            Route(_GET | _POST, "/connection/sse".__eq__, self._sse),
            Route(_POST, "/emulation".__eq__, self._emulate),
        ]

    async def _http_stream(self, exchange: Exchange) -> None:
        protobuf = _is_binary(exchange)
        first = await self._body(exchange)
        chunked = exchange.begin_endless(_BINARY if protobuf else "application/json")
        view = stream_view(protobuf=protobuf, chunked=chunked)
        self._go_on(exchange, view, first, chunked=chunked)

    async def _sse(self, exchange: Exchange) -> None:
        if exchange.request.method == "POST":
            first = await self._body(exchange)
        else:
            first = exchange.request.query.get("cf_connect", "").encode(errors="replace")
        if not first:
            raise HttpProtocolError(400, "no connect command")
        chunked = exchange.begin_endless(_EVENTS)
        self._go_on(exchange, sse_view(chunked=chunked), first, chunked=chunked)

    def _go_on(
        self, exchange: Exchange, view: CentrifugeView, first: bytes, *, chunked: bool
    ) -> None:
        session = secrets.token_urlsafe(18)
        carrier = StreamCarrier(exchange.connection, view, session, chunked=chunked)
        carrier.put(first)
        exchange.go_on(lambda: self._stream(carrier))

    async def _stream(self, carrier: StreamCarrier) -> None:
        """Until the client has gone, or was told to go."""
        self._carriers[carrier.session] = carrier
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_watch, carrier, nursery.cancel_scope, name="stream watch")
                await self._converse(carrier)
                nursery.cancel_scope.cancel()
        finally:
            del self._carriers[carrier.session]

    async def _emulate(self, exchange: Exchange) -> None:
        body = await self._body(exchange)
        if _is_binary(exchange):
            request = protobuf_codec.decode_emulation(body)
        else:
            request = json_codec.decode_emulation(body)
        carrier = self._carriers.get(request.session)
        if request.node != self._node or carrier is None:
            exchange.reply(404, "no such session")
        elif not carrier.put(request.data):
            exchange.reply(429, "too many requests wait for their turn")
        else:
            exchange.reply(204)

    async def _body(self, exchange: Exchange) -> bytes:
        """All of a request's body.

        Raises:
            HttpProtocolError: 413, it is too long; 408, it does not come in time.
        """
        most = self._policy.frame_size
        if exchange.request.content_length > most:
            raise HttpProtocolError(413, f"body over {most} bytes")
        data = bytearray()
        with trio.move_on_after(_BODY_TIMEOUT):
            while exchange.request.has_body and (piece := await exchange.receive_body()):
                data += piece
                if len(data) > most:
                    raise HttpProtocolError(413, f"body over {most} bytes")
            return bytes(data)
        raise HttpProtocolError(408, "body not finished in time")


async def _watch(carrier: StreamCarrier, conversation: trio.CancelScope) -> None:
    """End the conversation when the client has gone."""
    with suppress(RemoteProtocolError, trio.BrokenResourceError):  # that is going, too
        await listen_only(carrier.connection)
    conversation.cancel()


def _is_binary(exchange: Exchange) -> bool:
    return exchange.request.headers.get("content-type", "").startswith(_BINARY)
