"""One viewer of one stream by WebRTC; every packet is decrypted, and counted."""

from __future__ import annotations

import struct
import time

from OpenSSL import SSL

from rig.rtc_peer import RtcPeer

__all__ = ["RtcViewer"]

_VIDEO = 102
"""Payload type."""


class RtcViewer(RtcPeer):
    """Counts what its server sends it."""

    def __init__(self, context: SSL.Context, fingerprint: str) -> None:
        super().__init__(context, fingerprint)
        self.packets = 0
        """Decrypted."""
        self.bytes = 0
        self.pictures = 0
        """Marker bits of video."""
        self.lost = 0
        """Gaps in the sequence numbers of video, in packets."""
        self.last = 0.0
        """When the last packet came (monotonic seconds)."""
        self.longest = 0.0
        """Longest gap between two packets."""
        self._video: tuple[int, int] | None = None  # (SSRC, sequence) of the newest packet

    def report(self) -> None:
        """A receiver report, as a browser sends each second."""
        if self.connected and self._video is not None:
            ssrc, sequence = self._video
            block = struct.pack(">IIIIII", ssrc, 0, sequence, 0, 0, 0)
            self.send_rtcp(struct.pack(">BBHI", 0x81, 201, 7, 1) + block)

    def on_rtp(self, packet: bytes, size: int) -> None:
        """Count it."""
        now = time.monotonic()
        if self.last:
            self.longest = max(self.longest, now - self.last)
        self.last = now
        self.packets += 1
        self.bytes += size
        if packet[1] & 0x7F == _VIDEO:
            self.pictures += packet[1] >> 7
            sequence = packet[2] << 8 | packet[3]
            if self._video is not None:
                gap = (sequence - self._video[1] & 0xFFFF) - 1
                self.lost += gap if gap < 0x8000 else -1
            self._video = int.from_bytes(packet[8:12], "big"), sequence
