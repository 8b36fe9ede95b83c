"""Rooms as they run: timers, telling, and an end that leaves nothing."""

from __future__ import annotations

import pytest
import trio
from kit.rooms import KEY, OTHER, Ears, command, rooms, site, user
from trio.testing import wait_all_tasks_blocked

from livetrio.errors import RefusalCode, Refused
from livetrio.net.scope import open_scope, tree
from livetrio.packet import StreamKey
from livetrio.webrtc.rooms.room_service import check_room_name

ANNA = user("anna")


@pytest.fixture
def ears() -> Ears:
    return Ears()


@pytest.fixture
async def on(ears):
    async with rooms(ears) as opened:
        yield opened


async def opened(on, kind: str = "voice", **options):
    return await on.create(KEY, ANNA, on.options(kind, **options))


async def test_followers_know_the_room_by_its_events_alone(autojump_clock, on, ears) -> None:
    live = await opened(on)
    with live.attended("anna"), live.attended("bob"):
        for action, by, fields in (
            ("take", "bob", {"seat": 2}), ("mute", "anna", {"seat": 2}),
            ("apply", "carl", {}), ("invite", "anna", {"user": "dora", "seat": 5}),
        ):  # fmt: skip
            on.command(KEY, command(action, by, **fields))
        await wait_all_tasks_blocked()
        assert ears.state() == live.room.state.view()
        await trio.sleep(31)  # dora never answers
    await wait_all_tasks_blocked()
    assert ears.state() == live.room.state.view()
    assert live.room.state.seats[5].user == ""


async def test_a_replayed_command_is_not_told_twice(autojump_clock, on, ears) -> None:
    await opened(on)
    on.command(KEY, command("take", "bob", key="k"))
    on.command(KEY, command("take", "bob", key="k"))
    await wait_all_tasks_blocked()
    assert ears.types().count("seat.taken") == 1


async def test_a_lost_owner_s_room_waits_and_goes_on_when_he_returns(
    autojump_clock, on, ears
) -> None:
    live = await opened(on)
    with live.attended("anna"):
        pass
    await trio.sleep(29)
    assert live.room.state.view()["phase"] == "waiting"
    with live.attended("anna"):
        await trio.sleep(1000)
        assert live.room.state.view()["phase"] == "open"
        assert live.room.state.seats[1].present
    await wait_all_tasks_blocked()
    about = {"room.opened", "room.waiting", "room.resumed"}
    types = [kind for kind in ears.types() if kind in about]
    assert types == ["room.opened", "room.waiting", "room.resumed", "room.waiting"]


async def test_a_room_whose_owner_does_not_return_ends(autojump_clock, on, ears) -> None:
    live = await opened(on)
    with live.attended("bob"):
        with live.attended("anna"):
            pass
        await trio.sleep(31)
        assert len(on) == 0
    assert live.scope.gone
    assert ears.types()[-1] == "room.ended"
    assert ears.state()["reason"] == "the owner did not return"


async def test_a_second_connection_of_the_owner_keeps_the_room(autojump_clock, on) -> None:
    live = await opened(on)
    with live.attended("anna"):
        with live.attended("anna"):
            pass
        await trio.sleep(1000)
        assert live.room.state.view()["phase"] == "open"


async def test_a_room_in_which_nobody_is_ends_after_the_idle_time(autojump_clock, on, ears) -> None:
    await opened(on)
    await trio.sleep(299)
    assert len(on) == 1
    on.command(KEY, command("take", "bob"))  # somebody does something
    await trio.sleep(299)
    assert len(on) == 1
    await trio.sleep(2)
    assert len(on) == 0
    assert ears.state()["reason"] == "idle"


async def test_a_lost_guest_s_seat_waits_for_him_and_is_free_then(autojump_clock, on) -> None:
    live = await opened(on)
    with live.attended("anna"):
        with live.attended("bob"):
            on.command(KEY, command("take", "bob", seat=2))
        await trio.sleep(29)
        assert live.room.state.seats[2].user == "bob"
        with live.attended("bob"):
            await trio.sleep(100)
            assert live.room.state.seats[2].present
        await trio.sleep(31)
        assert live.room.state.seats[2].user == ""


