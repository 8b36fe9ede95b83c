"""CentrifugePolicy: times and bounds of Centrifugo's protocol, with Centrifugo's own defaults."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from livetrio.im.words import Sender

__all__ = ["CentrifugePolicy", "Rpc", "Send"]

Rpc = Callable[[Sender, str, bytes], Awaitable[bytes]]
"""Answers a client's question: (who, method, data). Raises Refused; NOT_FOUND: no such method."""
Send = Callable[[Sender, bytes], Awaitable[None]]
"""Hears a client's message to the server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CentrifugePolicy:
    """How clients are served."""

    ping: float = 25.0
    """Seconds between two pings."""
    pong: float = 8.0
    """Seconds a client has to answer one."""
    stale: float = 10.0
    """Seconds until it must be connected."""
    expired_close_delay: float = 25.0
    """Seconds that a client has for a new token after its old one has ended."""
    frame_size: int = 64 << 10
    """Bytes of a message or a request."""
    history_page: int = 300
    """Publications of one answer."""
    rpc: Rpc | None = None
    """Without, every method is unknown."""
    send: Send | None = None
    """Without, messages to the server are dropped."""
