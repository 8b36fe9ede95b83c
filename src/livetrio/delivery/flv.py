"""HTTP-FLV and WebSocket-FLV players, and the small documents of livego's FLV port.

A viewer costs its connection's task and one `send` per flush: after the response head the
bytes come from a feed that all viewers of the same format share, and the task only listens
for the viewer's going.

FLV has no way for a player to say what it can decode. Sound that a browser published (Opus) is
therefore sent as AAC; `?audio=copy` or `?audio=opus` gets Opus in enhanced FLV tags, `?audio=aac`
gets AAC of any stream.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from livetrio.delivery.flv_format import Only, Transport, flv_format
from livetrio.errors import RefusalCode, Refused
from livetrio.media.client import Client
from livetrio.media.needs import legacy_audio
from livetrio.media.registry import Registry
from livetrio.media.renditions import Renditions
from livetrio.net.exchange import Exchange, listen_only
from livetrio.net.http import Route
from livetrio.net.request import stream_path
from livetrio.net.websocket import accept_websocket, any_origin, wants_websocket
from livetrio.packet import StreamKey
from livetrio.store.keys import is_key

__all__ = ["CONTENT_TYPE", "FlvPlayers", "PlayGate"]

CONTENT_TYPE = "video/x-flv"
_SUFFIX = ".flv"
_GET = frozenset({"GET", "HEAD"})
_MAX_MESSAGE = 4096
"""Bytes of the longest WebSocket message a viewer may send, all of which are ignored."""

_CROSSDOMAIN = b"""<?xml version="1.0"?>
<cross-domain-policy>
  <allow-access-from domain="*"/>
  <allow-http-request-headers-from domain="*" headers="*"/>
</cross-domain-policy>
"""


class PlayGate(Protocol):
    """The part of access/ that is needed here."""

    async def may_play(self, app: str, name: str, query: Mapping[str, str], peer: str) -> StreamKey:
        """Which stream is meant; Refused if this peer may not watch it."""


class FlvPlayers:
    """The routes of the FLV port, made by the composition root."""

    def __init__(
        self,
        registry: Registry,
        gate: PlayGate,
        *,
        play_wait: float = 5.0,
        allows_origin: Callable[[str], bool] = any_origin,
        renditions: Renditions | None = None,
    ) -> None:
        """
        Args:
            registry: where the streams are.
            gate: who may play.
            play_wait: seconds an early player waits for its publisher.
            allows_origin: whose pages may open a WebSocket.
            renditions: where AAC comes from for players of what browsers publish.
        """
        self._registry = registry
        self._gate = gate
        self._play_wait = play_wait
        self._allows_origin = allows_origin
        self._renditions = renditions or Renditions()

    def routes(self) -> list[Route]:
        """Players, the list of streams, Flash's policy file."""
        return [
            Route(_GET, lambda path: path == "/streams", self._list_streams),
            Route(_GET, lambda path: path.endswith("/crossdomain.xml"), _send_crossdomain),
            Route(_GET, lambda path: path.endswith(_SUFFIX), self._play),
        ]

    @staticmethod
    def fallback() -> Route:
        """livego's answer to any other path of this port; for the end of the table."""
        return Route(_GET, lambda _: True, _refuse_path)

    async def _play(self, exchange: Exchange) -> None:
        request, connection = exchange.request, exchange.connection
        app, name = stream_path(request.path, _SUFFIX)
        only = _only(request.query.get("only", "all"))
        multitrack = request.query.get("multitrack", "") in {"1", "true"}
        audio = request.query.get("audio", "")
        upgrade = wants_websocket(exchange)
        client = Client(
            "player",
            "ws-flv" if upgrade else "flv",
            connection.scope,
            connection,
            url=request.path,
            agent=request.agent,
        )
        key = await self._gate.may_play(app, name, request.query, connection.peer)
        if request.method == "HEAD":
            self._head(exchange, key)
            return
        try:
            async with (
                self._registry.subscribe(key, client, wait=self._play_wait) as stream,
                self._renditions.open(stream, audio=legacy_audio(stream, audio)) as edition,
            ):
                if upgrade:
                    websocket = accept_websocket(
                        exchange, max_size=_MAX_MESSAGE, allows_origin=self._allows_origin
                    )
                    format_, listen = (
                        flv_format("ws", only, multitrack=multitrack),
                        websocket.listen_only,
                    )
                else:
                    transport: Transport = (
                        "chunked" if exchange.begin_endless(CONTENT_TYPE) else "raw"
                    )
                    format_ = flv_format(transport, only, multitrack=multitrack)
                    listen = partial(listen_only, connection)
                with edition.watch(format_, connection.outbox):
                    await listen()
        except Refused as refusal:
            if refusal.code is not RefusalCode.NOT_FOUND:
                raise
            raise Refused(refusal.code, "invalid path", hint=refusal.reason) from None

    def _head(self, exchange: Exchange, key: StreamKey) -> None:
        """What GET would answer at this moment; HEAD never waits."""
        if key in self._registry.streams:
            exchange.reply(200, content_type=CONTENT_TYPE)
        else:
            exchange.reply(404, "invalid path")

    async def _list_streams(self, exchange: Exchange) -> None:
        """livego's document: who publishes and who plays, null where nobody does."""
        people: dict[str, list[dict[str, str]]] = {"publisher": [], "player": []}
        for key, client in self._registry.clients():
            if is_key(key.name) or "~" in key.name:
                continue  # who reads that name could publish the room; a mix-minus is one seat's
            people[client.role].append({"key": str(key), "id": client.id})
        answer = {
            "publishers": people["publisher"] or None,
            "players": people["player"] or None,
        }
        body = json.dumps(answer, separators=(",", ":")).encode()
        exchange.reply(200, body, content_type="application/json")


def _only(text: str) -> Only:
    match text:
        case "all" | "audio" | "video":
            return text
        case _:
            raise Refused(RefusalCode.BAD_REQUEST, "only must be audio or video")


async def _send_crossdomain(exchange: Exchange) -> None:
    exchange.reply(200, _CROSSDOMAIN, content_type="application/xml")


async def _refuse_path(exchange: Exchange) -> None:
    exchange.reply(400, "invalid path")
