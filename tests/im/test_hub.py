"""The hub: joining, leaving, publishing, direct messages, operators."""

from __future__ import annotations

import math
from contextlib import ExitStack

import pytest
import trio
from kit.im import LineView, Listener
from trio.testing import wait_all_tasks_blocked

from livetrio.errors import RefusalCode, Refused
from livetrio.im.channel import Channel
from livetrio.im.channels import Channels
from livetrio.im.hub import Hub, open_hub
from livetrio.im.members import Kick
from livetrio.im.moderation import Subject
from livetrio.im.options import ChannelOptions, HubLimits, Kind, Namespaces
from livetrio.im.words import Goodbye, Position, Sender


@pytest.fixture
async def hub():
    async with open_hub(
        namespaces=Namespaces(
            [
                ("room:*", ChannelOptions(live=True, join_leave=True)),
                ("small:*", ChannelOptions(history_size=3, recovery_limit=2, max_members=1)),
            ]
        )
    ) as opened:
        yield opened


async def settle(hub: Hub) -> None:
    """Until everything published is delivered."""
    await wait_all_tasks_blocked()
    await trio.sleep(0.6)


async def test_what_is_published_reaches_all_members_once_and_in_order(autojump_clock, hub):
    a, b = Listener("a"), Listener("b")
    with hub.present(a), hub.present(b):
        await hub.join(a, "x")
        await hub.join(b, "x")
        positions = [await hub.publish("x", b"%d" % n) for n in range(5)]
        await settle(hub)
    assert [p.offset for p in positions] == [1, 2, 3, 4, 5]
    assert len({p.epoch for p in positions}) == 1
    assert a.said == b.said == ["0", "1", "2", "3", "4"]
    assert a.offsets == [1, 2, 3, 4, 5]


async def test_a_batch_is_encoded_once_for_all_members_of_a_view(autojump_clock, hub):
    view = LineView()
    members = [Listener(f"m{n}", view=view) for n in range(50)]
    for member in members:
        hub.members.add(member)
        await hub.join(member, "x")
    for n in range(10):
        await hub.publish("x", b"%d" % n)
    await settle(hub)
    assert view.batches == 1
    assert all(member.crate.writes == 1 for member in members)


async def test_who_joins_between_publishing_and_delivery_gets_nothing_twice(autojump_clock, hub):
    old, new = Listener("old"), Listener("new")
    with hub.present(old), hub.present(new):
        first = await hub.join(old, "x")
        await hub.publish("x", b"1")
        joined = await hub.join(new, "x", recover_from=first.position)
        await hub.publish("x", b"2")
        await settle(hub)
    assert [p.data for p in joined.publications] == [b"1"]
    assert joined.recovered
    assert joined.position.offset == 1
    assert new.said == ["2"]
    assert old.said == ["1", "2"]


async def test_who_leaves_and_comes_again_during_a_delivery_gets_nothing_twice(autojump_clock, hub):
    members = [Listener(f"m{n:03}") for n in range(450)]  # several slices
    for member in members:
        hub.members.add(member)
        await hub.join(member, "x")
    await hub.publish("x", b"1")
    last = members[-1]
    while not members[0].said:
        await trio.lowlevel.checkpoint()
    assert not last.said
    hub.leave(last, "x")
    joined = await hub.join(last, "x", backlog=10)
    await settle(hub)
    assert [p.data for p in joined.publications] == [b"1"]
    assert last.said == []
    assert members[-2].said == ["1"]


