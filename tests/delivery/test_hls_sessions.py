"""Who watches a stream now and who watches its past are two viewers, and one person."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from kit.http import get, serving

from livetrio.delivery.hls_sessions import HlsSessions
from livetrio.media.client import Client
from livetrio.media.registry import Registry, open_registry
from livetrio.net.http import Route
from livetrio.net.scope import open_scope
from livetrio.packet import StreamKey

KEY = StreamKey("live", "movie")


class Port:
    def __init__(self, number: int, registry: Registry) -> None:
        self.number = number
        self.registry = registry

    async def get(self, path: str) -> int:
        status = (await get(self.number, path)).status
        await trio.testing.wait_all_tasks_blocked(0.01)
        return status

    def viewers(self) -> dict[str, Client]:
        """By what they asked for."""
        clients = (client for _, client in self.registry.clients() if client.role == "player")
        return {client.url: client for client in clients}


@asynccontextmanager
async def live_and_past():
    """A stream, with its playlist at /live and its past at /past."""
    async with open_scope("test", "sessions") as scope, open_registry() as registry:
        sessions = HlsSessions(registry)

        async def live(exchange) -> None:
            sessions.asked(registry.streams[KEY], exchange)
            exchange.reply(200, b"")
            sessions.sent(KEY, exchange, 1_000)

        async def past(exchange) -> None:
            sessions.asked(KEY, exchange)
            exchange.reply(200, b"")

        get_ = frozenset({"GET"})
        routes = (
            Route(get_, lambda path: path == "/live", live),
            Route(get_, lambda path: path == "/past", past),
        )
        publisher = Client("publisher", "rtmp", scope)
        async with registry.publish(KEY, publisher, takeover=False), serving(*routes) as number:
            yield Port(number, registry)
        registry.scope.cancel("test is over")


@pytest.mark.parametrize("order", [("/past", "/live"), ("/live", "/past")])
@pytest.mark.parametrize("query", ["", "?session=tv"])
async def test_who_watched_the_past_of_a_stream_is_a_viewer_of_the_stream_too(order, query):
    async with live_and_past() as port:
        for path in order:
            assert await port.get(path + query) == 200
        assert sorted(port.viewers()) == ["/live", "/past"]
        assert len(port.registry.streams[KEY].clients) == 2  # the publisher, and one viewer
        assert port.viewers()["/live"].numbers().bytes_out == 1_000


@pytest.mark.parametrize("kicked", ["/past", "/live"])
async def test_who_was_ended_stays_out_of_both(kicked):
    async with live_and_past() as port:
        assert await port.get(kicked) == 200
        await port.registry.end_client(port.viewers()[kicked].id, "kicked")
        assert [await port.get("/past"), await port.get("/live")] == [403, 403]
