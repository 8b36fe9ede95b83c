"""Silent publishers are noticed, others are left alone."""

from __future__ import annotations

import trio
from kit.logs import lines
from kit.peers import connected, read_exactly

from livetrio.net.idle import idle_watched, watch_idle


async def test_a_peer_that_delivers_nothing_is_ended(autojump_clock, caplog):
    async with connected() as (connection, _):
        connection.scope.nursery.start_soon(watch_idle, connection, 10.0)
        await trio.sleep_forever()
    assert connection.scope.reason == "no data for 10 s"
    assert 10 <= trio.current_time() <= 12.5
    assert [line.event for line in lines(caplog)] == ["peer is silent"]


async def test_the_last_words_reach_the_peer(autojump_clock):
    async with connected() as (connection, peer):
        connection.scope.nursery.start_soon(watch_idle, connection, 5.0, b"408")
        with trio.CancelScope(shield=True):
            assert await read_exactly(peer, 3) == b"408"


async def test_a_peer_that_delivers_now_and_then_stays(autojump_clock):
    async with connected() as (connection, _):
        connection.scope.nursery.start_soon(watch_idle, connection, 10.0)
        for _ in range(20):
            await trio.sleep(9)
            connection.received += 1
        assert connection.scope.reason == ""


async def test_silence_after_the_block_is_nobodys_business(autojump_clock):
    async with connected() as (connection, _):
        async with idle_watched(connection, 10.0):
            await trio.sleep(5)
        await trio.sleep(100)
        assert connection.scope.reason == ""
        assert connection.scope.nursery.child_tasks == set()
