"""Replay: commands of late by their senders' keys, so that a repeated one is not done twice."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from livetrio.errors import RefusalCode, Refused
from livetrio.webrtc.rooms.actions import Command
from livetrio.webrtc.rooms.events import Event

__all__ = ["Answered"]

_TTL: Final = 300.0
"""Seconds: no client tries the same for longer."""
_MOST: Final = 4096
_OF_USER: Final = 32
"""Of one user, so that nobody pushes out what others sent."""


@dataclass(slots=True)
class _Answer:
    same: tuple[object, ...]
    events: Sequence[Event]
    refused: tuple[RefusalCode, str] | None
    until: float


class Answered:
    """The answers of one room, the oldest first."""

    __slots__ = ("_by_key", "_of_user")

    def __init__(self) -> None:
        self._by_key: OrderedDict[tuple[str, str], _Answer] = OrderedDict()
        self._of_user: dict[str, OrderedDict[str, None]] = {}

    def find(self, command: Command, now: float) -> Sequence[Event] | None:
        """What this command was answered the first time; None: it is the first time.

        Raises:
            Refused: as the first time; CONFLICT, its key was that of another command.
        """
        answer = self._by_key.get((command.by.user, command.key)) if command.key else None
        if answer is None or answer.until <= now:
            return None
        if answer.same != command.same:
            raise Refused(RefusalCode.CONFLICT, "the key was used for another command")
        if answer.refused is not None:
            raise Refused(*answer.refused)
        return answer.events

    def keep(
        self,
        command: Command,
        events: Sequence[Event],
        refused: Refused | None,
        now: float,
    ) -> None:
        """Remember an answer, if the command has a key."""
        if not command.key:
            return
        user, key = command.by.user, command.key
        self._forget(user, key)  # an answer that was too old
        said = (refused.code, refused.reason) if refused is not None else None
        self._by_key[user, key] = _Answer(command.same, events, said, now + _TTL)
        keys = self._of_user.setdefault(user, OrderedDict())
        keys[key] = None
        if len(keys) > _OF_USER:
            self._forget(user, next(iter(keys)))
        while len(self._by_key) > _MOST or next(iter(self._by_key.values())).until <= now:
            self._forget(*next(iter(self._by_key)))

    def _forget(self, user: str, key: str) -> None:
        if self._by_key.pop((user, key), None) is None:
            return
        keys = self._of_user[user]
        del keys[key]
        if not keys:
            del self._of_user[user]
