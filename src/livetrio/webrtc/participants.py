"""Participants: Python code of this process that watches, publishes or sits in a room.

For companions, music bots, mixers, detectors. Frames are PyAV's; coding happens in worker
threads, a bounded number of them, so that no bot holds the server up. Everything of a
participant lives in one scope: it is listed, counted and kicked like every other client, and
leaving the block leaves nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import trio
from aiortc.mediastreams import MediaStreamTrack

from livetrio.media.client import Client
from livetrio.media.registry import Registry
from livetrio.packet import Codec, StreamKey
from livetrio.webrtc.aio.encode import FrameEncoder
from livetrio.webrtc.broadcast import Broadcast
from livetrio.webrtc.participant_scope import participant_scope
from livetrio.webrtc.rooms.room_service import Rooms
from livetrio.webrtc.seated_participant import Sitting, open_sitting
from livetrio.webrtc.track_playing import playing
from livetrio.webrtc.watching import Frame, Watching

__all__ = ["Broadcast", "Frame", "Participants", "Sitting", "Watching"]

_THREADS: Final = 2


class Participants:
    """Made once per node, over its registry; holds nothing while nobody takes part."""

    def __init__(
        self,
        registry: Registry,
        *,
        threads: int = _THREADS,
        video_bitrate: int = 1_500_000,
        audio_bitrate: int = 64_000,
    ) -> None:
        """
        Args:
            registry: where streams are.
            threads: that code at once, for all participants together.
            video_bitrate: bit/s of what is published.
            audio_bitrate: likewise.
        """
        self._registry = registry
        self._threads = trio.CapacityLimiter(threads)
        self._video_bitrate = video_bitrate
        self._audio_bitrate = audio_bitrate

    @asynccontextmanager
    async def join(
        self, key: StreamKey, *, name: str = "bot", wait: float = 5.0
    ) -> AsyncIterator[Watching]:
        """Watch a stream while in the block.

        When an operator ends the participant the block is cancelled, quietly.

        Args:
            key: the stream.
            name: for people.
            wait: seconds for a stream that is not there yet.

        Raises:
            Refused: NOT_FOUND.
        """
        async with participant_scope(f"{name} watches {key}") as scope:
            client = Client("player", "bot", scope, agent=name)
            async with self._registry.subscribe(key, client, wait=wait) as stream:
                yield Watching(stream, client, self._threads)

    @asynccontextmanager
    async def publish(
        self,
        key: StreamKey,
        *tracks: MediaStreamTrack,
        name: str = "bot",
        codec: Codec = Codec.H264,
        takeover: bool = False,
        user: str = "",
    ) -> AsyncIterator[Broadcast]:
        """Publish a stream while in the block; leaving it ends the stream.

        Args:
            key: the stream.
            tracks: aiortc's, at most one of each kind; their frames are sent without further
                ado. Without any, `Broadcast.send` takes frames.
            name: for people.
            codec: of the video: H264, which reaches every player, or VP8. Sound is Opus.
            takeover: end another publisher that is there.
            user: who it is, where that matters: on a room's seat.

        Raises:
            Refused: CONFLICT, somebody else publishes it; BAD_REQUEST, the codec.
        """
        encoder = FrameEncoder(codec, self._video_bitrate, self._audio_bitrate)
        async with AsyncExitStack() as stack:
            scope = await stack.enter_async_context(participant_scope(f"{name} publishes {key}"))
            client = Client("publisher", "bot", scope, agent=name, user=user)
            publication = await stack.enter_async_context(
                self._registry.publish(key, client, takeover=takeover)
            )
            broadcast = Broadcast(publication, client, encoder, self._threads)
            await stack.enter_async_context(playing(tracks, broadcast.send))
            yield broadcast
            publication.finish()

    @asynccontextmanager
    async def sit(
        self,
        rooms: Rooms,
        key: StreamKey,
        *tracks: MediaStreamTrack,
        user: str,
        name: str = "",
        seat: int | None = None,
        camera: bool = False,
    ) -> AsyncIterator[Sitting]:
        """Have a seat in a room while in the block; leaving it leaves the seat.

        It acts with the rights of the site's back end, so it need not apply; a seat that is
        reserved for its user, or that he has already, is his. It follows when it is moved. When
        it is kicked, or the room or its stream ends, the block is cancelled, quietly, and
        `Sitting.reason` says why.

        Args:
            rooms: of this server.
            key: the room.
            tracks: aiortc's, at most one of each kind, sent without further ado. Without any,
                `Sitting.send` takes frames.
            user: whose seat it is, as a token's `sub` would say.
            name: shown to others.
            seat: None: the one he has or is invited to, else the first that is empty.
            camera: will there be pictures? Else its camera is shown as off.

        Raises:
            Refused: NOT_FOUND, no such room or seat; CONFLICT, no empty seat, or not this one;
                GONE, the room has ended.
        """
        async with open_sitting(
            self, rooms, key, tracks, user=user, name=name, seat=seat, camera=camera
        ) as sitting:
            yield sitting
