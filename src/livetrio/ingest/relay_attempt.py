"""Attempt: what one try of a relay is given, and how it tells where it has got to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol

import trio

from livetrio.errors import LivetrioError
from livetrio.ingest.relay_url import HttpUrl, RelayUrl
from livetrio.media.edition import Edition
from livetrio.media.registry import Registry
from livetrio.media.stream import Stream
from livetrio.net.connection import Connection
from livetrio.net.dial import DIAL_TIMEOUT, AddressPolicy
from livetrio.net.scope import Scope
from livetrio.packet import Packet, StreamKey

__all__ = [
    "Attempt",
    "Dialer",
    "Direction",
    "EditionOf",
    "Meter",
    "Outbound",
    "RelayEnded",
    "Source",
    "State",
    "Timeouts",
    "within",
]

Direction = Literal["pull", "push"]
State = Literal["connecting", "running", "waiting", "failed"]
EditionOf = Callable[[Stream], AbstractAsyncContextManager[Edition]]
Dialer = Callable[[RelayUrl], AbstractAsyncContextManager[Connection]]


class RelayEnded(LivetrioError):
    """The other end finished, refused or fell silent; the message says which."""


class Source(Protocol):
    """Where a pull relay's packets come from."""

    async def read(self) -> list[Packet]:
        """What came with the next bytes; may be empty.

        Raises:
            RelayEnded, RemoteProtocolError, trio.BrokenResourceError: that was all.
        """
        ...


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds."""

    dial: float = DIAL_TIMEOUT
    """For DNS and TCP."""
    handshake: float = 10.0
    """From there until the other end agrees to play or to be published to."""
    read: float = 10.0
    """Without any media from a source; it is dialled anew then."""
    write: float = 10.0
    """Without a target taking a single byte."""


@dataclass(slots=True)
class Meter:
    """A relay's counters, over all its attempts."""

    direction: Direction
    jumps: int = 0
    """Times a target was so slow that it was moved to the newest key frame."""
    _past: int = 0
    _now: Callable[[], int] | None = None

    @property
    def bytes(self) -> int:
        """Received from a source, or handed to the kernel for a target."""
        return self._past + (self._now() if self._now is not None else 0)

    @contextmanager
    def reading(self, connection: Connection) -> Iterator[None]:
        """Count this connection's bytes while it lasts, and keep the sum."""
        pulled = self.direction == "pull"
        with self.counting(lambda: connection.received if pulled else connection.outbox.sent):
            yield

    @contextmanager
    def counting(self, bytes_now: Callable[[], int]) -> Iterator[None]:
        """The same for what is no TCP connection."""
        self._now = bytes_now
        try:
            yield
        finally:
            self._past, self._now = self.bytes, None


@dataclass(slots=True, eq=False)
class Attempt:
    """One try: where from, where to, within which limits."""

    registry: Registry
    key: StreamKey
    url: RelayUrl
    shown: str
    """The URL as people may see it."""
    scope: Scope
    """Cancelling it ends this attempt, not the relay."""
    policy: AddressPolicy
    """Where it may go; `dial` sees to that itself."""
    timeouts: Timeouts
    meter: Meter
    enter: Callable[[State], None]
    """Tell people how far it is."""
    dialer: Dialer = field(repr=False)
    edition_of: EditionOf = field(repr=False)
    """What a push sends of a stream."""

    @asynccontextmanager
    async def dial(self, url: RelayUrl | None = None) -> AsyncIterator[Connection]:
        """Connect to the URL, or to where that redirects; checked against policy and loops.

        Raises:
            RelayEnded: the connection was given up by its outbox or from outside.
        """
        async with self.dialer(url or self.url) as connection:
            with self.meter.reading(connection):
                yield connection
        if connection.scope.reason:
            raise RelayEnded(connection.scope.reason)


Outbound = Callable[[Attempt, HttpUrl], Awaitable[None]]
"""One try in a protocol that this package does not speak, WHIP or WHEP. It returns when a stream
of ours has ended, and raises when the other end has failed."""


@contextmanager
def within(seconds: float, complaint: str) -> Iterator[trio.CancelScope]:
    """A deadline, to be moved while things go on.

    Raises:
        RelayEnded: it has passed; the complaint is the message.
    """
    with trio.CancelScope(deadline=trio.current_time() + seconds) as patience:
        yield patience
    if patience.cancelled_caught:
        raise RelayEnded(complaint)
