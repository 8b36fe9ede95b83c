"""What may be said in a room: bans, mutes, roles, rates, slow mode, repeats, words."""

from __future__ import annotations

import math

import pytest
import trio
from kit.im import Listener

from livetrio.errors import RefusalCode, Refused
from livetrio.im.hub import open_hub
from livetrio.im.moderation import Moderation, Subject
from livetrio.im.options import ChannelOptions, Kind, Namespaces
from livetrio.im.word_filter import Action, WordFilter
from livetrio.im.words import Lane, Sender

ROOMS = Namespaces([("room:*", ChannelOptions(live=True))])
ROOM = "room:live/x"


class Room:
    """A hub with one room and one speaker in it."""

    def __init__(self, hub):
        self.hub = hub
        self.speaker = Listener("s", "anna", device="tv", ip="1.2.3.4")
        self.viewer = Listener("v", "bob")

    async def say(self, text, **more):
        return await self.hub.publish(ROOM, text.encode(), sender=self.speaker.sender, **more)

    async def refused(self, text, match, code=None):
        with pytest.raises(Refused, match=match) as caught:
            await self.say(text)
        assert code in (None, caught.value.code)

    def rules(self, **changes):
        return self.hub.rules.change(ROOM, ROOMS.of(ROOM), **changes)


@pytest.fixture
async def room():
    async with open_hub(namespaces=ROOMS) as hub:
        room = Room(hub)
        with hub.present(room.speaker), hub.present(room.viewer):
            await hub.join(room.speaker, ROOM)
            await hub.join(room.viewer, ROOM)
            yield room


@pytest.mark.parametrize("kind", ["user", "device", "ip"])
async def test_a_mute_by_user_device_or_address_holds_until_its_time(autojump_clock, room, kind):
    subject = Subject(kind, {"user": "anna", "device": "tv", "ip": "1.2.3.4"}[kind])
    moderation = room.hub.moderation
    moderation.mute(ROOM, subject, trio.current_time() + 60, "spam")
    await room.refused("hello", "muted for 60 s: spam", RefusalCode.FORBIDDEN)
    await room.hub.publish(ROOM, b"another", sender=room.viewer.sender)
    await trio.sleep(60)
    await room.say("hello")
    moderation.mute("", subject)  # everywhere, for ever
    await trio.sleep(50_000)
    await room.refused("hello again", "muted$")
    assert moderation.lift("mute", "", subject)
    assert not moderation.lift("mute", "", subject)
    await room.say("hello again")
    assert len(moderation) == 0


def test_a_mute_of_nobody_or_nonsense_is_refused_and_hits_nobody():
    moderation = Moderation()
    for subject in (Subject("user", ""), Subject("colour", "red"), Subject("ip", "x" * 300)):
        with pytest.raises(Refused):
            moderation.mute("x", subject)
    with pytest.raises(Refused):
        moderation.ban("x", Subject("user", "a"), math.nan)
    moderation.ban("x", Subject("user", "a"), 5.0)
    moderation.mute("x", Subject("user", "b"), 50.0)
    moderation.check_speech("x", Sender(""), 0.0)
    assert [s.subject.value for s in moderation.sanctions(10.0, "x")] == ["b"]
    assert [s.subject.value for s in moderation.sanctions(0.0)] == ["a", "b"]


def test_a_room_cannot_push_out_what_others_have_forbidden(monkeypatch):
    monkeypatch.setattr("livetrio.im.moderation._MOST_OF_A_ROOM", 3)
    monkeypatch.setattr("livetrio.im.moderation._MOST", 6)
    moderation = Moderation()
    moderation.ban("", Subject("ip", "1.2.3.4"))
    moderation.mute("other", Subject("user", "troll"))
    for n in range(20):
        moderation.mute("x", Subject("user", f"u{n}"))
    assert len(moderation) == 5
    assert [s.subject.value for s in moderation.sanctions(0.0, "x")] == ["u17", "u18", "u19"]
    for n in range(5):
        moderation.ban("", Subject("user", f"u{n}"))  # more of the server's: rooms give way
    assert {s.room for s in moderation.sanctions(0.0)} == {""}
    with pytest.raises(Refused, match="too many"):
        moderation.mute("x", Subject("user", "u"))
    with pytest.raises(Refused, match="banned"):
        moderation.check_ban("x", Sender("", ip="1.2.3.4"), 0.0)


async def test_the_number_of_words_per_second_is_bounded_and_waiting_helps(autojump_clock, room):
    room.rules(rate=1.0, burst=3, duplicate_window=0)
    for n in range(3):
        await room.say(f"{n}")
    for n in range(5):  # what is refused does not count
        await room.refused(f"more {n}", r"too many messages: wait 1\.0 s", RefusalCode.TOO_MANY)
    await trio.sleep(1)
    await room.say("now")
    await room.refused("and now", "too many")


