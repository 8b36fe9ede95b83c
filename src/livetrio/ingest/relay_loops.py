"""Relay loops: a stream must not be fed from itself, directly or through other relays.

Known are the relays of this node that lead to one of its own listeners: each is an arrow from
the stream it takes to the stream it makes, and an arrow that would close a ring is refused.
Loops through other nodes need no rule: a stream has one publisher, so what goes round there is
a stream without a source, which has no packets. (Where nodes let any publisher take over from any
other, such a pair of relays takes turns with the source; no node can see that alone.)
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from livetrio.errors import RefusalCode, Refused
from livetrio.net.dial import is_local
from livetrio.net.listen import Address
from livetrio.packet import StreamKey

__all__ = ["Loops"]


class Loops:
    """The arrows among this node's streams."""

    def __init__(self, listeners: Sequence[Address]) -> None:
        """listeners: where this node serves streams (RTMP, RTMPS, HTTP-FLV), as bound."""
        self._listeners = listeners
        self._arrows: dict[str, tuple[StreamKey, StreamKey]] = {}  # by relay id

    def has_port(self, port: int) -> bool:
        """Could an address with this port be ours?"""
        return any(address.port == port for address in self._listeners)

    def is_own(self, ip: str, port: int) -> bool:
        """Does this IP address and port lead to one of our listeners?"""
        if not self.has_port(port):
            return False
        plain = _plain(ip)
        return any(
            is_local(ip) if address.host is None else _leads_to(plain, _plain(address.host))
            for address in self._listeners
            if address.port == port
        )

    def add(
        self, relay_id: str, source: StreamKey, target: StreamKey, *, instead_of: Sequence[str] = ()
    ) -> None:
        """Note that a relay makes one stream of ours from another, in place of what it did.

        Args:
            relay_id: the relay.
            source: the stream it takes.
            target: the stream it makes.
            instead_of: relays that go when this one comes.

        Raises:
            Refused: FORBIDDEN; that would be a loop. Nothing is noted.
        """
        if source == target:
            raise Refused(RefusalCode.FORBIDDEN, f"loop: {source} would be relayed onto itself")
        path = self._path(target, source, {relay_id, *instead_of})
        if path:
            ring = " to ".join(str(key) for key in (source, *path))
            raise Refused(RefusalCode.FORBIDDEN, f"loop: relays would lead from {ring}")
        self._arrows[relay_id] = source, target

    def remove(self, relay_id: str) -> None:
        """The relay leads nowhere any more, or never led here."""
        self._arrows.pop(relay_id, None)

    def _path(self, start: StreamKey, end: StreamKey, without: set[str]) -> list[StreamKey]:
        """The streams on a way from start to end, both included; empty if there is none."""
        came_from: dict[StreamKey, StreamKey | None] = {start: None}
        pending = [start]
        while pending:
            here = pending.pop()
            for relay_id, (source, target) in self._arrows.items():
                if source == here and target not in came_from and relay_id not in without:
                    came_from[target] = here
                    pending.append(target)
        path: list[StreamKey] = []
        step: StreamKey | None = end if end in came_from else None
        while step is not None:
            path.insert(0, step)
            step = came_from[step]
        return path


def _plain(ip: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address, IPv4 out of its IPv6 clothes; None for a host name in the configuration."""
    try:
        address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _leads_to(
    dialled: ipaddress.IPv4Address | ipaddress.IPv6Address | None,
    bound: ipaddress.IPv4Address | ipaddress.IPv6Address | None,
) -> bool:
    if dialled is None or bound is None:
        return False
    # To dial 0.0.0.0 or :: is to dial the loopback interface.
    return dialled == bound or (dialled.is_unspecified and bound.is_loopback)
