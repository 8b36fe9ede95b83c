"""What one RTMP conversation does on its message streams: publish some, play some."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from functools import partial

from livetrio.ingest.rtmp_formats import rtmp_format
from livetrio.media.edition import Edition
from livetrio.media.stream import Publication
from livetrio.net.connection import Connection
from livetrio.packet import Packet
from livetrio.wire.flv import Demuxer
from livetrio.wire.rtmp.events import MediaReceived

__all__ = ["Playing", "Publishing"]


@dataclass(slots=True)
class Publishing:
    """One stream that the client publishes; leaving `scope` is the unpublish."""

    publication: Publication
    scope: AsyncExitStack
    demuxer: Demuxer = field(default_factory=Demuxer)
    batch: list[Packet] = field(default_factory=list)
    dropped: int = 0
    """Unusable frames that were complained about."""

    def take(self, event: MediaReceived) -> None:
        """Keep what came until `flush`; RemoteProtocolError if nothing usable comes any more."""
        self.batch += self.demuxer.feed(event.type_id, event.timestamp, event.body)

    def flush(self) -> None:
        """All packets of one socket read are published at once: the wake-up is what costs."""
        if self.batch:
            batch, self.batch = self.batch, []
            self.publication.publish(batch)


@dataclass(slots=True)
class Playing:
    """One stream that the client plays; leaving `scope` is the end of it."""

    edition: Edition
    """The stream, or a rendition of it with sound that the client can play."""
    stream_id: int
    connection: Connection
    scope: AsyncExitStack
    ended: Callable[[Playing, str], None]
    """What happens when the stream is over."""
    multitrack: bool
    audio: bool = True
    video: bool = True
    paused: bool = False
    watching: ExitStack = field(default_factory=ExitStack)

    def watch(self) -> None:
        """(Re)join the feed that fits what the player wants now, from a key frame on."""
        self.watching.close()
        format_ = rtmp_format(
            self.stream_id,
            audio=self.audio,
            video=self.video,
            multitrack=self.multitrack,
            paused=self.paused,
        )
        ended = partial(self.ended, self)
        self.watching.enter_context(self.edition.watch(format_, self.connection.outbox, ended))
