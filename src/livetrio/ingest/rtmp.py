"""RTMP: one conversation, told from top to bottom: it may publish, or play, or both."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field

import trio

from livetrio.access.gate import Gate
from livetrio.errors import RefusalCode, Refused, RemoteProtocolError
from livetrio.ingest.rtmp_activities import Playing, Publishing
from livetrio.ingest.rtmp_formats import takes_opus
from livetrio.ingest.vod import StoredPlay
from livetrio.logs import get_logger
from livetrio.media.client import Client, Role
from livetrio.media.needs import legacy_audio
from livetrio.media.registry import Registry
from livetrio.media.renditions import Renditions
from livetrio.media.vod.library import Library
from livetrio.net.beat import Beat
from livetrio.net.connection import Connection
from livetrio.net.fanout import Pacer
from livetrio.net.idle import idle_watched
from livetrio.packet import StreamKey
from livetrio.wire.rtmp.events import (
    CloseReason,
    ConnectRequested,
    Declined,
    Disconnected,
    Event,
    MediaReceived,
    PauseRequested,
    PlayRequested,
    PublishRequested,
    ReceiveAudio,
    ReceiveVideo,
    SeekRequested,
    StreamClosed,
    UnknownCommand,
)
from livetrio.wire.rtmp.session import ServerSession

__all__ = ["RtmpService", "reading_pacer"]

log = get_logger(__name__)

_COMMAND_BURST = 1000
_COMMAND_RATE = 20.0
"""Commands a client may send: so many at once, so many a second for ever."""
_LONGEST_PAUSE = 0.04
_SHORTEST_PAUSE = 0.01
"""Seconds a publisher's input gathers before it is read, when there are many: at most a frame's
time at 25 fps; and none at all where the timer would cost more than it saves."""


def reading_pacer(beat: Beat | None) -> Pacer:
    """What divides the time spent on reading among all publishers of a node."""
    return Pacer(cap=_LONGEST_PAUSE, shortest=_SHORTEST_PAUSE, beat=beat)


@dataclass(frozen=True, slots=True)
class RtmpService:
    """What every RTMP connection needs. Its `serve` is the listener's handler."""

    registry: Registry
    gate: Gate
    play_wait: float = 5.0
    """Seconds a player waits for its publisher."""
    read_timeout: float = 10.0
    """Seconds without a byte after which a publisher is gone; also for a client that does
    nothing at all to come to the point."""
    renditions: Renditions = field(default_factory=Renditions)
    """Where AAC comes from for players of what browsers publish."""
    library: Library = field(default_factory=lambda: Library({}))
    """The files that applications with a folder play by name."""
    pacer: Pacer = field(default_factory=lambda: reading_pacer(None))
    """Divides the time spent on reading among all publishers: many are read less often."""

    async def serve(self, connection: Connection) -> None:
        """Hold one conversation until either side ends it."""
        await _Conversation(self, connection).run()


