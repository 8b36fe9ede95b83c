"""Tokens and times of Centrifugo's clients: who may come, how long, and what ends it."""

from __future__ import annotations

import pytest
import trio
from kit.centrifuge import centrifuge, soon, token
from kit.logs import lines
from kit.node import patiently

from livetrio.im.moderation import Subject
from livetrio.im.options import ChannelOptions, HubLimits, Kind, Namespaces

EVERY = pytest.mark.parametrize("kind", ["ws", "http_stream", "sse"])


async def test_who_does_not_connect_in_time_is_stale(autojump_clock):
    patiently(autojump_clock)
    async with centrifuge() as here, here.ws() as client:
        assert await client.closed() == (3502, "stale")
        assert trio.current_time() < 12


async def test_pings_are_answered_or_the_connection_ends(autojump_clock):
    patiently(autojump_clock)
    async with centrifuge() as here, here.connected() as client:
        begun = trio.current_time()
        for _ in range(3):
            assert await client.line() == {}
            await client.send({})
        assert 60 < trio.current_time() - begun < 80
        assert await client.line() == {}
        assert await client.closed() == (3012, "no pong")


@EVERY
async def test_an_expired_token_ends_a_connection_after_a_grace(kind, autojump_clock):
    patiently(autojump_clock)
    async with centrifuge(ping=1000.0) as here, here.client(kind) as client:
        result = await client.connect(token("1", exp=soon(60)))
        assert result["expires"]
        assert 55 <= result["ttl"] <= 61
        assert await client.closed() == (3005, "connection expired")
        assert 80 < trio.current_time() < 95


async def test_a_connection_is_refreshed_by_its_own_user_only(autojump_clock):
    patiently(autojump_clock)
    async with centrifuge(ping=1000.0) as here, here.ws() as client:
        await client.connect(token("1", exp=soon(60)))
        reply = await client.ask(refresh={"token": token("1", exp=soon(600))})
        assert reply["refresh"]["expires"]
        assert 590 <= reply["refresh"]["ttl"] <= 601
        await trio.sleep(100)
        assert (await client.ask(ping={}))["ping"] == {}
        await client.send({"id": 9, "refresh": {"token": token("2")}})
        assert await client.closed() == (3500, "invalid token")


async def test_a_connection_is_not_refreshed_by_the_token_of_a_subscription():
    async with centrifuge() as here, here.ws() as client:
        await client.connect(token("1", exp=soon(60)))
        short = token("1", exp=soon(6000), channel="$a")
        await client.send({"id": 9, "refresh": {"token": short}})
        assert await client.closed() == (3500, "invalid token")


async def test_an_old_token_is_a_reason_to_ask_for_a_new_one():
    async with centrifuge() as here, here.ws() as client:
        reply = await client.connect(token("1", exp=soon(-60)))
        assert reply["error"] == {"code": 109, "message": "token expired"}
        await client.send({"id": 2, "ping": {}})
        assert await client.closed() == (3501, "bad request")


@EVERY
async def test_a_wrong_token_and_none_where_one_is_needed_end_the_connection(kind: str, caplog):
    async with centrifuge(anonymous=False) as here:
        for bad in ("", "x.y.z", token("1", secret="another secret of somebody else, too")):
            async with here.client(kind) as client:
                await client.send({"id": 1, "connect": {"token": bad}})
                assert await client.closed() == (3500, "invalid token")
    assert "a token is needed" in lines(caplog)[0].fields["why"]


async def test_a_token_names_server_side_subscriptions_that_recover():
    async with centrifuge() as here:
        async with here.ws() as client:
            result = await client.connect(token("1", channels=["news", "room:a/b"]))
            assert set(result["subs"]) == {"news", "room:a/b"}
            known = result["subs"]["news"]
            assert known["recoverable"]
        for n in range(2):
            await here.hub.publish("news", b"%d" % n)
        async with here.ws() as client:
            where = {"recover": True, "epoch": known["epoch"], "offset": known.get("offset", 0)}
            result = await client.connect(token("1", channels=["news"]), subs={"news": where})
            assert [p["data"] for p in result["subs"]["news"]["publications"]] == [0, 1]
            assert result["subs"]["news"]["recovered"]
            (member,) = here.hub.members.all()
            here.hub.leave(member, "news")
            member.on_gap("news")
            assert await client.closed() == (3010, "insufficient state")


async def test_nothing_of_a_server_side_subscription_comes_before_the_answer_to_connect():
    options = {"namespaces": Namespaces([], ChannelOptions(kind=Kind.DURABLE))}
    async with centrifuge(hub_options=options) as here, trio.open_nursery() as nursery:
        stop = trio.Event()

        async def chatter() -> None:
            while not stop.is_set():
                await here.hub.publish("a", b"1")

        nursery.start_soon(chatter)
        async with here.ws() as client:
            channels = ["a", *(f"c{n}" for n in range(20))]
            result = await client.connect(token("1", channels=channels))
            offset = result["subs"]["a"].get("offset", 0)
            assert (await client.push())["pub"]["offset"] == offset + 1
            stop.set()


