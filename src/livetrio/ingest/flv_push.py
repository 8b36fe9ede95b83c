"""FLV push: publishing by HTTP POST, for where RTMP does not get through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from livetrio.access.gate import PublishGrant
from livetrio.media.client import Client
from livetrio.media.registry import Registry
from livetrio.net.exchange import Exchange, final_response
from livetrio.net.http import Route
from livetrio.net.idle import idle_watched
from livetrio.net.request import HttpProtocolError, stream_path
from livetrio.wire.flv import FileReader

__all__ = ["FlvPublishers", "PublishGate"]

_SUFFIX = ".flv"
_FAREWELL = final_response(408, "no data came in time")


class PublishGate(Protocol):
    """The part of access/ that is needed here."""

    async def may_publish(
        self, app: str, name: str, query: Mapping[str, str], peer: str
    ) -> PublishGrant:
        """As which stream; Refused if this peer may not publish it."""


class FlvPublishers:
    """The route of FLV push, made by the composition root."""

    def __init__(
        self, registry: Registry, gate: PublishGate, *, read_timeout: float = 10.0
    ) -> None:
        """read_timeout: seconds without a byte after which a publisher is gone."""
        self._registry = registry
        self._gate = gate
        self._read_timeout = read_timeout

    def routes(self) -> list[Route]:
        """POST /{app}/{name}.flv, with a length or in chunks."""
        methods = frozenset({"POST", "PUT"})
        return [Route(methods, lambda path: path.endswith(_SUFFIX), self._publish)]

    async def _publish(self, exchange: Exchange) -> None:
        request, connection = exchange.request, exchange.connection
        app, name = stream_path(request.path, _SUFFIX)
        if not request.has_body:
            raise HttpProtocolError(411, "a body is needed, with a length or in chunks")
        grant = await self._gate.may_publish(app, name, request.query, connection.peer)
        client = Client(
            "publisher",
            "flv",
            connection.scope,
            connection,
            url=str(grant.key),  # not the path: its name may be a secret key
            agent=request.agent,
            user=grant.user,
        )
        reader = FileReader()
        async with (
            self._registry.publish(grant.key, client, takeover=grant.takeover) as publication,
            idle_watched(connection, self._read_timeout, _FAREWELL),
        ):
            while data := await exchange.receive_body():
                publication.publish(reader.feed(data))
            publication.finish()
        exchange.reply(200)