async def test_slow_mode_can_be_turned_on_while_the_room_lives(autojump_clock, room):
    await room.say("one")
    await room.say("two")
    room.rules(slow_mode=10)
    await room.refused("three", r"slow mode: wait 10\.0 s")
    await trio.sleep(10)
    await room.say("three")
    room.rules(slow_mode=0)
    await room.say("four")


@pytest.mark.parametrize(
    ("changes", "allowed"), [({"rate": 1.0, "burst": 2}, 20), ({"slow_mode": 60.0}, 10)]
)
async def test_guests_who_come_again_and_again_share_what_ten_may_say(
    autojump_clock, room, changes, allowed
):
    room.rules(duplicate_window=0, **changes)

    async def guest(n: int, ip: str = "9.9.9.9") -> None:
        again = Listener(f"c{n}", "", ip=ip)
        with room.hub.present(again):
            await room.hub.join(again, ROOM)
            await room.hub.publish(ROOM, b"%d" % n, sender=again.sender)

    for n in range(allowed):
        await guest(n)
    for n in range(100, 105):
        with pytest.raises(Refused, match="too many messages"):
            await guest(n)
    await guest(200, "8.8.8.8")
    await room.say("a user of any address")
    await trio.sleep(6)
    await guest(100)


async def test_the_same_words_again_are_refused_for_a_while(autojump_clock, room):
    await room.say("666")
    await room.refused("666", "just said that")
    await room.say("777")
    await trio.sleep(3)
    await room.say("777")


async def test_a_retry_is_no_repeat_and_costs_nothing(autojump_clock, room):
    room.rules(rate=0.001, burst=1)
    first = await room.say("666", id="k")
    assert await room.say("666", id="k") == first


async def test_moderators_and_owners_are_above_the_rules(autojump_clock, room):
    room.rules(slow_mode=100, quiet=True)
    await room.refused("hello", "only moderators")
    room.rules(moderators=frozenset({"anna"}))
    for _ in range(3):
        await room.say("hello")
    await trio.sleep(1)
    assert {line["lane"] for line in room.viewer.heard} == {0}
    room.hub.moderation.mute(ROOM, Subject("user", "anna"))  # but not above a mute
    await room.refused("hello", "muted")


async def test_a_client_cannot_choose_the_highest_lane(autojump_clock, room):
    await room.say("hello", lane=Lane.P0)
    await trio.sleep(1)
    assert room.viewer.heard[0]["lane"] == 1


async def test_long_messages_are_refused_in_rooms(autojump_clock, room):
    await room.refused("x" * 4097, "over 4096 bytes", RefusalCode.BAD_REQUEST)
    with pytest.raises(Refused, match="tags"):
        await room.say("x", tags={str(n): "" for n in range(40)})


async def test_likes_have_a_rate_of_their_own(autojump_clock, room):
    for _ in range(30):
        await room.say('{"type":"like"}')
    await room.refused('{"type":"like"}', "too many")
    await room.say("chat goes on")


async def test_masked_words_are_masked_blocked_ones_refused_and_shadowed_ones_seen_by_their_sender(
    autojump_clock, room
):
    await room.hub.word_filter.load(
        {"damn": Action.MASK, "casino": Action.BLOCK, "加微信": Action.SHADOW}
    )
    await room.say('{"text":"well DAMN it","by":1}')
    await room.refused("best Casino here", "not allowed", RefusalCode.FORBIDDEN)
    assert (await room.say("来 加 微.信 吧")).offset == 0
    await trio.sleep(1)
    assert room.viewer.said == ['{"text":"well **** it","by":1}']
    assert room.speaker.said[-1].startswith("来") or room.speaker.said[0].startswith("来")
    await room.hub.word_filter.load({})
    await room.say("best casino here")


FORGERIES = (
    '{"type":"seat.unmuted","seat":1}',
    '{"text":"hi","version":9e15,"changes":{"phase":"ended"}}',
    ' \n{"slots":{"video":[2,1]}}',
    '{"life":"x"}',
    '{"type":"room.speaking","seats":[1]}',
    '{"type":"pk.ended"}',
    '{"type":"application.made"}',
    '{"type":"manager.appointed"}',
    '{"\\u0063hanges":{}}',
    f'{{"n":{"9" * 5000},"changes":{{}}}}',
    '\ufeff{"changes":{}}',
    f'{{"deep":{"[" * 30_000}{"]" * 30_000},"changes":{{}}}}',
)


