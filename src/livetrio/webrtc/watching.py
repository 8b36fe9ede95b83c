"""Watching: a stream as Python code of this process sees it, coded or as frames."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Final

import trio

from livetrio.media.client import Client
from livetrio.media.ring import EndOfStream
from livetrio.media.stream import Stream
from livetrio.packet import Kind, Packet
from livetrio.webrtc.aio.decode import Frame, FrameDecoder

__all__ = ["Frame", "Watching"]

_MEDIA: Final = (Kind.VIDEO, Kind.AUDIO)


class Watching:
    """A stream as a participant sees it. Made by `Participants.join`."""

    def __init__(self, stream: Stream, client: Client, threads: trio.CapacityLimiter) -> None:
        self.stream = stream
        self.client = client
        self._threads = threads

    def packets(self) -> AsyncIterator[Packet]:
        """Every packet from the newest key frame on, configurations first, until the stream ends.

        Whoever is too slow is moved to the newest key frame; the stream waits for nobody.
        """
        return _Packets(self.stream)

    def frames(self, *kinds: Kind) -> AsyncIterator[Frame]:
        """The same, decoded: `av.VideoFrame`s and `av.AudioFrame`s with `pts` in microseconds.

        kinds: VIDEO, AUDIO; both by default. Of several tracks of a kind the lowest is taken.
        """
        return _Frames(self.stream, kinds or _MEDIA, self._threads)


class _Packets:
    """An iterator and no generator: whoever leaves its loop has nothing to close."""

    def __init__(self, stream: Stream) -> None:
        self._cursor = stream.ring.cursor()
        self._ready: deque[Packet] = deque()

    def __aiter__(self) -> _Packets:
        return self

    async def __anext__(self) -> Packet:
        while not self._ready:
            try:
                self._ready += await self._cursor.read()
            except EndOfStream:
                raise StopAsyncIteration from None
        return self._ready.popleft()


class _Frames:
    """Likewise."""

    def __init__(
        self, stream: Stream, kinds: Sequence[Kind], threads: trio.CapacityLimiter
    ) -> None:
        self._stream = stream
        self._packets = _Packets(stream)
        self._decoders = {kind: FrameDecoder() for kind in kinds}
        self._threads = threads
        self._ready: deque[Frame] = deque()

    def __aiter__(self) -> _Frames:
        return self

    async def __anext__(self) -> Frame:
        while not self._ready:
            packet = await anext(self._packets)
            decoder = self._decoders.get(packet.track.kind)
            if decoder is not None and packet.track.id == self._lowest(packet.track.kind):
                decode = partial(decoder.feed, packet)
                self._ready += await trio.to_thread.run_sync(decode, limiter=self._threads)
        return self._ready.popleft()

    def _lowest(self, kind: Kind) -> int:
        return min((t.id for t in self._stream.tracks if t.kind is kind), default=0)
