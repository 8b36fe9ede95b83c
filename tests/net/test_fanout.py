"""The fan-out and the division of time among audiences."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from kit.peers import connected, read_exactly

from livetrio.net.fanout import Fanout, Pacer
from livetrio.net.outbox import Block


def settled(pacer: Pacer, fanouts: dict[Fanout, float]) -> dict[Fanout, float]:
    windows = {}
    for _ in range(100):
        windows = {fanout: pacer.window(fanout, spent) for fanout, spent in fanouts.items()}
    return windows


async def test_every_member_gets_the_same_bytes_and_one_that_left_gets_none():
    fanout = Fanout(Pacer())
    async with connected() as (a, peer_a), connected() as (b, peer_b):
        fanout.add(a.outbox)
        fanout.add(b.outbox)
        await fanout.send(Block(b"one"))
        fanout.discard(a.outbox)
        await fanout.send(Block(b"two"))
        assert await read_exactly(peer_b, 6) == b"onetwo"
        assert await read_exactly(peer_a, 3) == b"one"
        assert (len(fanout), fanout.flushes) == (1, 2)


async def test_a_large_audience_lets_other_tasks_run_in_between():
    class Member:
        def __init__(self) -> None:
            self.blocks: list[Block] = []

        def send_block(self, block: Block) -> None:
            self.blocks.append(block)

    fanout = Fanout(Pacer())
    members = [Member() for _ in range(1000)]
    for member in members:
        fanout.add(member)  # type: ignore[arg-type]
    seen = []

    async def other(task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        while True:
            await trio.lowlevel.checkpoint()
            seen.append(sum(bool(member.blocks) for member in members))
            fanout.discard(members[-1])  # type: ignore[arg-type]

    async with trio.open_nursery() as nursery:
        await nursery.start(other)
        await fanout.send(Block(b"x"))
        nursery.cancel_scope.cancel()
    assert len({count for count in seen if 0 < count < 999}) >= 2
    assert members[-1].blocks == []  # it left while the others were served
    assert all(len(member.blocks) == 1 for member in members[:-1])


async def test_the_farewell_reaches_everybody_and_closes_them():
    fanout = Fanout(Pacer())
    async with connected() as (connection, peer):
        fanout.add(connection.outbox)
        fanout.farewell(b"bye", "the stream has ended")
        assert await read_exactly(peer, 3) == b"bye"
        assert len(fanout) == 0
        await trio.sleep_forever()
    assert connection.scope.reason == "the stream has ended"


def test_one_audience_waits_in_proportion_to_what_a_flush_costs():
    small, large = Pacer(share=10, cap=10), Pacer(share=10, cap=10)
    (a,) = settled(small, {Fanout(small): 0.010}).values()
    (b,) = settled(large, {Fanout(large): 0.020}).values()
    assert a == pytest.approx(0.1006, rel=0.01)
    assert b == pytest.approx(2 * a, rel=0.01)


def test_the_wait_is_capped_and_a_cap_of_zero_never_waits():
    for cap in (0.35, 0.0):
        pacer = Pacer(cap=cap)
        assert list(settled(pacer, {Fanout(pacer): 5.0}).values()) == [cap]


def test_many_small_audiences_together_spend_what_one_large_one_does():
    one, fifty = Pacer(share=10, cap=10), Pacer(share=10, cap=10)
    spent = 0.005
    (large,) = settled(one, {Fanout(one): spent}).values()
    windows = settled(fifty, {Fanout(fifty): spent / 50 for _ in range(50)})
    share_of_one = spent / large
    share_of_fifty = sum((spent / 50) / window for window in windows.values())
    assert share_of_fifty <= share_of_one


def test_a_small_audience_beside_a_huge_one_hardly_waits():
    pacer = Pacer(share=10, cap=10)
    small, huge = Fanout(pacer), Fanout(pacer)
    windows = settled(pacer, {small: 0.0001, huge: 0.060})
    assert windows[small] < windows[huge] / 10


def test_an_audience_that_is_gone_no_longer_slows_the_others():
    pacer = Pacer(share=10, cap=10)
    a, b = Fanout(pacer), Fanout(pacer)
    alone = settled(pacer, {a: 0.01})[a]
    assert settled(pacer, {a: 0.01, b: 0.01})[a] > alone
    pacer.forget(b)
    assert settled(pacer, {a: 0.01})[a] == pytest.approx(alone)


def test_a_wait_too_short_for_a_timer_is_none():
    pacer = Pacer()
    assert pacer.window(Fanout(pacer), 0.0) == 0.0