async def test_recovery_is_complete_or_refused(autojump_clock, hub):
    m = Listener("m")
    with hub.present(m):
        start = (await hub.publish("small:1", b"0"))._replace(offset=0)
        for n in range(1, 5):
            await hub.publish("small:1", b"%d" % n)

        async def recover(position):
            joined = await hub.join(m, "small:1", recover_from=position)
            hub.leave(m, "small:1")
            return joined.recovered, [p.offset for p in joined.publications]

        assert await recover(start._replace(offset=5)) == (True, [])
        assert await recover(start._replace(offset=3)) == (True, [4, 5])
        assert await recover(start._replace(offset=2)) == (False, [])  # beyond the limit
        assert await recover(start) == (False, [])
        assert await recover(start._replace(offset=6)) == (False, [])
        assert await recover(Position("_", 5)) == (False, [])


async def test_history_that_has_expired_is_not_recovered(autojump_clock, hub):
    m = Listener("m")
    with hub.present(m):
        position = await hub.publish("x", b"1")
        await hub.publish("x", b"2")
        await trio.sleep(301)
        joined = await hub.join(m, "x", recover_from=position, backlog=10)
    assert not joined.recovered
    assert list(joined.publications) == []


async def test_a_newcomer_is_given_the_last_few(autojump_clock, hub):
    m = Listener("m")
    with hub.present(m):
        for n in range(9):
            await hub.publish("x", b"%d" % n)
        joined = await hub.join(m, "x", backlog=3)
    assert [p.data for p in joined.publications] == [b"6", b"7", b"8"]


async def test_a_channel_that_nobody_needs_is_freed_and_begins_a_new_epoch(autojump_clock, hub):
    m = Listener("m")
    with hub.present(m):
        old = (await hub.join(m, "x")).position
        assert len(hub.channels) == 1
    await trio.sleep(20)
    assert len(hub.channels) == 0
    with hub.present(m):
        joined = await hub.join(m, "x", recover_from=old)
    assert joined.position.epoch != old.epoch
    assert not joined.recovered


async def test_a_retry_returns_the_same_position_and_is_not_published_again(autojump_clock, hub):
    m = Listener("m")
    with hub.present(m):
        await hub.join(m, "x")
        first = await hub.publish("x", b"1", id="k")
        assert await hub.publish("x", b"1", id="k") == first
        assert (await hub.publish("x", b"1", id="other")).offset == 2
        # another author's key is another key
        assert (await hub.publish("x", b"1", sender=m.sender, id="k")).offset == 3
        await settle(hub)
    assert m.offsets == [1, 2, 3]
    await trio.sleep(301)
    assert await hub.publish("x", b"1", id="k") != first


async def test_history_pages_forwards_and_back(autojump_clock, hub):
    for n in range(1, 8):
        position = await hub.publish("x", b"%d" % n)

    async def page(since=None, limit=-1, reverse=False):
        at = position._replace(offset=since) if since is not None else None
        got = await hub.history("x", since=at, limit=limit, reverse=reverse)
        assert got.position == position
        return [p.offset for p in got.publications]

    assert await page(limit=0) == []
    assert await page() == [1, 2, 3, 4, 5, 6, 7]
    assert await page(limit=2) == [1, 2]
    assert await page(since=5) == [6, 7]
    assert await page(limit=2, reverse=True) == [7, 6]
    assert await page(since=3, reverse=True) == [2, 1]
    with pytest.raises(Refused) as refused:
        await page(since=8)
    assert refused.value.code is RefusalCode.GONE
    await hub.forget_history("x")
    assert await page() == []


async def test_skipped_history_is_delivered_and_not_numbered(autojump_clock, hub):
    m = Listener("m")
    with hub.present(m):
        await hub.join(m, "x")
        assert (await hub.publish("x", b"1", skip_history=True)).offset == 0
        await settle(hub)
        assert (await hub.history("x", limit=-1)).publications == []
    assert m.said == ["1"]


async def test_a_connection_publishes_only_where_it_is(autojump_clock, hub):
    m = Listener("m")
    with hub.present(m):
        with pytest.raises(Refused, match="join the channel"):
            await hub.publish("x", b"1", sender=m.sender)
        await hub.join(m, "x")
        await hub.publish("x", b"1", sender=m.sender)


