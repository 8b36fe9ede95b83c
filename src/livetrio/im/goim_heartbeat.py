"""Heartbeats: who has been silent too long, found by one task for all connections.

Only HEARTBEAT counts as life, as in goim. Refused: a deadline per connection, which costs a
cancel scope and a timer for each of a hundred thousand that nearly always live.
"""

from __future__ import annotations

import trio

from livetrio.im.goim_session import GoimSession

__all__ = ["Heartbeats"]

_LOOKS = 8
"""How often within the patience: silence is noticed at most an eighth late."""


class Heartbeats:
    """Sessions of one patience, ordered by when they were last heard."""

    def __init__(self, patience: float) -> None:
        """patience: seconds without a heartbeat."""
        self._patience = patience
        self._heard: dict[GoimSession, float] = {}

    def __len__(self) -> int:
        return len(self._heard)

    def add(self, session: GoimSession) -> None:
        """Watch it from now on. In pairs with `discard`; a context manager would cost every
        connection 300 bytes."""
        self._heard[session] = trio.current_time()

    def discard(self, session: GoimSession) -> None:
        """It has ended."""
        self._heard.pop(session, None)

    def heard(self, session: GoimSession) -> None:
        """It lives: to the end of the line."""
        if self._heard.pop(session, None) is not None:
            self._heard[session] = trio.current_time()

    async def run(self) -> None:
        """End the silent ones, until cancelled."""
        while True:
            await trio.sleep(self._patience / _LOOKS)
            oldest = trio.current_time() - self._patience
            silent = []
            for session, heard in self._heard.items():
                if heard > oldest:
                    break
                silent.append(session)
            for session in silent:
                self._heard.pop(session)
                session.close(f"no heartbeat for {self._patience:g} s")
