"""SendingSource: one track as RTP packets, the same for all viewers of a layout.

Everything a viewer is sent comes from here: one SSRC, one numbering, one header per packet.
"""

from __future__ import annotations

import struct
from array import array
from dataclasses import dataclass
from typing import ClassVar, Final

from livetrio.errors import RemoteProtocolError
from livetrio.logs import get_logger
from livetrio.packet import US_PER_SECOND, Codec, Packet, Track
from livetrio.webrtc.history import History
from livetrio.wire.opus import packet_duration
from livetrio.wire.rtp.packetize import packetizer

__all__ = ["AUDIO_RATE", "VIDEO_RATE", "Layout", "SendingSource", "TransportLog", "ticks"]

log = get_logger(__name__)

VIDEO_RATE: Final = 90_000
AUDIO_RATE: Final = 48_000
"""RTP clock rates, Hz: of all video, and of Opus (RFC 7587 section 4.1)."""

_HEADER: Final = struct.Struct(">BBHII")
_EXTENSION: Final = struct.Struct(">HHBHB")
"""One-byte form, one word: the transport-wide sequence number and a byte of padding."""
_ONE_BYTE: Final = 0xBEDE
_PADDING: Final = 0x20
_MAX_PADDING: Final = 255
_SLACK: Final = 30_000
"""Microseconds an Opus packet may be off its place in the grid of samples before the source is
taken to have jumped."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What must agree for two viewers to share packets; 0: not sent."""

    codec: Codec | None = None
    """Of the video."""
    video: int = 0
    """Payload types."""
    audio: int = 0
    audio_track: int = 0
    """Track id."""
    transport_cc: int = 0
    """Id of the header extension with the transport-wide sequence number."""


