"""RoomSource: one stream that a room shows, in codecs that all its viewers take, while it lasts.

Streams of seats come before their seat is shown or after it, end, begin again and change their
codecs. The room is told of an edition when there is one, and of its loss at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import trio

from livetrio.errors import RefusalCode, Refused
from livetrio.logs import get_logger
from livetrio.media.edition import Edition
from livetrio.media.registry import Registry
from livetrio.media.stream import Stream
from livetrio.net.guard import guarded
from livetrio.packet import Codec, Kind, StreamKey
from livetrio.webrtc.editions import Editions, media_known
from livetrio.webrtc.sender_report import MediaClock

__all__ = ["RoomSource"]

log = get_logger(__name__)

_LOOK: Final = 0.5
"""Seconds between two looks at whether it still has the codecs it was opened with."""
_SPACING: Final = 1.0
"""Seconds between two openings of the same stream: the first after an end is at once."""


class RoomSource:
    """One per stream and room; `run` is its task."""

    def __init__(
        self,
        key: StreamKey,
        registry: Registry,
        editions: Editions,
        *,
        pictures: bool,
        changed: Callable[[], None],
    ) -> None:
        """
        Args:
            key: of the stream; it need not exist.
            registry: where it will be.
            editions: renditions of it.
            pictures: are they shown? Else none is coded anew.
            changed: a plain call after `edition` has changed.
        """
        self.key = key
        self.stream: Stream | None = None
        self.edition: Edition | None = None
        """What is shown of it: H.264 without B-frames, and Opus; None while there is nothing."""
        self.clock = MediaClock()
        """Of the stream, for all that is sent of it."""
        self.stop = trio.CancelScope()
        """Cancel it to end the task."""
        self.unused: float | None = None
        """Since when nobody shows it, for the room."""
        self._registry = registry
        self._editions = editions
        self._wish: Mapping[str, str] = {"video": "h264" if pictures else "none"}
        self._changed = changed
        self._until = trio.CancelScope()
        self._opened_at = float("-inf")

    def lost(self) -> None:
        """The edition has ended, or has changed into what cannot be sent: find another."""
        self._forget()
        self._until.cancel()

    async def run(self) -> None:
        """Until it is stopped."""
        with self.stop:
            while True:
                stream = await self._registry.appears(self.key)
                await trio.sleep_until(self._opened_at + _SPACING)
                self._opened_at = trio.current_time()
                with guarded(self._blame):
                    await self._follow(stream)

    async def _follow(self, stream: Stream) -> None:
        async with self._open(stream) as edition:
            codecs = _codecs(edition)
            self._until = trio.CancelScope()
            self.stream, self.edition = stream, edition
            try:
                self._changed()
                with self._until:
                    while not edition.ring.ended and _codecs(edition) == codecs:
                        await edition.pacer.rest(_LOOK)
                if stream.ring.ended:
                    self._opened_at = float("-inf")  # its successor is another
            finally:
                self._forget()

    @asynccontextmanager
    async def _open(self, stream: Stream) -> AsyncIterator[Edition]:
        await media_known(stream)
        async with AsyncExitStack() as stack:
            open_ = self._editions.for_browser
            try:
                edition = await stack.enter_async_context(open_(stream, self._wish))
            except Refused as refused:
                if refused.code is RefusalCode.GONE:
                    raise
                # Sound does not need what pictures could not have.
                log.info("a seat has no picture", stream=str(self.key), reason=refused.reason)
                edition = await stack.enter_async_context(open_(stream, {"video": "none"}))
            yield edition

    def _forget(self) -> None:
        if self.edition is not None:
            self.stream = self.edition = None
            self._changed()

    def _blame(self, error: BaseException) -> None:
        if isinstance(error, Refused):
            log.info("a seat has no media", stream=str(self.key), reason=error.reason)
        else:
            log.error("bug: a seat has no media", stream=str(self.key), exc_info=error)


def _codecs(edition: Edition) -> dict[tuple[Kind, int], Codec]:
    return {(track.kind, track.id): track.codec for track in edition.tracks}