async def test_too_many_channels_in_a_token_end_the_connection():
    limits = {"limits": HubLimits(channels_per_member=2)}
    async with centrifuge(hub_options=limits) as here, here.ws() as client:
        await client.send({"id": 1, "connect": {"token": token("1", channels=["a", "b", "c"])}})
        assert await client.closed() == (3505, "channel limit")


async def test_a_private_channel_needs_a_token_about_this_client_and_channel():
    async with centrifuge() as here, here.connected("1") as client:
        assert (await client.subscribe("$secret"))["code"] == 103
        old = token("1", channel="$secret", exp=soon(-60))
        assert (await client.subscribe("$secret", token=old))["code"] == 109
        good = token("1", channel="$secret", exp=soon(60))
        result = await client.subscribe("$secret", token=good)
        assert result["expires"]
        assert 55 <= result["ttl"] <= 61
        for bad in (
            token("2", channel="$other"),
            token("1", channel="$secret"),
            token("1", channel="$other", client="somebody"),
            "nonsense",
        ):
            async with here.connected("1") as other:
                await other.send({"id": 1, "subscribe": {"channel": "$other", "token": bad}})
                assert await other.closed() == (3500, "invalid token")


async def test_a_subscription_ends_when_its_token_does_unless_it_is_refreshed(autojump_clock):
    patiently(autojump_clock)
    async with centrifuge(ping=1000.0) as here, here.connected("1") as client:
        for channel in ("$a", "$b"):
            await client.subscribe(channel, token=token("1", channel=channel, exp=soon(60)))
        fresh = token("1", channel="$a", exp=soon(1200))
        reply = await client.ask(sub_refresh={"channel": "$a", "token": fresh})
        assert reply["sub_refresh"]["expires"]
        push = await client.push()
        assert push == {
            "channel": "$b",
            "unsubscribe": {"code": 2501, "reason": "subscription expired"},
        }
        assert 80 < trio.current_time() < 95
        assert here.hub.online("$a").clients == 1
        assert here.hub.online("$b").clients == 0


async def test_a_subscription_token_may_ask_for_recovery_and_never_end():
    async with centrifuge() as here, here.connected("1") as client:
        wishes = {"override": {"force_recovery": {"value": True}}, "expire_at": 0}
        result = await client.subscribe("$a", token=token("1", channel="$a", exp=soon(9), **wishes))
        assert result["recoverable"]
        assert "expires" not in result


async def test_an_offset_without_its_epoch_recovers_nothing_but_the_beginning_does():
    async with centrifuge() as here, here.connected("1") as client:
        for n in range(3):
            await here.hub.publish("a", b"%d" % n)
        lost = await client.subscribe("a", recover=True, offset=2)
        assert not lost.get("recovered")
        await client.ask(unsubscribe={"channel": "a"})
        found = await client.subscribe("a", recover=True)
        assert found["recovered"]
        assert [pub["data"] for pub in found["publications"]] == [0, 1, 2]


async def test_a_server_that_stops_says_so_and_clients_come_again():
    async with centrifuge() as here, here.connected("1") as one, here.connected() as two:
        await here.hub.shut()
        for client in (one, two):
            assert await client.closed() == (3001, "shutdown")
        assert not here.hub.members.all()


async def test_a_channel_that_names_its_users_admits_nobody_else():
    async with centrifuge() as here, here.connected("42") as one, here.connected() as guest:
        assert "code" not in await one.subscribe("dialog#42,43")
        assert "code" not in await one.subscribe("own#42")
        assert (await one.subscribe("dialog#4,43"))["code"] == 103
        for name in ("dialog#42,43", "dialog#", "dialog#,"):
            assert (await guest.subscribe(name))["code"] == 103
        granted = token("42", channel="dialog#1")
        assert "code" not in await one.subscribe("dialog#1", token=granted)


async def test_a_ban_from_one_channel_of_the_token_leaves_the_others():
    async with centrifuge() as here, here.ws() as client:
        here.hub.moderation.ban("room:a/b", Subject("user", "1"))
        result = await client.connect(token("1", channels=["room:a/b", "news"]))
        assert set(result["subs"]) == {"news"}
        await here.hub.publish("news", b"1")
        assert await client.said() == 1


async def test_the_answer_to_a_subscription_has_what_newcomers_are_shown():
    options = ChannelOptions(backlog=2)
    async with centrifuge(hub_options={"namespaces": Namespaces([], options)}) as here:
        for n in range(3):
            await here.hub.publish("a", b"%d" % n)
        async with here.connected("1") as client:
            joined = await client.subscribe("a", recoverable=True)
            assert [pub["data"] for pub in joined["publications"]] == [1, 2]
            assert (joined.get("recovered", False), joined["offset"]) == (False, 3)
            await here.hub.publish("a", b"3")
            assert await client.said() == 3
