"""Opus out of RTP (RFC 7587): a payload is a packet.

Discontinuous transmission needs nothing here: packets of one or two bytes are packets, and time
that passes without any shows in the timestamps.
"""

from __future__ import annotations

from collections.abc import Sequence

from livetrio.errors import RemoteProtocolError
from livetrio.wire.opus import OpusHead, packet_duration
from livetrio.wire.rtp.depacketize.frame import Frame

__all__ = ["OpusDepacketizer"]


class OpusDepacketizer:
    """One Opus track."""

    __slots__ = ("_record",)

    def __init__(self, channels: int = 2) -> None:
        """channels: RTP always announces two (RFC 7587 section 7); each packet says its own."""
        self._record = OpusHead(channels).build()

    def begins(self, payload: bytes) -> bool:  # noqa: ARG002 - every packet does
        """See `Depacketizer`."""
        return True

    def frame(self, payloads: Sequence[bytes]) -> Frame | None:
        """See `Depacketizer`. The first frame brings the record.

        Raises:
            RemoteProtocolError: several packets of one time, or one that lasts over 120 ms.
        """
        if len(payloads) != 1:
            raise RemoteProtocolError(f"Opus: {len(payloads)} packets of one time")
        packet_duration(payloads[0])
        frame = Frame(payloads[0], True, self._record)
        self._record = b""
        return frame