def ticks(pts: int, rate: int) -> int:
    """Microseconds in ticks of an RTP clock, rounded."""
    return (pts * rate + US_PER_SECOND // 2) // US_PER_SECOND


class TransportLog:
    """Numbers the packets of a layout across its sources, and knows when each was made."""

    SIZE: ClassVar = 8_192
    """Packets remembered."""

    __slots__ = ("_sizes", "_times", "next")

    def __init__(self) -> None:
        self.next = 0
        self._times = array("d", [0.0] * self.SIZE)
        self._sizes = array("L", [0] * self.SIZE)

    def add(self, size: int, now: float) -> int:
        """The number of the next packet, of `size` bytes, made at `now` (seconds)."""
        number = self.next
        self._times[number % self.SIZE] = now
        self._sizes[number % self.SIZE] = size
        self.next = number + 1
        return number

    def sent(self, sequence: int) -> tuple[float, int] | None:
        """When the newest packet with these 16 bits was made (seconds), and its size in bytes."""
        number = self.next - 1 - (self.next - 1 - sequence & 0xFFFF)
        if number < 0 or self.next - number > self.SIZE:
            return None
        return self._times[number % self.SIZE], self._sizes[number % self.SIZE]


class SendingSource:
    """One SSRC of one layout. Frames go in, numbered packets come out and are kept."""

    def __init__(
        self,
        track: Track,
        payload_type: int,
        ssrc: int,
        *,
        rate: int,
        timestamp_base: int,
        history: History,
        transport_cc: int = 0,
        log: TransportLog | None = None,
    ) -> None:
        """
        Args:
            track: what is sent; a later configuration of it comes with its packets.
            payload_type: as agreed.
            ssrc: likewise.
            rate: of the RTP clock.
            timestamp_base: RTP timestamp of the stream's time 0. All layers have the same.
            history: empty; numbers the packets. Its first index is below 2^15, so that no receiver
                misses the first wrap (RFC 3711 section 3.3.1).
            transport_cc: extension id, 0 for none.
            log: where packets are numbered for it.
        """
        self.ssrc = ssrc
        self.rate = rate
        self.codec = track.codec
        self.overhead = 20 if transport_cc else 12
        """Bytes of header on each packet."""
        self.sent_packets = 0
        self.sent_octets = 0
        """Of payload. Both since the source began, whenever a viewer came: statistics only."""
        self.refused = 0
        """Frames that RTP cannot carry."""
        self.history = history
        self._payload_type = payload_type
        self._base = timestamp_base
        self._transport_cc = transport_cc
        self._log = log
        self._track: Track | None = None
        self._packetizer = packetizer(track.codec)
        self._next_sample: int | None = None
        self._configure(track)

    def timestamp(self, pts: int) -> int:
        """The 32-bit RTP timestamp of a time of the stream (us)."""
        return self._base + ticks(pts, self.rate) & 0xFFFF_FFFF

    def packets(self, packet: Packet, now: float, *, ride: bool = False) -> list[bytes]:
        """The RTP packets of one frame, already in the history; none for what cannot be sent.

        Args:
            packet: of this source's track, not a configuration.
            now: seconds.
            ride: an audio packet wants to go out in the same run; the last packet is then padded
                to the size of the others, so that the audio may be the shorter one.
        """
        if packet.track is not self._track:
            self._configure(packet.track)
        try:
            payloads = self._packetizer.packetize(packet.data, key=packet.key)
        except RemoteProtocolError as error:
            if not self.refused:
                log.info("frame not sent by RTP", codec=self.codec.value, reason=str(error))
            self.refused += 1
            return []  # the publisher's garbage; the next key frame mends it
        if not payloads:
            return []
        timestamp = self._opus(packet) if self.codec is Codec.OPUS else self.timestamp(packet.pts)
        padding = 0
        if ride and len(payloads) > 1:
            padding = len(payloads[-2]) - len(payloads[-1])
            if not 0 < padding <= _MAX_PADDING:
                padding = 0
        packets = self._build(payloads, timestamp, padding, now)
        self.history.append(packets, packet.pts, key=packet.key)
        self.sent_packets += len(packets)
        self.sent_octets += sum(map(len, payloads))
        return packets

    def _build(
        self, payloads: list[bytes], timestamp: int, padding: int, now: float
    ) -> list[bytes]:
        sequence = self.history.next_index
        first = 0x90 if self._transport_cc else 0x80
        second, last = self._payload_type, len(payloads) - 1
        if self.codec is Codec.OPUS:
            last = -1  # the marker of audio means a talkspurt's beginning (RFC 3551 4.1)
        packets: list[bytes] = []
        for number, payload in enumerate(payloads):
            marker = 0x80 if number == last else 0
            tail = b""
            if padding and marker:
                first |= _PADDING
                tail = bytes(padding - 1) + bytes((padding,))
            header = _HEADER.pack(
                first, second | marker, sequence + number & 0xFFFF, timestamp, self.ssrc
            )
            if self._transport_cc and self._log is not None:
                count = self._log.add(len(payload) + len(tail) + self.overhead, now)
                id_ = self._transport_cc << 4 | 1
                header += _EXTENSION.pack(_ONE_BYTE, 1, id_, count & 0xFFFF, 0)
            packets.append(header + payload + tail)
        return packets

    def _opus(self, packet: Packet) -> int:
        """Opus timestamps count samples: one that is a rounding error off makes players conceal."""
        due = ticks(packet.pts, AUDIO_RATE)
        try:
            duration = ticks(packet_duration(packet.data), AUDIO_RATE)
        except RemoteProtocolError:
            duration = 0
        sample = self._next_sample
        if sample is None or abs(sample - due) > ticks(_SLACK, AUDIO_RATE):
            sample = due
        self._next_sample = sample + duration
        return self._base + sample & 0xFFFF_FFFF

    def _configure(self, track: Track) -> None:
        self._track = track
        try:
            self._packetizer.configure(track.config)
        except RemoteProtocolError:
            return  # frames that bring their own parameter sets still play
