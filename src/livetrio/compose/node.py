"""Node: what every service of this program stands on."""

from __future__ import annotations

from dataclasses import dataclass

from livetrio.access.gate import Gate
from livetrio.access.im_token import ImTokens
from livetrio.access.seats import SeatBook
from livetrio.ingest.relay import Relays
from livetrio.media.registry import Registry
from livetrio.media.renditions import Renditions
from livetrio.net.beat import Beat
from livetrio.net.fetch import Fetcher
from livetrio.net.listen import Caps
from livetrio.net.scope import Scope
from livetrio.store.keys import RoomKeys

__all__ = ["Node"]


@dataclass(frozen=True, kw_only=True)
class Node:
    """Made once, by app.py; nothing in it is replaced afterwards."""

    root: Scope
    keys: RoomKeys
    registry: Registry
    relays: Relays
    gate: Gate
    seats: SeatBook
    """Names that co-host rooms have taken."""
    tokens: ImTokens
    """Of users: the same in messaging and in rooms."""
    fetcher: Fetcher
    """Of what other servers have to say."""
    renditions: Renditions
    beat: Beat
    caps: Caps
    """On TCP connections, of all listeners together."""
