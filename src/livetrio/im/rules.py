"""Rules of a room: what its members may say and how often; each changeable while the room lives."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from livetrio.errors import RefusalCode, Refused
from livetrio.im.options import ChannelOptions
from livetrio.im.words import Sender

__all__ = ["LIVE", "OPEN", "PRIVILEGED", "RoomRules", "Rulebook"]

PRIVILEGED: Final = frozenset({"owner", "moderator", "admin"})
"""Roles no rule but a ban holds for, and whose messages are never sampled."""
_MAX_ROOMS: Final = 100_000
_MAX_ROLES: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomRules:
    """The stages of the pipeline, in its order; a zero turns a stage off."""

    owners: frozenset[str] = frozenset()
    """Users with the role "owner" here, whatever their token says."""
    moderators: frozenset[str] = frozenset()
    quiet: bool = False
    """Only privileged roles may speak."""
    max_size: int = 0
    """Bytes of one message."""
    rate: float = 0.0
    """Messages per second and user, on average."""
    burst: int = 5
    """Messages at once, before `rate` counts."""
    slow_mode: float = 0.0
    """Seconds between two messages of a user."""
    duplicate_window: float = 0.0
    """Seconds in which a user may not say the same again."""
    words: bool = False
    """Does the word filter look at what is said?"""
    budget: float = 0.0
    """Messages of lane P1 per second that each viewer is sent; more are sampled."""
    weights: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """By role: how many times likelier than others it is to be kept when sampling."""
    counters: frozenset[str] = frozenset()
    """Values of "type" (of a JSON object) that are merged into counters: lane P2."""
    counter_window: float = 1.0
    """Seconds over which counters are merged."""
    combo_window: float = 1.0
    """Seconds over which a sender's repeated gift is merged; the first is told at once."""

    def __post_init__(self) -> None:
        for name in ("rate", "slow_mode", "duplicate_window", "budget", "max_size"):
            if not 0 <= getattr(self, name) < 1e9:
                raise Refused(RefusalCode.BAD_REQUEST, f"{name} must be a number from 0 on")
        for name in ("counter_window", "combo_window"):
            if not 0.05 <= getattr(self, name) <= 60:
                raise Refused(RefusalCode.BAD_REQUEST, f"{name} must be 0.05 to 60 seconds")
        if not 1 <= self.burst <= 10_000:
            raise Refused(RefusalCode.BAD_REQUEST, "burst must be 1 to 10000")
        if len(self.owners) + len(self.moderators) > _MAX_ROLES:
            raise Refused(RefusalCode.BAD_REQUEST, f"at most {_MAX_ROLES} owners and moderators")

    def roles(self, sender: Sender) -> frozenset[str]:
        """All roles the sender has in this room."""
        roles = sender.roles
        if sender.user:
            if sender.user in self.owners:
                roles |= {"owner"}
            if sender.user in self.moderators:
                roles |= {"moderator"}
        return roles


OPEN: Final = RoomRules()
"""A channel that is no live room: no rule."""
LIVE: Final = RoomRules(
    max_size=4096,
    rate=2.0,
    burst=10,
    duplicate_window=3.0,
    words=True,
    budget=50.0,
    counters=frozenset({"like", "join"}),
)


class Rulebook:
    """Rules by room; those never changed have the defaults of their kind."""

    def __init__(self, live: RoomRules = LIVE) -> None:
        self._live = live
        self._changed: dict[str, RoomRules] = {}

    def of(self, room: str, options: ChannelOptions) -> RoomRules:
        """The rules that hold in a room now."""
        return self._changed.get(room) or (self._live if options.live else OPEN)

    def change(self, room: str, options: ChannelOptions, **changes: object) -> RoomRules:
        """Change some of them, for the next message on; returns all.

        Raises:
            Refused: BAD_REQUEST, no such rule or value; TOO_MANY rooms with rules of their own.
        """
        if room not in self._changed and len(self._changed) >= _MAX_ROOMS:
            raise Refused(RefusalCode.TOO_MANY, "too many rooms with rules of their own")
        try:
            rules = dataclasses.replace(self.of(room, options), **changes)  # type: ignore[arg-type]
        except TypeError as error:
            raise Refused(RefusalCode.BAD_REQUEST, str(error)) from None
        self._changed[room] = rules
        return rules

    def reset(self, room: str) -> None:
        """Back to the defaults."""
        self._changed.pop(room, None)
