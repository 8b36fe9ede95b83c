"""HlsSessions: who watches by HLS, told from requests, as clients that are counted and kicked.

HLS has no connection that lasts. A viewer is who asks for playlists of one stream from one
address with one program, or with one `session` in the query; gone when it has not asked for a
while. Media files have no session in their names, so caches in front may share them.
"""

from __future__ import annotations

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
from livetrio.net.scope import open_scope
from livetrio.packet import StreamKey

__all__ = ["HlsSessions"]

_GONE_AFTER: Final = 30.0
"""Seconds without a request; LL-HLS asks five times a second, plain players every segment."""
_KICKED_FOR: Final = 60.0
"""Seconds for which a kicked viewer is refused: it would come back with its next request."""
_MAX_KICKED: Final = 10_000
_MAX_NAME: Final = 64

_Who = tuple[StreamKey, str, str]


@dataclass(eq=False, slots=True)
class _Session:
    """One viewer; also the far end its client's numbers are read from."""

    address: str
    sent: int = 0
    life: trio.CancelScope = field(default_factory=trio.CancelScope)

    def numbers(self) -> Numbers:
        return Numbers(0, self.sent, 0, 0, 0)


class HlsSessions:
    """Each lives in the scope of the stream it watches."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._sessions: dict[_Who, _Session] = {}
        self._kicked: dict[_Who, float] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def asked(self, stream: Stream, exchange: Exchange) -> None:
        """Somebody asks for a playlist: a viewer that is there, or a new one.

        Raises:
            Refused: FORBIDDEN, kicked a moment ago.
        """
        who = _who(stream.key, exchange)
        if self._kicked.get(who, 0.0) > trio.current_time():
            raise Refused(RefusalCode.FORBIDDEN, "ended by an operator")
        session = self._sessions.get(who)
        if session is None:
            session = self._sessions[who] = _Session(str(exchange.connection))
            task = partial(self._live, stream, who, session, exchange.request)
            stream.scope.nursery.start_soon(task, name="hls viewer")
        session.life.deadline = trio.current_time() + _GONE_AFTER

    def sent(self, key: StreamKey, exchange: Exchange, size: int) -> None:
        """So many bytes went to this viewer, if it is one."""
        session = self._sessions.get(_who(key, exchange))
        if session is not None:
            session.sent += size

    async def _live(self, stream: Stream, who: _Who, session: _Session, request: Request) -> None:
        path, agent = request.path, request.agent
        try:
            async with open_scope("hls viewer", session.address, parent=stream.scope) as scope:
                client = Client("player", "hls", scope, endpoint=session, url=path, agent=agent)
                async with self._registry.subscribe(stream.key, client):
                    with session.life:
                        await trio.sleep_forever()
        finally:
            if self._sessions.get(who) is session:
                del self._sessions[who]
            if scope.reason and not stream.ending:
                self._kick(who)

    def _kick(self, who: _Who) -> None:
        now = trio.current_time()
        if len(self._kicked) >= _MAX_KICKED:
            self._kicked = {who: until for who, until in self._kicked.items() if until > now}
        if len(self._kicked) < _MAX_KICKED:
            self._kicked[who] = now + _KICKED_FOR


def _who(key: StreamKey, exchange: Exchange) -> _Who:
    request = exchange.request
    name = request.query.get("session", "")[:_MAX_NAME]
    return (key, "", name) if name else (key, exchange.connection.peer, request.agent)
