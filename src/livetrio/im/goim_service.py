"""GoimService: goim clients on TCP and on WebSocket `/sub`, from their first frame to the last.

A conversation is AUTH, then heartbeats, changes of room and of accepted operations; pushes come
from the hub. goim has no word for errors: whoever is refused is disconnected, and the reason is
in the log. Better than goim: tokens are checked, nothing is dropped before a client is really
slow, and a client that does not read its replies is not read either.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

import trio

from livetrio.errors import RefusalCode, Refused, RemoteProtocolError
from livetrio.im.goim_heartbeat import Heartbeats
from livetrio.im.goim_rooms import channel_of_room
from livetrio.im.goim_session import GoimSession
from livetrio.im.goim_transport import TcpFrames, Transport, WebSocketFrames
from livetrio.im.goim_views import goim_view
from livetrio.im.hub import Hub
from livetrio.im.identity import Identity
from livetrio.im.member import Member
from livetrio.im.words import Goodbye, Sender
from livetrio.logs import get_logger
from livetrio.net.connection import Connection
from livetrio.net.exchange import Exchange
from livetrio.net.http import Route
from livetrio.net.websocket import accept_websocket
from livetrio.wire.goim.compressed import unpacked
from livetrio.wire.goim.frame import MAX_PACKAGE, Frame, Operation, Version
from livetrio.wire.goim.login import Dialect, Login, read_login

__all__ = ["GoimPolicy", "GoimService", "Identify", "member_id"]

log = get_logger(__name__)

Identify = Callable[[Login, str, str], Awaitable[Identity]]
"""Who this login is: (login, connection's id, peer's IP address); raises Refused. See
`goim_identity.GoimIdentities`."""

_PATH = "/sub"
_MAX_STRANGE = 16
"""Frames before AUTH that are skipped, as goim skips them for ever."""
_BATCH = 64
"""Frames answered before others run, those in compressed packages counted one by one."""
_MAX_PACKED = 64
"""Frames in one compressed package of a client: 174 bytes of zlib could hold 4,000."""
_MAX_REPLIES = 64 << 10
"""Bytes of replies a client may leave unread before it is no longer read."""
_MAX_SHARED = 1000
_PLAIN = frozenset(bytes([byte]) for byte in b'{"[ 0123456789')
"""How a login that is not compressed may begin; zlib's streams begin with "x"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoimPolicy:
    """goim's times (its example configuration), and what is ours."""

    handshake: float = 8.0
    """Seconds until AUTH."""
    heartbeat: float = 240.0
    """Seconds between two heartbeats, as clients are told by nodes/weighted."""
    heartbeat_max: int = 2
    """Heartbeats missed before a connection is closed."""
    bilibili_patience: float = 70.0
    """Seconds a Bilibili client, which beats every 30 s, may be silent."""
    subscribers: int = 16
    """Connections one v1 key (its user's number) may have."""
    shared_keys: bool = True
    """May a connection take over the key of another user's? True where `mid` is trusted, and
    nobody knows who anybody is. Otherwise those without a user have no key of their choice."""


@dataclass(slots=True)
class _Opening:
    """What a session begins with."""

    session: GoimSession
    room: str
    channels: Sequence[str]
    reply: Frame
    rest: Sequence[Frame] = ()
    """What came behind AUTH."""


