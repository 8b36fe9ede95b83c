"""Centrifugo's server API: every method, its errors, and what clients notice of it."""

from __future__ import annotations

import base64
import json

import pytest
import trio
from kit.centrifuge import centrifuge, soon, token
from kit.node import patiently

from livetrio.im.centrifuge_api import METHODS
from livetrio.im.options import ChannelOptions, HubLimits, Namespaces


async def test_a_publication_is_numbered_delivered_and_a_retry_is_not():
    async with centrifuge() as here, here.connected() as client:
        await client.subscribe("a")
        call = {"channel": "a", "data": {"n": 1}, "idempotency_key": "k", "tags": {"x": "y"}}
        first = await here.api.call("publish", call)
        assert first["result"]["offset"] == 1
        assert first["result"]["epoch"] == here.hub.channels.get("a").epoch
        assert await here.api.call("publish", call) == first
        pub = (await client.push())["pub"]
        assert (pub["data"], pub["tags"], pub["offset"]) == ({"n": 1}, {"x": "y"}, 1)
        assert "info" not in pub
        unnumbered = {"channel": "a", "data": 2, "skip_history": True}
        assert (await here.api.call("publish", unnumbered))["result"]["offset"] == 0
        assert await client.said() == 2
        coded = {"channel": "a", "b64data": base64.b64encode(b"\xff").decode()}
        await here.api.call("publish", coded)
        assert await client.said() == "/w=="


async def test_an_older_version_of_a_channels_state_is_not_published():
    async with centrifuge() as here, here.connected() as client:
        await client.subscribe("a")

        async def publish(version: int, epoch: str = "") -> int:
            call = {"channel": "a", "data": version, "version": version, "version_epoch": epoch}
            return (await here.api.call("publish", call))["result"]["offset"]

        assert [await publish(n) for n in (5, 4, 5, 6)] == [1, 1, 1, 2]
        assert await publish(1, "new") == 3
        assert [await client.said() for _ in range(3)] == [5, 6, 1]


async def test_a_version_that_could_not_be_published_may_be_tried_again():
    few = {"limits": HubLimits(channels=1)}
    async with centrifuge(hub_options=few) as here, here.connected() as client:
        await client.subscribe("taken")
        call = {"channel": "a", "data": 1, "version": 5}
        assert "error" in await here.api.call("publish", call)
        await client.ask(unsubscribe={"channel": "taken"})
        assert (await here.api.call("publish", call))["result"]["offset"] == 1


async def test_a_broadcast_answers_for_each_channel():
    async with centrifuge() as here:
        answer = await here.api.call("broadcast", {"channels": ["a", "", "b"], "data": 1})
        first, second, third = answer["result"]["responses"]
        assert first["result"]["offset"] == third["result"]["offset"] == 1
        assert second["error"]["code"] == 107


async def test_a_user_is_put_into_a_channel_and_taken_out_of_it():
    async with centrifuge() as here, here.connected("1") as one, here.connected("1") as two:
        await here.hub.publish("a", b"0")
        await two.subscribe("a")
        epoch = here.hub.channels.get("a").epoch
        call = {"user": "1", "channel": "a", "data": {"d": 1},
                "recover_since": {"offset": 0, "epoch": epoch}}  # fmt: skip
        assert await here.api.call("subscribe", call) == {"result": {}}
        subscribed = (await one.push())["subscribe"]
        assert subscribed["data"] == {"d": 1}
        assert (subscribed["recoverable"], subscribed["epoch"]) == (True, epoch)
        assert await one.said() == 0
        await here.api.call("publish", {"channel": "a", "data": 1})
        assert [await one.said(), await two.said()] == [1, 1]
        assert await here.api.call("unsubscribe", {"user": "1", "channel": "a"}) == {"result": {}}
        for client in (one, two):
            unsubscribed = await client.push()
            assert unsubscribed["unsubscribe"] == {"code": 2000, "reason": "server unsubscribe"}


async def test_one_client_or_session_is_meant_where_it_is_named():
    async with centrifuge() as here, here.stream("sse") as one, here.connected("1") as two:
        await one.connect(token("1"))
        second, first = (member.id for member in here.hub.members.of_user("1"))
        by_session = {"user": "1", "session": one.session["session"], "channel": "a"}
        await here.api.call("subscribe", by_session)
        assert "subscribe" in await one.push()
        await here.api.call("subscribe", {"user": "1", "client": second, "channel": "b"})
        assert (await two.push())["channel"] == "b"
        wrong = {"user": "2", "client": second, "channel": "c"}
        assert await here.api.call("subscribe", wrong) == {"result": {}}
        assert [room.name for room in here.hub.members.get(second).channels] == ["b"]
        await here.api.call("disconnect", {"user": "1", "whitelist": [first]})
        assert await two.closed() == (3503, "force disconnect")
        own = {"session": one.session["session"], "disconnect": {"code": 4001, "reason": "bye"}}
        await here.api.call("disconnect", own)
        assert await one.closed() == (4001, "bye")


