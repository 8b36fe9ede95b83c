"""Room keys that are forgotten with the process, as livego's without Redis are."""

from __future__ import annotations

from livetrio.store.keys import check_room, new_key

__all__ = ["MemoryKeys"]


class MemoryKeys:
    """`RoomKeys` in two dictionaries: the contract at its shortest, and what tests use."""

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}
        self._rooms: dict[str, str] = {}

    async def get(self, room: str) -> str:
        return self._keys.get(room) or await self.reset(room)

    async def reset(self, room: str) -> str:
        await self.delete(check_room(room))
        key = self._keys[room] = new_key()
        self._rooms[key] = room
        return key

    async def delete(self, room: str) -> bool:
        key = self._keys.pop(room, None)
        return key is not None and self._rooms.pop(key) == room

    async def key_of(self, room: str) -> str | None:
        return self._keys.get(room)

    async def room_of(self, key: str) -> str | None:
        return self._rooms.get(key)
