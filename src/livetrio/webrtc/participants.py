"""Participants: Python code of this process that watches a stream or publishes one.

For companions, music bots, mixers, detectors. Frames are PyAV's; coding happens in worker
threads, a bounded number of them, so that no bot holds the server up. Everything of a
participant lives in one scope: it is listed, counted and kicked like every other client, and
leaving the block leaves nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

import trio
from aiortc.mediastreams import MediaStreamTrack

from livetrio.media.client import Client
from livetrio.media.registry import Registry
from livetrio.media.ring import EndOfStream
from livetrio.media.stream import Publication, Stream
from livetrio.net.guard import guarded
from livetrio.net.scope import Scope, open_scope
from livetrio.packet import US_PER_SECOND, Codec, Kind, Packet, StreamKey, Track
from livetrio.webrtc.aio.decode import Frame, FrameDecoder
from livetrio.webrtc.aio.encode import FrameEncoder, kind_of
from livetrio.webrtc.aio.track_source import TrackReader, open_track_reader
from livetrio.wire import amf0

__all__ = ["Broadcast", "Frame", "Participants", "Watching"]

_THREADS: Final = 2
_MAX_TEXT: Final = 10_000
"""Characters of a caption."""


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
        async with _participant(f"{name} watches {key}") as scope:
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
    ) -> AsyncIterator[Broadcast]:
        """Publish a stream while in the block; leaving it ends the stream.

        Args:
            key: the stream.
            tracks: aiortc's, at most one of each kind; their frames are sent without further
                ado. Without any, `Broadcast.send` takes frames.
            name: for people.
            codec: of the video: H264, which reaches every player, or VP8. Sound is Opus.
            takeover: end another publisher that is there.

        Raises:
            Refused: CONFLICT, somebody else publishes it; BAD_REQUEST, the codec.
        """
        encoder = FrameEncoder(codec, self._video_bitrate, self._audio_bitrate)
        async with AsyncExitStack() as stack:
            scope = await stack.enter_async_context(_participant(f"{name} publishes {key}"))
            client = Client("publisher", "bot", scope, agent=name)
            publication = await stack.enter_async_context(
                self._registry.publish(key, client, takeover=takeover)
            )
            broadcast = Broadcast(publication, client, encoder, self._threads)
            if tracks:
                reader = await stack.enter_async_context(open_track_reader())
                nursery = await stack.enter_async_context(trio.open_nursery())
                stack.callback(nursery.cancel_scope.cancel)
                stack.callback(_stop, tracks)
                for track in tracks:
                    nursery.start_soon(broadcast.play, reader, track, name=f"track {track.kind}")
            yield broadcast
            publication.finish()


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


class Broadcast:
    """A stream that a participant publishes. Made by `Participants.publish`."""

    def __init__(
        self,
        publication: Publication,
        client: Client,
        encoder: FrameEncoder,
        threads: trio.CapacityLimiter,
    ) -> None:
        self.stream = publication.stream
        self.client = client
        self._publication = publication
        self._encoder = encoder
        self._threads = threads
        self._began = trio.current_time()
        self._turns = {kind: trio.Lock() for kind in _MEDIA}
        self._last: dict[Kind, int] = {}
        self._text = Track(Kind.DATA, Codec.SCRIPT)
        publication.on_key_frame_request = self._want_key

    async def send(self, frame: Frame) -> None:
        """Encode a frame and publish it.

        Times are the frame's (`pts` x `time_base`, from 0 on, the same zero for both kinds), or
        the clock's where it has none. Call it at the pace of the media: it does not wait for it.
        A video frame that is not later than the one before is not sent.

        Raises:
            Refused: BAD_REQUEST, a picture of no size.
        """
        kind = kind_of(frame)
        async with self._turns[kind]:  # frames of one kind stay in their order
            time = self._time(frame)
            if kind is Kind.VIDEO and time <= self._last.get(kind, -1):
                return
            self._last[kind] = time
            encode = partial(self._encoder.feed, frame, time)
            self._publication.publish(await trio.to_thread.run_sync(encode, limiter=self._threads))

    def caption(self, text: str) -> None:
        """Publish a line of text, as timed data (`onTextData`, as Flash's encoders sent it).

        RTMP, FLV and recordings carry it; WebRTC and HLS have no place for it.
        """
        now = max(self._last.values(), default=0)
        data = amf0.encode("onTextData", {"text": text[:_MAX_TEXT]})
        self._publication.publish([Packet(self._text, now, now, data, key=True)])

    async def play(self, reader: TrackReader, track: MediaStreamTrack) -> None:
        """Send a track's frames until it ends; for `Participants`."""
        while (frame := await reader.read(track)) is not None:
            await self.send(frame)

    def _time(self, frame: Frame) -> int:
        if frame.pts is None or not frame.time_base:
            return int((trio.current_time() - self._began) * US_PER_SECOND)
        base = frame.time_base
        return max(0, frame.pts * base.numerator * US_PER_SECOND // base.denominator)

    def _want_key(self, track_id: int) -> None:  # noqa: ARG002 - there is one
        self._encoder.want_key()


_MEDIA: Final = (Kind.VIDEO, Kind.AUDIO)


def _stop(tracks: Sequence[MediaStreamTrack]) -> None:
    for track in tracks:
        track.stop()


@asynccontextmanager
async def _participant(name: str) -> AsyncIterator[Scope]:
    """A scope whose errors leave it as they are, in no group: the block's own are the caller's."""
    faults: list[BaseException] = []
    with guarded(faults.append):
        async with open_scope("participant", name) as scope:
            yield scope
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise BaseExceptionGroup(f"participant {name}", faults)