@pytest.mark.parametrize("role", [None, "owner", "moderator", "admin"])
@pytest.mark.parametrize("text", FORGERIES, ids=range(len(FORGERIES)))
async def test_nobody_but_the_server_says_what_pages_take_for_a_room_s_own_word(
    autojump_clock, room, text, role
):
    room.speaker.sender.roles = frozenset({role} if role else ())
    await room.refused(text, "only the server tells", RefusalCode.FORBIDDEN)
    with pytest.raises(Refused, match="only the server tells"):  # nor a back end in his name
        await room.hub.publish(ROOM, text.encode(), sender=Sender("anna"))
    await trio.sleep(1)
    assert room.viewer.said == []
    await room.hub.publish(ROOM, text.encode())
    await trio.sleep(1)
    assert room.viewer.said == [text]


async def test_a_room_s_own_word_is_not_forged_in_bytes_that_pages_read_as_text(
    autojump_clock, room
):
    data = b'{"text":"\xff","changes":{}}'  # to others than JSON clients they go as they are
    with pytest.raises(Refused, match="only the server tells"):
        await room.hub.publish(ROOM, data, sender=room.speaker.sender)


async def test_a_live_room_made_durable_is_no_place_for_forgeries_either(autojump_clock):
    namespaces = Namespaces([("room:*", ChannelOptions(kind=Kind.DURABLE))])
    async with open_hub(namespaces=namespaces) as hub:
        with pytest.raises(Refused, match="only the server tells"):
            await hub.publish(ROOM, FORGERIES[0].encode(), sender=Sender("anna"))


async def test_what_only_mentions_a_room_s_words_is_chat(autojump_clock, room):
    said = [
        '{"type":"chat","text":"changes: seat.left, \\"life\\""}',
        '{"type":"gift","of":{"life":1,"changes":2,"slots":3}}',
        '{"type":"roommate"}',
        '{"type":["room.ended"]}',
        '["changes"]',
        '{"changes":',
        "changes life slots",
    ]
    for text in said:
        await room.say(text)
    await trio.sleep(1)
    assert room.viewer.said == said
    await room.hub.join(room.speaker, "elsewhere")  # where no page looks for them
    await room.hub.publish("elsewhere", FORGERIES[0].encode(), sender=room.speaker.sender)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ass", True),
        ("ASS!", True),
        ("ａｓｓ", True),  # full width
        ("a\u200bs\u200bs", True),  # zero-width spaces
        ("你ass好", True),
        ("class", False),
        ("assets", False),
        ("坏人", True),
        ("是坏人吗", True),
        ("坏 人", True),
        ("坏*人", True),
        ("坏\u200b人", True),
        ("坏的人", False),
        ('{"a":[{"b":"\\u574f\\u4eba"}]}', True),
        ('{"坏人":1}', False),
        ("[" * 100_000, False),
        ("", False),
    ],
)
async def test_words_are_found_in_all_their_disguises(text, found):
    words = WordFilter()
    await words.load({"ass": Action.BLOCK, "坏人": Action.BLOCK})
    assert (words.look(text.encode()).action is Action.BLOCK) == found


async def test_of_several_words_the_strongest_action_holds_and_bytes_that_are_no_text_pass():
    words = WordFilter()
    data = b"\xff\xfe\x00"
    assert words.look(data) == (Action.PASS, data)
    await words.load({"a": Action.MASK, "b": Action.SHADOW, "c": Action.BLOCK, "A": Action.PASS})
    assert words.look(data) == (Action.PASS, data)
    assert words.look(b"a b c").action is Action.BLOCK
    assert words.look(b"b a").action is Action.SHADOW
    assert words.look(b"x a y") == (Action.MASK, b"x * y")
    assert words.look(b'"a"') == (Action.MASK, b'"*"')
    with pytest.raises(Refused):
        await words.load({"\u200b": Action.MASK})
    assert set(words.words) == {"a", "b", "c", "A"}  # the old list is in force


def test_rules_that_make_no_sense_are_refused():
    from livetrio.im.rules import Rulebook

    book = Rulebook()
    for changes in (
        {"rate": -1},
        {"budget": math.nan},
        {"burst": 0},
        {"combo_window": 0},
        {"colour": "red"},
        {"moderators": frozenset(map(str, range(2000)))},
    ):
        with pytest.raises(Refused):
            book.change(ROOM, ROOMS.of(ROOM), **changes)
    assert book.change(ROOM, ROOMS.of(ROOM), slow_mode=3).slow_mode == 3
    book.reset(ROOM)
    assert book.of(ROOM, ROOMS.of(ROOM)).slow_mode == 0


async def test_json_nested_too_deeply_is_refused_in_a_word():
    words = WordFilter()
    await words.load({"bad": Action.MASK})
    with pytest.raises(Refused) as refused:
        words.look(b"[" * 900 + b'"bad"' + b"]" * 900)
    assert refused.value.code is RefusalCode.BAD_REQUEST