async def test_direct_messages_go_to_the_users_connections_that_want_them(autojump_clock, hub):
    phone, desk, other = Listener("p", "anna"), Listener("d", "anna"), Listener("o", "bob")
    desk.ops = frozenset({7})
    with hub.present(phone), hub.present(desk), hub.present(other):
        assert hub.send_user("anna", b"hello", op=5) == 1
        assert hub.send_user("nobody", b"hello") == 0
        assert await hub.broadcast(b"all", op=7, speed=100) == 3
    assert phone.heard == [{"direct": "hello", "op": 5}, {"direct": "all", "op": 7}]
    assert desk.heard == other.heard == [{"direct": "all", "op": 7}]


async def test_a_second_connection_of_the_same_id_replaces_the_first(autojump_clock, hub):
    one, two = Listener("same"), Listener("same")
    with hub.present(one):
        with hub.present(two):
            assert one.goodbyes[0][0] is Goodbye.REPLACED
            assert hub.members.get("same") is two
        assert hub.members.get("same") is None
    assert len(hub.members) == 0


@pytest.mark.parametrize(
    ("kick", "gone"),
    [
        (Kick(), []),
        (Kick(older="same-device"), ["a"]),
        (Kick(older="all"), ["a", "b"]),
        (Kick(connections=2), ["a"]),
    ],
)
async def test_older_connections_of_a_user_go_as_the_kick_policy_says(kick, gone, autojump_clock):
    members = [Listener(n, "anna", device=d) for n, d in [("a", "tv"), ("b", "web"), ("c", "tv")]]
    async with open_hub(kick=kick) as hub:
        with ExitStack() as present:
            for member in members:
                present.enter_context(hub.present(member))
            assert [m.id for m in members if m.goodbyes] == gone


async def test_a_kick_policy_may_refuse_the_newcomer(autojump_clock):
    async with open_hub(kick=Kick(connections=1, beyond="refuse")) as hub:
        with hub.present(Listener("a", "anna")):
            with pytest.raises(Refused) as refused:
                with hub.present(Listener("b", "anna")):
                    pass
            assert refused.value.code is RefusalCode.TOO_MANY
            with hub.present(Listener("c", "")), hub.present(Listener("d", "")):
                pass


async def test_leaving_the_block_leaves_every_channel(autojump_clock, hub):
    m = Listener("m")
    with hub.present(m):
        await hub.join(m, "x")
        await hub.join(m, "y")
        assert hub.online("x") == (1, 1)
        with pytest.raises(Refused) as refused:
            await hub.join(m, "x")
        assert refused.value.code is RefusalCode.CONFLICT
    assert hub.online("x") == hub.online("y") == hub.online("never") == (0, 0)


async def test_joins_and_leaves_are_told_to_those_who_asked(autojump_clock, hub):
    asks, not_, third = Listener("asks"), Listener("not"), Listener("third")
    with hub.present(asks), hub.present(not_):
        await hub.join(asks, "room:1", moves=True)
        await hub.join(not_, "room:1")
        with hub.present(third):
            await hub.join(third, "room:1")
            await settle(hub)
        await settle(hub)
    moves = [(line["joined"], line["user"]) for line in asks.heard]
    assert moves == [(True, "asks"), (True, "not"), (True, "third"), (False, "third")]
    assert not_.heard == []


async def test_presence_is_who_is_here(autojump_clock, hub):
    a, b, c = Listener("a", "anna"), Listener("b", "anna"), Listener("c", "")
    with hub.present(a), hub.present(b), hub.present(c):
        for m in (a, b, c):
            await hub.join(m, "x")
        assert hub.online("x") == (3, 2)
        assert hub.presence("x") == {"a": a.sender, "b": b.sender, "c": c.sender}
    assert hub.presence("x") == {}


