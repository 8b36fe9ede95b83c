"""Broadcast: a stream that Python code of this process publishes, frame by frame."""

from __future__ import annotations

from functools import partial
from typing import Final

import trio

from livetrio.media.client import Client
from livetrio.media.stream import Publication
from livetrio.packet import US_PER_SECOND, Codec, Kind, Packet, Track
from livetrio.webrtc.aio.decode import Frame
from livetrio.webrtc.aio.encode import FrameEncoder, kind_of
from livetrio.wire import amf0

__all__ = ["Broadcast"]

_MEDIA: Final = (Kind.VIDEO, Kind.AUDIO)
_MAX_TEXT: Final = 10_000
"""Characters of a caption."""


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

    def finish(self) -> None:
        """The stream ends when its publisher leaves: nobody waits for his return."""
        self._publication.finish()

    def _time(self, frame: Frame) -> int:
        if frame.pts is None or not frame.time_base:
            return int((trio.current_time() - self._began) * US_PER_SECOND)
        base = frame.time_base
        return max(0, frame.pts * base.numerator * US_PER_SECOND // base.denominator)

    def _want_key(self, track_id: int) -> None:  # noqa: ARG002 - there is one
        self._encoder.want_key()
