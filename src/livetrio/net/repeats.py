"""Repeats: requests like one that was answered before, on connections that the lane cannot take.

A viewer by TLS is served by its connection's task, and so are the many that a proxy sends over
connections of its own. Their players repeat themselves all the same: from the target to its end a
head is the one that h11 has read, and a handler let in, a moment ago. Then the target alone is
new, and what the handler left behind answers it. All else goes to the parser, as in the lane.

Heads of a trusted proxy are remembered for all its connections, since it gives each request to
whichever is free. What tells its viewers apart (X-Forwarded-For, cookies, tokens) is in them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Literal, NamedTuple

import trio

from livetrio.net.connection import Connection
from livetrio.net.listen import Caps
from livetrio.net.quick import GET, Asker, Quick, is_target

__all__ = ["Repeats"]

_REMEMBERED: Final = 8192
"""Heads of proxied viewers; one takes a kilobyte."""
_LONGEST: Final = 2048
"""Bytes of a head that is remembered for all connections."""

_Outcome = Literal["answered", "not known", "overdue"]


class _Known(NamedTuple):
    quick: Quick
    asker: str
    """Who it is, behind the proxy; its address."""


class Repeats:
    """One for each server.

    Args:
        caps: where those behind a proxy are counted while they are served.
        idle: seconds that a connection may be silent.
    """

    def __init__(self, caps: Caps | None, idle: float) -> None:
        self._caps = caps
        self._idle = idle
        self._proxied: OrderedDict[tuple[str, bytes], _Known] = OrderedDict()

    async def stay(self, connection: Connection, head: bytes, quick: Quick, proxy: str) -> bytes:
        """Answer requests until one comes that is not known.

        Args:
            connection: whose `peer` is who has asked last.
            head: that request, as it was received: GET, and nothing behind.
            quick: what answers the next ones.
            proxy: the address that the connection comes from.

        Returns: what was read and not answered; b"" if the connection is at its end.
        """
        tail = head[head.index(b" ", len(GET)) :]
        own = _Known(quick, connection.peer)
        if connection.trusted and len(tail) <= _LONGEST:
            self._remember((proxy, tail), own)
        while True:
            data = b""
            with trio.move_on_after(self._idle):
                data = await connection.receive()
            end = data.find(b" ", len(GET))
            target, rest = data[len(GET) : end], data[end:]
            if end < 0 or not data.startswith(GET) or not is_target(target):
                return data
            known = own if rest == tail else None
            if known is None and connection.trusted:
                known = self._proxied.get((proxy, rest))
            if known is None:
                return data
            connection.peer = known.asker
            match await self._answer(connection, known, target, proxy):
                case "not known":
                    return data
                case "overdue":
                    connection.outbox.send(known.quick.overdue())
                    return b""
            await connection.outbox.flushed()
            await trio.lowlevel.checkpoint()

    async def _answer(
        self, connection: Connection, known: _Known, target: bytes, proxy: str
    ) -> _Outcome:
        """Like any request of a proxy's, it counts for its own asker while it is served."""
        caps = self._caps if known.asker != proxy else None
        if caps is None:
            return await _Asking(connection).answer(target, known.quick)
        if not caps.enter(known.asker):
            return "not known"  # whoever lets in says so
        try:
            return await _Asking(connection).answer(target, known.quick)
        finally:
            caps.leave(known.asker)

    def _remember(self, head: tuple[str, bytes], known: _Known) -> None:
        self._proxied[head] = known
        self._proxied.move_to_end(head)
        if len(self._proxied) > _REMEMBERED:
            self._proxied.popitem(last=False)


class _Asking:
    """One request, in its connection's task."""

    __slots__ = ("_came", "_resume", "_stop", "connection", "since")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.since = trio.current_time()
        self._came = trio.Event()
        self._resume: Callable[[], bool] | None = None
        self._stop: Callable[[Asker], None] | None = None

    def wait(self, resume: Callable[[], bool], stop: Callable[[Asker], None]) -> None:
        """As `Asker` has it."""
        self._resume, self._stop = resume, stop

    def come(self) -> None:
        """As `Asker` has it."""
        self._came.set()

    async def answer(self, target: bytes, quick: Quick) -> _Outcome:
        if not quick.answer(target, self):
            return "not known"
        if self._resume is None:
            return "answered"
        assert self._stop is not None
        try:
            with trio.move_on_after(quick.patience):
                await self._came.wait()
        finally:
            self._stop(self)
        if not self._came.is_set():
            return "overdue"
        return "answered" if self._resume() else "not known"
