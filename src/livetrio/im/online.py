"""Online: how many are in a channel, and who."""

from __future__ import annotations

from itertools import islice
from typing import Final

from livetrio.errors import RefusalCode, Refused
from livetrio.im.channel import Channel
from livetrio.im.options import ChannelOptions
from livetrio.im.words import Online, Sender

__all__ = ["EXACT_UP_TO", "OnlineCounts", "presence"]

EXACT_UP_TO: Final = 10_000
"""Members; above it the number of users is an estimate, and a list of them is refused."""
_FRESH: Final = 5.0
"""Seconds an estimate serves."""
_MOST: Final = 1_000
"""Estimates kept: no more large rooms than that."""


class OnlineCounts:
    """Connections are always exact: they are counted by being there. Users are counted when
    asked, for to keep count per channel would cost every member a dictionary entry more."""

    def __init__(self) -> None:
        self._estimates: dict[str, tuple[float, float]] = {}  # users per client, Trio time

    def of(self, room: Channel, now: float) -> Online:
        """Connections and users of a channel. Anonymous connections count as a user each."""
        clients = len(room.members)
        if clients <= EXACT_UP_TO:
            return Online(clients, _users(room, clients))
        share, at = self._estimates.get(room.name, (0.0, -_FRESH))
        if now - at >= _FRESH:
            share = _users(room, EXACT_UP_TO) / EXACT_UP_TO
            self._estimates.pop(room.name, None)
            self._estimates[room.name] = share, now
            if len(self._estimates) > _MOST:
                del self._estimates[next(iter(self._estimates))]
        return Online(clients, max(1, round(share * clients)))


def presence(room: Channel | None, options: ChannelOptions) -> dict[str, Sender]:
    """Who is in a channel, by connection; {} if there is no channel.

    Raises:
        Refused: FORBIDDEN, its options do not allow it; TOO_MANY, over 10,000 members.
    """
    if not options.presence:
        raise Refused(RefusalCode.FORBIDDEN, "presence is off in this channel")
    if room is None:
        return {}
    if len(room.members) > EXACT_UP_TO:
        raise Refused(RefusalCode.TOO_MANY, f"over {EXACT_UP_TO} members: ask for the counts")
    return {member.id: member.sender for member in room.members}


def _users(room: Channel, first: int) -> int:
    """Different users among the first so many members."""
    users = {m.sender.user or m.id for m in islice(room.members, first)}
    return len(users)