async def test_a_connection_is_refreshed_or_expired_by_a_back_end(autojump_clock):
    patiently(autojump_clock)
    async with centrifuge(ping=1000.0) as here, here.connected("1") as client:
        await here.api.call("refresh", {"user": "1", "expire_at": soon(60)})
        refresh = (await client.push())["refresh"]
        assert refresh["expires"]
        await here.api.call("refresh", {"user": "1"})
        assert await client.push() == {"refresh": {}}
        await trio.sleep(90)
        await here.api.call("refresh", {"user": "1", "expired": True})
        assert await client.closed() == (3005, "connection expired")
        async with here.connected("1") as again:
            await here.api.call("refresh", {"user": "1", "expire_at": soon(60)})
            assert await again.closed() == (3005, "connection expired")


async def test_back_ends_may_ask_what_clients_may():
    async with centrifuge() as here, here.connected("1") as client, here.connected() as nobody:
        for each in (client, nobody):
            await each.subscribe("room:a/b")
        await client.publish("room:a/b", {"x": 1})
        await here.api.call("publish", {"channel": "room:a/b", "data": "srv", "tags": {"a": "b"}})
        (member,) = here.hub.members.of_user("1")

        async def ask(method: str, **params) -> dict:
            return (await here.api.call(method, params))["result"]

        presence = (await ask("presence", channel="room:a/b"))["presence"]
        assert presence[member.id] == {"user": "1", "client": member.id}
        assert len(presence) == 2
        stats = await ask("presence_stats", channel="room:a/b")
        assert stats == {"num_clients": 2, "num_users": 2}
        history = await ask("history", channel="room:a/b", limit=10)
        assert [p["data"] for p in history["publications"]] == [{"x": 1}, "srv"]
        assert history["publications"][0]["info"]["user"] == "1"
        assert history["publications"][1]["tags"] == {"a": "b"}
        assert history["offset"] == 2
        assert await ask("channels", pattern="room:*") == {
            "channels": {"room:a/b": {"num_clients": 2}}
        }
        assert await ask("channels", pattern="x*") == {"channels": {}}
        (node,) = (await ask("info"))["nodes"]
        assert (node["num_clients"], node["num_users"], node["num_subs"]) == (2, 1, 2)
        assert node["uid"] == here.service.node
        assert await ask("history_remove", channel="room:a/b") == {}
        assert (await ask("history", channel="room:a/b", limit=10))["publications"] == []


async def test_a_batch_is_done_in_order_and_each_reply_is_told_apart():
    async with centrifuge() as here:
        answer = await here.api.call(
            "batch",
            {"commands": [{"publish": {"channel": "a", "data": n}} for n in range(2)]
             + [{"presence": {}}, {"channels": {}}], "parallel": True},
        )  # fmt: skip
        first, second, third, fourth = answer["replies"]
        assert [first["publish"]["offset"], second["publish"]["offset"]] == [1, 2]
        assert third["error"]["code"] == 107
        assert fourth == {"channels": {"channels": {}}}
        for bad in ({}, {"a": {}, "b": {}}, 5, {"batch": {}}):
            answer = await here.api.call("batch", {"commands": [bad]})
            assert answer["error"]["code"] == 107


@pytest.mark.parametrize("method", [m for m in METHODS if m not in {"info", "channels", "batch"}])
@pytest.mark.parametrize("params", [{}, [], 5, {"channel": 5, "user": 5}, {"channel": ""}])
async def test_what_cannot_be_is_a_bad_request(method: str, params: object):
    async with centrifuge() as here:
        assert (await here.api.call(method, params))["error"]["code"] == 107


@pytest.mark.parametrize(
    "params",
    [
        {"channel": "a"}, {"channel": "a", "data": float("inf")}, {"channel": "a", "b64data": "?"},
        {"channel": "a", "data": 1, "tags": {"a": 1}}, {"channel": "a", "data": 1, "tags": []},
        {"channel": "a", "data": 1, "version": True}, {"channel": "a", "data": 1, "version": 1.5},
        {"channel": "a", "data": 1, "skip_history": 1}, {"channel": "a", "data": "x" * 70_000},
    ],
)  # fmt: skip
async def test_a_publication_that_cannot_be_is_a_bad_request(params: dict):
    async with centrifuge() as here:
        answer = await here.api.call("publish", params)
        assert answer["error"]["code"] == 107, answer
        assert json.dumps(answer)


async def test_unknown_methods_lost_positions_and_limits_have_their_codes():
    options = {
        "limits": HubLimits(channels_per_member=1),
        "namespaces": Namespaces([("quiet:*", ChannelOptions(presence=False))]),
    }
    async with centrifuge(hub_options=options) as here, here.connected("1") as client:
        await client.subscribe("a")

        async def code(method: str, **params) -> int:
            return (await here.api.call(method, params))["error"]["code"]

        assert await code("nonsense") == 104
        assert await code("history", channel="a", since={"epoch": "x", "offset": 1}) == 112
        assert await code("history", channel="a", since=5) == 107
        assert await code("presence", channel="quiet:a") == 103
        assert await code("subscribe", user="1", channel="b") == 106
        assert await code("disconnect", user="1", disconnect={"code": 1000}) == 107
        assert await code("broadcast", channels=[1], data=1) == 107
        assert await code("broadcast", channels=["a"] * 10_001, data=1) == 107
