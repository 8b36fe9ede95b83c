"""Lane: connections whose next requests are like the one before, answered without their tasks.

Thousands of players that reload a playlist five times a second cost a task's wake-up, a parsed
head and a written one each time. Here one task waits for all of them at once, on an epoll of its
own, and a request whose head differs from the last one only in its target is answered by a plain
call. Everything else goes back, with the bytes that were read, to the connection's task and to
h11: no request is read by two parsers that might disagree, for nothing is parsed in here.

Refused: an own parser of heads. What a second request is compared with has passed h11 already,
header for header, so that only the target is new, and it is one word of visible ASCII.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Final, NoReturn

import trio

from livetrio.net.connection import Connection
from livetrio.net.guard import guarded
from livetrio.net.quick import GET, Asker, Quick, is_target

__all__ = ["Guest", "Lane"]

_AT_ONCE: Final = 200
"""Requests answered before other tasks have their turn."""
_WATCH_EVERY: Final = 1.0
"""Seconds by which a guest may outlive its patience."""


class Guest:
    """A connection in the lane."""

    __slots__ = (
        "_quick",
        "_tail",
        "_target",
        "connection",
        "error",
        "given_back",
        "gone",
        "resume",
        "since",
        "stop",
    )

    def __init__(self, connection: Connection, tail: bytes, quick: Quick) -> None:
        self.connection = connection
        self.error: BaseException | None = None
        self.given_back = b""
        """What the connection's task is to go on with."""
        self.gone = trio.Event()
        self.since = trio.current_time()
        """When the newest request came."""
        self.resume: Callable[[], bool] | None = None
        """Answers the request that waits; None if none does."""
        self.stop: Callable[[Asker], None] | None = None
        self._quick = quick
        self._tail = tail
        self._target = b""

    def wait(self, resume: Callable[[], bool], stop: Callable[[Asker], None]) -> None:
        """As `Asker` has it."""
        self.resume, self.stop = resume, stop

    def come(self) -> None:
        """As `Asker` has it."""
        with guarded(self._fail):
            resume = self._take_resume()
            if resume is not None and not resume():
                self.leave(GET + self._target + self._tail)

    def readable(self, now: float) -> None:
        """Something has arrived, at this Trio time."""
        with guarded(self._fail):
            try:
                data = self.connection.receive_nowait()
            except trio.BrokenResourceError:
                data = b""
            if data is not None:
                self._take(data, now)

    def leave(self, data: bytes) -> None:
        """Back to the connection's task, which goes on with these bytes; b"": the end."""
        self._take_resume()
        self.given_back = data
        self.gone.set()

    def overdue(self) -> None:
        """The guest has been silent, or left waiting, for too long."""
        if self.gone.is_set():
            return
        if self.resume is not None:
            self.connection.outbox.send(self._quick.overdue())
        self.leave(b"")

    @property
    def deadline(self) -> float:
        """When it is overdue, unless something comes."""
        return self.since + self._quick.patience

    def _take(self, data: bytes, now: float) -> None:
        if self.resume is not None and data:  # sent before its answer: both for the parser
            self.leave(GET + self._target + self._tail + data)
            return
        if not (data.startswith(GET) and data.endswith(self._tail)):
            self.leave(data)
            return
        target = data[len(GET) : -len(self._tail)]
        # A peer that does not read what it asks for has to wait in its own task.
        if self.connection.outbox.queued or not is_target(target):
            self.leave(data)
            return
        self.since = now
        self._target = target
        if not self._quick.answer(target, self):
            self.leave(data)

    def _take_resume(self) -> Callable[[], bool] | None:
        resume, stop = self.resume, self.stop
        self.resume = self.stop = None
        if stop is not None:
            stop(self)
        return resume

    def _fail(self, error: BaseException) -> None:
        self.error = error
        self.leave(b"")


class Lane:
    """Somebody has to run it: `nursery.start_soon(lane.run)`. Linux alone has epoll; elsewhere
    nobody enters, and connections are served by their tasks."""

    def __init__(self) -> None:
        self._epoll = select.epoll() if hasattr(select, "epoll") else None
        self._guests: dict[int, Guest] = {}

    def __len__(self) -> int:
        return len(self._guests)

    async def run(self) -> NoReturn:
        """Answer, until cancelled."""
        epoll = self._epoll
        if epoll is None:
            await trio.sleep_forever()
        with epoll:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch, name="lane watch")
                while True:
                    await trio.lowlevel.wait_readable(epoll.fileno())
                    now = trio.current_time()
                    for fd, _ in epoll.poll(0, _AT_ONCE):
                        guest = self._guests.get(fd)
                        if guest is not None and not guest.gone.is_set():
                            guest.readable(now)
        raise AssertionError("unreachable: it runs until it is cancelled")

    async def _watch(self) -> NoReturn:
        """End what is overdue. A timer for each guest would end by a cancellation every time."""
        while True:
            await trio.sleep(_WATCH_EVERY)
            now = trio.current_time()
            for guest in [g for g in self._guests.values() if g.deadline <= now]:
                guest.overdue()

    def takes(self, connection: Connection) -> bool:
        """May this connection enter? Not one that is encrypted, or speaks for several peers."""
        epoll = self._epoll
        return (
            epoll is not None
            and not epoll.closed
            and not connection.is_tls
            and not connection.trusted
        )

    async def stay(self, connection: Connection, head: bytes, quick: Quick) -> bytes:
        """Be served in the lane until something comes that is not for it.

        Args:
            head: the request that was answered last, as it was received: GET, and nothing behind.
            quick: what answers the next ones.

        Returns: what was read and not answered; b"" if the connection is at its end.
        """
        epoll = self._epoll
        assert epoll is not None
        guest = Guest(connection, head[head.index(b" ", len(GET)) :], quick)
        fd = connection.fileno()
        self._guests[fd] = guest
        epoll.register(fd, select.EPOLLIN)
        try:
            await guest.gone.wait()
        finally:
            guest.leave(guest.given_back)
            del self._guests[fd]
            if not epoll.closed:
                epoll.unregister(fd)
        if guest.error is not None:
            raise guest.error
        return guest.given_back
