"""Sessions: every WHIP and WHEP resource of the node, from its offer to its end.

One task per session, in the sessions' own nursery. Its life is a stack of blocks: a place among
those that wait, the stream, the rendition, the peer. Whoever ends the scope, be it DELETE, the
console, a timer or the peer itself, unwinds all of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import Protocol

import trio

from livetrio.access.gate import PublishGrant
from livetrio.access.throttle import one_peer
from livetrio.errors import RefusalCode, Refused
from livetrio.media.registry import Registry
from livetrio.media.rendition_stage import Claim
from livetrio.net.scope import Ended, Scope, end_scopes, open_scope
from livetrio.packet import StreamKey
from livetrio.webrtc.caps import PendingCaps
from livetrio.webrtc.editions import Editions, media_known
from livetrio.webrtc.engine import Engine
from livetrio.webrtc.selection import Selection
from livetrio.webrtc.session import Asked, Session
from livetrio.webrtc.session_life import SessionLife, session_life
from livetrio.webrtc.slots.meeting import Meeting

__all__ = ["SessionGate", "Sessions", "open_sessions"]

_Start = trio.TaskStatus[Session]


class SessionGate(Protocol):
    """The part of access/ that is needed here."""

    async def may_publish(
        self, app: str, name: str, token: str, query: Mapping[str, str], peer: str
    ) -> PublishGrant: ...

    async def may_play(
        self, app: str, name: str, query: Mapping[str, str], peer: str
    ) -> StreamKey: ...


class Sessions:
    """Made by `open_sessions`."""

    def __init__(
        self,
        scope: Scope,
        engine: Engine,
        registry: Registry,
        gate: SessionGate,
        editions: Editions,
        caps: PendingCaps,
        *,
        play_wait: float,
        connect_timeout: float,
    ) -> None:
        self.gate = gate
        self._engine = engine
        self._caps = caps
        self._scope = scope
        self._connect_timeout = connect_timeout
        self._registry = registry
        self._editions = editions
        self._play_wait = play_wait
        self._by_id: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def find(self, session_id: str) -> Session:
        """The session with this id.

        Raises:
            Refused: NOT_FOUND; a guess learns nothing.
        """
        session = self._by_id.get(session_id)
        if session is None:
            raise Refused(RefusalCode.NOT_FOUND, "there is no such session")
        return session

    async def publish(self, asked: Asked, offer: str) -> Session:
        """Answer a publisher's offer.

        The stream is taken over, or begins, when the peer is connected and not before: an
        attempt that never gets through its firewall must not end a working publisher.

        Raises:
            Refused: the gate's, CONFLICT, TOO_MANY, UNAVAILABLE.
            RemoteProtocolError, NotAcceptable: the offer's fault.
        """
        grant = await self.gate.may_publish(
            asked.app, asked.name, asked.token, asked.query, asked.peer
        )
        stream = self._registry.streams.get(grant.key)
        if stream is not None and stream.publication is not None and not grant.takeover:
            raise Refused(
                RefusalCode.CONFLICT,
                f"stream {grant.key} is being published already",
                hint="override_publisher: always lets a second publisher take over",
            )
        return await self._start(partial(self._publish, asked, grant, offer))

    async def play(self, asked: Asked, offer: str | None, selection: Selection) -> Session:
        """Answer a viewer's offer, or (None) make one.

        Raises:
            Refused: the gate's, NOT_FOUND (after `play_wait`), TOO_MANY, UNAVAILABLE (no
                rendition, no media yet).
            RemoteProtocolError, NotAcceptable: the offer's fault.
        """
        query = {**asked.query, "token": asked.token} if asked.token else asked.query
        key = await self.gate.may_play(asked.app, asked.name, query, asked.peer)
        return await self._start(partial(self._play, asked, key, offer, selection))

    async def attend(self, asked: Asked, offer: str | None, meeting: Meeting, user: str) -> Session:
        """Answer the offer of somebody who receives a room, or (None) make one.

        Args:
            asked: who asks; whether he may is settled.
            offer: SDP.
            meeting: the room.
            user: who it is, to be sent everybody but himself; "" for nobody known.

        Raises:
            Refused: GONE, TOO_MANY, UNAVAILABLE.
            RemoteProtocolError, NotAcceptable: the offer's fault.
        """
        return await self._start(partial(self._attend, asked, offer, meeting, user))

    async def end(self, session: Session, reason: str) -> Ended:
        """End a session as its peer wishes; returns when all below it is gone."""
        session.finish()
        return await end_scopes([session.scope], reason)

    async def _start(self, run: Callable[..., Awaitable[None]]) -> Session:
        session: Session = await self._scope.nursery.start(run)
        return session

    async def _publish(
        self,
        asked: Asked,
        grant: PublishGrant,
        offer: str,
        *,
        task_status: _Start = trio.TASK_STATUS_IGNORED,
    ) -> None:
        name = f"{asked.protocol} publish {grant.key}"
        async with self._life(name, asked, task_status) as life:
            session = life.session("publish", grant.key)
            session.proven = grant.proven
            session.client.user = grant.user
            session.answered.set()
            async with self._engine.receive(offer, name=name, ip=asked.peer) as link:
                if not await life.connects(link):
                    return
                grant.confirm()  # it is from before the peer connected
                async with self._registry.publish(
                    grant.key, session.client, takeover=grant.takeover
                ) as publication:
                    session.publication = publication
                    try:
                        await link.run(publication)
                    finally:
                        # Before the stream is told that its publisher left, and why.
                        life.end_as(link)

    async def _play(
        self,
        asked: Asked,
        key: StreamKey,
        offer: str | None,
        selection: Selection,
        *,
        task_status: _Start = trio.TASK_STATUS_IGNORED,
    ) -> None:
        name = f"{asked.protocol} play {key}"
        async with self._life(name, asked, task_status) as life:
            session = life.session("play", key, selection)
            async with self._registry.subscribe(
                key, session.client, wait=self._play_wait
            ) as stream:
                await media_known(stream)
                session.stream = stream
                claim = Claim(one_peer(asked.peer), life.ticket.pending)
                async with (
                    self._editions.for_browser(stream, asked.query, claim) as edition,
                    self._engine.send(
                        offer, stream, edition, selection, name=name, ip=asked.peer
                    ) as link,
                ):
                    session.sending = link
                    if offer is not None:
                        session.answered.set()
                    if await life.connects(link):
                        await link.run()
                    life.end_as(link)

    async def _attend(
        self,
        asked: Asked,
        offer: str | None,
        meeting: Meeting,
        user: str,
        *,
        task_status: _Start = trio.TASK_STATUS_IGNORED,
    ) -> None:
        key, feed = meeting.key, meeting.feed
        name = f"{asked.protocol} room {key}"
        async with self._life(name, asked, task_status, parent=meeting.scope) as life:
            session = life.session("play", key)
            session.client.user = user
            session.proven = bool(user)
            with self._registry.attend(key, session.client), feed.guest(life.scope):
                async with self._engine.send_room(
                    offer, feed, user, name=name, ip=asked.peer
                ) as link:
                    session.sending = session.attending = link
                    if offer is not None:
                        session.answered.set()
                    try:
                        if await life.connects(link):
                            with meeting.attended(user) if user else nullcontext():
                                await link.run()
                    finally:
                        life.end_as(link)

    def _life(
        self, name: str, asked: Asked, task_status: _Start, *, parent: Scope | None = None
    ) -> AbstractAsyncContextManager[SessionLife]:
        return session_life(
            name,
            asked,
            task_status,
            parent=parent or self._scope,
            caps=self._caps,
            table=self._by_id,
            patience=self._connect_timeout,
        )


@asynccontextmanager
async def open_sessions(
    engine: Engine,
    registry: Registry,
    gate: SessionGate,
    editions: Editions,
    *,
    caps: PendingCaps | None = None,
    play_wait: float = 5.0,
    connect_timeout: float = 10.0,
) -> AsyncIterator[Sessions]:
    """The sessions, with the nursery they live in; leaving the block ends them all.

    Args:
        engine: what speaks to browsers.
        registry: where streams are.
        gate: who may.
        editions: renditions in codecs that WebRTC has.
        caps: on sessions that are not connected yet.
        play_wait: seconds an early viewer waits for its publisher.
        connect_timeout: seconds from the answer (or our offer) until ICE and DTLS are through.
    """
    async with open_scope("webrtc", engine.name, aside=True) as scope:
        yield Sessions(
            scope,
            engine,
            registry,
            gate,
            editions,
            caps or PendingCaps(),
            play_wait=play_wait,
            connect_timeout=connect_timeout,
        )
