"""PK: two rooms ask, agree, are scored and come to an end, whatever becomes of either."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
from kit.rooms import KEY, OTHER, Ears, battle, command, end_battle, rooms, user
from trio.testing import wait_all_tasks_blocked

from livetrio.errors import RefusalCode, Refused
from livetrio.packet import StreamKey
from livetrio.webrtc.rooms.pk import Battle

ANNA, ZOE, ADMIN = user("anna"), user("zoe"), user("site", "admin")


class Two:
    """Two rooms with their hosts there."""

    def __init__(self, rooms, ears: Ears) -> None:
        self.rooms, self.ears = rooms, ears

    def agree(self, seconds: int = 60) -> None:
        battle(self.rooms, KEY, ANNA, OTHER, seconds)
        battle(self.rooms, OTHER, ZOE, KEY, 10)

    def pk(self, key: StreamKey):
        return self.rooms.find(key).room.state.view().get("pk")

    def asks(self, key: StreamKey):
        return self.rooms.find(key).room.state.view()["asks"]

    async def result(self, key: StreamKey = KEY):
        await wait_all_tasks_blocked()
        (words,) = [w for k, w, _ in self.ears.heard if k == key and w["type"] == "pk.ended"]
        return words["result"]


@pytest.fixture
async def two():
    ears = Ears()
    async with rooms(ears) as opened:
        options = opened.options("video")
        await opened.create(KEY, ANNA, options)
        await opened.create(OTHER, ZOE, options)
        with opened.find(KEY).attended("anna"), opened.find(OTHER).attended("zoe"):
            yield Two(opened, ears)


async def test_a_pk_begins_when_both_have_asked_for_it(autojump_clock, two) -> None:
    battle(two.rooms, KEY, ANNA, OTHER, 60)
    assert two.pk(KEY)["phase"] == "asked"
    assert two.pk(OTHER) is None
    assert two.asks(OTHER)["live/talk"]["seconds"] == 60
    battle(two.rooms, OTHER, ZOE, KEY, 10)
    mine, theirs = two.pk(KEY), two.pk(OTHER)
    assert (mine["phase"], mine["with"], mine["seconds"]) == ("running", "live/other", 60)
    assert mine["host"] == {"user": "zoe", "name": "Zoe", "seat": 1, "stream": "live/other/1"}
    assert theirs["host"]["stream"] == "live/talk/1"
    assert mine["ends"] == theirs["ends"]
    assert two.asks(OTHER) == {}
    battle(two.rooms, KEY, ANNA, OTHER, 60)  # it is so already


async def test_both_rooms_can_be_followed_by_their_events_alone(autojump_clock, two) -> None:
    two.agree(5)
    two.rooms.score(KEY, ADMIN, 3, "gift")
    await wait_all_tasks_blocked()
    for key in (KEY, OTHER):
        assert two.ears.state(key) == two.rooms.find(key).room.state.view()
    await trio.sleep(6)
    for key in (KEY, OTHER):
        assert two.ears.state(key) == two.rooms.find(key).room.state.view()


async def test_it_ends_with_its_time_and_the_higher_score_wins(autojump_clock, two) -> None:
    two.agree()
    two.rooms.score(KEY, ADMIN, 5, "g1")
    two.rooms.score(OTHER, ADMIN, 7, "g2")
    assert two.pk(KEY)["scores"] == {"live/talk": 5, "live/other": 7}
    await trio.sleep(59)
    assert two.pk(KEY) is not None
    await trio.sleep(2)
    assert two.pk(KEY) is None
    assert two.pk(OTHER) is None
    scores = {"live/talk": 5, "live/other": 7}
    for key in (KEY, OTHER):
        result = await two.result(key)
        assert result == {"reason": "time", "scores": scores, "winner": "live/other"}
    two.agree()  # and there may be another


async def test_equal_scores_are_nobodys_victory(autojump_clock, two) -> None:
    two.agree()
    await trio.sleep(61)
    assert "winner" not in await two.result()


async def test_a_gift_is_counted_once(autojump_clock, two) -> None:
    two.agree()
    for _ in range(3):
        two.rooms.score(KEY, ADMIN, 5, "g1")
    two.rooms.score(KEY, ADMIN, -2, "g2")
    assert two.rooms.score(KEY, ADMIN, -2, "g2").scores[KEY] == 3
    with pytest.raises(Refused, match="used for other points"):
        two.rooms.score(OTHER, ADMIN, 5, "g1")
    for points, gift in ((5, ""), (10**10, "g3")):
        with pytest.raises(Refused):
            two.rooms.score(KEY, ADMIN, points, gift)


@pytest.mark.parametrize("caller", [ANNA, ZOE, user("fan")])
async def test_nobody_but_the_site_scores(autojump_clock, two, caller) -> None:
    two.agree()
    with pytest.raises(Refused) as refusal:
        two.rooms.score(KEY, caller, 5, "g1")
    assert refusal.value.code is RefusalCode.FORBIDDEN


async def test_a_host_who_gives_up_has_lost_whatever_the_scores(autojump_clock, two) -> None:
    two.agree()
    two.rooms.score(KEY, ADMIN, 100, "g1")
    end_battle(two.rooms, KEY, ANNA)
    result = await two.result()
    assert (result["reason"], result["winner"]) == ("given up", "live/other")
    assert two.pk(OTHER) is None


async def test_the_site_ends_a_pk_as_the_scores_are(autojump_clock, two) -> None:
    two.agree()
    two.rooms.score(KEY, ADMIN, 100, "g1")
    end_battle(two.rooms, OTHER, ADMIN)
    assert (await two.result())["winner"] == "live/talk"


async def test_the_site_begins_one_without_asking(autojump_clock, two) -> None:
    battle(two.rooms, KEY, ADMIN, OTHER, 60)
    assert two.pk(OTHER)["phase"] == "running"


async def test_a_room_that_ends_has_lost(autojump_clock, two) -> None:
    two.agree()
    await two.rooms.end(OTHER, ZOE)
    result = await two.result()
    assert (result["reason"], result["winner"]) == ("the room has ended", "live/talk")
    assert two.pk(KEY) is None
    assert two.rooms.battles.find(KEY) is None
    assert two.ears.types(OTHER)[-1] == "room.ended"


async def test_a_host_who_leaves_his_seat_has_lost(autojump_clock, two) -> None:
    two.agree()
    two.rooms.command(OTHER, command("leave", "zoe"))
    assert (await two.result())["winner"] == "live/talk"
    assert two.pk(OTHER) is None


async def test_a_host_who_moves_is_shown_where_he_is(autojump_clock, two) -> None:
    two.agree()
    two.rooms.command(OTHER, command("move", "zoe", to=3))
    assert two.pk(KEY)["host"]["stream"] == "live/other/3"


async def test_an_ask_that_nobody_answers_lapses_in_both(autojump_clock, two) -> None:
    battle(two.rooms, KEY, ANNA, OTHER, 60)
    await trio.sleep(31)
    assert two.pk(KEY) is None
    assert two.asks(OTHER) == {}
    assert "pk.refused" in two.ears.types(KEY)


async def test_an_ask_can_be_declined_and_taken_back(autojump_clock, two) -> None:
    battle(two.rooms, KEY, ANNA, OTHER, 60)
    end_battle(two.rooms, OTHER, ZOE, KEY)
    assert (two.pk(KEY), two.asks(OTHER)) == (None, {})
    battle(two.rooms, KEY, ANNA, OTHER, 60)
    end_battle(two.rooms, KEY, ANNA)
    assert (two.pk(KEY), two.asks(OTHER)) == (None, {})
    for refused in (lambda: end_battle(two.rooms, KEY, ANNA),
                    lambda: end_battle(two.rooms, KEY, ANNA, OTHER)):  # fmt: skip
        with pytest.raises(Refused) as refusal:
            refused()
        assert refusal.value.code is RefusalCode.CONFLICT


async def test_a_room_that_is_asked_and_ends_leaves_the_asker_free(autojump_clock, two) -> None:
    battle(two.rooms, KEY, ANNA, OTHER, 60)
    await two.rooms.end(OTHER, ZOE)
    assert two.pk(KEY) is None


async def test_a_room_in_a_pk_begins_no_other(autojump_clock, two) -> None:
    third = StreamKey("live", "third")
    await two.rooms.create(third, user("tom"), two.rooms.options("video"))
    two.agree()
    for key, caller, other in ((third, user("tom"), KEY), (KEY, ANNA, third)):
        with pytest.raises(Refused, match="in a PK already"):
            battle(two.rooms, key, caller, other, 60)


async def test_asking_another_takes_the_first_ask_back(autojump_clock, two) -> None:
    third = StreamKey("live", "third")
    await two.rooms.create(third, user("tom"), two.rooms.options("video"))
    battle(two.rooms, KEY, ANNA, OTHER, 60)
    battle(two.rooms, KEY, ANNA, third, 60)
    assert two.asks(OTHER) == {}
    assert two.pk(KEY)["with"] == "live/third"


async def test_a_room_is_asked_by_so_many_and_no_more(autojump_clock, two) -> None:
    for number in range(21):
        key, host = StreamKey("live", f"r{number}"), user(f"u{number}")
        await two.rooms.create(key, host, two.rooms.options("video"))
        if number < 20:
            battle(two.rooms, key, host, KEY, 60)
            continue
        with pytest.raises(Refused) as refusal:
            battle(two.rooms, key, host, KEY, 60)
        assert refusal.value.code is RefusalCode.TOO_MANY
    assert len(two.asks(KEY)) == 20


@pytest.mark.parametrize(
    ("key", "caller", "other", "seconds", "code"),
    [
        (KEY, ANNA, KEY, 60, RefusalCode.BAD_REQUEST),
        (KEY, ANNA, OTHER, 0, RefusalCode.BAD_REQUEST),
        (KEY, ANNA, OTHER, 3601, RefusalCode.BAD_REQUEST),
        (KEY, ANNA, StreamKey("live", "none"), 60, RefusalCode.NOT_FOUND),
        (KEY, ZOE, OTHER, 60, RefusalCode.FORBIDDEN),
    ],
)
async def test_what_cannot_be_is_refused(
    autojump_clock, two, key, caller, other, seconds, code
) -> None:
    with pytest.raises(Refused) as refusal:
        battle(two.rooms, key, caller, other, seconds)
    assert refusal.value.code is code
    assert two.pk(KEY) is None


async def test_without_a_host_there_is_no_pk(autojump_clock, two) -> None:
    two.rooms.command(OTHER, command("leave", "zoe"))
    with pytest.raises(Refused, match="has no seat"):
        battle(two.rooms, KEY, ANNA, OTHER, 60)


async def test_who_asks_and_takes_back_again_and_again_is_told_to_be_slower(
    autojump_clock, two
) -> None:
    await wait_all_tasks_blocked()
    before = len(two.ears.heard)
    refusals = []
    for _ in range(200):
        for hasty in (
            lambda: battle(two.rooms, KEY, ANNA, OTHER, 60),
            lambda: end_battle(two.rooms, KEY, ANNA),
        ):
            try:
                hasty()
            except Refused as refused:
                refusals.append(refused.code)
    await wait_all_tasks_blocked()
    assert RefusalCode.TOO_MANY in refusals
    assert sum(room == OTHER for room, _, _ in two.ears.heard[before:]) <= 10
    await trio.sleep(15)
    assert battle(two.rooms, KEY, ANNA, OTHER, 60)[0].type == "pk.asked"


async def test_an_owner_of_many_rooms_does_not_flood_another_with_asks(autojump_clock, two) -> None:
    tom = user("tom")
    mine = [StreamKey("live", f"r{number}") for number in range(8)]
    for key in mine:
        await two.rooms.create(key, tom, two.rooms.options("voice"))
    asked = 0
    for _ in range(60):
        for key in mine:
            with suppress(Refused):
                battle(two.rooms, key, tom, OTHER, 60)
                asked += 1
                end_battle(two.rooms, key, tom)
        await trio.sleep(0.5)
    assert 20 < asked <= 20 + 31  # and one a second


async def test_the_site_s_scores_have_no_pace(autojump_clock, two) -> None:
    two.agree()
    for number in range(500):
        two.rooms.score(KEY, ADMIN, 1, f"g{number}")
    assert two.pk(KEY)["scores"]["live/talk"] == 500


async def test_a_repeated_ask_is_answered_as_the_first_time(autojump_clock, two) -> None:
    first = battle(two.rooms, KEY, ANNA, OTHER, 60, key="k")
    assert [event.type for event in first] == ["pk.asked"]
    taken_back = end_battle(two.rooms, KEY, ANNA, key="e")
    assert [event.type for event in taken_back] == ["pk.refused"]
    assert battle(two.rooms, KEY, ANNA, OTHER, 60, key="k") == first
    assert end_battle(two.rooms, KEY, ANNA, key="e") == taken_back
    assert two.pk(KEY) is None
    with pytest.raises(Refused, match="used for another command"):
        battle(two.rooms, KEY, ANNA, OTHER, 61, key="k")


async def test_a_pk_that_began_meanwhile_is_not_ended_by_mistake(autojump_clock, two) -> None:
    battle(two.rooms, KEY, ANNA, OTHER, 60)
    seen = two.rooms.find(KEY).room.state.version
    battle(two.rooms, OTHER, ZOE, KEY, 60)
    with pytest.raises(Refused, match="changed since"):  # he would have lost it
        end_battle(two.rooms, KEY, ANNA, version=seen)
    seen = two.rooms.find(KEY).room.state.version
    two.rooms.score(KEY, ADMIN, 1, "gift")
    two.rooms.command(KEY, command("mute", "anna"))
    end_battle(two.rooms, KEY, ANNA, version=seen)
    assert two.pk(KEY) is None


def test_scores_stay_within_what_pages_can_count() -> None:
    battle = Battle((KEY, OTHER), 60, 0.0)
    battle.score(KEY, -5, "k")
    assert battle.scores[KEY] == 0
    for number in range(2000):
        battle.score(KEY, 10**9, str(number))
    assert battle.scores[KEY] == 2000 * 10**9 < 2**53
