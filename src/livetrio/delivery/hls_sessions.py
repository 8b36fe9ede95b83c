"""HlsSessions: who watches by HLS, told from requests, as clients that are counted and kicked.

HLS has no connection that lasts. A viewer is who asks for playlists of one stream from one
address with one program, or with one `session` in the query; gone when it has not asked for a
while. Media files have no session in their names, so caches in front may share them. Of stored
media the playlist is asked for once: there the files' requests say that somebody is there.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import trio

from livetrio.errors import RefusalCode, Refused
from livetrio.media.client import Client, Numbers
from livetrio.media.registry import Registry
from livetrio.media.stream import Stream
from livetrio.net.exchange import Exchange
from livetrio.net.request import Request
from livetrio.net.scope import Scope, open_scope
from livetrio.packet import StreamKey

__all__ = ["HlsSession", "HlsSessions"]

_GONE_AFTER: Final = 30.0
"""Seconds without a request; LL-HLS asks five times a second, plain players every segment."""
_KICKED_FOR: Final = 60.0
"""Seconds for which a kicked viewer is refused: it would come back with its next request."""
_MAX_KICKED: Final = 10_000
_MAX_NAME: Final = 64
_MAX_PER_ADDRESS: Final = 200
"""Sessions that one address may name; beyond that it is one viewer, whatever names it gives."""
_ASKED_EVERY: Final = 1.0
"""Seconds between two notes that a viewer is there: moving a deadline is dear."""

_Person = tuple[StreamKey, str, str]
"""What is watched, and by whom: address and program, or a session's name."""
_Who = tuple[bool, StreamKey, str, str]
"""The same, and whether it is live: who watches yesterday's stream is no viewer of today's."""


@dataclass(eq=False, slots=True)
class HlsSession:
    """One viewer; also the far end its client's numbers are read from."""

    address: str
    peer: str
    sent: int = 0
    life: trio.CancelScope = field(default_factory=trio.CancelScope)
    asked_at: float = -math.inf
    ended: bool = False

    def asked(self, now: float) -> None:
        """It has made a request, at this Trio time."""
        if now - self.asked_at > _ASKED_EVERY:
            self.asked_at = now
            self.life.deadline = now + _GONE_AFTER

    def numbers(self) -> Numbers:
        return Numbers(0, self.sent, 0, 0, 0)


class HlsSessions:
    """Each lives in the scope of the stream it watches; of stored media, in the registry's."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._sessions: dict[_Who, HlsSession] = {}
        self._kicked: dict[_Person, float] = {}
        self._named: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._sessions)

    def asked(self, watched: Stream | StreamKey, exchange: Exchange) -> HlsSession:
        """Somebody asks for a playlist: a viewer that is there, or a new one.

        watched: the name alone where it is a file's.

        Raises:
            Refused: FORBIDDEN, kicked a moment ago.
        """
        stream, key = (watched, watched.key) if isinstance(watched, Stream) else (None, watched)
        who = self._who(stream is not None, key, exchange)
        if self._kicked.get(who[1:], 0.0) > trio.current_time():
            raise Refused(RefusalCode.FORBIDDEN, "ended by an operator")
        session = self._sessions.get(who)
        if session is None:
            peer = exchange.connection.peer
            session = self._sessions[who] = HlsSession(str(exchange.connection), peer)
            self._named[peer] += 1
            home = self._registry.scope if stream is None else stream.scope
            task = partial(self._live, home, stream, who, session, exchange.request)
            home.nursery.start_soon(task, name="hls viewer")
        session.asked(trio.current_time())
        return session

    def sent(self, key: StreamKey, exchange: Exchange, size: int) -> HlsSession | None:
        """So many bytes of a live stream went to this viewer, if it is one."""
        session = self._sessions.get(self._who(True, key, exchange))
        if session is not None:
            session.sent += size
        return session

    async def _live(
        self, home: Scope, stream: Stream | None, who: _Who, session: HlsSession, request: Request
    ) -> None:
        path, agent = request.path, request.agent
        try:
            async with open_scope("hls viewer", session.address, parent=home) as scope:
                client = Client("player", "hls", scope, endpoint=session, url=path, agent=agent)
                # Refused: the stream has ended since the request; there is nothing to be told.
                with suppress(Refused):
                    async with self._listed(stream, who[1], client):
                        with session.life:
                            await trio.sleep_forever()
        finally:
            session.ended = True
            if self._sessions.get(who) is session:
                del self._sessions[who]
            self._named[session.peer] -= 1
            if not self._named[session.peer]:
                del self._named[session.peer]
            if scope.reason and not (stream is not None and stream.ending):
                self._kick(who[1:])

    @asynccontextmanager
    async def _listed(
        self, stream: Stream | None, key: StreamKey, client: Client
    ) -> AsyncIterator[None]:
        if stream is None:
            with self._registry.attend(key, client):
                yield
        else:
            async with self._registry.subscribe(key, client):
                yield

    def _kick(self, who: _Person) -> None:
        now = trio.current_time()
        if len(self._kicked) >= _MAX_KICKED:
            self._kicked = {who: until for who, until in self._kicked.items() if until > now}
        if len(self._kicked) < _MAX_KICKED:
            self._kicked[who] = now + _KICKED_FOR

    def _who(self, live: bool, key: StreamKey, exchange: Exchange) -> _Who:
        request = exchange.request
        peer = exchange.connection.peer
        name = request.query.get("session", "")[:_MAX_NAME]
        is_there = (live, key, "", name) in self._sessions
        if name and (is_there or self._named[peer] < _MAX_PER_ADDRESS):
            return live, key, "", name
        known = (live, key, peer, request.agent) in self._sessions
        crowded = not known and self._named[peer] >= _MAX_PER_ADDRESS
        return live, key, peer, "" if crowded else request.agent
