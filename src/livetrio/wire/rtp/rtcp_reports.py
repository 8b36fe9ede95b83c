"""RTCP reports and descriptions: sender report, receiver report, SDES, BYE.

Source: RFC 3550 section 6.4 to 6.6.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from livetrio.errors import LocalProtocolError, RemoteProtocolError

__all__ = [
    "CNAME",
    "Bye",
    "ReceiverReport",
    "ReportBlock",
    "SdesChunk",
    "SenderReport",
    "SourceDescription",
    "rtcp_packet",
]

CNAME: Final = 1
"""The SDES item every source must send."""

_SR, _RR, _SDES, _BYE = 200, 201, 202, 203
_HEADER: Final = struct.Struct(">BBH")
_U32: Final = struct.Struct(">I")
_SENDER: Final = struct.Struct(">IQIII")
_BLOCK: Final = struct.Struct(">IIIIII")


def rtcp_packet(packet_type: int, count: int, body: bytes) -> bytes:
    """One RTCP packet: `count` is the header's five bits, `body` a multiple of four bytes."""
    if len(body) % 4 or count > 31:
        raise LocalProtocolError(f"RTCP: a body of {len(body)} bytes, count {count}")
    return _HEADER.pack(0x80 | count, packet_type, len(body) // 4) + body


@dataclass(slots=True)
class ReportBlock:
    """What one receiver says of one source."""

    ssrc: int
    fraction_lost: int
    """Since the last report, in 1/256."""
    lost: int
    """Since the beginning; signed 24 bits, negative when duplicates arrived."""
    highest_sequence: int
    """Extended: the low 16 bits are the sequence number."""
    jitter: int
    """In ticks of the payload's clock."""
    last_sr: int
    """The middle 32 bits of the last sender report's NTP time; 0 before the first."""
    delay: int
    """Since that report came, in 1/65536 s."""

    @classmethod
    def parse(cls, body: bytes, at: int) -> ReportBlock:
        """Read the 24 bytes at `at`, which must be there."""
        ssrc, loss, highest, jitter, last_sr, delay = _BLOCK.unpack_from(body, at)
        lost = loss & 0xFF_FFFF
        lost -= (lost & 0x80_0000) << 1
        return cls(ssrc, loss >> 24, lost, highest, jitter, last_sr, delay)

    def build(self) -> bytes:
        """Its 24 bytes; what is out of range is held at the field's limit."""
        lost = min(max(self.lost, -0x80_0000), 0x7F_FFFF) & 0xFF_FFFF
        return _BLOCK.pack(
            self.ssrc,
            min(self.fraction_lost, 255) << 24 | lost,
            self.highest_sequence & 0xFFFF_FFFF,
            min(self.jitter, 0xFFFF_FFFF),
            self.last_sr,
            min(self.delay, 0xFFFF_FFFF),
        )


def _blocks(body: bytes, at: int, count: int) -> list[ReportBlock]:
    if at + 24 * count > len(body):
        raise RemoteProtocolError(f"RTCP: {count} report blocks do not fit into the report")
    return [ReportBlock.parse(body, at + 24 * index) for index in range(count)]


@dataclass(slots=True)
class SenderReport:
    """What a source sent so far, and which wall-clock time its RTP clock stands for."""

    ssrc: int
    ntp: int
    """64 bits: seconds since 1900 in the high half, their fraction in the low."""
    rtp_timestamp: int
    packets: int
    octets: int
    """Of payload."""
    reports: list[ReportBlock] = field(default_factory=list)

    @property
    def middle(self) -> int:
        """The 32 bits of the NTP time that a receiver gives back as `last_sr`."""
        return self.ntp >> 16 & 0xFFFF_FFFF

    @classmethod
    def parse(cls, body: bytes, count: int) -> SenderReport:
        """Read what follows the RTCP header; profile-specific extensions are ignored."""
        if len(body) < _SENDER.size:
            raise RemoteProtocolError("RTCP: a cut sender report")
        ssrc, ntp, timestamp, packets, octets = _SENDER.unpack_from(body)
        reports = _blocks(body, _SENDER.size, count)
        return cls(ssrc, ntp, timestamp, packets, octets, reports)

    def build(self) -> bytes:
        """The packet; counters wrap at 32 bits."""
        return rtcp_packet(
            _SR,
            len(self.reports),
            _SENDER.pack(
                self.ssrc,
                self.ntp,
                self.rtp_timestamp & 0xFFFF_FFFF,
                self.packets & 0xFFFF_FFFF,
                self.octets & 0xFFFF_FFFF,
            )
            + b"".join(block.build() for block in self.reports),
        )


@dataclass(slots=True)
class ReceiverReport:
    """What a receiver says of its sources."""

    ssrc: int
    reports: list[ReportBlock] = field(default_factory=list)

    @classmethod
    def parse(cls, body: bytes, count: int) -> ReceiverReport:
        """Read what follows the RTCP header; profile-specific extensions are ignored."""
        if len(body) < 4:
            raise RemoteProtocolError("RTCP: a cut receiver report")
        return cls(_U32.unpack_from(body)[0], _blocks(body, 4, count))

    def build(self) -> bytes:
        """The packet."""
        blocks = b"".join(block.build() for block in self.reports)
        return rtcp_packet(_RR, len(self.reports), _U32.pack(self.ssrc) + blocks)


@dataclass(slots=True)
class SdesChunk:
    """One source's description."""

    ssrc: int
    items: list[tuple[int, bytes]]
    """(item type, value), values of at most 255 bytes."""

    @property
    def cname(self) -> str:
        """The canonical name, empty without one."""
        return next(
            (value.decode("utf-8", "replace") for id, value in self.items if id == CNAME), ""
        )


@dataclass(slots=True)
class SourceDescription:
    """Names of sources."""

    chunks: list[SdesChunk]

    @classmethod
    def parse(cls, body: bytes, count: int) -> SourceDescription:
        """Read what follows the RTCP header.

        Raises:
            RemoteProtocolError: a chunk or item does not fit, or a chunk has no end.
        """
        at = 0
        chunks = []
        for _ in range(count):
            if at + 4 > len(body):
                raise RemoteProtocolError("RTCP: a cut SDES chunk")
            chunk = SdesChunk(_U32.unpack_from(body, at)[0], [])
            at += 4
            while (item := body[at : at + 1]) and item != b"\0":
                size = body[at + 1] if at + 1 < len(body) else len(body)
                value = body[at + 2 : at + 2 + size]
                if len(value) < size:
                    raise RemoteProtocolError("RTCP: a cut SDES item")
                chunk.items.append((item[0], value))
                at += 2 + size
            if not item:
                raise RemoteProtocolError("RTCP: an SDES chunk without an end")
            at = (at + 4) & ~3  # one to four NULs end a chunk on a word
            chunks.append(chunk)
        return cls(chunks)

    @classmethod
    def of(cls, names: Sequence[tuple[int, str]]) -> SourceDescription:
        """The CNAMEs of (ssrc, name)s, each name at most 255 bytes of UTF-8."""
        return cls([SdesChunk(ssrc, [(CNAME, name.encode())]) for ssrc, name in names])

    def build(self) -> bytes:
        """The packet."""
        body = b""
        for chunk in self.chunks:
            body += _U32.pack(chunk.ssrc)
            body += b"".join(bytes((id, len(value))) + value for id, value in chunk.items)
            body += bytes(4 - len(body) % 4)
        return rtcp_packet(_SDES, len(self.chunks), body)


@dataclass(slots=True)
class Bye:
    """Sources that end."""

    ssrcs: list[int]
    reason: str = ""

    @classmethod
    def parse(cls, body: bytes, count: int) -> Bye:
        """Read what follows the RTCP header; a reason that is cut is shortened."""
        size = 4 * count
        if size > len(body):
            raise RemoteProtocolError(f"RTCP: {count} SSRCs do not fit into the BYE")
        reason = body[size + 1 : size + 1 + body[size]] if len(body) > size else b""
        return cls(list(struct.unpack_from(f">{count}I", body)), reason.decode("utf-8", "replace"))

    def build(self) -> bytes:
        """The packet; a longer reason than 255 bytes of UTF-8 is cut."""
        reason = self.reason.encode()[:255]
        tail = bytes((len(reason),)) + reason if reason else b""
        tail = tail.ljust(-(-len(tail) // 4) * 4, b"\0")
        body = struct.pack(f">{len(self.ssrcs)}I", *self.ssrcs) + tail
        return rtcp_packet(_BYE, len(self.ssrcs), body)
