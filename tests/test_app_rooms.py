"""What app.py puts together for rooms: state, events, seats' keys, composed streams, the end."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from kit.centrifuge import SECRET, CentrifugeClient, token
from kit.http import Response, http_client
from kit.node import Traces, node, node_config
from kit.rtmp_peers import clip, peer, player, publisher
from trio_websocket import wrap_client_stream

from livetrio.app import Running, serve
from livetrio.config import ImTokenConfig
from livetrio.config.rooms import MixConfig
from livetrio.media.stream import Stream
from livetrio.packet import StreamKey

TALK = "/v1/rooms/live/talk"
MIX = MixConfig(width=320, height=180, fps=10, linger=1.0)
OPEN = {"token": ImTokenConfig(secret=SECRET), "create": "anyone", "mix": MIX}
LONGEST_LIFE = 2.0
ROUNDS = 5


class Site:
    """A server as its users' pages see it."""

    def __init__(self, running: Running) -> None:
        self.running = running

    async def ask(self, method: str, path: str, who: str = "", body: Any = None) -> Response:
        async with http_client(self.running.addresses["web"].port) as client:
            data = json.dumps(body).encode() if body is not None else b""
            head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n"
            if who:
                head += f"Authorization: Bearer {token(who)}\r\n"
            kind = "Content-Type: application/json\r\n"
            await client.send(f"{head}{kind}Content-Length: {len(data)}\r\n\r\n".encode() + data)
            return await client.response()

    async def do(self, method: str, path: str, who: str = "", body: Any = None) -> Any:
        answer = await self.ask(method, path, who, body)
        assert answer.status < 300, answer.body
        return json.loads(answer.body)

    async def opened(self, kind: str = "voice") -> None:
        """A room of anna with bob on seat 2."""
        await self.do("POST", "/v1/rooms", "anna", {"room": "talk", "kind": kind, "free": True})
        await self.do("POST", f"{TALK}/seats/2/take", "bob")

    async def key(self, who: str) -> str:
        """What OBS has to be told, beside the server."""
        return str((await self.do("POST", f"{TALK}/seats/own/key", who))["key"])

    @asynccontextmanager
    async def follower(self, who: str) -> AsyncIterator[CentrifugeClient]:
        """Somebody in the room's channel."""
        stream = await trio.open_tcp_stream("127.0.0.1", self.running.addresses["im"].port)
        try:
            async with trio.open_nursery() as nursery:
                path = "/connection/websocket"
                client = CentrifugeClient(
                    await wrap_client_stream(nursery, stream, "localhost", path)
                )
                await client.connect(token(who))
                await client.subscribe("room:live/talk")
                yield client
                nursery.cancel_scope.cancel()
        finally:
            await trio.aclose_forcefully(stream)


async def until(client: CentrifugeClient, kind: str) -> dict[str, Any]:
    """The next event of a type."""
    with trio.fail_after(30):
        while (event := await client.said())["type"] != kind:
            pass
    return event


async def test_a_seat_is_published_by_rtmp_with_its_key_and_all_in_the_room_are_told() -> None:
    async with node(**OPEN) as running:
        on = Site(running)
        await on.opened()
        async with on.follower("carl") as carl:
            key = await on.key("bob")
            async with publisher(running, key) as bob:
                assert (await until(carl, "seat.present"))["user"] == "bob"
                (stream,) = running.registry.streams
                assert stream == StreamKey("live", "talk/2")
                async with publisher(running, key) as again:
                    await bob.hung_up()  # he comes back, from elsewhere
                    await on.do("POST", f"{TALK}/seats/2/kick", "anna")
                    assert (await until(carl, "seat.kicked"))["by"] == "anna"
                    await again.hung_up()
            assert not running.registry.streams


async def test_others_publish_no_seat_and_nobody_the_composed_stream() -> None:
    async with node(**OPEN) as running:
        on = Site(running)
        await on.opened()
        anna = await on.key("anna")
        wrong = (
            "talk/1", "talk/2?key=x", anna.replace("talk/1", "talk/2"),
            anna.replace("talk/1", "talk"), f"talk/2?token={token('anna')}",
            anna.replace("talk/1", "talk~1"),
        )  # fmt: skip
        for name in wrong:
            async with peer(running) as one:
                await one.connect()
                stream_id = await one.create_stream()
                await one.call("publish", None, name, "live", stream_id=stream_id)
                await one.hung_up()
                assert "NetStream.Publish.Start" not in one.codes, name
        async with publisher(running, f"talk/1?token={token('anna')}"):
            assert list(running.registry.streams) == [StreamKey("live", "talk/1")]


