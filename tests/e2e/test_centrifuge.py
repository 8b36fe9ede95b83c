"""Centrifugo's own SDKs, unchanged: PyPI `centrifuge-python`, npm `centrifuge`, PyPI `cent`."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trio
from cent import (
    BatchRequest,
    BroadcastRequest,
    CentApiResponseError,
    CentUnauthorizedError,
    ChannelsRequest,
    Client,
    DisconnectRequest,
    HistoryRemoveRequest,
    HistoryRequest,
    InfoRequest,
    PresenceRequest,
    PresenceStatsRequest,
    PublishRequest,
    RefreshRequest,
    SubscribeRequest,
    UnsubscribeRequest,
)
from kit.centrifuge import Centrifuge, centrifuge, soon, token
from kit.programs import find, kill_group, run

from livetrio.control.centrifuge_api import centrifuge_operations
from livetrio.control.operator import bare_app
from livetrio.control.serve import serve_app
from livetrio.control.table import register
from livetrio.im.options import ChannelOptions, Namespaces
from livetrio.im.words import Goodbye
from livetrio.net.listen import Address, Listener, bind
from livetrio.net.scope import open_scope

HERE = Path(__file__).parent
CHANNEL = "room:live/movie"
KEY = "the key of our back ends"
OPTIONS = {"namespaces": Namespaces([], ChannelOptions(join_leave=True, history_size=5))}


class Kind(NamedTuple):
    """An SDK, how it connects, and what it speaks."""

    sdk: str
    transport: str
    encoding: str


KINDS = [
    Kind("python", "websocket", "json"),
    Kind("python", "websocket", "protobuf"),
    Kind("npm", "websocket", "json"),
    Kind("npm", "websocket", "protobuf"),
    Kind("npm", "http_stream", "json"),
    Kind("npm", "http_stream", "protobuf"),
    Kind("npm", "sse", "json"),
]
EVERY = pytest.mark.parametrize("kind", KINDS, ids="-".join)


@pytest.fixture(scope="session")
def npm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the JavaScript SDK, as the lock file has it."""
    folder = tmp_path_factory.mktemp("npm")
    for file in (HERE / "npm").iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    trio.run(partial(run, find("npm"), "ci", "--no-audit", "--no-fund", cwd=folder, deadline=300))
    return folder


class Sdk:
    """A client in a process of its own."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._data = b""
        self.events: list[dict[str, Any]] = []

    async def event(self, name: str) -> dict[str, Any]:
        """The next event of that name; others before it are kept in `events`."""
        while (event := await self._next())["event"] != name:
            self.events.append(event)
        return event

    async def said(self, count: int) -> list[Any]:
        """The data of the next publications."""
        return [(await self.event("publication"))["data"] for _ in range(count)]

    async def do(self, deed: str, **more: Any) -> dict[str, Any]:
        """Have something done; what came of it."""
        assert self._process.stdin is not None
        await self._process.stdin.send_all(json.dumps({"do": deed, **more}).encode() + b"\n")
        while (event := await self._next())["event"] not in {"done", "failed"}:
            self.events.append(event)
        return event

    async def _next(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        with trio.fail_after(30):
            while b"\n" not in self._data:
                piece = await self._process.stdout.receive_some()
                assert piece, f"it ended, after {self.events}"
                self._data += piece
        line, _, self._data = self._data.partition(b"\n")
        return json.loads(line)


@asynccontextmanager
async def client(
    here: Centrifuge, kind: Kind, npm: Path, token: str, *, delta: bool = False
) -> AsyncIterator[Sdk]:
    """An SDK's client that connects and subscribes by itself."""
    programs = {
        "python": [sys.executable, str(HERE / "centrifuge_sdk.py")],
        "npm": [find("node"), str(npm / "sdk.mjs")],
    }
    server = f"127.0.0.1:{here.port}"
    argv = [*programs[kind.sdk], server, kind.transport, kind.encoding, token, CHANNEL]
    async with trio.open_nursery() as nursery:
        process = await nursery.start(
            partial(
                trio.run_process, argv + ["delta"] * delta, stdin=-1, stdout=-1,
                start_new_session=True, deliver_cancel=kill_group,
            )
        )  # fmt: skip
        yield Sdk(process)
        nursery.cancel_scope.cancel()


