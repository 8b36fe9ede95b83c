"""Connecting with Centrifugo's protocol, and what may happen in the middle of it."""

from __future__ import annotations

import json

import pytest
import trio
from kit.centrifuge import SECRET, centrifuge, token
from kit.node import patiently

from livetrio.access.im_token import ImTokens
from livetrio.config import ImTokenConfig
from livetrio.errors import RefusalCode, Refused
from livetrio.im.identity import Identities
from livetrio.im.moderation import Subject
from livetrio.im.options import ChannelOptions, Kind, Namespaces
from livetrio.store.log import MemoryLog, Top


class SlowLog(MemoryLog):
    """Channels whose name begins with "slow" wait until they are let go."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = trio.Event()
        self.go = trio.Event()

    async def top(self, channel: str) -> Top:
        if channel.startswith("slow"):
            self.asked.set()
            await self.go.wait()
        return await super().top(channel)


@pytest.fixture
def slow() -> SlowLog:
    return SlowLog()


def durable(log: SlowLog) -> dict[str, object]:
    return {"log": log, "namespaces": Namespaces([], ChannelOptions(kind=Kind.DURABLE))}


async def test_what_is_said_while_a_connection_is_welcomed_comes_behind_the_answer(slow: SlowLog):
    async with centrifuge(hub_options=durable(slow)) as here, here.ws() as client:
        await client.send({"id": 1, "connect": {"token": token("1", channels=["a", "slow"])}})
        await slow.asked.wait()
        sends = here.hub.ticker.sends
        for n in range(3):
            await here.hub.publish("a", b"%d" % n)
        with trio.fail_after(10):
            while here.hub.ticker.sends < sends + 1:  # noqa: ASYNC110 - there is no event for it
                await trio.sleep(0.001)
        slow.go.set()
        answer = await client.line()
        assert set(answer["connect"]["subs"]) == {"a", "slow"}
        assert [await client.said() for _ in range(3)] == [0, 1, 2]


async def test_who_is_kicked_while_it_is_put_into_a_channel_is_not_left_in_there(slow: SlowLog):
    async with centrifuge(hub_options=durable(slow)) as here, here.connected("1") as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.api.call, "subscribe", {"user": "1", "channel": "slow"})
            await slow.asked.wait()
            here.hub.disconnect("1")
            assert (await client.closed())[0] == 3503
            slow.go.set()
        assert here.hub.online("slow").clients == 0


@pytest.mark.parametrize("kind", ["ws", "sse"])
async def test_who_is_kicked_while_it_subscribes_is_told_once(slow: SlowLog, kind: str):
    async with centrifuge(hub_options=durable(slow)) as here, here.client(kind) as client:
        await client.connect(token("1"))
        await client.send({"id": 5, "subscribe": {"channel": "slow"}})
        await slow.asked.wait()
        here.hub.disconnect("1")
        slow.go.set()
        assert await client.closed() == (3503, "force disconnect")
        if kind == "sse":
            with pytest.raises(EOFError):  # nothing behind the end of the body
                await client.line()
        assert here.hub.online("slow").clients == 0


async def test_after_a_refusal_a_subscription_may_be_tried_again():
    async with centrifuge() as here, here.connected("1") as client:
        banned = Subject("user", "1")
        here.hub.moderation.ban("a", banned)
        assert (await client.subscribe("a"))["code"] == 103
        here.hub.moderation.lift("ban", "a", banned)
        assert await client.subscribe("a") == {}


async def test_what_a_client_says_behind_its_end_is_not_heard():
    async def rpc(sender, method, data):
        here.hub.disconnect(sender.user)
        return b"1"

    heard = []

    async def send(sender, data):
        heard.append(data)

    async with centrifuge(rpc=rpc, send=send) as here, here.connected("1") as client:
        await client.send({"id": 5, "rpc": {"method": "x"}}, {"send": {"data": 1}})
        assert await client.closed() == (3503, "force disconnect")
        assert heard == []


async def test_a_connection_that_is_gone_is_not_looked_after_again(autojump_clock):
    patiently(autojump_clock)
    async with centrifuge() as here:
        async with here.connected("1"):
            (member,) = here.hub.members.all()
        while here.hub.members.all():  # noqa: ASYNC110 - there is no event for it
            await trio.sleep(0.1)
        here.service.refresh(member, trio.current_time())
        assert not len(here.service._pulse)


async def test_keys_that_cannot_be_had_are_a_reason_to_come_again():
    class Unreachable(Identities):
        async def identify(self, token, **_):
            raise Refused(RefusalCode.UNAVAILABLE, "the keys are away")

    identities = Unreachable(ImTokens(ImTokenConfig(secret=SECRET)))
    async with centrifuge(identities=identities) as here, here.ws() as client:
        reply = await client.connect("x")
        assert reply["error"] == {"code": 100, "message": "the keys are away", "temporary": True}


async def test_what_the_connect_hook_says_reaches_the_client():
    asked = []

    async def post(url, body):
        asked.append(json.loads(body))
        return b'{"result":{"user":"9","channels":["a"],"data":{"hello":1},"info":{"n":"x"}}}'

    tokens = ImTokens(ImTokenConfig(secret=SECRET))
    hook = Identities(tokens, connect_url="http://site/", post=post)
    async with centrifuge(identities=hook) as here, here.ws() as client:
        result = await client.connect("", data={"from": "me"})
        assert result["data"] == {"hello": 1}
        assert set(result["subs"]) == {"a"}
        assert (asked[0]["data"], asked[0]["protocol"]) == ({"from": "me"}, "centrifuge")
        await client.publish("a", 1)
        assert (await client.push())["pub"]["info"]["conn_info"] == {"n": "x"}