async def test_a_composed_stream_is_there_for_who_plays_it() -> None:
    async with node(**OPEN) as running:
        on = Site(running)
        await on.opened()
        async with publisher(running, await on.key("anna")) as anna:
            await anna.send_media(clip(2.0))
            async with player(running, "talk") as viewer:
                await viewer.until(lambda: len(viewer.media[1]) > 20)
            minus = (await on.key("bob")).replace("/", "~")
            async with player(running, minus) as bob:
                await bob.until(lambda: len(bob.media[1]) > 5)


async def test_the_streams_of_a_room_are_cut_for_hls_from_the_first_request_on() -> None:
    async with node(**OPEN) as running:
        on = Site(running)
        await on.opened()
        key = await on.key("anna")
        async with publisher(running, key) as anna, publisher(running, "plain") as plain:
            for one in (anna, plain):
                await one.send_media(clip(4.0))
            cut = [stream for stream in running.registry.streams.values() if await is_cut(stream)]
            assert [stream.key.name for stream in cut] == ["plain"]
            async with http_client(running.addresses["hls"].port) as client:
                await client.ask("/live/talk.m3u8")
                assert b"#EXTM3U" in (await client.response()).body
            assert await is_cut(running.registry.streams[StreamKey("live", "talk")])


async def is_cut(stream: Stream) -> bool:
    """Does a packager of HLS read this stream, or will one in a moment?"""
    with trio.move_on_after(2):
        while not any(s.kind == "hls" for s in stream.scope.children):  # noqa: ASYNC110
            await trio.sleep(0.05)
        return True
    return False


async def test_the_end_of_a_room_ends_its_streams_and_its_channel() -> None:
    async with node(**OPEN) as running:
        on = Site(running)
        await on.opened()
        async with (
            on.follower("carl") as carl,
            publisher(running, await on.key("bob")) as bob,
            player(running, "talk") as viewer,
        ):
            ended = (await on.do("DELETE", TALK, "anna"))["ended"]
            assert (ended["streams"], ended["clients"], ended["processes"]) == (2, 3, 1)
            assert ended["milliseconds"] < 5_000  # a bound, no measurement
            assert not running.registry.streams
            await bob.hung_up()
            await viewer.hung_up()
            assert (await until(carl, "room.ended"))["reason"] == "closed"
            push = await carl.push()
            assert push["unsubscribe"]["code"] == 2000
            api = running.addresses["api"].port
            async with http_client(api) as client:
                await client.ask("/v1/im/rooms")
                assert json.loads((await client.response()).body)["items"] == []
        assert (await on.ask("GET", TALK, "anna")).status == 404
        await on.opened()  # the name is free


async def test_operators_see_rooms_and_ban_users_from_their_seats() -> None:
    async with node(**OPEN) as running:
        on = Site(running)
        await on.opened()
        ban = b'{"user": "carl", "room": "room:live/talk"}'
        async with http_client(running.addresses["api"].port) as client:
            await client.ask("/v1/rooms")
            (room,) = json.loads((await client.response()).body)["items"]
            assert (room["name"], room["owner"], room["seats"]["taken"]) == ("talk", "anna", 2)
            await client.ask("/metrics")
            metrics = (await client.response()).body.decode()
            assert 'livetrio_rooms{kind="voice",phase="open"} 1.0' in metrics
            assert "livetrio_mix_underruns_total 0.0" in metrics
            head = f"Host: x\r\nContent-Type: application/json\r\nContent-Length: {len(ban)}"
            await client.send(f"POST /v1/im/bans HTTP/1.1\r\n{head}\r\n\r\n".encode() + ban)
            assert (await client.response()).status < 300
        refused = await on.ask("POST", f"{TALK}/seats/3/take", "carl")
        assert refused.status == 403
        assert b"banned" in refused.body
        await on.do("POST", f"{TALK}/seats/3/take", "dora")


async def test_a_server_that_is_cancelled_at_any_moment_leaves_nothing_of_its_rooms(
    tmp_path: Path,
) -> None:
    chance = random.Random(5)

    async def use(running: Running) -> None:
        on = Site(running)
        await on.opened("video")
        async with (
            on.follower("carl"),
            publisher(running, await on.key("anna")) as anna,
            publisher(running, await on.key("bob")),
        ):
            await anna.send_media(clip(1.0))
            async with player(running, "talk"):
                await trio.sleep_forever()

    async def lived(life: float) -> None:
        config = node_config(tmp_path, **OPEN)
        async with trio.open_nursery() as outside:
            async with trio.open_nursery() as house:
                running: Running = await house.start(serve, config)
                outside.start_soon(use, running)
                await trio.sleep(life)
                begun = trio.current_time()
                # Its clients go with it: they have no say in how.
                outside.cancel_scope.cancel()
                house.cancel_scope.cancel()
            assert trio.current_time() - begun < 5

    await lived(LONGEST_LIFE)
    before = Traces.now()
    for _ in range(ROUNDS):
        await lived(chance.uniform(0, LONGEST_LIFE))
        assert Traces.now() == before
