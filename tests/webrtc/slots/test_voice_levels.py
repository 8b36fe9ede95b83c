"""How loud seats are: as their publishers say, and measured where they say nothing."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from kit.coded import coded_sound as sound
from kit.media import avc_track

from livetrio.media.client import Client
from livetrio.media.registry import Registry, open_registry
from livetrio.media.stream import Publication
from livetrio.net.scope import open_scope
from livetrio.packet import Codec, Packet, StreamKey
from livetrio.webrtc.slots.level_meter import SILENCE, LevelMeter
from livetrio.webrtc.slots.levels import Levels

KEY = StreamKey("live", "party/1")
OTHER = StreamKey("live", "party/2")
TONE = 20 * math.log10(0.3 / math.sqrt(2))
"""dBov of the kit's tone."""


class Desk:
    """What the room is told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, float]] = []
        self._news = trio.Event()

    def heard(self, seat: int, level: float) -> None:
        self.told.append((seat, level))
        self._news.set()
        self._news = trio.Event()

    async def more(self, count: int) -> None:
        """So many levels more; in the test's own time a thread takes minutes."""
        wanted = len(self.told) + count
        with trio.fail_after(3_600):
            while len(self.told) < wanted:
                await self._news.wait()


@asynccontextmanager
async def publishing(registry: Registry, key: StreamKey = KEY) -> AsyncIterator[Publication]:
    async with open_scope("connection", "publisher") as scope:
        client = Client("publisher", "test", scope)
        async with registry.publish(key, client, takeover=False) as publication:
            yield publication
            publication.finish()


@asynccontextmanager
async def levels() -> AsyncIterator[tuple[Registry, Levels, Desk]]:
    desk = Desk()
    async with open_registry() as registry, trio.open_nursery() as nursery:
        room = Levels(registry, desk.heard, threads=trio.CapacityLimiter(1))
        nursery.start_soon(room.run)
        yield registry, room, desk
        nursery.cancel_scope.cancel()


async def play(publication: Publication, packets: tuple[Packet, ...]) -> None:
    """Over and over, in real time, until cancelled."""
    publication.publish([packet for packet in packets if packet.config])
    packets = tuple(packet for packet in packets if not packet.config)
    while True:
        for packet in packets:
            time = round(trio.current_time() * 1e6)
            publication.publish([Packet(packet.track, time, time, packet.data, key=True)])
            await trio.sleep(0.02)


# The meter.


@pytest.mark.parametrize("codec", [Codec.AAC, Codec.OPUS])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_tone_is_as_loud_as_its_root_mean_square(codec, channels):
    packets = sound(codec, seconds=1.0, channels=channels)
    meter = LevelMeter()
    meter.level(packets[:20])
    assert meter.level(packets[20:30]) == pytest.approx(TONE, abs=0.7)


def test_silence_is_minus_127():
    meter = LevelMeter()
    meter.level(sound(Codec.AAC, seconds=0.5, click_at=9.0)[:8])
    assert meter.level(sound(Codec.AAC, seconds=0.5, click_at=9.0)[8:]) == SILENCE


def test_a_configuration_that_changes_is_followed():
    meter = LevelMeter()
    for packets in (sound(Codec.AAC, rate=44_100), sound(Codec.OPUS), sound(Codec.AAC)):
        meter.level(packets[:20])
        assert meter.level(packets[20:30]) == pytest.approx(TONE, abs=0.7)


@pytest.mark.parametrize("codec", [Codec.AAC, Codec.OPUS])
def test_garbage_has_no_level_and_breaks_nothing(codec):
    good = sound(codec, seconds=1.0)
    track = good[0].track
    meter = LevelMeter()
    garbage = [Packet(track, 0, 0, bytes((n,)) * 40, key=True) for n in range(256)]
    level = meter.level(garbage)
    assert level is None or SILENCE <= level <= 0.0
    assert meter.level([Packet(avc_track(), 0, 0, b"\0\0\0\1\x65", key=True)]) is None
    assert meter.level([]) is None
    meter.level(good[:20])
    assert meter.level(good[20:30]) == pytest.approx(TONE, abs=0.7)


