"""TrackSource: frames out of somebody's MediaStreamTrack, whose coroutines are asyncio's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import trio_asyncio
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from livetrio.errors import RefusalCode, Refused
from livetrio.webrtc.aio.decode import Frame

__all__ = ["TrackReader", "open_track_reader"]


class TrackReader(Protocol):
    """Reads tracks, under Trio."""

    async def read(self, track: MediaStreamTrack) -> Frame | None:
        """The next frame; None: the track has ended.

        Raises:
            Refused: BAD_REQUEST, it gives something else than frames.
        """


class _Reader:
    def __init__(self, loop: trio_asyncio.BaseTrioEventLoop) -> None:
        self._loop = loop

    async def read(self, track: MediaStreamTrack) -> Frame | None:
        try:
            frame = await self._loop.run_aio_coroutine(track.recv())
        except MediaStreamError:
            return None
        if not isinstance(frame, AudioFrame | VideoFrame):
            raise Refused(RefusalCode.BAD_REQUEST, "a track has to give frames, not coded packets")
        return frame


@asynccontextmanager
async def open_track_reader() -> AsyncIterator[TrackReader]:
    """A reader with an asyncio loop of its own, for as long as the block lasts.

    Whatever a track starts in there (tasks, timers, aiortc's own helpers) ends with the block.
    """
    async with trio_asyncio.open_loop() as loop:
        yield _Reader(loop)
