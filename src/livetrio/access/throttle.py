"""Failures per peer: how many guesses an address has, in a table of bounded size."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

__all__ = ["FAILURES", "FailureLimit", "one_peer"]

FAILURES: Final = 10
"""Per minute; a key typed wrong, and an encoder that retries every few seconds, stay below."""
_MAX_PEERS: Final = 10_000


class FailureLimit:
    """A bucket of guesses per peer, refilled over time.

    A guess is taken before the question is asked and given back if the answer was right:
    a thousand connections at once have no more guesses than one after the other.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        failures: int = FAILURES,
        seconds: float = 60.0,
        peers: int = _MAX_PEERS,
    ) -> None:
        self._clock = clock
        self._failures = float(failures)
        self._rate = failures / seconds
        self._peers = peers
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # (guesses, since)

    def take(self, peer: str) -> bool:
        """Use one guess; False if there is none left."""
        left = self._left(name := one_peer(peer))
        if left < 1.0:
            return False
        self._put(name, left - 1.0)
        return True

    def give_back(self, peer: str) -> None:
        """It was no failure."""
        name = one_peer(peer)
        self._put(name, self._left(name) + 1.0)

    def _left(self, name: str) -> float:
        left, since = self._buckets.get(name, (self._failures, 0.0))
        return min(self._failures, left + (self._clock() - since) * self._rate)

    def _put(self, name: str, left: float) -> None:
        if left >= self._failures:
            self._buckets.pop(name, None)
            return
        self._buckets[name] = (left, self._clock())
        self._buckets.move_to_end(name)
        if len(self._buckets) > self._peers:
            # Whoever has been quiet for longest; with so many addresses one guess more or less
            # each is not what decides.
            self._buckets.popitem(last=False)


def one_peer(peer: str) -> str:
    """What counts as one peer: an IPv4 address, or the /64 that an IPv6 customer has whole."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.IPv6Address(int(address) >> 64 << 64))
    return str(address)
