"""An HLS port in the test's own process, and a reader that holds playlists to the rules."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace

import trio
import trio.testing

from kit.http import HttpClient, OpenGate, Response, get, http_client, serving
from livetrio.delivery.hls import HlsPlayers
from livetrio.delivery.hls_options import HlsOptions
from livetrio.delivery.hls_renditions import HlsRenditions
from livetrio.delivery.hls_sessions import HlsSessions
from livetrio.media.client import Client
from livetrio.media.registry import Registry, open_registry
from livetrio.media.renditions import Renditions
from livetrio.media.stream import Publication
from livetrio.net.lane import Lane
from livetrio.net.scope import open_scope
from livetrio.packet import Packet, StreamKey

__all__ = [
    "HlsPort",
    "Playlist",
    "attributes",
    "check_low_latency",
    "from_the_beginning",
    "hls_port",
    "later",
]

KEY = StreamKey("live", "movie")


@dataclass(frozen=True, slots=True)
class HlsPort:
    """A registry with its HLS port."""

    port: int
    registry: Registry
    renditions: HlsRenditions
    sessions: HlsSessions
    gate: OpenGate
    lane: Lane

    @asynccontextmanager
    async def published(
        self, packets: Sequence[Packet] = (), key: StreamKey = KEY
    ) -> AsyncIterator[Publication]:
        async with open_scope("publisher", str(key)) as scope:
            client = Client("publisher", "rtmp", scope)
            async with self.registry.publish(key, client, takeover=False) as publication:
                publication.publish(packets[:20])
                # As in life, where packaging begins with the stream: of what came before, the
                # ring keeps the newest group of pictures only.
                await trio.testing.wait_all_tasks_blocked(0.01)
                publication.publish(packets[20:])
                yield publication
                publication.finish()

    async def get(self, target: str, method: str = "GET", **headers: str) -> Response:
        return await get(self.port, target, method, **headers)

    def client(self) -> AbstractAsyncContextManager[HttpClient]:
        """A player's connection, kept for many requests."""
        return http_client(self.port)

    async def playlist(self, query: str = "", name: str = "movie") -> Playlist:
        response = await self.get(f"/live/{name}.m3u8{query}")
        assert response.status == 200, response.body
        return Playlist.parse(response.body.decode())


@asynccontextmanager
async def hls_port(options: HlsOptions | None = None, apps=("live",)) -> AsyncIterator[HlsPort]:
    """The HLS port on a free port of the loopback interface."""
    async with (
        open_scope("test", "hls"),
        open_registry(resume_window=0.5) as registry,
        trio.open_nursery() as nursery,
    ):
        renditions = HlsRenditions(registry, Renditions(), options or HlsOptions(), apps)
        sessions = HlsSessions(registry)
        nursery.start_soon(renditions.run)
        gate = OpenGate()
        players = HlsPlayers(registry, gate, renditions, sessions)
        lane = Lane()
        nursery.start_soon(lane.run)
        async with serving(*players.routes(), lane=lane) as port:
            yield HlsPort(port, registry, renditions, sessions, gate, lane)
        nursery.cancel_scope.cancel()


async def from_the_beginning(
    port: HlsPort, publication: Publication, query: str, packets: Sequence[Packet]
) -> Playlist:
    """Ask for a variant nobody has watched yet, publish on, and give what the answer was."""
    async with trio.open_nursery() as nursery:
        got: list[Playlist] = []

        async def ask() -> None:
            got.append(await port.playlist(query))

        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked(0.01)
        publication.publish(packets)
    await trio.testing.wait_all_tasks_blocked(0.01)
    return got[0]


def later(packets: Sequence[Packet], seconds: float) -> list[Packet]:
    """The same packets so much later."""
    shift = round(seconds * 1_000_000)
    return [p if p.config else replace(p, dts=p.dts + shift, pts=p.pts + shift) for p in packets]


@dataclass(slots=True)
class Playlist:
    """What a player reads out of a media playlist."""

    text: str
    tags: dict[str, str] = field(default_factory=dict)
    segments: list[tuple[str, float]] = field(default_factory=list)
    parts: list[dict[str, str]] = field(default_factory=list)
    maps: list[str] = field(default_factory=list)
    trailing_parts: int = 0
    """Parts behind the last whole segment."""

    @classmethod
    def parse(cls, text: str) -> Playlist:
        playlist = cls(text)
        duration = 0.0
        for line in text.splitlines():
            tag, _, value = line.partition(":")
            if tag == "#EXTINF":
                duration = float(value.rstrip(","))
            elif tag == "#EXT-X-PART":
                playlist.parts.append(attributes(value))
                playlist.trailing_parts += 1
            elif tag == "#EXT-X-MAP":
                playlist.maps.append(attributes(value)["URI"])
            elif line.startswith("#"):
                playlist.tags[tag] = value
            elif line:
                playlist.segments.append((line, duration))
                playlist.trailing_parts = 0
        return playlist

    @property
    def sequence(self) -> int:
        return int(self.tags["#EXT-X-MEDIA-SEQUENCE"])

    @property
    def last(self) -> int:
        """Media sequence number of the last whole segment."""
        return self.sequence + len(self.segments) - 1

    @property
    def hint(self) -> str:
        return attributes(self.tags["#EXT-X-PRELOAD-HINT"])["URI"]


def attributes(text: str) -> dict[str, str]:
    found = re.findall(r'([A-Z-]+)=("[^"]*"|[^,]*)', text)
    return {name: value.strip('"') for name, value in found}


def check_low_latency(playlist: Playlist) -> None:
    """The rules of RFC 8216bis that a low-latency playlist must keep, each by its section."""
    target = int(playlist.tags["#EXT-X-TARGETDURATION"])
    part_target = float(attributes(playlist.tags["#EXT-X-PART-INF"])["PART-TARGET"])
    control = attributes(playlist.tags["#EXT-X-SERVER-CONTROL"])
    for uri, duration in playlist.segments:
        assert round(duration) <= target, f"4.4.3.1: {uri} is longer than the target duration"
    assert control["CAN-BLOCK-RELOAD"] == "YES", "4.4.3.8 and B.1: parts need blocking reload"
    assert float(control["PART-HOLD-BACK"]) >= 2 * part_target, "4.4.3.8: at least twice"
    assert float(control["HOLD-BACK"]) >= 3 * target, "4.4.3.8: at least three times"
    assert float(control["CAN-SKIP-UNTIL"]) >= 6 * target, "4.4.3.8: at least six times"
    names = [part["URI"] for part in playlist.parts]
    assert len(set(names)) == len(names), "a part is listed once"
    for part in playlist.parts:
        assert float(part["DURATION"]) <= part_target, "4.4.4.9: no part is over the target"
    for before, after in zip(playlist.parts, playlist.parts[1:], strict=False):
        same_segment = before["URI"].split(".")[0] == after["URI"].split(".")[0]
        if same_segment:
            least = 0.85 * part_target
            assert float(before["DURATION"]) >= least, "4.4.4.9: 85 % but for a segment's last"
    first = next(line for line in playlist.text.splitlines() if line.startswith("#EXT-X-PART:"))
    assert "INDEPENDENT=YES" in first, "the first part that is listed begins a segment"
    assert playlist.hint not in names, "4.4.5.3: the hint is of what is not listed yet"
    assert (
        playlist.text.rstrip()
        .splitlines()[-1]
        .startswith(("#EXT-X-PRELOAD-HINT", "#EXT-X-RENDITION-REPORT"))
    )
