"""Events: what happens to streams, clients and relays, told to whoever listens."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import trio

__all__ = ["Event", "Events"]

_QUEUE = 256
"""Events a listener may be behind before it starts to lose the newest (and is told how many)."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, ready to be JSON."""

    type: str
    """Dotted: "stream.online", "client.closed", "relay.failed" ..."""
    data: dict[str, object]
    at: float = field(default_factory=time.time)
    """Unix time, seconds."""


class Events:
    """Publishing is a plain call and never waits for a listener."""

    def __init__(self) -> None:
        self._listeners: set[_Listener] = set()

    def publish(self, type_: str, **data: object) -> None:
        """Tell all listeners."""
        if self._listeners:
            event = Event(type_, data)
            for listener in self._listeners:
                listener.offer(event)

    @contextmanager
    def listen(self) -> Iterator[AsyncIterator[Event]]:
        """All events from now on; one that falls behind gets `events.lost` with a count."""
        listener = _Listener()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)


class _Listener:
    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[Event](_QUEUE)
        self._lost = 0

    def offer(self, event: Event) -> None:
        try:
            if self._lost:
                self._send.send_nowait(Event("events.lost", {"count": self._lost}))
                self._lost = 0
            self._send.send_nowait(event)
        except trio.WouldBlock:
            self._lost += 1

    def __aiter__(self) -> _Listener:
        return self

    async def __anext__(self) -> Event:
        return await self._receive.receive()
