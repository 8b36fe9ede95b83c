"""Viewers that do not keep up: they pay for it, nobody else does."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import trio
from kit.control import soon
from kit.crowd import Tag
from kit.logs import lines
from kit.node import node, patiently
from kit.rtmp_peers import RtmpPeer, clip, player, publisher, shifted

from livetrio.app import Running
from livetrio.media.client import Client
from livetrio.packet import StreamKey

X = StreamKey("live", "x")
FRAME = 50_000
"""Bytes; 25 of them a second are 10 Mbit/s."""


def second_of_video(number: int) -> list[Tag]:
    """A key frame and 24 others (Sorenson Spark has no headers), each with its own bytes."""
    return [
        Tag(
            9,
            1000 * number + 40 * n,
            (b"\x22" if n else b"\x12") + bytes([number, n]) * (FRAME // 2),
        )
        for n in range(25)
    ]


def padded(tag: Tag) -> Tag:
    """A frame of H.264 with a NAL unit of filler data behind it."""
    if tag.type_id != 9:
        return tag
    return tag._replace(body=tag.body + (FRAME + 1).to_bytes(4, "big") + b"\x0c" + bytes(FRAME))


@asynccontextmanager
async def deaf_player(running: Running) -> AsyncIterator[RtmpPeer]:
    """Small buffers, and nothing is read but what the test reads."""
    sock = trio.socket.socket()
    sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
    await sock.connect(tuple(running.addresses["rtmp"]))
    async with trio.SocketStream(sock) as stream:
        one = RtmpPeer(stream)
        await one.connect()
        await one.play("x")
        yield one


def client_of(running: Running, one: RtmpPeer) -> Client:
    (found,) = [c for _, c in running.registry.clients() if c.address == one.address]
    return found


async def test_a_viewer_that_never_reads_costs_little_is_closed_and_delays_nobody(
    autojump_clock, caplog
):
    caplog.set_level(logging.DEBUG)
    patiently(autojump_clock)
    async with (
        node(read_timeout=1000, write_timeout=10, max_lag=3) as running,
        publisher(running) as source,
        deaf_player(running) as deaf,
        player(running) as viewer,
    ):
        client, most, lag, second = client_of(running, deaf), 0, 0.0, 0
        began = trio.current_time()
        while client in [c for _, c in running.registry.clients()]:
            assert second < 30, "the stalled viewer is still there"
            tags = second_of_video(second)
            published = trio.current_time()
            await source.send_media(tags)
            await viewer.until(lambda: len(viewer.media[1]) == 25)
            lag = max(lag, trio.current_time() - published)
            assert viewer.media[1] == tags
            viewer.media.clear()
            most = max(most, client.numbers().queued)
            second += 1
            await trio.sleep(1)
        assert 10 <= trio.current_time() - began < 13
        assert lag < 1
        assert most < (16 << 20) + 25 * FRAME
        (line,) = [
            n
            for n in lines(caplog, at_least=logging.DEBUG)
            if n.event == "connection closed" and n.fields["peer"] == deaf.address
        ]
        assert line.fields["reason"] == "stalled: took nothing for 10 s"


async def test_a_slow_viewer_jumps_to_a_key_frame_and_that_is_counted(autojump_clock):
    patiently(autojump_clock)
    async with (
        node(read_timeout=1000, write_timeout=100, max_lag=2) as running,
        publisher(running) as source,
        deaf_player(running) as slow,
        player(running) as viewer,
    ):
        client = client_of(running, slow)
        seconds = [second_of_video(number) for number in range(10)]
        sent = [tag for tags in seconds for tag in tags]
        for tags in seconds:
            await source.send_media(tags)
            await viewer.until(lambda last=tags[-1]: viewer.media[1][-1:] == [last])
            await trio.sleep(1)
        await slow.until(lambda: sent[-1] in slow.media[1])
        got = slow.media[1]
        places = [sent.index(tag) for tag in got]  # whole frames only, none changed
        assert places == sorted(set(places))
        after_gaps = [b for a, b in pairwise(places) if b != a + 1]
        assert after_gaps
        assert all(place % 25 == 0 for place in after_gaps), "continued amid a group of pictures"
        numbers = client.numbers()
        assert numbers.jumps >= 1
        assert numbers.dropped >= FRAME
        assert client_of(running, viewer).numbers().jumps == 0
        assert viewer.media[1] == sent


async def test_a_jumping_viewer_is_given_the_headers_that_hold_where_it_lands(autojump_clock):
    patiently(autojump_clock)
    async with (
        node(read_timeout=1000, write_timeout=100, max_lag=2) as running,
        publisher(running) as source,
        deaf_player(running) as slow,
    ):
        await source.send_media(clip()[:3])
        for second in range(10):
            await source.send_media(map(padded, shifted(clip()[3:], 1000 * second)))
            await trio.sleep(1)
        newest = 9000 + clip()[-1].timestamp
        await slow.until(lambda: newest in {tag.timestamp for tag in slow.media[1]})
        client = client_of(running, slow)
        assert client.numbers().jumps >= 1
        bodies = slow.bodies()
        assert bodies.count(clip()[1].body) >= 2


async def test_a_viewer_that_leaves_without_a_word_is_gone_and_so_is_its_feed():
    async with node() as running, publisher(running) as source:
        await source.send_media(clip())
        async with player(running) as viewer:
            await viewer.until(lambda: len(viewer.media[1]) == len(clip()))
            assert len(running.registry.streams[X].feeds) == 1
        await soon(lambda: len(running.registry.streams[X].clients) == 1)
        assert running.registry.streams[X].feeds == []
