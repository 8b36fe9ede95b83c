"""MessageStreams: what one RTMP connection does on its message streams: begun, changed, ended."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from livetrio.access.gate import Gate
from livetrio.errors import RefusalCode, Refused
from livetrio.ingest.rtmp_activities import Playing, Publishing
from livetrio.ingest.rtmp_formats import takes_opus
from livetrio.ingest.vod import StoredPlay
from livetrio.logs import get_logger
from livetrio.media.client import Client, Role
from livetrio.media.needs import legacy_audio
from livetrio.media.registry import Registry
from livetrio.media.renditions import Renditions
from livetrio.media.vod.library import Library
from livetrio.net.connection import Connection
from livetrio.net.idle import idle_watched
from livetrio.packet import StreamKey
from livetrio.wire.rtmp.events import (
    CloseReason,
    ConnectRequested,
    MediaReceived,
    PauseRequested,
    PlayRequested,
    PublishRequested,
    ReceiveAudio,
    ReceiveVideo,
    SeekRequested,
)
from livetrio.wire.rtmp.session import ServerSession

__all__ = ["MessageStreams", "RtmpHost", "is_news"]

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RtmpHost:
    """What is published to and played from, the same for all connections."""

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


class MessageStreams:
    """Of one connection. `aclose` ends them all, and must be called.

    Attributes:
        client: what the peer has said of itself.
        publishing, playing, stored: what goes on, by message stream id.
    """

    def __init__(self, host: RtmpHost, connection: Connection, session: ServerSession) -> None:
        self.client = ConnectRequested("", "", "", "", {})
        self.publishing: dict[int, Publishing] = {}
        self.playing: dict[int, Playing] = {}
        self.stored: dict[int, StoredPlay] = {}
        self._host = host
        self._connection = connection
        self._session = session
        self._protocol = "rtmps" if connection.is_tls else "rtmp"
        self._rejoining: set[int] = set()  # those whose players want something else now

    @property
    def busy(self) -> bool:
        """Does anything go on?"""
        return bool(self.publishing or self.playing or self.stored)

    async def aclose(self) -> None:
        """End everything."""
        async with AsyncExitStack() as rest:
            for publishing in self.publishing.values():
                rest.push_async_exit(publishing.scope)
            for playing in self.playing.values():
                rest.push_async_exit(playing.scope)
            for stored in self.stored.values():
                rest.push_async_exit(stored.scope)

    async def publish(self, request: PublishRequested) -> None:
        """Begin to publish.

        Raises:
            Refused: it may not.
        """
        host, connection = self._host, self._connection
        query = self.client.query | request.query
        grant = await host.gate.may_publish(request.app, request.name, query, connection.peer)
        client = self._describe("publisher", grant.key)
        client.user = grant.user
        async with AsyncExitStack() as scope:
            publication = await scope.enter_async_context(
                host.registry.publish(grant.key, client, takeover=grant.takeover)
            )
            if self._session.accept(request):
                await scope.enter_async_context(idle_watched(connection, host.read_timeout))
                self.publishing[request.stream_id] = Publishing(publication, scope.pop_all())

    async def play(self, request: PlayRequested) -> None:
        """Begin to play: a live stream, or a file where no stream has that name.

        Raises:
            Refused: it may not, or there is nothing.
        """
        host, connection = self._host, self._connection
        query = self.client.query | request.query
        key = await host.gate.may_play(request.app, request.name, query, connection.peer)
        stored = key.app in host.library.apps and not host.registry.has(key)
        if stored and await self._play_stored(request, key):
            return
        client = self._describe("player", key)
        async with AsyncExitStack() as scope:
            stream = await scope.enter_async_context(
                host.registry.subscribe(key, client, wait=host.play_wait)
            )
            audio = legacy_audio(
                stream, query.get("audio", ""), takes_opus=takes_opus(self.client.fourcc)
            )
            edition = await scope.enter_async_context(host.renditions.open(stream, audio=audio))
            if self._session.accept(request):
                self.reply()
                playing = Playing(
                    edition,
                    request.stream_id,
                    connection,
                    scope.pop_all(),
                    self._play_ended,
                    self.client.multitrack,
                )
                playing.scope.callback(playing.watching.close)
                self.playing[request.stream_id] = playing
                playing.watch()

    async def _play_stored(self, request: PlayRequested, key: StreamKey) -> bool:
        """Play a file of this name; False if there is none, but maybe a stream to come."""
        host = self._host
        async with AsyncExitStack() as scope:
            try:
                opened = await scope.enter_async_context(host.library.open(key))
            except Refused as refused:
                if refused.code is RefusalCode.NOT_FOUND and host.gate.is_live(key.app):
                    return False
                raise
            if self._session.accept(request):
                self.reply()
                scope.enter_context(host.registry.attend(key, self._describe("player", key)))
                stored = StoredPlay(
                    opened, request, self._connection, scope.pop_all(), self._play_ended
                )
                self.stored[request.stream_id] = stored
                stored.begin()
        return True

    def take(self, media: MediaReceived) -> None:
        """Keep a message of media until `flush`; what belongs to no publication is dropped."""
        if publishing := self.publishing.get(media.stream_id):
            publishing.take(media)

    def flush(self) -> None:
        """Publish what was taken: all of one socket read at once."""
        for publishing in self.publishing.values():
            publishing.flush()
            if publishing.demuxer.dropped != publishing.dropped:
                self._complain(publishing)

    def pause(self, request: PauseRequested) -> None:
        """Stop sending, or go on."""
        stream_id, paused = request.stream_id, request.paused
        if (playing := self.playing.get(stream_id)) and self._session.accept(request):
            self.reply()
            if playing.paused != paused:  # else it would be sent all it has once more
                playing.paused = paused
                self._rejoining.add(stream_id)
        elif (stored := self.stored.get(stream_id)) and self._session.accept(request):
            self.reply()
            stored.pause(paused=paused)

    def seek(self, request: SeekRequested) -> None:
        """Go on elsewhere in a file; a live stream stays where it is."""
        if self._session.accept(request) and (stored := self.stored.get(request.stream_id)):
            self.reply()
            stored.seek(request.position_ms)

    def switch(self, wish: ReceiveAudio | ReceiveVideo) -> None:
        """Send a kind of media from now on, or no more."""
        player = self.playing.get(wish.stream_id) or self.stored.get(wish.stream_id)
        if player is None:
            return
        before = player.audio, player.video
        if isinstance(wish, ReceiveAudio):
            player.audio = wish.enabled
        else:
            player.video = wish.enabled
        if before != (player.audio, player.video):
            self._rejoining.add(wish.stream_id)

    def rejoin(self) -> None:
        """Give players what they want now: once, however often they changed their minds."""
        for stream_id in self._rejoining:
            if playing := self.playing.get(stream_id):
                playing.watch()
        self._rejoining.clear()

    async def close(self, stream_id: int, reason: CloseReason) -> None:
        """End what goes on on one message stream."""
        if publishing := self.publishing.pop(stream_id, None):
            publishing.flush()
            if reason is not CloseReason.DISCONNECTED:
                publishing.publication.finish()
            await publishing.scope.aclose()
        if playing := self.playing.pop(stream_id, None):
            await playing.scope.aclose()
        if stored := self.stored.pop(stream_id, None):
            await stored.scope.aclose()

    def reply(self) -> None:
        """Send what the session has to say."""
        self._connection.outbox.send(self._session.take())

    def _play_ended(self, playing: Playing | StoredPlay, reason: str) -> None:
        """Its stream is over, and said so. The connection is too, unless it has more to do: a
        Flash client talks and listens to several people on one."""
        if isinstance(playing, StoredPlay):  # nobody else has said the goodbye for all
            self._session.end_play(playing.stream_id, reason)
            self.reply()
        if self.publishing or len(self.playing) + len(self.stored) > 1:
            # The session is not told: what the client still says to this stream, it answers.
            self.playing.pop(playing.stream_id, None)
            self.stored.pop(playing.stream_id, None)
            self._connection.scope.nursery.start_soon(playing.scope.aclose, name="end of play")
        else:
            self._connection.outbox.finish(reason)

    def _describe(self, role: Role, key: StreamKey) -> Client:
        # As livego shows it, but by the room's name: what was asked for may be its secret key.
        host = self.client.tc_url.partition("://")[2].partition("/")[0].partition("?")[0]
        return Client(
            role,
            self._protocol,
            self._connection.scope,
            self._connection,
            url=f"{self._protocol}://{host}/{key}" if host else str(key),
            agent=self.client.flash_ver[:120],
        )

    def _complain(self, publishing: Publishing) -> None:
        """The first broken frame of a publisher is worth a line, then every power of two."""
        before, dropped = publishing.dropped, publishing.demuxer.dropped
        publishing.dropped = dropped
        if is_news(before, dropped):
            log.warning(
                "media dropped",
                peer=str(self._connection),
                stream=str(publishing.publication.stream.key),
                count=dropped,
                reason=publishing.demuxer.last_reason,
            )


def is_news(before: int, now: int) -> bool:
    """Of a count that grows: has it reached 1, 2, 4, 8 ... since it was last looked at?"""
    return now.bit_length() > before.bit_length()
