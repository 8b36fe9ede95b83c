"""A room's slots without a network: seats that publish, and viewers that read what they get."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import trio
import trio.testing

from kit.fake_engine import FakeRenditions
from kit.webrtc_fakes import FakeViewerPeer, agreed_for, numbers, opus, picture
from livetrio.media.client import Client
from livetrio.media.registry import Registry, open_registry
from livetrio.media.stream import Publication
from livetrio.net.fanout import Pacer
from livetrio.net.scope import Scope, open_scope
from livetrio.packet import Codec, Packet, StreamKey
from livetrio.webrtc.editions import Editions
from livetrio.webrtc.player import Players
from livetrio.webrtc.slots.room_feed import RoomFeed
from livetrio.webrtc.slots.room_viewer import RoomViewer
from livetrio.webrtc.slots.shown import Shown
from livetrio.wire.rtp.depacketize import depacketizer
from livetrio.wire.rtp.header import parse_rtp

__all__ = ["Hall", "Picture", "Receiver", "SeatPublisher", "hall", "seat", "stream_of"]

ROOM = StreamKey("live", "party")


def stream_of(number: int) -> StreamKey:
    """Where a seat publishes."""
    return StreamKey("live", f"party/{number}")


def seat(number: int, user: str = "") -> Shown:
    """A seat in a slot; by default that of a user called like it."""
    return Shown(number, stream_of(number), user or f"user{number}")


@dataclass(frozen=True)
class Picture:
    """One that could be shown."""

    number: int
    """Of the frame: 1,000 x seat + its own."""
    key: bool
    timestamp: int


class Receiver:
    """A viewer: what came in each slot, read as a browser would."""

    def __init__(self, peer: FakeViewerPeer, viewer: RoomViewer, feed: RoomFeed) -> None:
        self.peer = peer
        self.viewer = viewer
        self._ssrcs = [track.ssrc for track in feed.tracks]
        self._video = feed.video_slots

    def ssrc(self, slot: int, *, sound: bool = False) -> int:
        return self._ssrcs[slot + self._video * sound]

    def pictures(self, slot: int) -> list[Picture]:
        """All that came in a slot; no packet is missing between the first and the last."""
        reader = depacketizer(Codec.H264, {})
        ssrc = self.ssrc(slot)
        packets = sorted((i, data) for (known, i), data in self.peer.got.items() if known == ssrc)
        indexes = [index for index, _ in packets]
        assert indexes == list(range(indexes[0], indexes[0] + len(indexes))) if indexes else True
        shown: list[Picture] = []
        payloads: list[bytes] = []
        for _, data in packets:
            packet = parse_rtp(data)
            payloads.append(packet.payload)
            if packet.marker:
                frame = reader.frame(payloads)
                payloads = []
                assert frame is not None
                number = int.from_bytes(frame.data[6:10], "big")
                shown.append(Picture(number, frame.key, packet.timestamp))
        return shown

    def frames(self, slot: int) -> list[int]:
        """Their numbers."""
        return [picture.number for picture in self.pictures(slot)]

    def sounds(self, slot: int) -> list[int]:
        """Numbers of the sound packets."""
        ssrc = self.ssrc(slot, sound=True)
        found = [(i, parse_rtp(d)) for (known, i), d in self.peer.got.items() if known == ssrc]
        return [int.from_bytes(packet.payload[1:5], "big") for _, packet in sorted(
            found, key=lambda pair: pair[0])]  # fmt: skip


@dataclass
class SeatPublisher:
    """One that sends pictures and sound in its seat's own time."""

    number: int
    publication: Publication
    scope: Scope
    asked: list[int] = field(default_factory=list)
    next: int = 0

    def packets(self, count: int, *, gop: int = 30, size: int = 300, track=None) -> list[Packet]:
        """The next frames with their sound."""
        found: list[Packet] = []
        fields = {} if track is None else {"track": track}
        for n in range(self.next, self.next + count):
            number = self.number * 1_000 + n
            found.append(picture(number, key=n % gop == 0, size=size, **fields))
            at = found[-1].dts
            found += [
                opus(m) for m in range(-(-at // 20_000), -(-(at + 33_333) // 20_000))
            ]  # fmt: skip
        self.next += count
        return found

    def publish(self, count: int, **fields) -> None:
        """The next frames at once."""
        self.publication.publish(self.packets(count, **fields))

    async def play(self, count: int, **fields) -> None:
        """The next frames in their time."""
        for _ in range(count):
            self.publication.publish(self.packets(1, **fields))
            await trio.sleep(0.033333)


@dataclass
class Hall:
    """A room at work."""

    registry: Registry
    renditions: FakeRenditions
    players: Players
    feed: RoomFeed
    scope: Scope

    @asynccontextmanager
    async def publisher(self, number: int, *, wishes: bool = False) -> AsyncIterator[SeatPublisher]:
        """Somebody publishes on a seat. wishes: he can be asked for key frames."""
        async with open_scope("client", f"seat {number}") as scope:
            client = Client("publisher", "whip", scope)
            async with self.registry.publish(
                stream_of(number), client, takeover=True
            ) as publication:
                publisher = SeatPublisher(number, publication, scope)
                if wishes:
                    publication.on_key_frame_request = publisher.asked.append
                yield publisher

    @asynccontextmanager
    async def publishers(self, *seats: int) -> AsyncIterator[list[SeatPublisher]]:
        """Several, each with half a second of pictures behind him."""
        async with AsyncExitStack() as stack:
            found = [await stack.enter_async_context(self.publisher(n)) for n in seats]
            for publisher in found:
                publisher.publish(15)
            await trio.testing.wait_all_tasks_blocked()
            yield found

    @asynccontextmanager
    async def receiver(
        self, user: str = "", tracks: Sequence | None = None, *, type_: int = 102
    ) -> AsyncIterator[Receiver]:
        """A connected viewer. tracks: those that it has m-lines for; type_: of H.264."""
        async with open_scope("peer", f"viewer {user}") as scope:
            peer = FakeViewerPeer(scope)
            agreed = agreed_for(self.feed.tracks if tracks is None else tracks, video_type=type_)
            with self.feed.guest(scope), self.feed.viewer(peer, user, agreed) as viewer:
                await trio.testing.wait_all_tasks_blocked()
                yield Receiver(peer, viewer, self.feed)


@asynccontextmanager
async def hall(
    *, video: int = 4, audio: int = 4, voices: int | None = None, resume_window: float = 0.0
) -> AsyncIterator[Hall]:
    """A room. Use it with `autojump_clock`."""
    renditions = FakeRenditions()
    pacer = Pacer(cap=0)
    async with open_registry(resume_window=resume_window, pacer=pacer) as registry:
        players = Players(numbers())
        async with open_scope("room", str(ROOM)) as scope:
            feed = RoomFeed(
                ROOM, registry, Editions(renditions), players,
                video=video, audio=audio, voices=audio if voices is None else voices,
                bits=numbers(2),
            )  # fmt: skip
            scope.nursery.start_soon(feed.run)
            await trio.testing.wait_all_tasks_blocked()
            yield Hall(registry, renditions, players, feed, scope)
            scope.cancel("enough")
