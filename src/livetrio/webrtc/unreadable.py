"""Unreadable: what a peer sent that cannot be read. A single packet is nobody's end, a flood is."""

from __future__ import annotations

from typing import Final

from livetrio.logs import get_logger
from livetrio.net.scope import Scope

__all__ = ["Unreadable"]

log = get_logger(__name__)

_MOST: Final = 1_000
"""Datagrams in a row that cannot be read, as of a publisher."""


class Unreadable:
    """One peer's, since it came."""

    __slots__ = ("count", "in_a_row")

    def __init__(self) -> None:
        self.count = 0
        self.in_a_row = 0
        """To be set back by each that can be read."""

    def came(self, scope: Scope, reason: str) -> None:
        """One came; too many in a row end the peer, whose scope this is."""
        self.count += 1
        self.in_a_row += 1
        if self.count == 1:
            log.info("unreadable packet", peer=scope.name, reason=reason)
        if self.in_a_row > _MOST:
            scope.cancel(f"nothing readable in {_MOST} packets: {reason}")