class GoimService:
    """Made by the composition root; somebody has to start `run`."""

    def __init__(self, hub: Hub, identify: Identify, policy: GoimPolicy | None = None) -> None:
        self._hub = hub
        self._identify = identify
        self._policy = policy = policy or GoimPolicy()
        self._accepts: dict[frozenset[int], frozenset[int]] = {}
        self._beats = Heartbeats(policy.heartbeat * policy.heartbeat_max)
        self._bilibili_beats = Heartbeats(policy.bilibili_patience)

    @property
    def policy(self) -> GoimPolicy:
        """As it was given."""
        return self._policy

    async def run(self) -> None:
        """Watch heartbeats, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._beats.run, name="goim heartbeats")
            nursery.start_soon(self._bilibili_beats.run, name="bilibili heartbeats")

    def routes(self) -> list[Route]:
        """For the IM port: `/sub`."""
        return [Route(frozenset({"GET"}), _PATH.__eq__, self._upgrade)]

    def serve_tcp(self, connection: Connection) -> Awaitable[None]:
        """The handler of the TCP port."""
        return self._serve(connection, TcpFrames(connection))

    async def _upgrade(self, exchange: Exchange) -> None:
        websocket = accept_websocket(exchange, max_size=MAX_PACKAGE, deflate=True)
        connection = exchange.connection
        exchange.go_on(lambda: self._serve(connection, WebSocketFrames(websocket)))

    async def _serve(self, connection: Connection, transport: Transport) -> None:
        session: GoimSession | None = None
        try:
            opening = await self._hear_login(connection, transport)
            if opening is None:
                return
            session = opening.session
            self._heartbeats(session).add(session)
            with self._hub.present(session):
                await self._begin(opening)
                del opening  # what an idle connection holds is counted in bytes: no locals here
                while await self._go_on(session, transport.frames(await transport.receive())):
                    pass
        except (Refused, RemoteProtocolError) as error:
            transport.dismiss(str(error))
            raise
        finally:
            if session is not None:
                self._heartbeats(session).discard(session)

    async def _hear_login(self, connection: Connection, transport: Transport) -> _Opening | None:
        """All that a session begins with; None if the peer has left before."""
        strange = 0
        with trio.move_on_after(self._policy.handshake):
            while (frames := transport.frames(await transport.receive())) is not None:
                for index, frame in enumerate(frames):
                    if frame.operation == Operation.AUTH:
                        opening = await self._admit(connection, transport, frame)
                        opening.rest = frames[index + 1 :]
                        return opening
                    log.debug("skipped before AUTH", peer=str(connection), op=frame.operation)
                    strange += 1
                    if strange > _MAX_STRANGE:
                        raise RemoteProtocolError(f"goim: {strange} frames before AUTH")
            return None
        raise RemoteProtocolError(f"goim: no AUTH within {self._policy.handshake:g} s")

    async def _admit(self, connection: Connection, transport: Transport, frame: Frame) -> _Opening:
        login = _login_of(frame, json=transport.json)
        id_ = member_id(login.key or secrets.token_urlsafe(12))
        identity = await self._identify(login, id_, connection.peer)
        if not identity.user and not self._policy.shared_keys:
            # Whoever may say any key would get what is pushed to it, and keep its owner out.
            id_ = member_id(f"guest-{secrets.token_urlsafe(12)}")
        sender = identity.sender(id_, connection.peer)
        self._check_key(id_, sender, login)
        view = goim_view(
            login,
            websocket=transport.websocket,
            deflate=transport.deflate,
            json=transport.json,
            arrays=transport.arrays,
        )
        session = GoimSession(id_, sender, view, connection, login, websocket=transport.websocket)
        session.expires = identity.expires
        session.watched = self._shared(login.accepts)
        reply = Frame(frame.version, Operation.AUTH_REPLY, frame.sequence, view.accepted)
        return _Opening(session, login.room, identity.channels, reply)

    async def _begin(self, opening: _Opening) -> None:
        """Into the room, with the reply to AUTH; then into the channels that the token names."""
        session = opening.session
        await self._enter(session, opening.room, session.view.reply(opening.reply))
        for channel in opening.channels:
            if channel == session.room:
                continue
            try:
                joined = await self._hub.join(session, channel)
            except Refused as refusal:
                # Banned from one room is no reason to be kept out of all others.
                if refusal.code is not RefusalCode.FORBIDDEN:
                    raise
                log.info("left out", user=session.sender.user, room=channel, why=refusal.reason)
            else:
                if joined.publications:
                    session.outbox.send(session.view.batch(channel, joined.publications))
        await self._go_on(session, opening.rest)

    def _shared(self, accepts: frozenset[int]) -> frozenset[int]:
        """The same object for all that accept the same: most clients of a site do."""
        if len(self._accepts) >= _MAX_SHARED:
            self._accepts.clear()
        return self._accepts.setdefault(accepts, accepts)

    def _check_key(self, id_: str, sender: Sender, login: Login) -> None:
        """May this login have this key?

        Raises:
            Refused: CONFLICT, it is another user's; TOO_MANY connections of a v1 key.
        """
        other = self._hub.members.get(id_)
        mine = other is None or (other.sender.user == sender.user and sender.user)
        if not mine and not self._policy.shared_keys:
            raise Refused(RefusalCode.CONFLICT, "the key is in use by another user")
        if login.dialect is Dialect.V1 and sender.user:
            members = self._hub.members.of_user(sender.user)
            if sum(1 for member in members if _is_v1(member)) >= self._policy.subscribers:
                raise Refused(RefusalCode.TOO_MANY, "too many connections of this user")

    async def _enter(self, session: GoimSession, room: str, reply: bytes) -> None:
        """Into a room ("": none), and say so: the reply comes before the room's first message.

        Raises:
            Refused: the room's name, a ban, a limit.
        """
        if room:
            channel = channel_of_room(room)
            if not self._hub.namespaces.admits(channel, session.sender.user):
                raise Refused(RefusalCode.FORBIDDEN, "the room is private")
            joined = await self._hub.join(session, channel)
            session.room = channel
            if joined.publications:
                reply += session.view.batch(channel, joined.publications)
        session.outbox.send(reply)

    async def _go_on(self, session: GoimSession, frames: Sequence[Frame] | None) -> bool:
        """Answer these frames; False at the end of the stream."""
        if frames is None:
            return False
        bilibili = session.dialect is Dialect.BILIBILI
        answered = 0
        for packed in frames:
            for frame in _unpacked(packed) if bilibili else (packed,):
                await self._answer(session, frame)
                answered += 1
                if answered % _BATCH == 0:
                    await trio.lowlevel.checkpoint()
                    await self._be_read(session)
        await self._be_read(session)
        return True

    async def _be_read(self, session: GoimSession) -> None:
        """Wait until the client has read its replies, if too many of them wait."""
        if session.outbox.queued > _MAX_REPLIES:
            await session.flushed()

    async def _answer(self, session: GoimSession, frame: Frame) -> None:
        if frame.operation == Operation.CHANGE_ROOM:
            if not session.may_move(trio.current_time()):
                raise RemoteProtocolError("goim: changes rooms too often")
            await self._change_room(session, frame)
            return
        online = 0
        if frame.operation == Operation.HEARTBEAT:
            if time.time() >= session.expires:
                session.on_goodbye(Goodbye.EXPIRED, Goodbye.EXPIRED.reason)
                return
            self._heartbeats(session).heard(session)
            room = self._hub.channels.find(session.room)
            online = len(room.members) if room is not None else 0
        session.answer(frame, online)

    async def _change_room(self, session: GoimSession, frame: Frame) -> None:
        room = _text(frame.body)
        reply = session.view.reply(
            Frame(frame.version, Operation.CHANGE_ROOM_REPLY, frame.sequence, frame.body)
        )
        if room and channel_of_room(room) == session.room:
            session.outbox.send(reply)
            return
        if session.room:
            self._hub.leave(session, session.room)
            session.room = ""
        await self._enter(session, room, reply)

    def _heartbeats(self, session: GoimSession) -> Heartbeats:
        return self._bilibili_beats if session.dialect is Dialect.BILIBILI else self._beats


def member_id(key: str) -> str:
    """A key as the hub knows it: apart from other protocols' connections, whose ids a client
    could otherwise take for its key."""
    return f"goim:{key}"


def _login_of(frame: Frame, *, json: bool) -> Login:
    """A compressed AUTH is Bilibili's; goim gives the version no meaning, so look first."""
    if frame.version in {Version.ZLIB, Version.BROTLI} and frame.body[:1] not in _PLAIN:
        for inner in _unpacked(frame):
            if inner.operation == Operation.AUTH:
                return read_login(inner.body)
        raise RemoteProtocolError("goim: a compressed AUTH without one in it")
    return read_login(frame.body, v1=json)


def _unpacked(packed: Frame) -> Iterator[Frame]:
    """The frames of a client's package, which may be compressed.

    Raises:
        RemoteProtocolError: it is broken, or holds more than _MAX_PACKED.
    """
    for number, frame in enumerate(unpacked(packed)):
        if number == _MAX_PACKED:
            raise RemoteProtocolError(f"goim: over {_MAX_PACKED} frames in a compressed package")
        yield frame


def _is_v1(member: Member) -> bool:
    return isinstance(member, GoimSession) and member.dialect is Dialect.V1


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise RemoteProtocolError("goim: a room id that is not UTF-8") from None
