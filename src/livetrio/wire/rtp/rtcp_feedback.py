"""RTCP feedback about one media source: NACK, PLI, FIR, REMB.

Source: RFC 4585 section 6, RFC 5104 section 4.3.1, draft-alvestrand-rmcat-remb-03.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from livetrio.errors import RemoteProtocolError
from livetrio.wire.rtp.rtcp_reports import rtcp_packet

__all__ = ["MAX_LOST", "Fir", "Nack", "Pli", "Remb"]

MAX_LOST: Final = 2_048
"""Most packets one NACK may ask for; libwebrtc keeps a list of at most 1,000."""

_RTPFB, _PSFB = 205, 206
_SSRCS: Final = struct.Struct(">II")
_PAIR: Final = struct.Struct(">HH")
_FIR: Final = struct.Struct(">IB3x")
_REMB: Final = b"REMB"
_MANTISSA: Final = 0x3_FFFF


@dataclass(slots=True)
class Nack:
    """Packets that did not arrive."""

    FORMAT = 1

    sender_ssrc: int
    media_ssrc: int
    lost: list[int]
    """16-bit sequence numbers, in the order they were asked for."""

    @classmethod
    def parse(cls, sender_ssrc: int, media_ssrc: int, body: bytes) -> Nack:
        """Read what follows the two SSRCs.

        Raises:
            RemoteProtocolError: it is cut, or asks for more than MAX_LOST packets.
        """
        if len(body) % 4:  # parse_rtcp gives whole words, unless there was padding
            raise RemoteProtocolError("RTCP: a cut NACK")
        lost: list[int] = []
        for first, mask in _PAIR.iter_unpack(body):
            lost.append(first)
            while mask:
                bit = mask & -mask
                lost.append((first + bit.bit_length()) & 0xFFFF)
                mask ^= bit
            if len(lost) > MAX_LOST:
                raise RemoteProtocolError(f"RTCP: a NACK of more than {MAX_LOST} packets")
        return cls(sender_ssrc, media_ssrc, lost)

    def build(self) -> bytes:
        """The packet; numbers that rise (through the wrap, too) share a field of 17."""
        pairs: list[bytes] = []
        first, mask = -1, 0
        for number in self.lost:
            distance = (number - first) & 0xFFFF
            if first >= 0 and 0 < distance <= 16:
                mask |= 1 << distance - 1
                continue
            if first >= 0:
                pairs.append(_PAIR.pack(first, mask))
            first, mask = number & 0xFFFF, 0
        if first >= 0:
            pairs.append(_PAIR.pack(first, mask))
        ssrcs = _SSRCS.pack(self.sender_ssrc, self.media_ssrc)
        return rtcp_packet(_RTPFB, self.FORMAT, ssrcs + b"".join(pairs))


@dataclass(slots=True)
class Pli:
    """Picture loss: please send a key frame."""

    FORMAT = 1

    sender_ssrc: int
    media_ssrc: int

    @classmethod
    def parse(cls, sender_ssrc: int, media_ssrc: int, _body: bytes) -> Pli:
        """There is nothing behind the SSRCs."""
        return cls(sender_ssrc, media_ssrc)

    def build(self) -> bytes:
        """The packet."""
        return rtcp_packet(_PSFB, self.FORMAT, _SSRCS.pack(self.sender_ssrc, self.media_ssrc))


@dataclass(slots=True)
class Fir:
    """Full intra request: a key frame, and no excuses."""

    FORMAT = 4

    sender_ssrc: int
    requests: list[tuple[int, int]]
    """(media ssrc, command number): the same number again is the same request."""

    @classmethod
    def parse(cls, sender_ssrc: int, _media_ssrc: int, body: bytes) -> Fir:
        """Read what follows the two SSRCs, of which the second says nothing here."""
        if len(body) % _FIR.size:
            raise RemoteProtocolError("RTCP: a cut FIR")
        return cls(sender_ssrc, list(_FIR.iter_unpack(body)))

    def build(self) -> bytes:
        """The packet."""
        requests = b"".join(_FIR.pack(ssrc, number & 0xFF) for ssrc, number in self.requests)
        return rtcp_packet(_PSFB, self.FORMAT, _SSRCS.pack(self.sender_ssrc, 0) + requests)


@dataclass(slots=True)
class Remb:
    """Receiver-estimated maximum bitrate, for all the named sources together."""

    FORMAT = 15

    sender_ssrc: int
    bitrate: int
    """bit/s."""
    ssrcs: list[int]

    @classmethod
    def parse(cls, sender_ssrc: int, _media_ssrc: int, body: bytes) -> Remb | None:
        """Read what follows the two SSRCs; None for another application's layer feedback.

        Raises:
            RemoteProtocolError: it is cut, or the bitrate does not fit into 63 bits.
        """
        if body[:4] != _REMB:
            return None
        if len(body) < 8 or len(body) < 8 + 4 * body[4]:
            raise RemoteProtocolError("RTCP: a cut REMB")
        exponent = body[5] >> 2
        mantissa = int.from_bytes(body[5:8]) & _MANTISSA
        if mantissa.bit_length() + exponent > 63:
            raise RemoteProtocolError("RTCP: a REMB beyond 63 bits")
        return cls(
            sender_ssrc, mantissa << exponent, list(struct.unpack_from(f">{body[4]}I", body, 8))
        )

    def build(self) -> bytes:
        """The packet; the bitrate is rounded down to the 18 digits it is written with."""
        exponent = max(self.bitrate.bit_length() - 18, 0)
        rate = exponent << 18 | self.bitrate >> exponent
        return rtcp_packet(
            _PSFB,
            self.FORMAT,
            _SSRCS.pack(self.sender_ssrc, 0)
            + _REMB
            + bytes((len(self.ssrcs),))
            + rate.to_bytes(3)
            + struct.pack(f">{len(self.ssrcs)}I", *self.ssrcs),
        )
