"""A room full of people inside the test's own process: four who publish, many who receive.

They speak just enough of each protocol, and end with their room.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import trio
from trio_websocket import ConnectionClosed, HandshakeError, wrap_client_stream

from kit.centrifuge import CentrifugeClient, token
from kit.crowd import Crowd, Tag
from kit.room_media import ROOM, RoomSite
from kit.rtc_crowd import RtcCrowd

__all__ = ["USERS", "RoomCrowd"]

USERS = ("anna", "bob", "carl", "dora")
"""Of the four seats."""
_GONE = (OSError, EOFError, trio.BrokenResourceError, ConnectionClosed, HandshakeError)
"""How the end of a server is met, at whatever point of a conversation."""


@dataclass
class RoomCrowd:
    """`run` is for a nursery, and is over when the room, or its server, is gone."""

    site: RoomSite
    tags: Sequence[Tag]
    """What each seat publishes, in real time, again and again."""
    viewers: int = 8
    """Of each kind: HTTP-FLV of the composed stream, of a seat, and the room by WebRTC."""
    listeners: int = 3
    """In the room's channel."""
    heard: list[str] = field(default_factory=list)
    """Types of events, as each of them was told."""
    subscribed: int = 0
    """Ever, of these."""
    unsubscribed: int = 0
    connected: int = 0
    """By RTMP and HTTP-FLV; who has no such connection (WebRTC) is told by nobody at once."""
    flv: list[Crowd] = field(default_factory=list)
    webrtc: RtcCrowd | None = None

    async def run(self) -> None:
        """Open the room and fill it."""
        async with trio.open_nursery() as nursery:
            with suppress(*_GONE):
                await self._fill(nursery)

    async def _fill(self, nursery: trio.Nursery) -> None:
        server, here = self.site.server, f"/v1/rooms/{ROOM}"
        name = ROOM.partition("/")[2]
        await self._do("/v1/rooms", USERS[0], {"room": name, "seats": len(USERS), "free": True})
        for _ in range(self.listeners):
            nursery.start_soon(self._listen)
        for seat, user in enumerate(USERS, start=1):
            if seat > 1:
                await self._do(f"{here}/seats/{seat}/take", user)
            told = await self._do(f"{here}/seats/own/key", user)
            crowd = Crowd(server.rtmp_port, server.httpflv_port, f"live/{told['key']}")
            nursery.start_soon(self._counted, crowd.publish, list(self.tags))
        minus = Crowd(server.rtmp_port, server.httpflv_port, told["mix_minus"].lstrip("/"))
        nursery.start_soon(self._counted, minus.watch_rtmp)
        self.webrtc = RtcCrowd(server.web_port, server.ports["webrtc"], here.lstrip("/"))
        composed, seat_2 = (
            Crowd(server.rtmp_port, server.httpflv_port, name) for name in (ROOM, f"{ROOM}/2")
        )
        self.flv = [composed, seat_2]
        for _ in range(self.viewers):
            nursery.start_soon(self._counted, composed.watch_flv)
            nursery.start_soon(self._counted, seat_2.watch_flv)
            nursery.start_soon(self.webrtc.watch)

    async def _counted(self, talk: Callable[..., Awaitable[None]], *args: object) -> None:
        self.connected += 1
        await talk(*args)
        self.connected -= 1

    async def _do(self, path: str, who: str, body: object = None) -> dict[str, Any]:
        """A command, while there is a room."""
        answer = await self.site.ask("POST", path, who, body)
        if answer.status >= 300:
            raise EOFError(answer.body)
        found: dict[str, Any] = json.loads(answer.body)
        return found

    @property
    def flows(self) -> bool:
        """Has everybody come, and is he sent something?"""
        flv = [crowd.received.get("http-flv", 0) for crowd in self.flv]
        rtc = self.webrtc
        return bool(flv) and min(flv) > 100_000 and rtc is not None and (
            rtc.connected == self.viewers and rtc.received > 100 * self.viewers
        )  # fmt: skip

    async def _listen(self) -> None:
        port = self.site.server.ports["im"]
        with suppress(*_GONE):
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                async with trio.open_nursery() as nursery:
                    with suppress(*_GONE):
                        await self._follow(stream, nursery)
                    nursery.cancel_scope.cancel()

    async def _follow(self, stream: trio.SocketStream, nursery: trio.Nursery) -> None:
        socket = await wrap_client_stream(nursery, stream, "localhost", "/connection/websocket")
        client = CentrifugeClient(socket)
        await client.connect(token("eve"))
        await client.subscribe(f"room:{ROOM}")
        self.subscribed += 1
        while "unsubscribe" not in (push := await client.push()):
            self.heard.append(push["pub"]["data"]["type"])
        self.unsubscribed += 1
