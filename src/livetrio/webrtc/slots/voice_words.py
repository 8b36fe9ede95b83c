"""What a room's voices are sent as: packets padded to make one run, and their sender reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from livetrio.webrtc.sender_report import ntp_time
from livetrio.webrtc.slots.voice_member import Spoken
from livetrio.webrtc.slots.voice_slot import Utterance, VoiceSlot
from livetrio.wire.rtp.rtcp_reports import SenderReport, SourceDescription

__all__ = ["padded", "voice_report"]

_MAX_PADDING: Final = 255


def padded(utterances: Sequence[Utterance]) -> list[Spoken]:
    """Number packets that go out together, all but the last of one size: the kernel can then cut
    them out of one buffer. One that lacks more than RTP can pad stays as it is."""
    size = max((len(utterance.payload) for utterance in utterances), default=0)
    spoken: list[Spoken] = []
    for number, utterance in enumerate(utterances, 1):
        lack = size - len(utterance.payload) if number < len(utterances) else 0
        padding = lack if lack <= _MAX_PADDING else 0
        spoken.append(Spoken(utterance.slot.number, *utterance.slot.build(utterance, padding)))
    return spoken


def voice_report(lines: Sequence[tuple[VoiceSlot, int]], cname: str, wall: float) -> bytes:
    """One compound that reports on these slots (RFC 3550 section 6.4.1); empty for none.

    Args:
        lines: slots, each with the time of its source (us) ...
        cname: of the room.
        wall: ... at this time (seconds since 1970).
    """
    ntp = ntp_time(wall)
    parts: list[bytes] = []
    named: list[tuple[int, str]] = []
    for slot, pts in lines:
        timestamp = slot.timestamp(pts)
        if timestamp is not None:
            report = SenderReport(slot.ssrc, ntp, timestamp, slot.sent_packets, slot.sent_octets)
            parts.append(report.build())
            named.append((slot.ssrc, cname))
    if not parts:
        return b""
    return b"".join([*parts, SourceDescription.of(named).build()])
