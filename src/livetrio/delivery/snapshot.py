"""Snapshots: the last key frame of a stream as a JPEG, decoded once for all who ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Final, Protocol
from weakref import WeakKeyDictionary

import av
import trio
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from livetrio.errors import RefusalCode, Refused
from livetrio.media.registry import Registry
from livetrio.media.stream import Stream
from livetrio.media.transcode.decoders import VIDEO_DECODERS
from livetrio.net.exchange import Exchange
from livetrio.net.http import Route
from livetrio.net.request import stream_path
from livetrio.packet import Kind, Packet, StreamKey, Track

__all__ = ["Snapshots", "jpeg"]

_SUFFIX: Final = ".jpg"
_GET: Final = frozenset({"GET", "HEAD"})
_MAX_WIDTH: Final = 3840
_KEPT: Final = 4
"""Widths of one picture that are kept."""
_QUALITY: Final = 4
"""FFmpeg's scale of 2 (best) to 31."""
_PATIENCE: Final = 3.0
"""Seconds for the first picture of a stream that is made on demand."""


class PlayGate(Protocol):
    """The part of access/ that is needed here."""

    async def may_play(self, app: str, name: str, query: Mapping[str, str], peer: str) -> StreamKey:
        """Which stream is meant; Refused if this peer may not watch it."""


@dataclass(slots=True, eq=False)
class _Picture:
    """What was made of one key frame."""

    seq: int
    """Its number in the ring."""
    jpegs: dict[int, bytes]
    """By width; 0: as it is."""
    making: trio.Lock
    """Of many who ask at once one decodes."""


class Snapshots:
    """The route of pictures, made by the composition root."""

    def __init__(self, registry: Registry, gate: PlayGate) -> None:
        self._registry = registry
        self._gate = gate
        self._pictures: WeakKeyDictionary[Stream, _Picture] = WeakKeyDictionary()
        self._threads = trio.CapacityLimiter(2)

    def routes(self) -> list[Route]:
        """`/{app}/{name}.jpg`"""
        return [Route(_GET, lambda path: path.endswith(_SUFFIX), self._send)]

    async def _send(self, exchange: Exchange) -> None:
        request = exchange.request
        app, name = stream_path(request.path, _SUFFIX)
        width = _width(request.query.get("width", "0"))
        key = await self._gate.may_play(app, name, request.query, exchange.connection.peer)
        there = key in self._registry.streams
        stream = await self._registry.wanted(key)
        if stream is None:
            raise Refused(RefusalCode.NOT_FOUND, f"stream {key} is not being published")
        if not there:  # made for this request
            with trio.move_on_after(_PATIENCE):
                while stream.ring.newest_key() is None and not stream.ring.ended:
                    await stream.ring.changed(stream.ring.head)
        data = await self.picture(stream, width)
        headers = [("Cache-Control", "max-age=1")]
        exchange.reply(200, data, content_type="image/jpeg", headers=headers)

    async def picture(self, stream: Stream, width: int = 0) -> bytes:
        """The newest key frame as a JPEG. width: pixels, even; 0: as it is.

        Raises:
            Refused: NOT_FOUND, there is no picture (yet); UNAVAILABLE, it cannot be decoded.
        """
        place = stream.ring.newest_key()
        if place is None:
            raise Refused(RefusalCode.NOT_FOUND, "there is no key frame yet")
        seq, _ = place
        picture = self._pictures.get(stream)
        if picture is None or picture.seq != seq:
            picture = self._pictures[stream] = _Picture(seq, {}, trio.Lock())
        async with picture.making:
            if width not in picture.jpegs:
                frame = next((p for p in stream.ring.read(seq) if _is_picture(p)), None)
                if frame is None:
                    raise Refused(RefusalCode.NOT_FOUND, "there is no picture in this stream")
                job = partial(jpeg, frame.track, frame.data, width)
                if len(picture.jpegs) >= _KEPT:
                    picture.jpegs.clear()
                picture.jpegs[width] = await trio.to_thread.run_sync(
                    job, limiter=self._threads, abandon_on_cancel=True
                )
            return picture.jpegs[width]


def jpeg(track: Track, data: bytes, width: int = 0) -> bytes:
    """Decode one key frame; takes tens of milliseconds, so call it in a thread.

    Raises:
        Refused: UNAVAILABLE, it cannot be decoded.
    """
    name = VIDEO_DECODERS.get(track.codec)
    if name is None:
        raise Refused(RefusalCode.UNAVAILABLE, f"no decoder for {track.codec.value}")
    try:
        decoder = VideoCodecContext.create(name, "r")
        assert isinstance(decoder, VideoCodecContext)
        decoder.thread_count = 1
        if track.config:
            decoder.extradata = track.config
        frames = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
        if not frames:
            raise Refused(RefusalCode.UNAVAILABLE, "the key frame cannot be decoded")
        return _encoded(frames[0], width)
    except (FFmpegError, ValueError) as error:
        reason = "the key frame cannot be decoded"
        raise Refused(RefusalCode.UNAVAILABLE, reason, hint=str(error)) from error


def _encoded(frame: VideoFrame, width: int) -> bytes:
    height = frame.height
    if width:
        height = max(round(frame.height * width / frame.width / 2) * 2, 2)
    picture = frame.reformat(width or frame.width, height, "yuvj420p")
    encoder = VideoCodecContext.create("mjpeg", "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height = picture.width, picture.height
    encoder.pix_fmt = "yuvj420p"
    encoder.time_base = Fraction(1, 25)
    encoder.options = {"qmin": str(_QUALITY), "qmax": str(_QUALITY)}
    packets = [*encoder.encode(picture), *encoder.encode(None)]
    return b"".join(map(bytes, packets))


def _is_picture(packet: Packet) -> bool:
    return packet.key and packet.track.kind is Kind.VIDEO


def _width(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and int(text) <= _MAX_WIDTH):
        raise Refused(RefusalCode.BAD_REQUEST, f"width is not a number up to {_MAX_WIDTH}")
    return int(text) // 2 * 2
