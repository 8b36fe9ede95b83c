"""Feeds: encoded once, the same bytes for all, newcomers served from the cache."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
import trio.testing
from kit.packets import AUDIO, VIDEO, audio, config, gop, video

from livetrio.media.feed import Feed, Format
from livetrio.media.ring import Ring, RingLimits
from livetrio.net.fanout import Pacer
from livetrio.net.outbox import Block
from livetrio.packet import Packet


def encode(packet: Packet) -> bytes:
    return b"(" + packet.data + b")" if packet.config else packet.data


class Viewer:
    """An outbox that remembers, and nothing else."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.goodbye = b""
        self.finished = ""

    def send_block(self, block: Block) -> None:
        self.blocks.append(block)

    def send(self, data: bytes) -> None:
        self.goodbye = data

    def finish(self, reason: str) -> None:
        self.finished = reason

    @property
    def text(self) -> str:
        return b"|".join(block.data for block in self.blocks).decode()


PLAIN = Format("plain", encode, prologue=lambda tracks: b"%d:" % len(tracks), goodbye=b"bye")
FRAMED = Format("framed", encode, frame=lambda data: b"<" + data + b">")


@asynccontextmanager
async def pumped(ring: Ring, format_: Format = PLAIN) -> AsyncIterator[Feed]:
    feed = Feed(ring, format_, Pacer(cap=0), lambda: [VIDEO, AUDIO])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.pump)
        await trio.testing.wait_all_tasks_blocked()
        yield feed
        nursery.cancel_scope.cancel()


async def test_a_newcomer_gets_prologue_configuration_and_cache_then_the_live_edge():
    ring = Ring(RingLimits())
    ring.append([config(VIDEO), config(AUDIO), *gop(0)])
    viewer = Viewer()
    async with pumped(ring) as feed:
        with feed.viewer(viewer):
            assert viewer.text == "2:(avcC)(asc)Vavava"
            ring.append([video(120)])
            await trio.testing.wait_all_tasks_blocked()
            assert viewer.text == "2:(avcC)(asc)Vavava|v"
    assert viewer.goodbye == b""  # it had left before the feed was stopped


async def test_all_viewers_share_the_very_same_bytes():
    ring = Ring(RingLimits())
    ring.append(gop(0))
    a, b = Viewer(), Viewer()
    async with pumped(ring) as feed:
        with feed.viewer(a), feed.viewer(b):
            ring.append([video(120), audio(130)])
            await trio.testing.wait_all_tasks_blocked()
            assert a.blocks[-1] is b.blocks[-1]
            assert a.blocks[-1].data == b"va"


async def test_one_who_comes_before_the_first_key_frame_gets_nothing_broken():
    ring = Ring(RingLimits())
    viewer = Viewer()
    async with pumped(ring) as feed:
        with feed.viewer(viewer):
            assert feed.viewers == 1
            ring.append([config(VIDEO), video(0), audio(1)])
            ring.append([video(10, key=True)])
            ring.append([video(20)])
            await trio.testing.wait_all_tasks_blocked()
            assert viewer.text == "2:(avcC)Vv"


async def test_without_a_cache_newcomers_start_with_the_next_key_frame():
    ring = Ring(RingLimits(gops=0))
    ring.append([config(VIDEO), *gop(0)])
    viewer = Viewer()
    async with pumped(ring) as feed:
        with feed.viewer(viewer):
            ring.append([video(120)])
            await trio.testing.wait_all_tasks_blocked()
            assert viewer.text == ""
            ring.append([video(160), video(200, key=True)])
            await trio.testing.wait_all_tasks_blocked()
            ring.append([video(240)])
            await trio.testing.wait_all_tasks_blocked()
            assert viewer.text == "2:(avcC)V|v"


async def test_when_key_frames_never_come_newcomers_start_anywhere():
    ring = Ring(RingLimits(seconds=1, lag=0))
    ring.append([config(VIDEO), video(0, key=True)])
    early, late = Viewer(), Viewer()
    async with pumped(ring) as feed:
        with feed.viewer(early):
            for ms in range(40, 3000, 40):
                ring.append([video(ms)])
                await trio.testing.wait_all_tasks_blocked()
            with feed.viewer(late):
                assert late.text == "2:(avcC)"
                ring.append([video(3000)])
                await trio.testing.wait_all_tasks_blocked()
                assert late.text == "2:(avcC)|v"


async def test_a_flush_tells_where_a_late_viewer_can_start_and_with_what():
    ring = Ring(RingLimits())
    ring.append([config(VIDEO), *gop(0)])
    viewer = Viewer()
    async with pumped(ring, FRAMED) as feed:
        with feed.viewer(viewer):
            ring.append([audio(100), audio(110), video(120, key=True), audio(130)])
            await trio.testing.wait_all_tasks_blocked()
            block = viewer.blocks[-1]
            assert block.data == b"<aa><Va>"
            assert block.data[block.key_at :] == b"<Va>"
            assert block.headers == b"<(avcC)>"


async def test_each_flush_is_framed_once():
    ring = Ring(RingLimits())
    ring.append(gop(0, frames=1))
    viewer = Viewer()
    async with pumped(ring, FRAMED) as feed:
        with feed.viewer(viewer):
            ring.append([video(40), audio(50)])
            await trio.testing.wait_all_tasks_blocked()
            assert viewer.text == "<Va>|<va>"


async def test_the_end_of_the_stream_flushes_says_goodbye_and_closes_even_those_who_waited():
    ring = Ring(RingLimits())
    ring.append(gop(0, frames=1))
    viewer = Viewer()
    async with pumped(ring) as feed:
        with feed.viewer(viewer):
            ring.append([video(40)])
            ring.end()
            await feed.done.wait()
            assert viewer.text.endswith("|v")
            assert (viewer.goodbye, viewer.finished) == (b"bye", "the stream has ended")

    empty = Ring(RingLimits())
    waiting = Viewer()
    async with pumped(empty) as feed:
        with feed.viewer(waiting):
            empty.end()
            await feed.done.wait()
            assert waiting.finished == "the stream has ended"


async def test_a_pump_that_was_lapped_goes_on_at_the_newest_key_frame_with_its_configuration():
    ring = Ring(RingLimits(lag=0))
    ring.append([config(VIDEO), *gop(0, frames=1)])
    viewer = Viewer()
    async with pumped(ring) as feed:
        with feed.viewer(viewer):
            viewer.blocks.clear()
            for start in range(1000, 3000, 100):
                ring.append(gop(start, frames=1))  # without giving the pump a chance to run
            await trio.testing.wait_all_tasks_blocked()
            assert viewer.text == "(avcC)|Va"


async def test_two_key_frames_in_one_flush_make_two_groups_in_the_cache():
    ring = Ring(RingLimits(gops=2))
    ring.append(gop(0, frames=1))
    viewer = Viewer()
    async with pumped(ring) as feed:
        with feed.viewer(Viewer()):
            ring.append([video(40, data=b"x"), *gop(80, 1), *gop(120, 1), video(160)])
            await trio.testing.wait_all_tasks_blocked()
            with feed.viewer(viewer):
                assert viewer.text == "2:VaVav"
