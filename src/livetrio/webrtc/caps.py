"""Caps on sessions that are not connected yet: what a flood of POSTs may cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from livetrio.access.throttle import one_peer
from livetrio.errors import RefusalCode, Refused

__all__ = ["PendingCaps", "Ticket"]


class Ticket:
    """One session's place among those that wait."""

    __slots__ = ("_caps", "_peer", "_waits")

    def __init__(self, caps: PendingCaps, peer: str) -> None:
        self._caps = caps
        self._peer = peer
        self._waits = True

    def pending(self) -> bool:
        """Has it still to connect?"""
        return self._waits

    def connected(self) -> None:
        """It is no longer pending; its peer counts among the transport's from now on."""
        if self._waits:
            self._waits = False
            self._caps.leave(self._peer)


class PendingCaps:
    """How many sessions may wait for their stream, their ICE or their DTLS.

    Connected peers are the transport's to count. These cost memory too, for ten seconds each,
    and nobody had to prove an address to get one.
    """

    def __init__(self, total: int = 1024, per_peer: int = 64) -> None:
        self._total = total
        self._per_peer = per_peer
        self._by_peer: Counter[str] = Counter()

    @property
    def waiting(self) -> int:
        """Sessions that wait at this moment."""
        return self._by_peer.total()

    @contextmanager
    def admit(self, peer: str) -> Iterator[Ticket]:
        """A place for a session from this address (of IPv6: from its /64), until the block ends
        or `Ticket.connected` is called.

        Raises:
            Refused: TOO_MANY from this address, or UNAVAILABLE: too many from all together.
        """
        peer = one_peer(peer)
        if self._by_peer[peer] >= self._per_peer:
            raise Refused(
                RefusalCode.TOO_MANY,
                "too many sessions from this address are still connecting",
                hint="webrtc.max_pending_per_ip",
            )
        if self.waiting >= self._total:
            raise Refused(
                RefusalCode.UNAVAILABLE,
                "too many sessions are still connecting",
                hint="webrtc.max_pending",
            )
        self._by_peer[peer] += 1
        ticket = Ticket(self, peer)
        try:
            yield ticket
        finally:
            ticket.connected()

    def leave(self, peer: str) -> None:
        """For `Ticket`: one fewer of this peer's; forgets peers without any."""
        self._by_peer[peer] -= 1
        if self._by_peer[peer] <= 0:
            del self._by_peer[peer]
