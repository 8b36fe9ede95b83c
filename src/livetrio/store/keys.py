"""Room keys: the secret with which a room is published, and the way back from it."""

from __future__ import annotations

import re
import secrets
import string
from typing import Final, Protocol

from livetrio.errors import RefusalCode, Refused
from livetrio.wire.names import check_name

__all__ = ["KEY_LENGTH", "RoomKeys", "check_room", "is_key", "new_key"]

KEY_LENGTH: Final = 48
"""livego's; of 62 letters and digits that is 285 bits."""

_ALPHABET: Final = string.digits + string.ascii_letters
_KEY: Final = re.compile(rf"[0-9A-Za-z]{{{KEY_LENGTH}}}", re.ASCII)


class RoomKeys(Protocol):
    """Rooms and their keys; at most one key per room, at most one room per key.

    Every method answers within a deadline or raises StoreUnavailable, and raises StoreError where
    what is stored cannot be used. Those that create also raise Refused(BAD_REQUEST) for a name
    that `check_room` does not allow.
    """

    async def get(self, room: str) -> str:
        """The room's key, made if there is none. Two callers at once get the same one."""
        ...

    async def reset(self, room: str) -> str:
        """A new key for the room; the old one is no key any more. Works for new rooms too."""
        ...

    async def delete(self, room: str) -> bool:
        """Forget the room and its key; False if there was none."""
        ...

    async def key_of(self, room: str) -> str | None:
        """The key of a known room; makes none."""
        ...

    async def room_of(self, key: str) -> str | None:
        """The room that this key publishes."""
        ...


def new_key() -> str:
    """A key nobody can guess (livego's generator starts with the same one on every machine)."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(KEY_LENGTH))


def is_key(text: str) -> bool:
    """Whether this has the form of a key."""
    return _KEY.fullmatch(text) is not None


def check_room(room: str) -> str:
    """Return `room` unchanged if a room may have this name.

    Raises:
        Refused: BAD_REQUEST: no name at all, or one in the form of a key. Rooms and keys share
            one namespace, in Redis literally: asking for the key of a room named like another
            room's key would overwrite that room.
    """
    check_name(room)
    if is_key(room):
        raise Refused(RefusalCode.BAD_REQUEST, "a room may not be named like a room key")
    return room
