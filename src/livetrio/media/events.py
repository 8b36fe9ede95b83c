"""Events: what happens to streams, clients and relays, told to whoever listens."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NoReturn

import trio

__all__ = ["Event", "Events", "Wanted"]

_QUEUE = 256
"""Events a listener may be behind before it starts to lose the newest (and is told how many)."""
_LOOK_EVERY = _QUEUE // 4


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, ready to be JSON."""

    type: str
    """Dotted: "stream.online", "client.closed", "relay.failed" ..."""
    data: dict[str, object]
    at: float = field(default_factory=time.time)
    """Unix time, seconds."""


Wanted = Callable[[Event], bool]
"""Is this one for the listener?"""


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

    async def follow(self, prefix: str, look: Callable[[], None]) -> NoReturn:
        """Call `look` now, and whenever events of the types with this prefix have come.

        Events only say when to look: what `look` does must follow from what there is by then.
        One is lost only while a full queue of others waits to be read, so a look at every so
        many of any kind, fewer than a queue, comes after it for certain.
        """
        with self.listen() as events:
            look()
            read = 0
            async for event in events:
                read += 1
                if event.type.startswith(prefix) or read % _LOOK_EVERY == 0:
                    look()
        raise AssertionError("unreachable: events do not end")

    @contextmanager
    def listen(self, wanted: Wanted = lambda _: True) -> Iterator[AsyncIterator[Event]]:
        """All events from now on; one that falls behind gets `events.lost` with a count.

        wanted: is asked for each the moment it happens, for those to whom it matters how all else
            is then: by the time an event is read that may have changed.
        """
        listener = _Listener(wanted)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)


class _Listener:
    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._send, self._receive = trio.open_memory_channel[Event](_QUEUE)
        self._lost = 0

    def offer(self, event: Event) -> None:
        if not self._wanted(event):
            return
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
