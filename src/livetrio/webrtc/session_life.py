"""The life of a session's task: whose its errors are, when it must be connected, why it ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Final

import trio

from livetrio.errors import RefusalCode, Refused, RemoteProtocolError
from livetrio.logs import get_logger
from livetrio.net.guard import guarded
from livetrio.net.scope import Scope, open_scope
from livetrio.packet import StreamKey
from livetrio.webrtc.caps import PendingCaps, Ticket
from livetrio.webrtc.engine import Link
from livetrio.webrtc.selection import Selection
from livetrio.webrtc.session import Asked, Session, Verb

__all__ = ["SessionLife", "session_life"]

log = get_logger(__name__)

_HELD: Final = 0.25
"""Seconds a deadline is noticed late, from which on it is us who stood still ..."""
_MORE: Final = 1.0
"""... and seconds that the peer is given then, again and again: what it said is still unread ..."""
_LONGEST: Final = 6
"""... until it has waited so many times as long as it should."""


class SessionLife:
    """What a session's task needs beside the session itself. Made by `session_life`.

    Until the request is answered an error is the request's; afterwards it is the log's.
    """

    ticket: Ticket
    scope: Scope

    def __init__(
        self,
        asked: Asked,
        task_status: trio.TaskStatus[Session],
        table: MutableMapping[str, Session],
        patience: float,
    ) -> None:
        self._asked = asked
        self._task_status = task_status
        self._table = table
        self._patience = patience
        self._session: Session | None = None
        self._answered = False
        self._failure: BaseException | None = None

    def session(self, verb: Verb, key: StreamKey, selection: Selection | None = None) -> Session:
        """The session itself; only `connects` makes it known."""
        self._session = Session(verb, self._asked, key, self.scope, selection)
        return self._session

    async def connects(self, link: Link) -> bool:
        """Let the request be answered, then wait for ICE and DTLS; False: they never came."""
        session = self._session
        assert session is not None
        session.link = link
        self._table[session.id] = session
        self._answered = True
        self._task_status.started(session)
        if await self._waited(link):
            self.ticket.connected()
            about = {"stream": str(session.key), "client": session.client.id}
            log.info("session connected", verb=session.verb, peer=session.address, **about)
            return True
        link.scope.cancel(f"ICE and DTLS not through within {self._patience:g} s")
        self.end_as(link)
        return False

    async def _waited(self, link: Link) -> bool:
        begun = trio.current_time()
        patience = self._patience
        while True:
            with trio.move_on_after(patience) as waiting:
                await link.connected.wait()
                return True
            now = trio.current_time()
            held = now - waiting.deadline > _HELD
            if not held or now - begun > _LONGEST * self._patience:
                return False
            patience = _MORE

    def end_as(self, link: Link) -> None:
        """The session ends, for the reason its peer did if that did."""
        self.scope.cancel(link.scope.reason or "the peer has gone")

    def blame(self, error: BaseException) -> None:
        """For the guard."""
        if not self._answered:
            self._failure = self._failure or error
            return
        match error:
            case Refused(reason=reason, hint=hint):
                self.scope.reason = self.scope.reason or reason
                log.info("session refused", reason=reason, hint=hint, peer=self._asked.peer)
            case RemoteProtocolError():
                self.scope.reason = self.scope.reason or str(error)
                log.info("session broke its protocol", reason=str(error), peer=self._asked.peer)
            case _:
                self.scope.reason = self.scope.reason or "internal error"
                log.error("bug: session ended", peer=self._asked.peer, exc_info=error)

    def forget(self) -> None:
        """All is gone: its id means nothing any more."""
        if self._session is not None:
            self._table.pop(self._session.id, None)

    def check(self) -> None:
        """The end, if the session was not cancelled from above.

        Raises:
            What ended it, if the request still waits for an answer.
        """
        if self._failure is not None:
            raise self._failure
        if not self._answered:
            reason = self.scope.reason or "the session could not be opened"
            raise Refused(RefusalCode.UNAVAILABLE, reason)
        assert self._session is not None
        log.info(
            "session ended",
            stream=str(self._session.key),
            client=self._session.client.id,
            reason=self.scope.reason,
        )


@asynccontextmanager
async def session_life(
    name: str,
    asked: Asked,
    task_status: trio.TaskStatus[Session],
    *,
    parent: Scope,
    caps: PendingCaps,
    table: MutableMapping[str, Session],
    patience: float,
) -> AsyncIterator[SessionLife]:
    """A scope and a place for a session, for the whole of its task.

    Args:
        name: of the scope.
        asked: who asks.
        task_status: of the task; the request waits for it.
        parent: the scope that all sessions are below.
        caps: on those that are not connected.
        table: sessions by id; this one is in it from its answer to its end.
        patience: seconds to be connected in.

    Raises:
        Refused, RemoteProtocolError: before the answer.
    """
    life = SessionLife(asked, task_status, table, patience)
    try:
        with guarded(life.blame), caps.admit(asked.peer) as life.ticket:
            async with open_scope("session", name, parent=parent) as life.scope:
                yield life
    finally:
        life.forget()
    life.check()
