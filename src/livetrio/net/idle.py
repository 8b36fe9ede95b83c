"""Noticing a publisher that has gone silent, by one watchdog instead of a timer per read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from livetrio.logs import get_logger
from livetrio.net.connection import Connection

__all__ = ["idle_watched", "watch_idle"]

log = get_logger(__name__)

_LOOKS = 4
"""How often within the patience the counter is read: silence is noticed at most a quarter late."""


@asynccontextmanager
async def idle_watched(
    connection: Connection,
    timeout: float,  # noqa: ASYNC109 - of silence, not of this call
    farewell: bytes = b"",
) -> AsyncIterator[None]:
    """While in the block, a peer that delivers nothing for `timeout` seconds is ended."""
    watch = trio.CancelScope()

    async def watchdog() -> None:
        with watch:
            await watch_idle(connection, timeout, farewell)

    connection.scope.nursery.start_soon(watchdog, name="idle watch")
    try:
        yield
    finally:
        watch.cancel()


async def watch_idle(connection: Connection, patience: float, farewell: bytes = b"") -> None:
    """End a connection that delivers nothing for `patience` seconds; start it in its scope.

    Looks at `connection.received` now and then. Refused: a cancel scope with a deadline around
    every read, which a 20 Mbit/s publisher would pay for two thousand times a second.

    Args:
        farewell: last words to the peer, in its protocol (an HTTP 408).
    """
    seen = connection.received
    heard_at = trio.current_time()
    while True:
        await trio.sleep(patience / _LOOKS)
        now = trio.current_time()
        if connection.received != seen:
            seen, heard_at = connection.received, now
        elif now - heard_at >= patience:
            reason = f"no data for {patience:g} s"
            log.warning("peer is silent", peer=str(connection), reason=reason)
            connection.outbox.send(farewell)
            connection.outbox.finish(reason)
            return