class _Conversation:
    def __init__(self, service: RtmpService, connection: Connection) -> None:
        self._service = service
        self._connection = connection
        self._session = ServerSession()
        self._protocol = "rtmps" if connection.is_tls else "rtmp"
        self._publishing: dict[int, Publishing] = {}
        self._playing: dict[int, Playing] = {}
        self._stored: dict[int, StoredPlay] = {}
        self._client = ConnectRequested("", "", "", "", {})
        self._declined = 0
        self._patience = trio.CancelScope()
        self._pause = 0.0
        self._rejoining: set[int] = set()  # streams whose players want something else now
        self._commands = 0
        self._begun = trio.current_time()

    async def run(self) -> None:
        self._be_patient()
        try:
            with self._patience:
                while await self._exchange():
                    pass
            if self._patience.cancelled_caught:
                raise RemoteProtocolError(self._impatience())
        except trio.Cancelled:
            if self._publishing:
                self._session.kick(self._connection.scope.reason or "closed by the server")
                self._reply()
            raise
        except RemoteProtocolError:
            self._reply()  # it may say why
            raise
        finally:
            self._service.pacer.forget(self)
            async with AsyncExitStack() as rest:
                for publishing in self._publishing.values():
                    rest.push_async_exit(publishing.scope)
                for playing in self._playing.values():
                    rest.push_async_exit(playing.scope)
                for stored in self._stored.values():
                    rest.push_async_exit(stored.scope)

    async def _exchange(self) -> bool:
        """One read, and all that follows from it; False at the end."""
        if self._pause:
            await self._service.pacer.rest(self._pause)
        data = await self._connection.receive(eager=self._pause > 0)
        begun = time.thread_time()
        for event in self._session.feed(data):
            if type(event) is MediaReceived:
                if publishing := self._publishing.get(event.stream_id):
                    publishing.take(event)
            else:
                self._flush()
                self._count_command()
                await self._handle(event)
                await trio.lowlevel.checkpoint()  # thousands of commands fit into one read
                begun = time.thread_time()  # what others did meanwhile is not ours
        self._flush()
        self._reply()
        for stream_id in self._rejoining:  # once, however often the player changed its mind
            if playing := self._playing.get(stream_id):
                playing.watch()
        self._rejoining.clear()
        spent = time.thread_time() - begun
        pacer = self._service.pacer
        self._pause = pacer.window(self, spent) if self._publishing else 0.0
        return bool(data)

    def _count_command(self) -> None:
        """Each may cost a feed of its own; people and players ask for a few in a minute."""
        self._commands += 1
        age = trio.current_time() - self._begun
        if self._commands > _COMMAND_BURST + _COMMAND_RATE * age:
            raise RemoteProtocolError("too many commands")

    def _flush(self) -> None:
        for publishing in self._publishing.values():
            publishing.flush()
            if publishing.demuxer.dropped != publishing.dropped:
                self._complain(publishing)

    def _complain(self, publishing: Publishing) -> None:
        """The first broken frame of a publisher is worth a line, then every power of two."""
        before, dropped = publishing.dropped, publishing.demuxer.dropped
        publishing.dropped = dropped
        if _is_news(before, dropped):
            log.warning(
                "media dropped",
                peer=str(self._connection),
                stream=str(publishing.publication.stream.key),
                count=dropped,
                reason=publishing.demuxer.last_reason,
            )

    def _reply(self) -> None:
        self._connection.outbox.send(self._session.take())

    async def _handle(self, event: Event) -> None:
        match event:
            case ConnectRequested():
                self._client = event
                self._session.accept_connect()
            case PublishRequested():
                with self._answered(event):
                    await self._publish(event)
            case PlayRequested():
                with self._answered(event):
                    await self._play(event)
            case PauseRequested(stream_id=stream_id, paused=paused):
                if (playing := self._playing.get(stream_id)) and self._session.accept(event):
                    self._reply()
                    if playing.paused != paused:  # else it would be sent all it has once more
                        playing.paused = paused
                        self._rejoining.add(stream_id)
                elif (stored := self._stored.get(stream_id)) and self._session.accept(event):
                    self._reply()
                    stored.pause(paused=paused)
            case SeekRequested(stream_id=stream_id, position_ms=position):
                if self._session.accept(event) and (stored := self._stored.get(stream_id)):
                    self._reply()
                    stored.seek(position)  # a live stream stays where it is
            case ReceiveAudio(stream_id=stream_id, enabled=enabled):
                if (playing := self._playing.get(stream_id)) and playing.audio != enabled:
                    playing.audio = enabled
                    self._rejoining.add(stream_id)
                if stored := self._stored.get(stream_id):
                    stored.audio = enabled
            case ReceiveVideo(stream_id=stream_id, enabled=enabled):
                if (playing := self._playing.get(stream_id)) and playing.video != enabled:
                    playing.video = enabled
                    self._rejoining.add(stream_id)
                if stored := self._stored.get(stream_id):
                    stored.video = enabled
            case StreamClosed(stream_id=stream_id, reason=reason):
                await self._close(stream_id, reason)
            case Declined(command=command, reason=reason):
                self._note_decline(command, reason)
            case UnknownCommand(name=name):
                log.debug("unknown command", peer=str(self._connection), command=name)
            case Disconnected(reason=reason) if reason:
                log.info("peer left", peer=str(self._connection), reason=reason)
            case _:
                pass
        self._reply()

    @contextmanager
    def _answered(self, request: PublishRequested | PlayRequested) -> Iterator[None]:
        """A refusal reaches the client as its request's status; then the guard logs and closes."""
        try:
            yield
        except Refused as refused:
            self._session.reject(request, refused.code, refused.reason)
            self._reply()
            raise

    async def _publish(self, request: PublishRequested) -> None:
        service, connection = self._service, self._connection
        query = self._client.query | request.query
        grant = await service.gate.may_publish(request.app, request.name, query, connection.peer)
        client = self._describe("publisher", grant.key)
        async with AsyncExitStack() as scope:
            publication = await scope.enter_async_context(
                service.registry.publish(grant.key, client, takeover=grant.takeover)
            )
            if self._session.accept(request):
                await scope.enter_async_context(idle_watched(connection, service.read_timeout))
                self._publishing[request.stream_id] = Publishing(publication, scope.pop_all())
        self._be_patient()

    async def _play(self, request: PlayRequested) -> None:
        service, connection = self._service, self._connection
        query = self._client.query | request.query
        key = await service.gate.may_play(request.app, request.name, query, connection.peer)
        stored = key.app in service.library.apps and key not in service.registry.streams
        if stored and await self._play_stored(request, key):
            return
        client = self._describe("player", key)
        self._patience.deadline = float("inf")  # now it is us who make the client wait
        async with AsyncExitStack() as scope:
            stream = await scope.enter_async_context(
                service.registry.subscribe(key, client, wait=service.play_wait)
            )
            audio = legacy_audio(
                stream, query.get("audio", ""), takes_opus=takes_opus(self._client.fourcc)
            )
            edition = await scope.enter_async_context(service.renditions.open(stream, audio=audio))
            if self._session.accept(request):
                self._reply()
                playing = Playing(
                    edition,
                    request.stream_id,
                    connection,
                    scope.pop_all(),
                    self._play_ended,
                    self._client.multitrack,
                )
                playing.scope.callback(playing.watching.close)
                self._playing[request.stream_id] = playing
                playing.watch()
        self._be_patient()

    async def _play_stored(self, request: PlayRequested, key: StreamKey) -> bool:
        """Play a file of this name; False if there is none, but maybe a stream to come."""
        service = self._service
        async with AsyncExitStack() as scope:
            try:
                opened = await scope.enter_async_context(service.library.open(key))
            except Refused as refused:
                if refused.code is RefusalCode.NOT_FOUND and service.gate.is_live(key.app):
                    return False
                raise
            if self._session.accept(request):
                self._reply()
                stored = StoredPlay(
                    opened, request, self._connection, scope.pop_all(), self._play_ended
                )
                self._stored[request.stream_id] = stored
                stored.begin()
        self._be_patient()
        return True

    def _play_ended(self, playing: Playing | StoredPlay, reason: str) -> None:
        """Its stream is over, and said so. The connection is too, unless it has more to do: a
        Flash client talks and listens to several people on one."""
        if isinstance(playing, StoredPlay):  # nobody else has said the goodbye for all
            self._session.end_play(playing.stream_id, reason)
            self._reply()
        if self._publishing or len(self._playing) + len(self._stored) > 1:
            # The session is not told: what the client still says to this stream, it answers.
            self._playing.pop(playing.stream_id, None)
            self._stored.pop(playing.stream_id, None)
            self._connection.scope.nursery.start_soon(playing.scope.aclose, name="end of play")
        else:
            self._connection.outbox.finish(reason)

    async def _close(self, stream_id: int, reason: CloseReason) -> None:
        if publishing := self._publishing.pop(stream_id, None):
            self._service.pacer.forget(self)
            publishing.flush()
            if reason is not CloseReason.DISCONNECTED:
                publishing.publication.finish()
            await publishing.scope.aclose()
        if playing := self._playing.pop(stream_id, None):
            await playing.scope.aclose()
        if stored := self._stored.pop(stream_id, None):
            await stored.scope.aclose()
        self._be_patient()

    def _describe(self, role: Role, key: StreamKey) -> Client:
        # As livego shows it, but by the room's name: what was asked for may be its secret key.
        host = self._client.tc_url.partition("://")[2].partition("/")[0].partition("?")[0]
        return Client(
            role,
            self._protocol,
            self._connection.scope,
            self._connection,
            url=f"{self._protocol}://{host}/{key}" if host else str(key),
            agent=self._client.flash_ver[:120],
        )

    def _be_patient(self) -> None:
        """A client that neither publishes nor plays has a while to come to the point."""
        busy = self._publishing or self._playing or self._stored
        self._patience.deadline = (
            float("inf") if busy else trio.current_time() + self._service.read_timeout
        )

    def _note_decline(self, command: str, reason: str) -> None:
        """The session said no by itself. A peer that goes on asking is no flood of lines."""
        self._declined += 1
        if _is_news(self._declined - 1, self._declined):
            log.warning(
                "declined",
                peer=str(self._connection),
                command=command,
                reason=reason,
                count=self._declined,
            )

    def _impatience(self) -> str:
        if not self._session.handshaken:
            return "handshake not finished in time"
        return "neither published nor played anything in time"


def _is_news(before: int, now: int) -> bool:
    """Of a count that grows: has it reached 1, 2, 4, 8 ... since it was last looked at?"""
    return now.bit_length() > before.bit_length()