async def test_online_counts_are_approximate_above_10_000_members(autojump_clock, hub):
    room = hub.channels.get("x")
    for n in range(12_000):
        member = Listener(f"m{n}", f"user{n // 2}")
        room.members[member] = 0
    clients, users = hub.online("x")
    assert clients == 12_000
    assert 5_900 <= users <= 6_100
    with pytest.raises(Refused):
        hub.presence("x")


async def test_a_ban_shows_the_door_and_keeps_it_shut_until_its_time(autojump_clock, hub):
    m = Listener("m", ip="1.2.3.4")
    with hub.present(m):
        await hub.join(m, "x")
        await hub.join(m, "y")
        assert hub.ban("x", Subject("ip", "1.2.3.4"), trio.current_time() + 60) == 1
        assert m.removed == [("x", 2000, "banned")]
        with pytest.raises(Refused, match="banned for 60 s"):
            await hub.join(m, "x")
        await trio.sleep(60)
        await hub.join(m, "x")
        hub.ban("", Subject("user", "m"), math.inf, reason="spam")
        assert m.goodbyes == [(Goodbye.BANNED, "spam")]
    with pytest.raises(Refused, match="banned: spam"):
        with hub.present(m):
            pass


async def test_operators_disconnect_and_remove(autojump_clock, hub):
    a, b = Listener("a", "anna"), Listener("b", "anna")
    with hub.present(a), hub.present(b):
        await hub.join(a, "x")
        assert hub.remove("anna", "x") == 1
        assert a.removed == [("x", 2000, "server unsubscribe")]
        assert hub.disconnect("anna", keep=["b"]) == 1
        assert a.goodbyes[0][0] is Goodbye.KICKED
        assert hub.disconnect("bob", client="b") == 0
        assert hub.disconnect("", client="b", goodbye=Goodbye.SHUTDOWN) == 1


@pytest.mark.parametrize(
    "name", ["", "x" * 256, "é" * 128, "a\nb", "a\0", " x", "\ud800", "a\u202eb"]
)
async def test_impossible_channel_names_are_refused(autojump_clock, hub, name):
    with pytest.raises(Refused) as refused:
        await hub.publish(name, b"1")
    assert refused.value.code is RefusalCode.BAD_REQUEST
    assert len(hub.channels) == 0


async def test_the_bounds_of_members_channels_and_data_hold(autojump_clock):
    limits = HubLimits(channels=3, channels_per_member=2, members=2, data_size=10)
    async with open_hub(limits=limits) as hub:
        m = Listener("m")
        with hub.present(m), hub.present(Listener("n")):
            with pytest.raises(Refused):
                hub.members.add(Listener("o"))
            with pytest.raises(Refused):
                await hub.publish("x", b"01234567890")
            await hub.join(m, "a")
            await hub.join(m, "b")
            with pytest.raises(Refused):
                await hub.join(m, "c")
            for n in range(10):  # those nobody is in make room
                await hub.publish(f"d{n}", b"1")
            assert len(hub.channels) == 3
            assert hub.channels.find("a") is not None


async def test_nobody_uses_up_the_channels_of_all(autojump_clock):
    limits = HubLimits(channels=100, channels_per_maker=3)
    namespaces = Namespaces((), ChannelOptions())
    channels = Channels(namespaces, limits)
    guest = Sender(user="", client="c", ip="2001:db8::1")
    neighbour = Sender(user="", client="d", ip="2001:db8::2")  # the same customer
    rooms = [channels.get(f"mine{n}", guest) for n in range(3)]
    for room in rooms:
        channels.joined(room)
    for greedy in (guest, neighbour):
        with pytest.raises(Refused, match="of yours"):
            channels.get("one more", greedy)
    assert channels.find("mine0") is rooms[0]
    for number in range(87):
        channels.joined(channels.get(f"u{number}", Sender(user=str(number), client="c", ip="")))
    with pytest.raises(Refused, match="on this server"):
        channels.get("late", Sender(user="late", client="c", ip=""))
    channels.get("room:live/x")  # a stream's


