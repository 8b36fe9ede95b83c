"""Options of channels: of which class one is and what it may keep, by the pattern of its name."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from livetrio.errors import RefusalCode, Refused

__all__ = [
    "ChannelOptions",
    "HubLimits",
    "Kind",
    "Namespaces",
    "check_channel",
    "is_room_of_stream",
    "room_of_stream",
]

_MAX_NAME = 255
"""Bytes of a channel's name: Centrifugo's default."""
_ROOM = "room:"


class Kind(enum.Enum):
    """What is promised about a channel's publications."""

    EPHEMERAL = "ephemeral"
    """Kept in memory, the last few for a while: live rooms."""
    DURABLE = "durable"
    """Committed to a log before the sender is acknowledged."""
    STATE = "state"
    """The latest value counts: newcomers are told it, it does not expire, and values between two
    ticks are merged into the last one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelOptions:
    """What channels of one pattern have in common."""

    kind: Kind = Kind.EPHEMERAL
    history_size: int = 300
    """Publications remembered; 0: none, and nothing can be recovered."""
    history_ttl: float = 300.0
    """Seconds they are remembered."""
    backlog: int = 0
    """Of those, so many of the last are shown to newcomers, who have no position."""
    history_bytes: int = 1 << 20
    """Bytes of data remembered."""
    recovery_limit: int = 300
    """More missed publications than that are not recovered."""
    presence: bool = True
    """May members ask who is here?"""
    join_leave: bool = False
    """Are joins and leaves told to those who ask for it? Only up to `join_leave_members`."""
    join_leave_members: int = 500
    max_members: int = 1_000_000
    live: bool = False
    """A live room: the rules of rooms apply where nothing else is set (`rules.LIVE`)."""
    private: bool = False
    """Joining needs a subscription token (or the server's own doing)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubLimits:
    """Bounds of the whole node, and of what one slow member may cost."""

    channels: int = 200_000
    channels_per_member: int = 128
    channels_per_maker: int = 5_000
    """That exist because one user, or the guests of one address, have asked for them."""
    members: int = 1_000_000
    history_bytes: int = 256 << 20
    """Data remembered by all channels together; channels nobody is in are forgotten first."""
    data_size: int = 64 << 10
    """Bytes of one publication."""
    keep_counters: int = 16 << 10
    """A member with more bytes waiting loses lane P2."""
    keep_chat: int = 64 << 10
    """A member with more bytes waiting loses lane P1 too."""
    keep_all: int = 1 << 20
    """A member that would have more bytes waiting is closed as slow."""


class Namespaces:
    """Which options a channel has: those of the first pattern that its name matches.

    Patterns are shell-like ("room:*", "live://*"). Channels whose name starts with "$", or has
    "$" after the namespace, are private whatever their pattern says (Centrifugo's convention);
    those with "#" name their users (`admits`).
    """

    def __init__(
        self,
        patterns: Sequence[tuple[str, ChannelOptions]] = (),
        default: ChannelOptions | None = None,
    ) -> None:
        self._patterns = tuple(patterns)
        self._default = default or ChannelOptions()

    def of(self, channel: str) -> ChannelOptions:
        """The options of the channel of this name."""
        for pattern, options in self._patterns:
            if fnmatchcase(channel, pattern):
                return options
        return self._default

    def is_private(self, channel: str) -> bool:
        """Does joining need a token of its own?"""
        return channel.startswith("$") or ":$" in channel or self.of(channel).private

    def admits(self, channel: str, user: str) -> bool:
        """May this user join without a token for it? Not a private channel, and one of a few
        users ("dialog#42,43") only if he is one of them (Centrifugo's convention again)."""
        _, limited, users = channel.rpartition("#")
        if limited and (not user or user not in users.split(",")):
            return False
        return not self.is_private(channel)


def check_channel(name: str) -> str:
    """Return the name unchanged if a channel may have it.

    Raises:
        Refused: BAD_REQUEST: empty, longer than 255 bytes, or with invisible characters.
    """
    if not name:
        raise Refused(RefusalCode.BAD_REQUEST, "a channel needs a name")
    if len(name) > _MAX_NAME or len(name.encode(errors="replace")) > _MAX_NAME:
        raise Refused(RefusalCode.BAD_REQUEST, f"a channel's name has at most {_MAX_NAME} bytes")
    # isprintable() refuses control characters, lone surrogates, bidirectional overrides and all
    # separators but the space.
    if not name.isprintable() or "\ufffd" in name or name != name.strip():
        raise Refused(RefusalCode.BAD_REQUEST, "a channel's name has invisible characters")
    return name


def room_of_stream(app: str, name: str) -> str:
    """The channel of a live stream's room."""
    return f"{_ROOM}{app}/{name}"


def is_room_of_stream(channel: str) -> bool:
    """May `room_of_stream` give this name, whatever the options of the channel are?"""
    return channel.startswith(_ROOM)
