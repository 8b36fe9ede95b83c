"""Actions: what may be asked of a room, who asks, and the command that carries it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from livetrio.errors import RefusalCode, Refused
from livetrio.packet import StreamKey
from livetrio.webrtc.rooms.arrangement import Arrangement
from livetrio.webrtc.rooms.seat import Medium

__all__ = ["Action", "Caller", "Command", "visible"]

_MAX_USER: Final = 128
_MAX_NAME: Final = 64
_MAX_KEY: Final = 128


class Action(enum.Enum):
    """The verbs."""

    APPLY = "apply"
    WITHDRAW = "withdraw"
    ADMIT = "admit"
    """Give an applicant a seat."""
    REJECT = "reject"
    INVITE = "invite"
    REVOKE = "revoke"
    """Take an invitation back."""
    ACCEPT = "accept"
    DECLINE = "decline"
    TAKE = "take"
    LEAVE = "leave"
    MOVE = "move"
    KICK = "kick"
    LOCK = "lock"
    UNLOCK = "unlock"
    MUTE = "mute"
    UNMUTE = "unmute"
    RAISE = "raise"
    """One's hand."""
    LOWER = "lower"
    ARRANGE = "layout"
    """The composed picture."""
    GAIN = "gain"
    """Of a seat in the composed sound."""
    KEY = "key"
    """Get the stream key of one's seat."""
    APPOINT = "appoint"
    """Make somebody a manager."""
    DISMISS = "dismiss"
    BATTLE = "pk"
    """Ask another room for a PK, or agree to the one that it asks for."""
    END_BATTLE = "end-pk"
    """Also take an ask back, or decline that of another room."""
    SCORE = "score"
    END = "end"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as his token says."""

    user: str
    """"" is anonymous, who may only look."""
    name: str = ""
    """Shown to others; any text: data, never markup."""
    roles: frozenset[str] = frozenset()
    """Of the token: "admin" (the site's back end), "moderator" (a manager of every room)."""

    @classmethod
    def named(cls, user: str, name: object, roles: frozenset[str]) -> Caller:
        """Out of a token's claims; a name that is none becomes the user.

        Raises:
            Refused: UNAUTHORIZED, no id that could be shown.
        """
        if not _can_be_shown(user):
            raise Refused(RefusalCode.UNAUTHORIZED, "the token's user cannot be used in rooms")
        text = name if isinstance(name, str) else ""
        shown = visible(text[: 4 * _MAX_NAME])
        return cls(user, shown[:_MAX_NAME] or user[:_MAX_NAME], roles)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One action by somebody, as it came in."""

    action: Action
    by: Caller
    user: str = ""
    """Whom it concerns: the applicant, the invited, the manager to be."""
    seat: int = 0
    """0: none was named."""
    to: int = 0
    """MOVE: where to."""
    medium: Medium = "microphone"
    """MUTE, UNMUTE."""
    arrangement: Arrangement | None = None
    """ARRANGE."""
    gain: float = 1.0
    """GAIN."""
    other: StreamKey | None = None
    """BATTLE: the other room; END_BATTLE: the one whose ask is declined."""
    seconds: int = 0
    """BATTLE: how long it lasts."""
    version: int | None = None
    """The room's version that the caller had seen: the command is refused if what it concerns
    has changed since."""
    key: str = ""
    """The caller's idempotency key: a repeated command is answered as it was the first time."""

    def __post_init__(self) -> None:
        """
        Raises:
            Refused: BAD_REQUEST.
        """
        if not _can_be_shown(self.user):
            raise Refused(RefusalCode.BAD_REQUEST, "this user cannot be in rooms")
        if len(self.key) > _MAX_KEY:
            raise Refused(RefusalCode.BAD_REQUEST, f"key has at most {_MAX_KEY} characters")

    @property
    def same(self) -> tuple[object, ...]:
        """What has to be equal for two commands of one key to be the same."""
        more = self.arrangement.view() if self.arrangement is not None else None
        return (
            self.action, self.user, self.seat, self.to, self.medium, self.gain, self.other,
            self.seconds, more,
        )  # fmt: skip


def visible(text: str) -> str:
    """What people can see of a text: no control characters, bidirectional marks, surrogates."""
    return "".join(char for char in text if char.isprintable()).strip()


def _can_be_shown(user: str) -> bool:
    """Short, and nothing invisible: it becomes a key of JSON and part of a log's line."""
    return len(user) <= _MAX_USER and user.isprintable()
