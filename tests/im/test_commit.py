"""Durable channels: committed before acknowledged, numbered by the log, recovered from it."""

from __future__ import annotations

import pytest
import trio
from kit.im import Listener

from livetrio.errors import RefusalCode, Refused, StoreUnavailable
from livetrio.im.hub import open_hub
from livetrio.im.options import ChannelOptions, Kind, Namespaces
from livetrio.im.words import Position
from livetrio.store.log import Entry, MemoryLog, Record

NAMES = Namespaces(
    [
        ("log:*", ChannelOptions(kind=Kind.DURABLE, history_size=5, recovery_limit=50)),
        ("state:*", ChannelOptions(kind=Kind.STATE)),
    ]
)


class Slow(MemoryLog):
    """Takes a second for everything, counts its commits, and may fail or lose everything."""

    def __init__(self):
        super().__init__()
        self.commits = 0
        self.fails = ""

    async def append(self, entries):
        await trio.sleep(1)
        if self.fails == "before":
            raise StoreUnavailable("down")
        self.commits += 1
        appended = await super().append(entries)
        if self.fails == "after":
            raise StoreUnavailable("the answer was lost")
        return appended

    async def top(self, channel):
        top = await super().top(channel)
        await trio.sleep(1)  # old by the time it arrives
        return top


@pytest.fixture
def log():
    return Slow()


@pytest.fixture
async def hub(log):
    async with open_hub(namespaces=NAMES, log=log) as opened:
        yield opened


async def test_the_sender_is_acknowledged_after_the_commit_and_members_hear_it_then(
    autojump_clock, hub, log
):
    m = Listener("m")
    with hub.present(m):
        await hub.join(m, "log:x")
        begun = trio.current_time()
        position = await hub.publish("log:x", b"1")
        assert trio.current_time() == begun + 1
        assert position == (await log.top("log:x"))
        await trio.sleep(1)
    assert m.offsets == [1]


async def test_what_comes_during_a_commit_is_committed_together(autojump_clock, hub, log):
    async with trio.open_nursery() as nursery:
        for n in range(100):
            nursery.start_soon(hub.publish, f"log:{n % 3}", b"x")
    assert log.commits <= 3
    assert [(await log.top(f"log:{n}")).offset for n in range(3)] == [34, 33, 33]


async def test_a_sender_that_is_cancelled_leaves_no_gap(autojump_clock, hub, log):
    m = Listener("m")
    with hub.present(m):
        await hub.join(m, "log:x")
        with trio.move_on_after(0.5):
            await hub.publish("log:x", b"cancelled")
        await hub.publish("log:x", b"next")
        await trio.sleep(1)
    assert m.said == ["cancelled", "next"]


async def test_a_log_that_is_down_refuses_and_nothing_is_numbered(autojump_clock, hub, log):
    log.fails = "before"
    with pytest.raises(Refused) as refused:
        await hub.publish("log:x", b"1", id="k")
    assert refused.value.code is RefusalCode.UNAVAILABLE
    log.fails = ""
    assert (await hub.publish("log:x", b"1", id="k")).offset == 1


async def test_a_commit_whose_answer_was_lost_is_delivered_before_the_next(
    autojump_clock, hub, log
):
    m = Listener("m", strict=True)
    with hub.present(m):
        await hub.join(m, "log:x")
        log.fails = "after"
        with pytest.raises(Refused):
            await hub.publish("log:x", b"1", id="k")
        log.fails = ""
        assert (await hub.publish("log:x", b"1", id="k")).offset == 1  # the retry finds it
        await hub.publish("log:x", b"2")
        await trio.sleep(1)
    assert m.said == ["1", "2"]
    assert m.offsets == [1, 2]


async def test_what_is_no_longer_in_memory_is_recovered_from_the_log(autojump_clock, hub, log):
    m = Listener("m")
    await log.append([Entry("log:x", Record(time=1, data=b"%d" % n)) for n in range(30)])
    epoch = (await log.top("log:x")).epoch
    with hub.present(m):
        joined = await hub.join(m, "log:x", recover_from=Position(epoch, 10))
        assert joined.recovered
        assert [p.offset for p in joined.publications] == list(range(11, 31))
        hub.leave(m, "log:x")
        joined = await hub.join(m, "log:x", recover_from=Position("other", 10), backlog=2)
        assert not joined.recovered
        assert [p.offset for p in joined.publications] == [29, 30]
    page = await hub.history("log:x", since=Position(epoch, 5), limit=2)
    assert [p.offset for p in page.publications] == [6, 7]
    page = await hub.history("log:x", limit=2, reverse=True)
    assert [p.offset for p in page.publications] == [30, 29]


async def test_what_is_committed_while_somebody_joins_is_not_missed(autojump_clock, hub, log):
    m = Listener("m", strict=True)
    with hub.present(m):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hub.publish, "log:x", b"1")
            await trio.sleep(0.5)
            joined = await hub.join(m, "log:x")  # the first answer of the log is too old
        await hub.publish("log:x", b"2")
        await trio.sleep(1)
    assert joined.position.offset == 1
    assert m.offsets == [2]


async def test_a_log_that_was_lost_is_told_to_strict_members(autojump_clock, hub, log):
    strict, loose = Listener("s", strict=True), Listener("l")
    with hub.present(strict), hub.present(loose):
        await hub.join(strict, "log:x")
        await hub.join(loose, "log:x")
        await hub.publish("log:x", b"1")
        await trio.sleep(1)
        log._books.clear()
        await hub.publish("log:x", b"2")
        await trio.sleep(1)
    assert strict.gaps == ["log:x"]
    assert loose.said == ["1", "2"]


async def test_forgotten_history_is_gone_from_the_log_and_the_numbering_goes_on(
    autojump_clock, hub, log
):
    await hub.publish("log:x", b"1")
    await hub.forget_history("log:x")
    assert (await hub.history("log:x", limit=-1)).publications == []
    assert (await hub.publish("log:x", b"2")).offset == 2
    assert [r.data for r in await log.read("log:x", 0, 9)] == [b"2"]
    assert [r.data for r in await log.read_back("log:x", 9, 9)] == [b"2"]
    assert await log.read_back("log:x", 2, 9) == []


async def test_of_a_state_channel_the_latest_value_is_delivered_and_given_to_newcomers(
    autojump_clock, hub
):
    m, late = Listener("m"), Listener("late")
    with hub.present(m), hub.present(late):
        start = (await hub.join(m, "state:x")).position
        for n in range(5):
            position = await hub.publish("state:x", b"%d" % n)
        assert position.offset == 1
        await trio.sleep(1)
        assert m.said == ["4"]
        for n in range(5, 9):
            await hub.publish("state:x", b"%d" % n)
            await trio.sleep(1)
        joined = await hub.join(late, "state:x", recover_from=start)
        assert [p.data for p in joined.publications] == [b"8"]
        assert joined.recovered
        hub.leave(late, "state:x")
        joined = await hub.join(late, "state:x", backlog=1)
        assert [p.data for p in joined.publications] == [b"8"]
    assert m.offsets == [1, 2, 3, 4, 5]