async def test_history_of_all_channels_together_is_bounded(autojump_clock):
    async with open_hub(limits=HubLimits(history_bytes=1000)) as hub:
        for n in range(30):
            await hub.publish(f"c{n}", b"x" * 100)
        hub.channels.get("c29")
        assert hub.channels.history_bytes <= 1000
        assert (await hub.history("c0", limit=-1)).publications == []
        assert len((await hub.history("c29", limit=-1)).publications) == 1


async def test_a_full_room_refuses(autojump_clock, hub):
    a, b = Listener("a"), Listener("b")
    with hub.present(a), hub.present(b):
        await hub.join(a, "small:x")
        with pytest.raises(Refused, match="full"):
            await hub.join(b, "small:x")


async def test_cancelling_leaves_nothing(autojump_clock):
    with trio.CancelScope() as scope:
        async with open_hub() as hub:
            m = Listener("m")
            with hub.present(m):
                await hub.join(m, "x")
                await hub.publish("x", b"1")
                scope.cancel()
                await trio.sleep_forever()
    assert len(hub.members) == 0
    assert not hub.channels.get("x").members
    assert isinstance(hub.channels.get("x"), Channel)


async def test_an_id_too_long_to_be_remembered_is_refused(autojump_clock, hub):
    first = await hub.publish("x", b"1", id="k" * 256)
    assert await hub.publish("x", b"1", id="k" * 256) == first
    with pytest.raises(Refused, match="at most 256") as refused:
        await hub.publish("x", b"1", id="k" * 257)
    assert refused.value.code is RefusalCode.BAD_REQUEST


async def test_newcomers_are_told_the_latest_value_of_a_state_channel_however_old(autojump_clock):
    state = Namespaces([("state:*", ChannelOptions(kind=Kind.STATE, history_ttl=10))])
    async with open_hub(namespaces=state) as hub:
        await hub.publish("state:x", b"1")
        await hub.publish("state:x", b"2")
        await trio.sleep(1000)
        late = Listener("late")
        with hub.present(late):
            joined = await hub.join(late, "state:x")
            assert [p.data for p in joined.publications] == [b"2"]
            await hub.publish("state:x", b"3")
            await settle(hub)
            assert late.said == ["3"]


async def test_newcomers_see_the_last_few_where_the_options_say_so(autojump_clock):
    few = Namespaces([("room:*", ChannelOptions(backlog=2))])
    async with open_hub(namespaces=few) as hub:
        for n in range(5):
            await hub.publish("room:x", b"%d" % n)
        new, back = Listener("new"), Listener("back")
        with hub.present(new), hub.present(back):
            joined = await hub.join(new, "room:x")
            assert [p.data for p in joined.publications] == [b"3", b"4"]
            lost = await hub.join(back, "room:x", recover_from=Position("other", 4))
            assert not lost.publications


async def test_asking_for_history_makes_no_channel(autojump_clock, hub):
    assert await hub.history("nowhere", limit=5) == ([], ("", 0))
    assert hub.channels.find("nowhere") is None
    with pytest.raises(Refused) as gone:
        await hub.history("nowhere", since=Position("epoch", 1), limit=5)
    assert gone.value.code is RefusalCode.GONE
    with pytest.raises(Refused):
        await hub.history("", limit=5)


@pytest.mark.parametrize("subject", [Subject("user", "a"), Subject("ip", "192.0.2.1")])
async def test_a_ban_from_a_room_looks_at_no_other_room(
    subject: Subject, autojump_clock, hub, monkeypatch
):
    member = Listener("a", ip="192.0.2.1")
    with hub.present(member):
        await hub.join(member, "x")
        monkeypatch.setattr(hub.members, "all", None)
        assert hub.ban("x", subject, 1e9) == 1
    assert [channel for channel, _, _ in member.removed] == ["x"]