async def test_who_takes_a_seat_and_never_comes_loses_it(autojump_clock, on) -> None:
    live = await opened(on)
    with live.attended("anna"):
        on.command(KEY, command("take", "bob", seat=2))
        await trio.sleep(31)
        assert live.room.state.seats[2].user == ""


async def test_an_invitation_that_is_never_answered_lapses(autojump_clock, on, ears) -> None:
    live = await opened(on)
    with live.attended("anna"):
        on.command(KEY, command("invite", "anna", user="bob", seat=2))
        await trio.sleep(31)
        with pytest.raises(Refused, match="not invited"):
            on.command(KEY, command("accept", "bob"))
    (released,) = [words for _, words, _ in ears.heard if words["type"] == "seat.released"]
    assert released["reason"] == "timeout"


async def test_an_applicant_who_is_gone_waits_no_longer(autojump_clock, on) -> None:
    live = await opened(on, "video")
    with live.attended("anna"):
        with live.attended("bob"):
            on.command(KEY, command("apply", "bob"))
        await trio.sleep(20)
        with live.attended("bob"):
            await trio.sleep(100)
            assert "bob" in live.room.state.applications
        await trio.sleep(31)
        assert "bob" not in live.room.state.applications


async def test_speaking_is_told_as_state_and_not_numbered(autojump_clock, on, ears) -> None:
    live = await opened(on)
    with live.attended("anna"), live.attended("bob"):
        on.command(KEY, command("take", "bob", seat=2))
        before = live.room.state.version
        for _ in range(100):
            for seat in (1, 2):
                live.heard(seat, -20.0)
            await trio.sleep(0.02)
        assert b'"speaking":[1,2]' in live.snapshot()
        on.command(KEY, command("mute", "anna", seat=2))
        live.heard(2, -20.0)
        await trio.sleep(0.3)
        live.heard(1, -20.0)
        assert live.speaking.told == (1,)
        await trio.sleep(10)
    told = [(words, counts) for _, words, counts in ears.heard if words["type"] == "room.speaking"]
    said = [words["seats"] for words, _ in told]
    assert said[-1] == []
    assert 3 <= len(said) <= 5
    assert all(words["version"] >= before and not counts for words, counts in told)


async def test_levels_of_no_seat_are_nothing(autojump_clock, on) -> None:
    live = await opened(on)
    for seat in (77, 2, 1):  # 1: nobody is there
        for _ in range(3):
            live.heard(seat, 0.0)
            await trio.sleep(0.1)
    assert live.speaking.told == ()


async def test_the_state_is_encoded_once_for_all_who_come_late(autojump_clock, on) -> None:
    live = await opened(on)
    first = live.snapshot()
    assert live.snapshot() is first
    on.command(KEY, command("take", "bob"))
    assert live.snapshot() is not first


async def test_a_room_that_cannot_be_told_goes_on(autojump_clock, on, ears) -> None:
    live = await opened(on)
    ears.refuses = True
    on.command(KEY, command("take", "bob"))
    await wait_all_tasks_blocked()
    ears.refuses = False
    on.command(KEY, command("mute", "bob"))
    await wait_all_tasks_blocked()
    assert ears.heard[-1][1]["version"] == live.room.state.version


async def test_ears_that_never_take_an_event_hold_nobody_up(autojump_clock) -> None:
    async def stuck(room, data, numbered) -> None:
        await trio.sleep_forever()

    ears = Ears()
    ears.publish = stuck
    async with rooms(ears) as on:
        await opened(on)
        on.command(KEY, command("take", "bob"))
        await trio.sleep(11)
        with trio.fail_after(2):
            await on.end(KEY, ANNA)


async def test_the_end_of_a_room_is_told_and_leaves_nothing(autojump_clock, on, ears) -> None:
    await opened(on)
    on.command(KEY, command("take", "bob"))
    await wait_all_tasks_blocked()
    ended = await on.end(KEY, ANNA)
    assert (ended.ended.scopes, ended.ended.tasks, len(on)) == (2, 3, 0)  # with its feed
    assert ears.types()[-1] == "room.ended"
    assert ears.state()["phase"] == "ended"
    with pytest.raises(Refused):
        on.find(KEY)
    again = await opened(on)
    assert again.room.state.version == 1
    await wait_all_tasks_blocked()
    numbered = [words["type"] for _, words, counts in ears.heard if counts]
    assert numbered[-2:] == ["room.ended", "room.opened"]


