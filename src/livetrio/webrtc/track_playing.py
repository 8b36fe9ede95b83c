"""Playing: frames of somebody's MediaStreamTracks into whatever takes frames."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import trio
from aiortc.mediastreams import MediaStreamTrack

from livetrio.webrtc.aio.decode import Frame
from livetrio.webrtc.aio.track_source import TrackReader, open_track_reader

__all__ = ["playing"]

Send = Callable[[Frame], Awaitable[None]]


@asynccontextmanager
async def playing(tracks: Sequence[MediaStreamTrack], send: Send) -> AsyncIterator[None]:
    """Send the frames of these tracks while in the block, each until it ends.

    Leaving the block stops them: some have threads of their own, which nothing else ends.
    """
    if not tracks:  # no loop of asyncio for nothing
        yield
        return
    async with open_track_reader() as reader, trio.open_nursery() as nursery:
        try:
            for track in tracks:
                nursery.start_soon(_play, reader, track, send, name=f"track {track.kind}")
            yield
        finally:
            for track in tracks:
                track.stop()
            nursery.cancel_scope.cancel()


async def _play(reader: TrackReader, track: MediaStreamTrack, send: Send) -> None:
    while (frame := await reader.read(track)) is not None:
        await send(frame)
