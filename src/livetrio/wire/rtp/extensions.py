"""RTP header extensions: elements by id, and what the ones a gateway needs say.

An element that is cut ends the search instead of the packet: the payload is whole, and
libwebrtc reads on in the same way.

Source: RFC 8285 (one-byte and two-byte form), RFC 6464 (audio level), RFC 9143 section 15
(mid), RFC 8852 (rid), the abs-send-time and transport-wide-cc-extensions-01 pages of WebRTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from livetrio.errors import LocalProtocolError
from livetrio.wire.rtp.header import RtpPacket

__all__ = [
    "ABS_SEND_TIME",
    "AUDIO_LEVEL",
    "MID",
    "ONE_BYTE",
    "REPAIRED_RID",
    "RID",
    "TRANSPORT_CC",
    "TWO_BYTE",
    "abs_send_time_us",
    "audio_level",
    "build_abs_send_time",
    "build_audio_level",
    "build_extensions",
    "build_transport_sequence",
    "extension",
    "extensions",
    "text",
    "transport_sequence",
]

MID: Final = "urn:ietf:params:rtp-hdrext:sdes:mid"
RID: Final = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
REPAIRED_RID: Final = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
AUDIO_LEVEL: Final = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
ABS_SEND_TIME: Final = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
TRANSPORT_CC: Final = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"

ONE_BYTE: Final = 0xBEDE
TWO_BYTE: Final = 0x1000
"""The low four bits of the two-byte form's profile are the application's."""


def extension(packet: RtpPacket, id: int) -> bytes | None:
    """The first element of that id (1 to 14, two-byte form to 255), or None."""
    block = packet.extension
    if not block:
        return None
    if packet.profile == ONE_BYTE:
        at, end = 0, len(block)
        while at < end:  # by hand and not by _elements: this runs for every packet received
            head = block[at]
            if head == 0:
                at += 1
                continue
            stop = at + 2 + (head & 0x0F)
            if head < 0x10 or head >= 0xF0 or stop > end:
                return None
            if head >> 4 == id:
                return block[at + 1 : stop]
            at = stop
        return None
    return next((value for number, value in _elements(packet) if number == id), None)


def extensions(packet: RtpPacket) -> dict[int, bytes]:
    """All elements by id; of two with the same id the first."""
    found: dict[int, bytes] = {}
    for id, value in _elements(packet):
        found.setdefault(id, value)
    return found


def _elements(packet: RtpPacket) -> Iterator[tuple[int, bytes]]:
    block = packet.extension
    one_byte = packet.profile == ONE_BYTE
    if not one_byte and packet.profile & 0xFFF0 != TWO_BYTE:
        return
    at, end = 0, len(block)
    while at < end:
        head = block[at]
        if head == 0:
            at += 1
            continue
        if one_byte:
            start, id, size = at + 1, head >> 4, (head & 0x0F) + 1
            if id in {0, 15}:  # section 4.2: stop here, keep what came before
                return
        elif at + 2 <= end:
            start, id, size = at + 2, head, block[at + 1]
        else:
            return
        at = start + size
        if at > end:
            return
        yield id, block[start:at]


def build_extensions(elements: Iterable[tuple[int, bytes]]) -> bytes:
    """A whole extension block, preamble and padding included; empty without elements.

    The one-byte form wherever it can say it: fewer bytes, and every peer reads it without the
    `extmap-allow-mixed` attribute.

    Args:
        elements: ids 1 to 255 (never 15 unless some element needs the two-byte form anyway)
            and values of at most 255 bytes.

    Raises:
        LocalProtocolError: an id or a size out of range.
    """
    parts = list(elements)
    if not parts:
        return b""
    if not all(0 < id < 256 and len(value) < 256 for id, value in parts):
        raise LocalProtocolError("RTP extension: an id or a size out of range")
    if all(id < 15 and 0 < len(value) <= 16 for id, value in parts):
        profile = ONE_BYTE
        body = b"".join(bytes((id << 4 | len(value) - 1,)) + value for id, value in parts)
    else:
        profile = TWO_BYTE
        body = b"".join(bytes((id, len(value))) + value for id, value in parts)
    words = -(-len(body) // 4)
    return profile.to_bytes(2) + words.to_bytes(2) + body.ljust(4 * words, b"\0")


def text(value: bytes) -> str:
    """What mid, rid and repaired rid hold: UTF-8, of which a cut or wrong byte matches nothing."""
    return value.decode("utf-8", "replace")


def audio_level(value: bytes) -> tuple[int, bool] | None:
    """(level in -dBov: 0 loudest to 127 silence, voice activity), or None if it is empty."""
    return (value[0] & 0x7F, value[0] >= 0x80) if value else None


def build_audio_level(level: int, *, voice: bool = False) -> bytes:
    """The element's value; `level` in -dBov, 0 to 127."""
    return bytes((level | 0x80 if voice else level,))


def transport_sequence(value: bytes) -> int | None:
    """The 16-bit transport-wide sequence number, or None if it is cut.

    Version 02 of the draft puts a feedback request behind it, which is not looked at.
    """
    return value[0] << 8 | value[1] if len(value) >= 2 else None


def build_transport_sequence(sequence: int) -> bytes:
    """The element's value: the low 16 bits of `sequence`."""
    return (sequence & 0xFFFF).to_bytes(2)


def abs_send_time_us(value: bytes) -> int | None:
    """Sending time in microseconds, modulo 64 s (18 bits of fraction), or None if it is cut."""
    return int.from_bytes(value[:3]) * 1_000_000 >> 18 if len(value) >= 3 else None


def build_abs_send_time(us: int) -> bytes:
    """The element's value for a time in microseconds of any clock."""
    return ((us << 18) // 1_000_000 & 0xFF_FFFF).to_bytes(3)
