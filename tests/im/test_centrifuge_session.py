"""Clients of Centrifugo's protocol, over all transports, against the contract."""

from __future__ import annotations

import json

import pytest
import trio
from kit.centrifuge import centrifuge, token
from kit.node import patiently

from livetrio.im.moderation import Subject
from livetrio.im.options import ChannelOptions, HubLimits, Namespaces
from livetrio.im.words import Lane

EVERY = pytest.mark.parametrize("kind", ["ws", "http_stream", "sse"])


@EVERY
async def test_a_connection_is_told_who_it_is_and_how_often_it_is_pinged(kind: str):
    async with centrifuge() as here, here.client(kind) as client:
        result = await client.connect(token("42"))
        (member,) = here.hub.members.of_user("42")
        assert result["client"] == member.id
        assert (result["ping"], result["pong"]) == (25, True)
        assert "expires" not in result
        emulated = kind != "ws"
        assert ("session" in result, "node" in result) == (emulated, emulated)
        assert member.sender.ip == "127.0.0.1"


@EVERY
async def test_two_clients_talk_in_a_channel(kind: str):
    async with centrifuge() as here, here.client(kind) as one, here.ws() as two:
        await one.connect(token("1"))
        await two.connect(token("2"))
        for client in (one, two):
            assert await client.subscribe("room:live/a") == {}
        assert "error" not in await one.publish("room:live/a", {"text": "早上好", "n": 1.5})
        for client in (one, two):
            push = await client.push()
            assert push["channel"] == "room:live/a"
            assert push["pub"]["data"] == {"text": "早上好", "n": 1.5}
            assert push["pub"]["offset"] == 1
            assert push["pub"]["info"]["user"] == "1"


@EVERY
async def test_many_commands_of_one_frame_are_answered_in_their_order(kind: str):
    async with centrifuge() as here, here.client(kind) as client:
        await client.connect()
        await client.send(
            {"id": 11, "subscribe": {"channel": "a"}},
            {"id": 12, "presence_stats": {"channel": "a"}},
            {"id": 13, "unsubscribe": {"channel": "a"}},
            {"id": 14, "ping": {}},
        )
        assert [await client.line() for _ in range(4)] == [
            {"id": 11, "subscribe": {}},
            {"id": 12, "presence_stats": {"num_clients": 1, "num_users": 1}},
            {"id": 13, "unsubscribe": {}},
            {"id": 14, "ping": {}},
        ]


async def test_presence_and_history_are_for_those_who_are_in():
    async with (
        centrifuge() as here,
        here.connected(
            "1",
        ) as client,
    ):
        for command in ("presence", "presence_stats", "history"):
            reply = await client.ask(**{command: {"channel": "a"}})
            assert reply["error"]["code"] == 103
        await client.subscribe("a")
        (member,) = here.hub.members.all()
        presence = (await client.ask(presence={"channel": "a"}))["presence"]["presence"]
        assert presence == {member.id: {"user": "1", "client": member.id}}
        for n in range(5):
            await here.hub.publish("a", b"%d" % n)
        newest = (await client.ask(history={"channel": "a"}))["history"]
        assert newest == {"epoch": here.hub.channels.get("a").epoch, "offset": 5}
        page = (await client.ask(history={"channel": "a", "limit": 2, "reverse": True}))["history"]
        assert [p["data"] for p in page["publications"]] == [4, 3]
        since = {"offset": 3, "epoch": newest["epoch"]}
        page = (await client.ask(history={"channel": "a", "limit": -1, "since": since}))["history"]
        assert [p["offset"] for p in page["publications"]] == [4, 5]
        since["epoch"] = "other"
        reply = await client.ask(history={"channel": "a", "limit": 1, "since": since})
        assert reply["error"] == {"code": 112, "message": "unrecoverable position"}


async def test_what_was_missed_is_in_the_subscribe_result_and_comes_once():
    async with centrifuge() as here:
        async with here.connected() as client:
            begun = await client.subscribe("a", recoverable=True)
            assert begun["recoverable"]
            assert begun["positioned"]
        for n in range(3):
            await here.hub.publish("a", b"%d" % n)
        where = {"epoch": begun["epoch"], "offset": 1}
        async with here.connected() as client:
            again = await client.subscribe("a", recoverable=True, recover=True, **where)
            assert [p["data"] for p in again["publications"]] == [1, 2]
            assert (again["recovered"], again["was_recovering"], again["offset"]) == (True, True, 1)
            await here.hub.publish("a", b'"next"')
            assert await client.said() == "next"


