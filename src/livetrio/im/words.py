"""The words of messaging: positions, senders, publications, lanes, and what a wire format is."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

__all__ = [
    "Goodbye",
    "History",
    "Joined",
    "Lane",
    "Move",
    "NO_TAGS",
    "Online",
    "Position",
    "Publication",
    "Sender",
    "View",
]

NO_TAGS: Final[Mapping[str, str]] = MappingProxyType({})


class Position(NamedTuple):
    """A place in a channel's numbering. An offset alone lies after a lost history: the epoch,
    random per life of that numbering, tells."""

    epoch: str
    offset: int
    """1 is the first publication. 0 from `Hub.publish`: it was not numbered, because only its
    sender was shown it (sampled out, shadowed) or because it went into a merged one."""


class Lane(enum.IntEnum):
    """How much a publication matters when not everything can be delivered."""

    P0 = 0
    """System, gifts, moderators: never sampled; who cannot be sent it is closed as slow."""
    P1 = 1
    """Chat: within the room's budget; a slow member loses it and is told how many."""
    P2 = 2
    """Likes and joins: merged into counters (state, not numbered); a slow member just loses it."""


@dataclass(slots=True)
class Sender:
    """Who is behind a connection or a publication."""

    user: str
    """"" is anonymous."""
    client: str = ""
    """Id of the connection (`Member.id`)."""
    device: str = ""
    ip: str = ""
    roles: frozenset[str] = frozenset()
    """"owner", "moderator" ... as the token or the hook said; rooms may give more."""
    info: bytes = b""
    """JSON shown to others (Centrifugo's conn_info); b"" is none."""


@dataclass(slots=True, eq=False)
class Publication:
    """One message of a channel. Never changed once numbered; shared by everybody."""

    offset: int
    """Contiguous per channel; 0 for what is not numbered (see `Position.offset`)."""
    time: int
    """Unix time, milliseconds."""
    data: bytes
    op: int = 0
    """goim's operation; 0: the protocol's default."""
    sender: Sender | None = None
    """None: the server or a back end."""
    tags: Mapping[str, str] = field(default_factory=lambda: NO_TAGS)
    lane: Lane = Lane.P1
    id: str = ""
    """The sender's idempotency key."""


class Joined(NamedTuple):
    """What a member that has just joined must know; later publications follow without a gap."""

    position: Position
    publications: Sequence[Publication]
    """Missed since `recover_from` (if recovered), or the last few of the room; oldest first."""
    recovered: bool
    """True: `publications` is everything after `recover_from`. False: something is lost or
    nothing was asked for."""


class History(NamedTuple):
    """A page of what a channel remembers, and its newest position."""

    publications: Sequence[Publication]
    position: Position


class Online(NamedTuple):
    """How many are in a channel; users are approximate above 10,000 members."""

    clients: int
    users: int


class Move(NamedTuple):
    """Somebody came into a channel or left it."""

    joined: bool
    sender: Sender


class Goodbye(enum.Enum):
    """Why a connection is ended, with Centrifugo's number for it (3000 to 3499, 4000 to 4499:
    come again; 3500 to 3999, 4500 to 4999: do not)."""

    CLOSED = 3000, "connection closed"
    SHUTDOWN = 3001, "shutdown"
    SERVER_ERROR = 3004, "internal server error"
    EXPIRED = 3005, "connection expired"
    SLOW = 3008, "slow"
    INSUFFICIENT = 3010, "insufficient state"
    FORCE_RECONNECT = 3011, "force reconnect"
    NO_PONG = 3012, "no pong"
    TOO_MANY_REQUESTS = 3013, "too many requests"
    INVALID_TOKEN = 3500, "invalid token"
    BAD_REQUEST = 3501, "bad request"
    STALE = 3502, "stale"
    KICKED = 3503, "force disconnect"
    TOO_MANY_CONNECTIONS = 3504, "connection limit"
    TOO_MANY_CHANNELS = 3505, "channel limit"
    FORBIDDEN = 3507, "permission denied"
    REPLACED = 4501, "replaced by another connection"
    BANNED = 4502, "banned"

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason


class View(Protocol):
    """A wire format: a pure object without state, shared by all members that use it.

    It must be hashable (identity is fine): bytes are encoded once per (channel, view, tick) and
    the same object is sent to everybody. All answers are framed for the transport.
    """

    @property
    def name(self) -> str:
        """For people and metrics: "goim-ws", "centrifuge-json" ..."""
        ...

    def batch(self, channel: str, publications: Sequence[Publication]) -> bytes:
        """Publications of one channel, oldest first, as one write."""
        ...

    def direct(self, publications: Sequence[Publication]) -> bytes:
        """Messages to this connection itself, of no channel (`Hub.send_user`, `Hub.broadcast`)."""
        ...

    def lost(self, channel: str, count: int) -> bytes:
        """ "You missed `count` messages", put before the next batch; b"" if there is no word."""
        ...

    def moves(self, channel: str, moves: Sequence[Move]) -> bytes:
        """Joins and leaves, for those who asked; b"" if there is no word."""
        ...
