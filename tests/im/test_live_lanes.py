"""Live rooms under load: sampling, merging, and what a slow member is sent."""

from __future__ import annotations

import json
import random

import pytest
import trio
from kit.im import Listener

from livetrio.im.hub import open_hub
from livetrio.im.lanes import Sampler
from livetrio.im.options import ChannelOptions, HubLimits, Kind, Namespaces
from livetrio.im.words import Goodbye, Lane

ROOMS = Namespaces([("room:*", ChannelOptions(live=True))])
ROOM = "room:live/x"


@pytest.fixture
async def hub():
    limits = HubLimits(keep_counters=100, keep_chat=1000, keep_all=5000)
    async with open_hub(namespaces=ROOMS, limits=limits) as opened:
        yield opened


def free(hub, **changes):
    """No rule but those named."""
    options = ROOMS.of(ROOM)
    return hub.rules.change(
        ROOM, options, **{"rate": 0, "duplicate_window": 0, "budget": 0, **changes}
    )


@pytest.mark.parametrize("rate", [200, 1000])
def test_sampling_keeps_the_budget_evenly_over_time(rate):
    sampler = Sampler(random.Random(1))
    kept = [n / rate for n in range(rate * 20) if sampler.admits(50, 1.0, n / rate)]
    later = [at for at in kept if at >= 1]
    assert 0.8 * 50 * 19 < len(later) <= 50 * 19 + 50
    for second in range(1, 20):
        assert 25 <= sum(second <= at < second + 1 for at in kept) <= 100


def test_within_the_budget_nothing_is_left_out():
    sampler = Sampler(random.Random(1))
    assert all(sampler.admits(50, 1.0, n / 40) for n in range(2000))


def test_a_higher_weight_is_kept_more_often():
    sampler = Sampler(random.Random(1))
    kept = {1.0: 0, 4.0: 0}
    for n in range(40_000):
        weight = 4.0 if n % 10 == 0 else 1.0
        kept[weight] += sampler.admits(50, weight, n / 1000)
    assert kept[4.0] / 4000 > 2.5 * kept[1.0] / 36_000


async def test_what_is_sampled_out_is_not_numbered_and_its_sender_sees_it(autojump_clock, hub):
    speaker, viewer = Listener("s"), Listener("v")
    free(hub, budget=10)
    with hub.present(speaker), hub.present(viewer):
        await hub.join(speaker, ROOM)
        await hub.join(viewer, ROOM)
        positions = [await hub.publish(ROOM, b"%d" % n, sender=speaker.sender) for n in range(100)]
        await trio.sleep(1)
        numbered = [p.offset for p in positions if p.offset]
        assert numbered == list(range(1, len(numbered) + 1))
        assert 5 <= len(numbered) <= 10
        assert viewer.offsets == numbered
        assert sorted(map(int, speaker.said)) == list(range(100))
        assert speaker.offsets == numbered


async def test_system_messages_are_never_sampled(autojump_clock, hub):
    viewer, mod = Listener("v"), Listener("m", roles=["moderator"])
    free(hub, budget=1)
    with hub.present(viewer), hub.present(mod):
        await hub.join(viewer, ROOM)
        await hub.join(mod, ROOM)
        for n in range(100):
            await hub.publish(ROOM, b"%d" % n, sender=mod.sender if n % 2 else None)
        await trio.sleep(1)
    assert len(viewer.said) == 100
    assert {line["lane"] for line in viewer.heard} == {0}


async def test_likes_are_merged_into_a_counter_that_is_not_numbered(autojump_clock, hub):
    members = [Listener(f"m{n}") for n in range(20)]
    for member in members:
        hub.members.add(member)
        await hub.join(member, ROOM)
    await hub.publish(ROOM, b'{"type":"system"}')
    for member in members:
        position = await hub.publish(ROOM, b'{"type":"like","count":99999}', sender=member.sender)
        assert position.offset == 0
    await hub.publish(ROOM, b'{"type":"like","count":30}')  # the server may add many
    await trio.sleep(2)
    likes = [json.loads(data) for data in members[0].said if "like" in data]
    assert likes == [{"type": "like", "total": 50, "count": 50}]
    await hub.publish(ROOM, b'{"type":"like"}', sender=members[0].sender)
    await trio.sleep(2)
    assert json.loads(members[0].said[-1]) == {"type": "like", "total": 51, "count": 1}
    assert members[0].offsets == [1]
    assert [p.offset for p in (await hub.history(ROOM, limit=-1)).publications] == [1]


async def test_a_gift_is_told_at_once_and_its_repeats_together(autojump_clock, hub):
    viewer = Listener("v")
    tags = {"combo": "rose", "user": "anna"}
    with hub.present(viewer):
        await hub.join(viewer, ROOM)
        for n in range(1, 11):
            position = await hub.publish(ROOM, b'{"type":"gift","count":2}', tags=tags)
            assert position.offset == (1 if n == 1 else 0)
        await hub.publish(ROOM, b'{"type":"gift","count":1}', tags={**tags, "user": "bob"})
        await trio.sleep(0.5)
        assert [json.loads(data)["count"] for data in viewer.said] == [2, 1]
        await trio.sleep(1)
        assert [json.loads(data)["count"] for data in viewer.said] == [2, 1, 20]
        await trio.sleep(5)
        assert viewer.offsets == [1, 2, 3]
        await hub.publish(ROOM, b'{"type":"gift","count":2}', tags=tags)  # a new combo
        await trio.sleep(1)
        assert json.loads(viewer.said[-1])["count"] == 2


