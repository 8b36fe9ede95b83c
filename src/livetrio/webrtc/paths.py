"""Path: one way to reach a peer, over UDP or TCP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from livetrio.webrtc.ice import Challenge
    from livetrio.webrtc.peer import Peer

__all__ = ["Path", "shown"]


class Path(Protocol):
    """Belongs to a peer once a STUN check has proven that it is that peer's."""

    peer: Peer | None
    heard: float
    """Trio time of the last authenticated datagram."""
    proven: bool
    """Has it been shown that the peer receives what is sent there?"""
    challenge: Challenge | None
    """The check of ours that would show it, where one is under way."""

    @property
    def protocol(self) -> Literal["udp", "tcp"]:
        """What carries it."""

    @property
    def address(self) -> str:
        """The remote end, "192.0.2.1:4242"."""

    @property
    def source(self) -> tuple[str, int]:
        """The remote end, for XOR-MAPPED-ADDRESS."""

    def send(self, datagram: bytes) -> bool:
        """Send one datagram now, or lose it: False."""

    def send_run(self, view: memoryview, segment: int) -> int:
        """Send datagrams of `segment` bytes each (the last may be shorter) that lie one after
        the other; returns how many went out. `view` may be overwritten afterwards."""

    def close(self, reason: str) -> None:
        """The peer does not use it any more."""


def shown(host: str, port: int) -> str:
    """An address for people."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
