"""/v1/im: bans, mutes, words and rules do what they say, and can be taken back."""

from __future__ import annotations

import time

import pytest
from kit.control import body_of, control
from kit.im import Listener

from livetrio.control.im_rest import ImRest
from livetrio.control.operator import operator_app
from livetrio.errors import RefusalCode, Refused
from livetrio.im.hub import open_hub
from livetrio.im.options import ChannelOptions, Namespaces
from livetrio.im.words import Goodbye, Sender

pytestmark = pytest.mark.usefixtures("autojump_clock")

ROOM = "room:live/x"


@pytest.fixture
async def hub():
    async with open_hub(namespaces=Namespaces([("room:*", ChannelOptions(live=True))])) as hub:
        yield hub


@pytest.fixture
async def ask(hub):
    async with control() as parts:
        client = operator_app(parts.context, ImRest(hub).operations()).test_client()

        async def asked(method: str, path: str, status: int = 200, **body: object):
            more = {"json": body} if method == "POST" else {}
            response = await client.open(f"/v1/im/{path}", method=method, **more)
            assert response.status_code == status, await response.get_data()
            return await body_of(response)

        yield asked


async def test_a_ban_everywhere_ends_connections_and_keeps_them_out(hub, ask) -> None:
    alice = Listener("c1", "alice", ip="192.0.2.7")
    with hub.present(alice):
        assert await ask("POST", "bans", ip="192.0.2.7", reason="spam") == {"kicked": 1}
    assert alice.goodbyes == [(Goodbye.BANNED, "spam")]
    with pytest.raises(Refused, match="banned: spam"), hub.present(alice):
        pass
    (ban,) = (await ask("GET", "bans"))["items"]
    assert ban == {"room": "", "ip": "192.0.2.7", "until": None, "reason": "spam"}
    await ask("DELETE", "bans?ip=192.0.2.7")
    await ask("DELETE", "bans?ip=192.0.2.7", 404)
    with hub.present(alice):
        pass


async def test_a_ban_from_a_room_leaves_the_rest(hub, ask) -> None:
    alice = Listener("c1", "alice")
    with hub.present(alice):
        await hub.join(alice, ROOM)
        await hub.join(alice, "other")
        assert await ask("POST", "bans", room=ROOM, user="alice", seconds=60) == {"kicked": 1}
        assert not alice.goodbyes
        assert [room.name for room in alice.channels] == ["other"]
        with pytest.raises(Refused, match="banned for 60 s"):
            await hub.join(alice, ROOM)
    (ban,) = (await ask("GET", f"bans?room={ROOM}"))["items"]
    assert 0 < ban["until"] - time.time() <= 61
    assert (await ask("GET", "bans?room="))["items"] == []


async def test_a_mute_is_listed_apart_from_bans_and_can_be_lifted(hub, ask) -> None:
    await ask("POST", "mutes", room=ROOM, device="d1")
    sender = Sender("alice", device="d1")
    with pytest.raises(Refused, match="muted"):
        await hub.publish(ROOM, b"hi", sender=sender)
    assert (await ask("GET", "bans"))["total"] == 0
    assert (await ask("GET", "mutes"))["items"][0]["device"] == "d1"
    await ask("DELETE", f"mutes?room={ROOM}&device=d1")
    await hub.publish(ROOM, b"hi", sender=sender)


async def test_words_are_added_listed_removed_and_replaced(hub, ask) -> None:
    assert await ask("POST", "words", words={"foo": "mask", "bar": "block"}) == {"words": 2}
    assert await ask("POST", "words", words={"foo": "block"}) == {"words": 2}
    listed = (await ask("GET", "words"))["items"]
    assert listed == [{"word": "foo", "action": "block"}, {"word": "bar", "action": "block"}]
    sender = Sender("alice")
    with pytest.raises(Refused, match="a word in it") as refused:
        await hub.publish(ROOM, b'"foo"', sender=sender)
    assert refused.value.code is RefusalCode.FORBIDDEN
    assert await ask("DELETE", "words?word=foo") == {"words": 1}
    await ask("DELETE", "words?word=foo", 404)
    await hub.publish(ROOM, b'"foo"', sender=sender)
    assert await ask("POST", "words", words={"baz": "shadow"}, replace=True) == {"words": 1}
    assert await ask("DELETE", "words") == {"words": 0}


async def test_rules_change_for_the_next_message_and_go_back(hub, ask) -> None:
    rules = await ask("GET", f"rules/{ROOM}")
    assert (rules["rate"], rules["counters"], rules["quiet"]) == (2.0, ["join", "like"], False)
    changed = await ask(
        "POST", f"rules/{ROOM}",
        quiet=True, slow_mode=5, owners=["alice"], weights={"vip": 3}, budget=0,
    )  # fmt: skip
    assert changed == rules | {
        "quiet": True, "slow_mode": 5.0, "owners": ["alice"], "weights": {"vip": 3}, "budget": 0.0,
    }  # fmt: skip
    with pytest.raises(Refused, match="only moderators"):
        await hub.publish(ROOM, b"hi", sender=Sender("bob"))
    await hub.publish(ROOM, b"hi", sender=Sender("alice"))
    assert await ask("DELETE", f"rules/{ROOM}") == rules
    await hub.publish(ROOM, b"hi", sender=Sender("bob"))