async def test_what_cannot_be_recovered_is_said_never_half_of_it():
    options = {"namespaces": Namespaces([], ChannelOptions(history_size=2))}
    async with centrifuge(hub_options=options) as here:
        for n in range(5):
            await here.hub.publish("a", b"%d" % n)
        epoch = here.hub.channels.get("a").epoch
        for position in ({"epoch": epoch, "offset": 1}, {"epoch": "_", "offset": 0}):
            async with here.connected() as client:
                result = await client.subscribe("a", recoverable=True, recover=True, **position)
                assert "recovered" not in result
                assert "publications" not in result
                assert (result["was_recovering"], result["offset"]) == (True, 5)
                assert result["epoch"] == epoch
            async with here.connected() as client:
                error = await client.subscribe("a", recover=True, flag=2, **position)
                assert error["code"] == 112
                assert here.hub.online("a").clients == 0
        async with here.connected() as client:  # an offset alone may be of another numbering
            result = await client.subscribe("a", recover=True, offset=4)
            assert "recovered" not in result


async def test_a_positioned_subscriber_that_is_too_slow_is_asked_to_recover():
    async with centrifuge() as here, here.connected() as client:
        await client.subscribe("a", recoverable=True)
        (member,) = here.hub.members.all()
        assert member.strict
        here.hub.leave(member, "a")
        member.on_gap("a")
        assert await client.push() == {
            "channel": "a",
            "unsubscribe": {"code": 2500, "reason": "insufficient state"},
        }
        assert not member.strict
        assert "epoch" in await client.subscribe("a", positioned=True)


async def test_joins_and_leaves_are_told_to_those_who_asked():
    options = {"namespaces": Namespaces([], ChannelOptions(join_leave=True))}
    async with centrifuge(hub_options=options) as here, here.connected("1") as client:
        await client.subscribe("a", join_leave=True)
        assert (await client.push())["join"]["info"]["user"] == "1"
        async with here.connected("2") as other:
            await other.subscribe("a")
            assert (await client.push())["join"]["info"]["user"] == "2"
        assert (await client.push())["leave"]["info"]["user"] == "2"


async def test_a_retry_of_a_subscription_and_other_nonsense_have_their_codes():
    async with centrifuge(hub_options={"limits": HubLimits(channels_per_member=2)}) as here:
        async with here.connected() as client:
            assert await client.subscribe("a") == {}
            assert (await client.subscribe("a"))["code"] == 105
            assert (await client.subscribe("n" * 256))["code"] == 107
            assert (await client.subscribe("a\x00"))["code"] == 107
            assert (await client.subscribe("a", type=1))["code"] == 108
            assert (await client.subscribe("b", tf={"op": "and"}))["code"] == 107
            assert await client.subscribe("b") == {}
            assert (await client.subscribe("c"))["code"] == 106
            assert (await client.publish("c", 1))["error"]["code"] == 103
            assert (await client.ask(publish={"channel": "a"}))["error"]["code"] == 107
            assert (await client.ask(rpc={"method": "x"}))["error"]["code"] == 104
            assert (await client.ask(sub_refresh={"channel": "x"}))["error"]["code"] == 103


async def test_rules_of_a_room_are_told_in_words_and_as_temporary_where_waiting_helps():
    async with centrifuge() as here, here.connected("1") as client:
        await client.subscribe("a")
        here.hub.rules.change("a", ChannelOptions(), slow_mode=5.0)
        await client.publish("a", 1)
        reply = await client.publish("a", 2)
        assert (reply["error"]["code"], reply["error"]["temporary"]) == (111, True)
        assert "slow mode" in reply["error"]["message"]
        here.hub.moderation.mute("a", Subject("user", "1"))
        reply = await client.publish("a", 3)
        assert reply["error"] == {"code": 103, "message": "muted"}


