"""Sender reports: the clock that aligns sound with picture, told to all viewers alike.

Both sources of a layout are reported against one line through (wall clock, stream time), so their
alignment is exact whatever the line is. One compound with both (RFC 8108 section 5.3), plaintext
shared by all viewers, is half the datagrams of one report each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from livetrio.packet import US_PER_SECOND
from livetrio.webrtc.sending_source import SendingSource
from livetrio.wire.rtp.rtcp_reports import Bye, ReceiverReport, SenderReport, SourceDescription

__all__ = ["MediaClock", "goodbye", "ntp_time", "sender_report"]

_NTP_EPOCH: Final = 2_208_988_800
"""Seconds from 1900 to 1970."""
_LEAK: Final = 0.001
"""Share of the distance to a later arrival by which the line gives way with each packet: enough
for a publisher whose clock is 100 ppm slow."""
_JUMP: Final = US_PER_SECOND
"""Microseconds off the line at which the stream is taken to have jumped."""


class MediaClock:
    """Which time of the stream it is now, from when packets came: the earliest count."""

    __slots__ = ("_offset",)

    def __init__(self) -> None:
        self._offset: float | None = None

    def observe(self, pts: int, now: float) -> None:
        """A packet of stream time `pts` (us) came at `now` (seconds)."""
        offset = now * US_PER_SECOND - pts
        line = self._offset
        if line is None or offset < line or offset - line > _JUMP:
            self._offset = offset
        else:
            self._offset = line + (offset - line) * _LEAK

    def pts(self, now: float) -> int | None:
        """The time of the stream (us), None before the first packet."""
        return None if self._offset is None else round(now * US_PER_SECOND - self._offset)


def ntp_time(wall: float) -> int:
    """Seconds since 1970 as the 64 bits of an NTP timestamp (RFC 3550 section 4), good to 15 us:
    a float has no more."""
    return round((wall + _NTP_EPOCH) * 2**16) << 16 & 0xFFFF_FFFF_FFFF_FFFF


def sender_report(sources: Sequence[SendingSource], cname: str, pts: int, wall: float) -> bytes:
    """One compound that reports on all sources (RFC 3550 section 6.4.1).

    Args:
        sources: of one synchronisation context, at least one.
        cname: its name.
        pts: time of the stream (us) ...
        wall: ... at this time (seconds since 1970).
    """
    ntp = ntp_time(wall)
    parts = [
        SenderReport(
            source.ssrc, ntp, source.timestamp(pts), source.sent_packets, source.sent_octets
        ).build()
        for source in sources
    ]
    parts.append(SourceDescription.of([(source.ssrc, cname) for source in sources]).build())
    return b"".join(parts)


def goodbye(ssrcs: Sequence[int], cname: str, reason: str) -> bytes:
    """The compound that ends sources (RFC 3550 section 6.6)."""
    return (
        ReceiverReport(ssrcs[0]).build()
        + SourceDescription.of([(ssrcs[0], cname)]).build()
        + Bye(list(ssrcs), reason).build()
    )
