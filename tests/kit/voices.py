"""The voices of a room without a network: seats that speak, and receivers that check what comes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import trio
import trio.testing

from kit.webrtc_fakes import OPUS, FakeViewerPeer
from livetrio.media.edition import Edition
from livetrio.media.ring import Ring, RingLimits
from livetrio.net.fanout import Pacer
from livetrio.net.scope import Scope, open_scope
from livetrio.packet import Packet, StreamKey, Track
from livetrio.webrtc.slots.shown import Shown
from livetrio.webrtc.slots.voice_feed import VoiceFeed
from livetrio.webrtc.slots.voice_member import VoiceMember
from livetrio.wire.rtp.header import RtpPacket, parse_rtp

__all__ = ["SSRCS", "Ear", "Room", "seat_key", "voices", "word"]

SSRCS = [100, 101, 102, 103]
FRAME = 960


def seat_key(seat: int) -> StreamKey:
    """The stream of a seat."""
    return StreamKey("live", f"party/{seat}")


def word(seat: int, number: int, *, size: int = 80, track: Track = OPUS) -> Packet:
    """The 20 ms of Opus of that number that a seat says; the bytes tell both."""
    body = bytes((seat,)) + number.to_bytes(4, "big")
    data = b"\xfc" + body.ljust(size - 1, b"\xbb")
    return Packet(track, number * 20_000, number * 20_000, data, key=True)


class EarScope:
    """What ends a peer; here it only says why."""

    name = "peer"
    reason = ""

    def cancel(self, reason: str) -> None:
        """As `net.scope.Scope.cancel`."""
        self.reason = reason


@dataclass
class Ear:
    """One who listens; what he got is checked as a receiver would."""

    peer: FakeViewerPeer
    member: VoiceMember
    ends: str = ""
    """Why its connection is to be ended, if it is."""

    def packets(self, slot: int) -> list[RtpPacket]:
        """What came in a slot, by number."""
        ssrc = SSRCS[slot]
        found = sorted((i, data) for (s, i), data in self.peer.got.items() if s == ssrc)
        return [parse_rtp(data) for _, data in found]

    def words(self, slot: int) -> list[tuple[int, int]]:
        """(seat, number) of what he heard in a slot."""
        return [(p.payload[1], int.from_bytes(p.payload[2:6], "big")) for p in self.packets(slot)]

    def heard(self) -> set[int]:
        """The seats he has heard."""
        return {seat for slot in range(len(SSRCS)) for seat, _ in self.words(slot)}

    def check(self, *, sat: bool = False) -> None:
        """No gap in any numbering, and times that go on: by a frame in a talkspurt, by more
        behind a marker, back never.

        sat: he had seats himself, and came back into the middle of what was being said.
        """
        for slot, ssrc in enumerate(SSRCS):
            indexes = sorted(index for s, index in self.peer.got if s == ssrc)
            assert indexes == list(range(indexes[0], indexes[0] + len(indexes))) if indexes else 1
            last: RtpPacket | None = None
            for packet in self.packets(slot):
                assert packet.payload_type == 111
                if last is not None:
                    step = packet.timestamp - last.timestamp & 0xFFFF_FFFF
                    assert FRAME <= step < 1 << 31
                    if not packet.marker and not sat:
                        assert step == FRAME
                last = packet


@dataclass
class Room:
    """A feed with the editions of its seats."""

    feed: VoiceFeed
    scope: Scope
    editions: dict[StreamKey, Edition] = field(default_factory=dict)

    def edition(self, seat: int) -> Edition:
        """The seat's, made when it is first asked for."""
        key = seat_key(seat)
        if key not in self.editions:
            self.editions[key] = Edition(key, self.scope, Ring(RingLimits()), Pacer(cap=0))
        return self.editions[key]

    def arrange(self, *seats: int | None) -> None:
        """These seats in the slots; seat n is that of "user-n"."""
        shown = [
            Shown(seat, seat_key(seat), f"user-{seat}") if seat is not None else None
            for seat in seats
        ]
        for seat in seats:
            if seat is not None:
                self.edition(seat)
        self.feed.arrange(shown, self.editions)

    @contextmanager
    def ear(self, user: str = "", *, slots: int | None = None) -> Iterator[Ear]:
        """One who listens."""
        peer = FakeViewerPeer(EarScope())
        with self.feed.member(peer, user, slots=slots) as member:
            ear = Ear(peer, member)
            yield ear
        assert peer.scope.reason == ear.ends

    async def speak(
        self, seats: Sequence[int], first: int, count: int, *, spread: float = 0.001, size: int = 80
    ) -> None:
        """All of them at once, in real time; `spread` seconds from one to the next."""
        for number in range(first, first + count):
            begun = trio.current_time()
            for seat in seats:
                self.edition(seat).accept([word(seat, number, size=size)])
                await trio.sleep(spread)
            await trio.sleep_until(begun + 0.02)
        await trio.testing.wait_all_tasks_blocked()


@asynccontextmanager
async def voices(
    *, voices: int = 3, slots: int = 4, first: int = 0, payload_type: int = 111
) -> AsyncIterator[Room]:
    """A room on the air."""
    async with open_scope("room", "live/party") as scope:
        feed = VoiceFeed(payload_type, SSRCS[:slots], "cname", voices=voices, first=first)
        scope.nursery.start_soon(feed.run)
        await trio.testing.wait_all_tasks_blocked()
        yield Room(feed, scope)
        assert not scope.reason
        scope.cancel("enough")