async def echo(sender, method: str, data: bytes) -> bytes:
    assert method == "echo"
    return data


async def lose(here: Centrifuge, user: str) -> None:
    """The network of a user breaks: no goodbye."""
    for member in here.hub.members.of_user(user):
        member._carrier.connection.scope.cancel("lost")
    with trio.fail_after(10):
        while here.hub.members.of_user(user):  # noqa: ASYNC110 - there is no event for it
            await trio.sleep(0.01)


@EVERY
async def test_an_sdk_talks_asks_and_recovers(kind: Kind, npm: Path):
    async with (
        centrifuge(hub_options=OPTIONS, rpc=echo) as here,
        client(here, kind, npm, token("1")) as sdk,
        here.connected("2") as other,
    ):
        assert not (await sdk.event("subscribed"))["recovered"]
        await other.subscribe(CHANNEL)
        while (await sdk.event("join"))["user"] != "2":
            pass
        assert (await sdk.do("publish", data={"text": "早上好", "n": 1.5}))["event"] == "done"
        assert (await other.push())["pub"]["data"] == {"text": "早上好", "n": 1.5}
        heard = await sdk.event("publication")
        assert heard == {
            "event": "publication", "data": {"text": "早上好", "n": 1.5}, "offset": 1, "user": "1",
        }  # fmt: skip
        assert sorted((await sdk.do("presence"))["users"]) == ["1", "2"]
        assert (await sdk.do("stats"))["clients"] == 2
        assert (await sdk.do("history"))["data"] == [{"text": "早上好", "n": 1.5}]
        assert (await sdk.do("rpc", data=[1, {"a": "b"}]))["data"] == [1, {"a": "b"}]

        # A short loss is made good, all of it and once; a long one is said.
        await lose(here, "1")
        for n in range(3):
            await here.hub.publish(CHANNEL, b"%d" % n)
        assert await sdk.said(3) == [0, 1, 2]
        assert [e["recovered"] for e in sdk.events if e["event"] == "subscribed"][-1:] == [True]
        await here.hub.publish(CHANNEL, b'"next"')
        assert await sdk.said(1) == ["next"]
        sdk.events.clear()
        for member in here.hub.members.of_user("1"):
            here.hub.disconnect("1", client=member.id, goodbye=Goodbye.FORCE_RECONNECT)
            here.hub.channels.get(CHANNEL).forget()
            for n in range(9):
                await here.hub.publish(CHANNEL, b"%d" % n)
        assert not (await sdk.event("subscribed"))["recovered"]
        assert not [e for e in sdk.events if e["event"] == "publication"]

        # Taken out by the server it stays out; kicked it stays away.
        here.hub.remove("1", CHANNEL)
        assert (await sdk.event("unsubscribed"))["code"] == 2000
        here.hub.disconnect("1")
        assert (await sdk.event("disconnected"))["code"] == 3503


@EVERY
async def test_an_sdk_reads_a_busy_rooms_batches_and_deltas(kind: Kind, npm: Path):
    state = {"players": [{"name": f"player {n}", "score": n} for n in range(20)]}
    async with (
        centrifuge(hub_options=OPTIONS) as here,
        client(here, kind, npm, token("1"), delta=True) as sdk,
    ):
        await sdk.event("subscribed")
        for n in range(100):
            await here.hub.publish(CHANNEL, json.dumps({**state, "tick": n}).encode())
        said = await sdk.said(100)
        assert said == [{**state, "tick": n} for n in range(100)]
        await lose(here, "1")
        for n in range(3):
            await here.hub.publish(CHANNEL, json.dumps({**state, "again": n}).encode())
        assert await sdk.said(3) == [{**state, "again": n} for n in range(3)]