async def test_nobody_but_the_owner_ends_a_room(autojump_clock, on) -> None:
    await opened(on)
    with pytest.raises(Refused) as refusal:
        await on.end(KEY, user("bob", "moderator"))
    assert refusal.value.code is RefusalCode.FORBIDDEN
    await on.end(KEY, user("site", "admin"))


@pytest.mark.parametrize("after", [0.0, 0.05, 0.2, 1.0])
async def test_root_cancel_leaves_no_room_and_says_so(autojump_clock, after: float) -> None:
    ears = Ears()
    async with open_scope("node", "root") as root:
        with trio.move_on_after(after):
            async with rooms(ears) as on:
                for number in range(10):
                    await on.create(StreamKey("live", f"r{number}"), user(f"u{number}"),
                                    on.options("voice"))  # fmt: skip
                while True:
                    on.find(StreamKey("live", "r1")).heard(1, 0.0)
                    await trio.sleep(0.01)
        assert len(on) == 0
        assert tree(root).children == []
    for number in range(10):
        types = ears.types(StreamKey("live", f"r{number}"))
        assert types[-1:] in ([], ["room.ended"])


async def test_of_two_who_create_one_room_one_is_told_that_there_is_one(autojump_clock, on) -> None:
    outcomes: list[str] = []

    async def create(name: str) -> None:
        try:
            await on.create(KEY, user(name), on.options("video"))
            outcomes.append("made")
        except Refused as refusal:
            outcomes.append(refusal.code.value)

    async with trio.open_nursery() as nursery:
        for name in ("anna", "zoe"):
            nursery.start_soon(create, name)
    assert sorted(outcomes) == ["conflict", "made"]


async def test_rooms_are_bounded_for_the_node_and_for_each_owner(autojump_clock) -> None:
    async with rooms(max=10) as on:
        for number in range(8):
            await on.create(StreamKey("live", f"r{number}"), ANNA, on.options("voice"))
        for caller, name, match in (
            (ANNA, "r8", "you have 8"), (user("bob"), "r8", None),
            (user("bob"), "r9", None), (user("carl"), "r10", "too many rooms"),
        ):  # fmt: skip
            key = StreamKey("live", name)
            if match is None:
                await on.create(key, caller, on.options("voice"))
            else:
                with pytest.raises(Refused, match=match):
                    await on.create(key, caller, on.options("voice"))


async def test_who_may_create_rooms_is_configured(autojump_clock) -> None:
    async with rooms(create="host") as on:
        for caller, code in (
            (user("bob"), RefusalCode.FORBIDDEN), (user(""), RefusalCode.UNAUTHORIZED),
        ):  # fmt: skip
            with pytest.raises(Refused) as refusal:
                await on.create(KEY, caller, on.options("voice"))
            assert refusal.value.code is code
        await on.create(KEY, user("bob", "host"), on.options("voice"))


@pytest.mark.parametrize("name", ["", "a/b", "a~1", "x" * 65, "a\nb", ".."])
def test_names_that_streams_could_not_have_are_refused(name: str) -> None:
    with pytest.raises(Refused):
        check_room_name(name)


async def test_seats_are_as_many_as_the_node_allows(autojump_clock, on) -> None:
    assert (on.options("video").seats, on.options("voice").seats) == (9, 16)
    assert on.options("video", seats=2).seats == 2
    assert (on.options("video").free, on.options("voice").free) == (False, True)
    for fields in ({"seats": 10}, {"seats": -1}, {"title": "x" * 129}):
        with pytest.raises(Refused):
            on.options("video", **fields)


async def test_a_title_is_cleaned_of_what_cannot_be_seen_as_names_are(autojump_clock, on) -> None:
    assert on.options("video", title=" <b>\u202eTalk\x00\n &\u200b 聊天 ").title == "<b>Talk & 聊天"
    assert on.options("video", title="\ud800\u2066").title == ""