async def test_a_slow_member_loses_likes_then_chat_and_is_told_how_much(autojump_clock, hub):
    slow, fast = Listener("slow"), Listener("fast")
    free(hub)
    with hub.present(slow), hub.present(fast):
        for member in (slow, fast):
            await hub.join(member, ROOM)

        async def publish(lane, data):
            await hub.publish(ROOM, data, lane=lane)
            await trio.sleep(1.5)

        slow.crate.stalled = True
        await publish(Lane.P1, b"x" * 200)  # all is queued; now over the first mark
        await publish(Lane.P2, b'{"type":"like"}')
        assert b"like" not in slow.crate.waiting
        await publish(Lane.P1, b"y" * 900)  # over the second
        for _ in range(3):
            await publish(Lane.P1, b"lost")
        assert b"lost" not in slow.crate.waiting
        await publish(Lane.P0, b"system")
        slow.crate.resume()
        await publish(Lane.P1, b"after")
    assert slow.heard[2:] == [
        {"channel": ROOM, "lost": 3},
        {"channel": ROOM, "offset": 6, "data": "system", "lane": 0, "user": None},
        {"channel": ROOM, "offset": 7, "data": "after", "lane": 1, "user": None},
    ]
    assert fast.offsets == [1, 2, 3, 4, 5, 6, 7]
    assert not slow.goodbyes


async def test_a_member_that_cannot_even_be_sent_system_messages_is_closed(autojump_clock, hub):
    slow = Listener("slow")
    slow.crate.stalled = True
    with hub.present(slow):
        await hub.join(slow, ROOM)
        for _ in range(60):
            await hub.publish(ROOM, b"x" * 100, lane=Lane.P0)
            await trio.sleep(0.5)
            if slow.goodbyes:
                break
    assert slow.goodbyes[0] == (Goodbye.SLOW, "slow")
    assert slow.crate.queued <= 5000


async def test_a_strict_member_gets_a_complete_prefix_and_is_told_of_the_gap(autojump_clock, hub):
    strict = Listener("strict", strict=True)
    free(hub)
    strict.crate.stalled = True
    with hub.present(strict):
        await hub.join(strict, ROOM)
        for n in range(20):
            await hub.publish(ROOM, b"%d" % n * 60, lane=Lane.P1)
            await trio.sleep(0.5)
        assert strict.gaps == [ROOM]
        strict.crate.resume()
        assert strict.offsets == list(range(1, len(strict.offsets) + 1))
        assert len(strict.offsets) < 20
        last = hub.channels.get(ROOM).position._replace(offset=strict.offsets[-1])
        joined = await hub.join(strict, ROOM, recover_from=last)
    assert joined.recovered
    assert [p.offset for p in joined.publications] == list(range(last.offset + 1, 21))


async def test_what_a_busy_room_says_is_batched_and_a_quiet_rooms_is_not(autojump_clock):
    class Costly:
        """A pacer to whom every flush cost the longest wait."""

        def window(self, spender, spent):
            return 0.25

        def forget(self, spender):
            pass

    async with open_hub(namespaces=ROOMS, pacer=Costly()) as hub:
        viewer = Listener("v")
        with hub.present(viewer):
            await hub.join(viewer, ROOM)
            begun = trio.current_time()
            await hub.publish(ROOM, b"first")
            while not viewer.said:
                await trio.lowlevel.checkpoint()
            assert trio.current_time() == begun  # quiet: at once
            for n in range(10):
                await hub.publish(ROOM, b"%d" % n)
                await trio.sleep(0.02)
            assert viewer.crate.writes == 1
            await trio.sleep(0.1)
            assert viewer.crate.writes == 2
            assert len(viewer.said) == 11


@pytest.mark.parametrize("kind", Kind)
async def test_a_strict_member_is_told_of_a_numbered_publication_of_any_lane(
    kind: Kind, autojump_clock
):
    options = ChannelOptions(kind=kind)
    limits = HubLimits(keep_counters=100, keep_chat=1000)
    async with open_hub(namespaces=Namespaces([("x", options)]), limits=limits) as hub:
        slow = Listener("slow", strict=True)
        slow.crate.stalled = True
        slow.crate.send(b"{}\n" * 700)
        with hub.present(slow):
            await hub.join(slow, "x")
            for number in range(20):  # over 16 kinds of counters none is merged any more
                await hub.publish("x", b'{"type":"like%d"}' % number, lane=Lane.P2)
            await trio.sleep(1)
            assert (await hub.history("x")).position.offset > 0
        assert slow.gaps == ["x"]


async def test_numbered_likes_are_kept_like_chat_and_counted_when_lost(autojump_clock):
    options = ChannelOptions(kind=Kind.DURABLE)
    limits = HubLimits(keep_counters=100, keep_chat=1000)
    async with open_hub(namespaces=Namespaces([("x", options)]), limits=limits) as hub:
        slow = Listener("slow")
        slow.crate.stalled = True
        slow.crate.send(b"{}\n" * 700)
        with hub.present(slow):
            await hub.join(slow, "x")
            await hub.publish("x", b"like", lane=Lane.P2)
            await trio.sleep(1)
            slow.crate.resume()
            await hub.publish("x", b"chat")
            await trio.sleep(1)
        assert [line for line in slow.heard if "lost" in line] == [{"channel": "x", "lost": 1}]
