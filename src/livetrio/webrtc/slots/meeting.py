"""Meeting: what a session that receives a room asks of it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from livetrio.net.scope import Scope
from livetrio.packet import StreamKey
from livetrio.webrtc.slots.room_feed import RoomFeed

__all__ = ["Meeting", "Meetings"]


class Meeting(Protocol):
    """One room while it lives."""

    @property
    def key(self) -> StreamKey:
        """Its name."""

    @property
    def feed(self) -> RoomFeed:
        """Its media; their `run` is a task of the room."""

    @property
    def scope(self) -> Scope:
        """Ended with the room. The sessions that receive the room are below it."""

    def attended(self, user: str) -> AbstractContextManager[None]:
        """A user (never "") is connected by media while in the block."""


class Meetings(Protocol):
    """The rooms of the node."""

    def meeting(self, key: StreamKey) -> Meeting:
        """The room of this name.

        Raises:
            Refused: NOT_FOUND, GONE.
        """
