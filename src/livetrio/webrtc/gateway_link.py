"""GatewayLink: one peer of the gateway, as sessions see it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import trio

from livetrio.errors import RemoteProtocolError
from livetrio.media.client import Numbers
from livetrio.net.scope import Scope
from livetrio.webrtc.negotiation_words import Agreed, Local
from livetrio.webrtc.peer import Peer
from livetrio.wire.sdp.fragment import build_fragment, parse_fragment

__all__ = ["GatewayLink"]

_PACKET: Final = 1_200
"""Bytes. Drops are counted in packets, and nearly all of them are full."""


class GatewayLink:
    """What the peers of publishers and viewers have in common."""

    def __init__(self, peer: Peer, local: Local, description: str, agreed: Agreed | None) -> None:
        """agreed: None until the peer has answered our offer."""
        self._peer = peer
        self._local = local
        self._agreed = agreed
        self.description = description

    @property
    def connected(self) -> trio.Event:
        """As `Link.connected`."""
        return self._peer.connected

    @property
    def scope(self) -> Scope:
        """As `Link.scope`."""
        return self._peer.scope

    @property
    def address(self) -> str:
        """As `Link.address`."""
        return self._peer.address

    def numbers(self) -> Numbers:
        """As `Link.numbers`."""
        peer = self._peer
        dropped = peer.dropped * _PACKET
        return Numbers(peer.bytes_received, peer.bytes_sent, self.jumps(), dropped, 0)

    def statistics(self) -> object | None:
        """As `Link.statistics`."""
        return None

    def trickle(self, fragment: str, *, restart: bool) -> str:
        """As `Link.trickle`. Candidates are read and not needed: who is lite, waits to be found."""
        found = parse_fragment(fragment)
        agreed = self._agreed
        if agreed is None:
            raise RemoteProtocolError("a fragment before the answer")
        remote = agreed.remote
        if not restart:
            if found.ufrag and found.ufrag != remote.ufrag:
                raise RemoteProtocolError(
                    "a fragment of another ICE generation; If-Match: * begins one"
                )
            return ""
        if not found.ufrag:
            raise RemoteProtocolError("an ICE restart without credentials")
        remote = replace(remote, ufrag=found.ufrag, pwd=found.pwd, candidates=found.candidates)
        self._agreed = replace(agreed, remote=remote)
        ice = self._peer.restart_ice(remote)
        mid = found.mids[0] if found.mids else agreed.media[0].mid
        return build_fragment(ice.ufrag, ice.pwd, self._local.candidates, mid)

    def jumps(self) -> int:
        """Times a viewer was moved to another layer; for `numbers`."""
        return 0
