"""VoiceSlot: one SSRC of a room's voices: numbers and a clock that go on whoever speaks in it.

The clock of a slot is the time that passes: a source is placed where the room's own clock stands
when it begins, so that a change of speaker is to a receiver what a pause is, and what sender
reports say of the slot holds across it. From there on samples are counted, as RFC 7587 wants.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from livetrio.errors import RemoteProtocolError
from livetrio.packet import US_PER_SECOND, Packet
from livetrio.webrtc.history import History
from livetrio.webrtc.sender_report import MediaClock
from livetrio.webrtc.sending_source import AUDIO_RATE, ticks
from livetrio.wire.opus import packet_duration
from livetrio.wire.rtp.packetize import ROOM

__all__ = ["Utterance", "VoiceSlot"]

_HEADER: Final = struct.Struct(">BBHII")
_PADDED: Final = 0xA0
_PLAIN: Final = 0x80
_MARKER: Final = 0x80
_KEEP: Final = 128
"""Packets kept for NACKs: 2.5 s."""
_SLACK: Final = AUDIO_RATE * 30 // 1000
"""Samples a packet may be off its place before its source is taken to have paused."""
_SURPLUS: Final = 2 * _SLACK
"""Samples ahead of its own times from which on a source is thinned: it sends more sound than
time passes, which no player could ever catch up with."""
_JUMP: Final = 2 * AUDIO_RATE
"""Samples off the time that it is from which on a source's times are taken to have jumped."""


@dataclass(slots=True, eq=False)
class Utterance:
    """An Opus packet with its place in its slot's time, not numbered yet."""

    slot: VoiceSlot
    payload: bytes
    timestamp: int
    """32 bits."""
    marker: bool
    """The first after a pause (RFC 3551 section 4.1)."""


class VoiceSlot:
    """Made by `VoiceFeed`. Plain calls, with the time as an argument."""

    __slots__ = (
        "_base",
        "_next",
        "_offset",
        "_second",
        "due",
        "history",
        "number",
        "refused",
        "sent_octets",
        "sent_packets",
        "ssrc",
        "thinned",
    )

    def __init__(
        self, number: int, payload_type: int, ssrc: int, *, first: int, timestamp: int
    ) -> None:
        """
        Args:
            number: of the slot, from 0 on.
            payload_type: of Opus, as agreed.
            ssrc: as announced.
            first: sequence number to begin with, below 2^15 (RFC 3711 section 3.3.1).
            timestamp: RTP timestamp to begin with, random (RFC 3550 section 5.1).
        """
        self.number = number
        self.ssrc = ssrc
        self.history = History(first, keep=_KEEP)
        self.due = 0.0
        """When the next packet should come, seconds, if there is no pause."""
        self.sent_packets = 0
        self.sent_octets = 0
        """Of payload."""
        self.refused = 0
        """Packets that were no Opus, or too long for a datagram."""
        self.thinned = 0
        """Packets too many for the time that passed."""
        self._second = payload_type
        self._base = timestamp
        self._offset: int | None = None  # the source's time to ours, in samples
        self._next: int | None = None  # the sample after the last one sent

    @property
    def next_index(self) -> int:
        """Index of the packet that will be sent next."""
        return self.history.next_index

    def enter(self) -> None:
        """What comes from now on is of another source, or of the same after an absence."""
        self._offset = None

    def take(self, packet: Packet, clock: MediaClock, now: float) -> Utterance | None:
        """Place one packet; None for what is not to be sent.

        Args:
            packet: Opus, of the source that speaks in this slot.
            clock: of its stream.
            now: when it came, seconds.
        """
        clock.observe(packet.pts, now)
        if len(packet.data) > ROOM:
            self.refused += 1
            return None
        try:
            duration = packet_duration(packet.data)
        except RemoteProtocolError:
            self.refused += 1
            return None
        samples = ticks(packet.pts, AUDIO_RATE)
        present = ticks(round(now * US_PER_SECOND), AUDIO_RATE)
        next_ = self._next
        if self._offset is None or abs(samples + self._offset - present) > _JUMP:
            self._offset = self._place(samples, clock, now)
        sample = samples + self._offset
        marker = next_ is None or sample - next_ > _SLACK
        if next_ is not None and not marker:
            if next_ - sample > _SURPLUS:
                self.thinned += 1
                return None
            sample = next_
        self._next = sample + ticks(duration, AUDIO_RATE)
        self.due = now + duration / US_PER_SECOND
        return Utterance(self, packet.data, self._base + sample & 0xFFFF_FFFF, marker)

    def build(self, utterance: Utterance, padding: int) -> tuple[bytes, int]:
        """Number a packet and keep it; the packet and its index.

        padding: bytes behind the payload, up to 255 (RFC 3550 section 5.1).
        """
        index = self.history.next_index
        first, tail = _PLAIN, b""
        if padding:
            first, tail = _PADDED, bytes(padding - 1) + bytes((padding,))
        second = self._second | _MARKER if utterance.marker else self._second
        header = _HEADER.pack(first, second, index & 0xFFFF, utterance.timestamp, self.ssrc)
        packet = header + utterance.payload + tail
        self.history.append([packet], 0, key=False)
        self.sent_packets += 1
        self.sent_octets += len(utterance.payload)
        return packet, index

    def timestamp(self, pts: int) -> int | None:
        """The 32-bit RTP timestamp of a time (us) of the source; None before its first packet."""
        if self._offset is None:
            return None
        return self._base + self._offset + ticks(pts, AUDIO_RATE) & 0xFFFF_FFFF

    def _place(self, samples: int, clock: MediaClock, now: float) -> int:
        """Where the times of a source lie: on ours, and behind all that was sent already."""
        line = clock.pts(now)
        assert line is not None  # a packet was observed
        offset = ticks(round(now * US_PER_SECOND), AUDIO_RATE) - ticks(line, AUDIO_RATE)
        if self._next is not None:
            offset = max(offset, self._next - samples)
        return offset