async def test_an_event_whose_telling_is_cancelled_is_told_in_the_farewell(autojump_clock) -> None:
    ears = Ears()
    begun = trio.Event()
    at_once = ears.publish

    async def hesitant(room, data, numbered) -> None:
        if not begun.is_set():
            begun.set()
            await trio.sleep(1)
        await at_once(room, data, numbered)

    ears.publish = hesitant
    async with rooms(ears) as on:
        await opened(on)
        await begun.wait()
        on.command(KEY, command("take", "bob"))
        await on.end(KEY, ANNA)
    numbered = [words["type"] for _, words, counts in ears.heard if counts]
    assert numbered == ["room.opened", "seat.taken", "room.ended"]
    assert ears.state()["phase"] == "ended"


async def test_more_events_than_may_wait_show_by_their_numbers(autojump_clock) -> None:
    ears = Ears()
    told = trio.Event()
    at_once = ears.publish

    async def late(room, data, numbered) -> None:
        await told.wait()
        await at_once(room, data, numbered)

    ears.publish = late
    async with rooms(ears) as on:
        live = await opened(on)
        await wait_all_tasks_blocked()
        for number in range(10_000):
            on.command(KEY, command("apply", f"u{number}"))
        on.command(KEY, command("take", "bob"))
        told.set()
        await wait_all_tasks_blocked()
        versions = [words["version"] for _, words, _ in ears.heard]
        assert versions[-1] == live.room.state.version == 10_002
        assert versions[0] == 1
        assert versions[1] == 3  # one too many: the oldest that nobody was being told yet


async def test_whoever_opens_and_ends_rooms_again_and_again_is_told_to_be_slower(
    autojump_clock, on
) -> None:
    for _ in range(16):
        await on.create(KEY, ANNA, on.options("voice"))
        await on.end(KEY, ANNA)
    with pytest.raises(Refused) as refusal:
        await on.create(KEY, ANNA, on.options("voice"))
    assert refusal.value.code is RefusalCode.TOO_MANY
    await on.create(KEY, user("bob"), on.options("voice"))  # others are not concerned
    await trio.sleep(11)
    await on.create(StreamKey("live", "again"), ANNA, on.options("voice"))


async def test_the_site_s_back_end_opens_rooms_without_pace(autojump_clock, on) -> None:
    for number in range(40):
        key = StreamKey("live", f"r{number}")
        await on.create(key, user("site", "admin"), on.options("voice"))


async def test_asking_for_the_key_of_a_seat_has_a_pace_and_is_repeated_safely(
    autojump_clock, on
) -> None:
    await opened(on)
    first = on.seat_key(KEY, command("key", "anna", key="k"))
    assert on.seat_key(KEY, command("key", "anna", key="k")) == first
    for _ in range(18):
        on.seat_key(KEY, command("key", "anna"))
    with pytest.raises(Refused) as refusal:
        on.seat_key(KEY, command("key", "anna"))
    assert refusal.value.code is RefusalCode.TOO_MANY
    await trio.sleep(10)
    on.command(KEY, command("leave", "anna"))
    with pytest.raises(Refused, match="no seat any more"):
        on.seat_key(KEY, command("key", "anna", key="k"))


async def test_a_room_can_be_ended_by_a_command(autojump_clock, on, ears) -> None:
    await opened(on)
    on.command(KEY, command("end", "anna"))
    await wait_all_tasks_blocked()
    assert len(on) == 0
    assert ears.types()[-1] == "room.ended"


async def test_what_is_no_command_is_refused(autojump_clock, on) -> None:
    await opened(on)
    with pytest.raises(Refused, match="score is no such command"):
        on.command(KEY, command("score", user("site", "admin")))


async def test_who_is_banned_opens_no_room_and_comes_to_no_seat(autojump_clock) -> None:
    def may_enter(room: StreamKey, name: str) -> None:
        if name == "eve":
            raise Refused(RefusalCode.FORBIDDEN, "banned")

    async with site(may_enter=may_enter) as there:
        await opened(there.rooms)
        for action in ("take", "apply", "accept"):
            with pytest.raises(Refused, match="banned"):
                there.rooms.command(KEY, command(action, "eve"))
        with pytest.raises(Refused, match="banned"):
            await there.rooms.create(OTHER, user("eve"), there.rooms.options("voice"))
        there.rooms.command(KEY, command("take", "bob"))
