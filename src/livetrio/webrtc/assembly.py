"""Frame assembly: ordered packets to complete frames, and no garbage after a loss.

Packets of one timestamp are a frame, up to the marker (or the next timestamp, for senders that
set none). After a loss only what certainly begins a frame is taken up again, and of video only a
key frame: everything between would be decoded against pictures that are not there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from livetrio.errors import RemoteProtocolError
from livetrio.wire.rtp.depacketize import Depacketizer, Frame
from livetrio.wire.rtp.header import RtpPacket

__all__ = ["MAX_FRAME", "FrameAssembler"]

MAX_FRAME: Final = 4 << 20
"""Bytes. A key frame of 4K at 50 Mbit/s has 1 MiB."""


class FrameAssembler:
    """One SSRC's frames.

    Attributes:
        frames: frames delivered.
        keys: key frames among them.
        dropped: frames not delivered: broken, or before the key frame they need.
        wants_key: nothing is delivered before a key frame comes.
        reason: why the last broken frame was one; empty while there is none.
    """

    __slots__ = (
        "_broken",
        "_deliver",
        "_depacketizer",
        "_payloads",
        "_pending",
        "_size",
        "_timestamp",
        "_video",
        "dropped",
        "frames",
        "keys",
        "reason",
        "wants_key",
    )

    def __init__(
        self,
        depacketizer: Depacketizer,
        deliver: Callable[[Frame, int, float], None],
        *,
        video: bool,
    ) -> None:
        """
        Args:
            depacketizer: of the codec.
            deliver: called with a frame, its RTP timestamp (32 bits) and the time; where it
                raises RemoteProtocolError, the frame counts as broken.
            video: frames depend on one another, and span packets.
        """
        self._depacketizer = depacketizer
        self._deliver = deliver
        self._video = video
        self._payloads: list[bytes] = []
        self._size = 0
        self._timestamp = -1
        self._broken = True
        self._pending: Frame | None = None
        self.frames = 0
        self.keys = 0
        self.dropped = 0
        self.wants_key = video
        self.reason = ""

    @property
    def idle(self) -> bool:
        """Is a key frame waited for, and none begun?"""
        return self.wants_key and not self._payloads

    def add(self, packet: RtpPacket, now: float) -> None:
        """The next packet in order."""
        payload = packet.payload
        if not self._video:
            if payload:
                self._payloads.append(payload)
                self._timestamp = packet.timestamp
                self._finish(now)
            return
        if packet.timestamp != self._timestamp:
            if self._payloads:
                self._finish(now)
            self._timestamp = packet.timestamp
        if payload:
            if self._broken:
                if not self._depacketizer.begins(payload):
                    return
                self._broken = False
            self._size += len(payload)
            if self._size > MAX_FRAME:
                self._fail(f"a frame of more than {MAX_FRAME} bytes")
                return
            self._payloads.append(payload)
        if packet.marker and self._payloads:
            self._finish(now)

    def lost(self) -> None:
        """Packets between the last one and the next are lost for good."""
        if self._payloads:
            self.dropped += 1
            self._clear()
        self._broken = True
        self.wants_key = self._video

    def _finish(self, now: float) -> None:
        payloads = self._payloads
        self._clear()
        try:
            frame = self._depacketizer.frame(payloads)
            if frame is not None:
                self._take(frame, now)
        except RemoteProtocolError as error:
            self._fail(str(error))

    def _take(self, frame: Frame, now: float) -> None:
        if self.wants_key:
            if not frame.key:
                self.dropped += 1
                if frame.record:
                    self._pending = frame  # parameter sets may come before the key frame
                return
            self.wants_key = False
        if self._pending is not None:
            if not frame.record:
                frame.record = self._pending.record
            self._pending = None
        self._deliver(frame, self._timestamp, now)
        self.frames += 1
        self.keys += frame.key

    def _fail(self, reason: str) -> None:
        self.reason = reason
        self.dropped += 1
        self._clear()
        self._broken = True
        self.wants_key = self._video

    def _clear(self) -> None:
        self._payloads = []
        self._size = 0
