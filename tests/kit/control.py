"""The control plane's neighbours as fakes, and applications over them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio
from trio_websocket import WebSocketConnection, wrap_client_stream

from kit.packets import AUDIO, VIDEO, config, gop
from livetrio.config import AppConfig, ControlConfig
from livetrio.control.context import Bound, ControlContext
from livetrio.control.gauges import Gauges
from livetrio.errors import LivetrioError, RefusalCode, Refused
from livetrio.ingest.relay_life import RelayInfo
from livetrio.media.client import Client
from livetrio.media.registry import open_registry
from livetrio.media.stream import Publication
from livetrio.net.scope import Ended, open_scope
from livetrio.packet import StreamKey

__all__ = [
    "FakeKeys", "FakeRelays", "Parts", "body_of", "control", "event_socket",
    "publishing", "soon", "watching",
]  # fmt: skip


class FakeKeys:
    """Rooms and keys that count up: "key-1", "key-2" ..."""

    def __init__(self) -> None:
        self.rooms: dict[str, str] = {}
        self.made = 0
        self.broken = ""

    async def get(self, room):
        self._check()
        return self.rooms[room] if room in self.rooms else await self.reset(room)

    async def reset(self, room):
        self._check()
        self.made += 1
        self.rooms[room] = f"key-{self.made}"
        return self.rooms[room]

    async def delete(self, room):
        self._check()
        return self.rooms.pop(room, None) is not None

    async def room_of(self, key):
        self._check()
        return next((room for room, known in self.rooms.items() if known == key), None)

    def _check(self):
        if self.broken:
            raise LivetrioError(self.broken)


class FakeRelays:
    """A desk that starts everything but `rtmp://bad`."""

    def __init__(self) -> None:
        self.relays: dict[str, RelayInfo] = {}

    def start(self, kind, key, url):
        if url == "rtmp://bad":
            raise Refused(RefusalCode.BAD_REQUEST, "a loop")
        number = f"{kind}-{len(self.relays)}"
        relay = RelayInfo(number, kind, key.app, key.name, url, "running", 1.5, 1, "", 7, 0)
        self.relays[relay.id] = relay
        return relay

    async def stop(self, relay_id):
        relay = self.relays.pop(relay_id, None)
        return None if relay is None else Ended(1, 2, 1, 0, 0.5)

    def find(self, kind, key):
        return next(
            (r for r in self.relays.values() if (r.kind, r.app, r.name) == (kind, *key)), None
        )

    def list(self):
        return list(self.relays.values())


@dataclass
class Parts:
    """What a test may look into."""

    context: ControlContext
    keys: FakeKeys = field(default_factory=FakeKeys)
    relays: FakeRelays = field(default_factory=FakeRelays)


@asynccontextmanager
async def control(
    *,
    config: ControlConfig | None = None,
    apps: tuple[str, ...] = ("live",),
    statics: Path = Path("nowhere"),
    ready: Callable[[], bool] = lambda: True,
    bound: dict[str, Bound] | None = None,
) -> AsyncIterator[Parts]:
    """A context over an own registry, below an own root scope."""
    keys, relays = FakeKeys(), FakeRelays()
    async with open_scope("node", "test") as root, open_registry(resume_window=0) as registry:
        context = ControlContext(
            root=root,
            registry=registry,
            keys=keys,
            relays=relays,
            gauges=Gauges(registry),
            config=config or ControlConfig(),
            apps={name: AppConfig(name=name) for name in apps},
            bound=bound or {"rtmp": Bound(1935), "httpflv": Bound(7001)},
            statics=statics,
            ready=ready,
        )
        yield Parts(context, keys, relays)


@asynccontextmanager
async def publishing(
    parts: Parts, name: str = "movie", *, protocol: str = "rtmp", packets=True
) -> AsyncIterator[Publication]:
    """A publisher in a scope of its own, so that it can be kicked."""
    key = StreamKey("live", name)
    async with _peer("publisher", name) as scope:
        client = Client("publisher", protocol, scope, url=f"rtmp://h/live/{name}", agent="OBS")
        async with parts.context.registry.publish(key, client, takeover=True) as publication:
            if packets:
                publication.publish([config(VIDEO), config(AUDIO), *gop(0), *gop(120)])
            yield publication


@asynccontextmanager
async def watching(
    parts: Parts, name: str = "movie", *, protocol: str = "flv", connection=None
) -> AsyncIterator[Client]:
    """A player the same way."""
    async with _peer("player", name) as scope:
        client = Client("player", protocol, scope, connection, url=f"/live/{name}.flv")
        async with parts.context.registry.subscribe(StreamKey("live", name), client):
            yield client


@asynccontextmanager
async def _peer(role: str, name: str):
    """Leaving by the scope's cancellation is no error of the test's."""
    async with open_scope("connection", f"{role} {name}") as scope:
        scope.sockets = 1
        yield scope


@asynccontextmanager
async def event_socket(port: int) -> AsyncIterator[WebSocketConnection]:
    """A WebSocket on /v1/events. The stream is closed here: trio-websocket's client leaves that
    to the server where the server closed first."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    try:
        async with trio.open_nursery() as nursery:
            yield await wrap_client_stream(nursery, stream, f"127.0.0.1:{port}", "/v1/events")
            nursery.cancel_scope.cancel()
    finally:
        await trio.aclose_forcefully(stream)


async def body_of(response) -> object:
    """The JSON of a response."""
    return json.loads(await response.get_data())


async def soon(condition: Callable[[], bool]) -> None:
    """Wait for other tasks to make something true."""
    with trio.fail_after(5):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.001)