# The levels of a room.


async def test_what_a_publisher_says_is_told_at_once_and_nothing_is_decoded(
    autojump_clock, monkeypatch
):
    monkeypatch.setattr("livetrio.webrtc.slots.levels._open", lambda: pytest.fail("decoded"))
    async with levels() as (registry, room, desk):
        room.follow({1: KEY, 2: OTHER})
        async with publishing(registry) as one, publishing(registry, OTHER) as two:
            one.publish(sound()[:2])
            await trio.testing.wait_all_tasks_blocked()
            for number in range(200):
                one.tell_level(-20 - number % 3)
                two.tell_level(-60)
                await trio.sleep(0.02)
            assert desk.told[:4] == [(1, -20.0), (2, -60.0), (1, -21.0), (2, -60.0)]
            assert len(desk.told) == 400


async def test_one_that_says_more_than_anybody_needs_is_heard_less_often(autojump_clock):
    async with levels() as (registry, room, desk):
        room.follow({1: KEY})
        async with publishing(registry) as one:
            await trio.testing.wait_all_tasks_blocked()
            for _ in range(1_000):
                one.tell_level(-20)
                await trio.sleep(0.001)
            assert 50 <= len(desk.told) <= 67


async def test_a_publisher_that_says_nothing_is_measured(autojump_clock):
    async with levels() as (registry, room, desk), trio.open_nursery() as nursery:
        room.follow({1: KEY})
        async with publishing(registry) as one:
            nursery.start_soon(play, one, sound(Codec.OPUS))
            await desk.more(10)
            assert desk.told[-1] == (1, pytest.approx(TONE, abs=6))  # a busy machine skips some
            nursery.cancel_scope.cancel()


async def test_measuring_ends_when_the_publisher_says_so_himself(autojump_clock):
    async with levels() as (registry, room, desk), trio.open_nursery() as nursery:
        room.follow({1: KEY})
        async with publishing(registry) as one:
            nursery.start_soon(play, one, sound(Codec.OPUS))
            await desk.more(3)
            for _ in range(100):
                one.tell_level(-90)
                await trio.sleep(0.02)
            assert {level for _, level in desk.told[-90:]} == {-90.0}
            await desk.more(3)  # and begins again when he falls silent
            assert desk.told[-1][1] == pytest.approx(TONE, abs=6)
            nursery.cancel_scope.cancel()


async def test_a_seat_that_is_not_followed_any_more_is_not_heard(autojump_clock):
    async with levels() as (registry, room, desk):
        room.follow({1: KEY})
        async with publishing(registry) as one:
            await trio.testing.wait_all_tasks_blocked()
            one.tell_level(-20)
            room.follow({2: OTHER})
            one.tell_level(-21)
            await trio.sleep(0.1)
            one.tell_level(-22)
            assert desk.told == [(1, -20.0)]
            assert not registry.streams[KEY].level_listeners


async def test_a_stream_that_comes_again_is_heard_again(autojump_clock):
    async with levels() as (registry, room, desk):
        room.follow({1: KEY})
        for turn in range(3):
            async with publishing(registry) as one:
                await trio.sleep(0.5)
                one.tell_level(-turn)
            await trio.sleep(1)
        assert desk.told == [(1, 0.0), (1, -1.0), (1, -2.0)]


async def test_a_stream_of_pictures_alone_is_not_measured(autojump_clock, monkeypatch):
    monkeypatch.setattr("livetrio.webrtc.slots.levels._open", lambda: pytest.fail("decoded"))
    async with levels() as (registry, room, desk):
        room.follow({1: KEY})
        async with publishing(registry) as one:
            one.publish([Packet(avc_track(), 0, 0, b"\0\0\0\1\x65", key=True)])
            await trio.sleep(5)
            assert desk.told == []


async def test_who_was_taken_over_says_nothing_any_more(autojump_clock):
    async with levels() as (registry, room, desk):
        room.follow({1: KEY})
        async with publishing(registry) as one:
            await trio.testing.wait_all_tasks_blocked()
            registry.streams[KEY].publication = None
            one.tell_level(-20)
            assert desk.told == []
