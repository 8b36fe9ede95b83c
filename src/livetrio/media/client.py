"""Client: one peer of a stream, publisher or player, as operators see and end it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from livetrio.net.connection import Connection
from livetrio.net.scope import Scope

__all__ = ["Client", "Endpoint", "Numbers", "Role"]

Role = Literal["publisher", "player"]


class Numbers(NamedTuple):
    """One reading of a client's counters."""

    bytes_in: int
    """Received from the peer."""
    bytes_out: int
    """Handed to the kernel for the peer."""
    jumps: int
    """Times it was moved to a newer key frame because it was too slow."""
    dropped: int
    """Bytes of media it was not sent for that reason."""
    queued: int
    """Bytes that wait for it."""


class Endpoint(Protocol):
    """The other end of a client that is no TCP connection of ours, a WebRTC peer for one."""

    @property
    def address(self) -> str:
        """host:port; it may move, and is "" while unknown."""

    def numbers(self) -> Numbers:
        """Its counters now; none of them ever falls but `queued`."""


@dataclass(slots=True, eq=False)
class Client:
    """Identity and numbers of one peer; the connection does the rest."""

    role: Role
    protocol: str
    """Label for people and metrics: "rtmp", "rtmps", "flv", "ws-flv", "webrtc", "relay" ..."""
    scope: Scope
    """Cancelling it ends the peer."""
    connection: Connection | None = None
    """None for participants inside this process, and for what has an endpoint."""
    endpoint: Endpoint | None = None
    url: str = ""
    """What the peer asked for, without its query."""
    agent: str = ""
    """What software it says it is."""
    user: str = ""
    """Who it proved to be, where that matters: on a room's seat."""
    id: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    since: float = field(default_factory=time.time)
    statistics: Callable[[], object | None] = lambda: None
    """What is known of it beyond its numbers: a dataclass for operators, None if nothing is."""
    before: Numbers = field(default_factory=lambda: Numbers(0, 0, 0, 0, 0))
    """The counters when it came to its present stream: a connection may play one after another."""

    @property
    def address(self) -> str:
        """host:port, empty for participants inside this process."""
        if self.endpoint is not None:
            return self.endpoint.address
        return str(self.connection) if self.connection is not None else ""

    def numbers(self) -> Numbers:
        """The counters now; all 0 for participants inside this process."""
        if self.endpoint is not None:
            return self.endpoint.numbers()
        if self.connection is None:
            return Numbers(0, 0, 0, 0, 0)
        outbox = self.connection.outbox
        return Numbers(
            self.connection.received, outbox.sent, outbox.jumps, outbox.dropped, outbox.queued
        )
