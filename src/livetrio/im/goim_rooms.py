"""Rooms: goim's room ids and the hub's channels, one to one.

A room id is `type://room`, as in goim, and is the channel's name as it stands. Only the room of
a live stream, which the hub calls `room:app/name`, is `room://app/name` here. So goim clients
reach every channel whose name has "://" in it, the rooms of streams, and nothing else.
"""

from __future__ import annotations

from typing import Final

from livetrio.errors import RefusalCode, Refused
from livetrio.im.options import check_channel

__all__ = ["LIVE", "channel_of_room", "room_of_channel"]

LIVE: Final = "live"
"""The type of rooms that v1 and Bilibili clients know by a number only."""
_MARK: Final = "://"
_STREAM_ROOM, _STREAM_CHANNEL = "room://", "room:"


def channel_of_room(room: str) -> str:
    """The channel of a room id.

    Raises:
        Refused: BAD_REQUEST, it is none.
    """
    kind, mark, name = room.partition(_MARK)
    if not (kind and mark and name):
        raise Refused(RefusalCode.BAD_REQUEST, "a room id is type://room", hint=repr(room[:80]))
    return check_channel(_STREAM_CHANNEL + name if kind + mark == _STREAM_ROOM else room)


def room_of_channel(channel: str) -> tuple[str, str] | None:
    """(type, room) of a channel that goim clients can reach; None of any other."""
    if channel.startswith(_STREAM_CHANNEL) and not channel.startswith(_STREAM_ROOM):
        return "room", channel.removeprefix(_STREAM_CHANNEL)
    kind, mark, name = channel.partition(_MARK)
    return (kind, name) if mark else None
