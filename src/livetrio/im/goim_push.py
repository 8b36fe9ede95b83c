"""GoimPush: what a goim back end may ask: pushes, online counts, nodes. No HTTP in here."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import trio

from livetrio.errors import RefusalCode, Refused
from livetrio.im.goim_rooms import LIVE, channel_of_room, room_of_channel
from livetrio.im.goim_service import member_id
from livetrio.im.hub import Hub
from livetrio.wire.goim.frame import Operation

__all__ = ["GoimPush", "OnlineRoom"]

_MAX_WAITING = 64
"""Paced pushes to everybody that may wait for their turn."""


@dataclass(frozen=True, slots=True)
class OnlineRoom:
    """One line of the list of the largest rooms."""

    room: str
    count: int


class GoimPush:
    """Made by the composition root; somebody has to start `run`, for pushes with a speed."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._waiting: deque[tuple[int, float, bytes]] = deque()
        self._arrived = trio.Event()

    async def run(self) -> None:
        """Send pushes that have a speed, one after the other, until cancelled."""
        while True:
            while self._waiting:
                op, speed, data = self._waiting[0]
                await self._hub.broadcast(data, op=op, speed=speed)
                self._waiting.popleft()
            self._arrived = trio.Event()
            await self._arrived.wait()

    def push_keys(self, op: int, keys: Iterable[str], data: bytes) -> int:
        """To the connections of these keys that accept the operation; returns how many."""
        found = (self._hub.members.get(member_id(key)) for key in dict.fromkeys(keys) if key)
        return self._hub.send([member for member in found if member is not None], data, op=op)

    async def push_mids(self, op: int, mids: Iterable[int], data: bytes) -> int:
        """To all connections of these users that accept the operation; returns how many."""
        sent = 0
        for number, mid in enumerate(dict.fromkeys(mids), start=1):
            sent += self._hub.send_user(str(mid), data, op=op) if mid else 0
            if number % 100 == 0:
                await trio.lowlevel.checkpoint()
        return sent

    async def push_room(self, op: int, kind: str, room: str, data: bytes) -> None:
        """To everybody in the room: `accepts` does not count here, as in goim.

        Raises:
            Refused: no such room is possible, or the hub cannot take it.
        """
        await self._hub.publish(channel_of_room(f"{kind}://{room}"), data, op=op)

    async def push_all(self, op: int, speed: int, data: bytes) -> None:
        """To everybody who accepts the operation.

        speed: connections per second; 0 or less: at once. (goim makes a pause of connections /
        speed seconds in every bucket, which comes to the same.)

        Raises:
            Refused: TOO_MANY paced pushes are waiting.
        """
        if speed <= 0:
            await self._hub.broadcast(data, op=op)
            return
        if len(self._waiting) >= _MAX_WAITING:
            raise Refused(RefusalCode.TOO_MANY, "too many pushes are waiting")
        self._waiting.append((op, float(speed), data))
        self._arrived.set()

    # goim v1: one operation, users and rooms by number

    async def push_v1(self, uids: Sequence[int], data: bytes) -> None:
        """To users, in v1's only operation."""
        await self.push_mids(Operation.SEND_MESSAGE_REPLY, uids, data)

    async def push_room_v1(self, rid: int, data: bytes) -> None:
        """To a room; raises as `push_room`."""
        await self.push_room(Operation.SEND_MESSAGE_REPLY, LIVE, str(rid), data)

    async def push_all_v1(self, data: bytes) -> None:
        """To everybody."""
        await self.push_all(Operation.SEND_MESSAGE_REPLY, 0, data)

    # Online

    def top(self, prefix: str, limit: int) -> list[OnlineRoom]:
        """The largest rooms whose id begins so, largest first."""
        rooms = [
            OnlineRoom(name, count)
            for kind, name, count in self._rooms()
            if f"{kind}://{name}".startswith(prefix)
        ]
        rooms.sort(key=lambda room: -room.count)
        return rooms[: max(limit, 0)]

    def online(self, kind: str, rooms: Iterable[str]) -> dict[str, int]:
        """How many are in each of these rooms; 0 of one that does not exist."""
        return {room: self._count(f"{kind}://{room}") for room in rooms}

    def total(self) -> tuple[int, int]:
        """(IP addresses, connections) of this server."""
        members = self._hub.members.all()
        return len({member.sender.ip for member in members}), len(members)

    def _rooms(self) -> Iterator[tuple[str, str, int]]:
        for channel in self._hub.channels:
            named = room_of_channel(channel.name)
            if named is not None and channel.members:
                yield *named, len(channel.members)

    def _count(self, room: str) -> int:
        try:
            return self._hub.online(channel_of_room(room)).clients
        except Refused:
            return 0