@EVERY
async def test_an_sdk_stays_away_with_a_wrong_token_and_answers_pings(kind: Kind, npm: Path):
    async with centrifuge(hub_options=OPTIONS, anonymous=False, ping=1.0, pong=1.0) as here:
        async with client(here, kind, npm, "nonsense") as sdk:
            assert (await sdk.event("disconnected"))["code"] == 3500
        async with client(here, kind, npm, token("1")) as sdk:
            await sdk.event("subscribed")
            (member,) = here.hub.members.of_user("1")
            with trio.fail_after(20):
                first = member.pinged
                while member.pinged < first + 3:  # noqa: ASYNC110 - three pings later
                    await trio.sleep(0.05)
            assert here.hub.members.of_user("1") == (member,)


@asynccontextmanager
async def server_api(here: Centrifuge) -> AsyncIterator[str]:
    """The URL of the server API, as the operator's port has it."""
    app = bare_app()
    register(app, centrifuge_operations(here.api, KEY))
    async with open_scope("server", "test") as scope:
        listener = Listener("api", bind("api", Address("127.0.0.1", 0)))
        address = await scope.nursery.start(serve_app, app, listener)
        yield f"http://127.0.0.1:{address.port}/api"


async def test_cent_calls_every_method_of_the_server_api():
    async with (
        centrifuge(hub_options=OPTIONS) as here,
        server_api(here) as url,
        here.connected("1") as one,
    ):
        await one.subscribe(CHANNEL)

        async def call(request, key: str = KEY):
            def send() -> Any:
                with Client(url, key) as back_end:
                    return getattr(back_end, request.api_method)(request)

            return await trio.to_thread.run_sync(send)

        published = await call(PublishRequest(channel=CHANNEL, data={"n": 1}, tags={"a": "b"}))
        assert published.offset == 1
        assert await one.said() == {"n": 1}
        broadcast = await call(BroadcastRequest(channels=["a", CHANNEL], data={"n": 2}))
        assert [answer.result.offset for answer in broadcast.responses] == [1, 2]
        presence = (await call(PresenceRequest(channel=CHANNEL))).presence
        assert [info.user for info in presence.values()] == ["1"]
        assert (await call(PresenceStatsRequest(channel=CHANNEL))).num_clients == 1
        history = await call(HistoryRequest(channel=CHANNEL, limit=5))
        assert [pub.data for pub in history.publications] == [{"n": 1}, {"n": 2}]
        assert (history.offset, history.epoch) == (2, published.epoch)
        await call(HistoryRemoveRequest(channel=CHANNEL))
        assert (await call(HistoryRequest(channel=CHANNEL, limit=5))).publications == []
        assert set((await call(ChannelsRequest(pattern="room:*"))).channels) == {CHANNEL}
        assert (await call(InfoRequest())).nodes[0].num_clients == 1
        await call(SubscribeRequest(user="1", channel="news"))
        await call(RefreshRequest(user="1", expire_at=soon(600)))
        await call(UnsubscribeRequest(user="1", channel="news"))
        batch = BatchRequest(
            requests=[PublishRequest(channel="news", data=n) for n in range(2)]
            + [ChannelsRequest(pattern="room:*")]
        )
        first, second, third = (await call(batch)).replies
        assert (first.offset, second.offset) == (1, 2)
        assert set(third.channels) == {CHANNEL}
        heard: list[dict[str, Any]] = []
        await call(DisconnectRequest(user="1"))
        assert (await one.closed(heard))[0] == 3503
        pushes = [next(key for key in line["push"] if key != "channel") for line in heard if line]
        assert pushes == ["pub", "subscribe", "refresh", "unsubscribe"]
        with pytest.raises(CentApiResponseError) as lost:
            await call(HistoryRequest(channel="a", limit=1, since={"epoch": "x", "offset": 1}))
        assert lost.value.code == 112
        with pytest.raises(CentUnauthorizedError):
            await call(InfoRequest(), key="guessed")