@EVERY
async def test_a_forged_word_of_a_room_is_refused_and_reaches_nobody(kind: str):
    async with centrifuge() as here, here.client(kind) as forger, here.connected("2") as victim:
        await forger.connect(token("1"))
        for client in (forger, victim):
            await client.subscribe("room:live/talk")
        forged = {"type": "seat.unmuted", "changes": {"seats": {"1": {"microphone": "on"}}}}
        for data in (forged, {"type": "chat", "text": "hi", **forged}):
            reply = await forger.publish("room:live/talk", data)
            assert reply["error"]["code"] == 103
            assert "only the server tells" in reply["error"]["message"]
        await forger.publish("room:live/talk", {"type": "chat", "text": "hi"})
        assert await victim.said() == {"type": "chat", "text": "hi"}


async def test_a_ban_takes_a_client_out_and_a_kick_ends_it():
    async with centrifuge() as here, here.connected("1") as client:
        await client.subscribe("a")
        here.hub.ban("a", Subject("user", "1"), float("inf"))
        unsubscribed = (await client.push())["unsubscribe"]
        assert unsubscribed == {"code": 2000, "reason": "banned"}
        assert (await client.subscribe("a"))["code"] == 103
        here.hub.disconnect("1")
        assert await client.closed() == (3503, "force disconnect")
        async with here.connected("1"):  # only kicked
            pass
        here.hub.ban("", Subject("user", "1"), float("inf"))
        async with here.ws() as again:
            await again.send({"id": 1, "connect": {"token": token("1")}})
            assert (await again.closed())[0] == 3507


async def test_a_rpc_and_a_message_reach_the_application():
    heard = []

    async def rpc(sender, method, data):
        return json.dumps([sender.user, method, json.loads(data)]).encode()

    async def send(sender, data):
        heard.append((sender.user, data))

    async with centrifuge(rpc=rpc, send=send) as here, here.connected("7") as client:
        await client.send({"send": {"data": {"a": 1}}})
        reply = await client.ask(rpc={"method": "sum", "data": [1, 2]})
        assert reply["rpc"] == {"data": ["7", "sum", [1, 2]]}
        assert heard == [("7", b'{"a":1}')]


async def test_a_direct_message_is_a_message_push():
    async with centrifuge() as here, here.connected("1") as client:
        here.hub.send_user("1", b"not JSON")
        assert await client.push() == {"message": {"data": "not JSON"}}


async def test_what_other_protocols_say_is_valid_json_for_json_clients():
    async with centrifuge() as here, here.connected() as client:
        await client.subscribe("a")
        said = (b'{"a":\n 1}', b"plain \xe2\x9c\x93", b"\xff\xfe", b"NaN", b"[" * 5000)
        for data in said:
            await here.hub.publish("a", data)
        expected = [{"a": 1}, "plain ✓", "//4=", "NaN", "[" * 5000]
        assert [await client.said() for _ in said] == expected


async def test_counters_lost_by_a_slow_client_are_told_by_a_tag():
    async with centrifuge() as here, here.connected() as client:
        await client.subscribe("a")
        (member,) = here.hub.members.all()
        member.outbox.send(member.view.lost("a", 3))
        pub = (await client.push())["pub"]
        assert pub == {"data": {"type": "lost", "count": 3}, "tags": {"lost": "3"}}


async def test_nothing_is_left_when_a_client_goes(autojump_clock):
    patiently(autojump_clock)
    async with centrifuge() as here:
        for kind in ("ws", "http_stream", "sse"):
            async with here.client(kind) as client:
                await client.connect(token("1"))
                await client.subscribe("a")
                assert here.hub.online("a").clients == 1
            while here.hub.members.all():  # noqa: ASYNC110 - there is no event for it
                await trio.sleep(0.1)
            assert here.hub.online("a").clients == 0
            assert not len(here.service._pulse)


async def test_a_lane_and_a_shared_batch_reach_all_in_one_frame():
    async with centrifuge() as here, here.connected() as one:
        await one.subscribe("a")
        for n in range(10):
            await here.hub.publish("a", b"%d" % n, lane=Lane.P1)
        assert [await one.said() for _ in range(10)] == list(range(10))
