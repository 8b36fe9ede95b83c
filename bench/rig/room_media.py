"""Media of a room's people: sizes and pace of a browser's, with a stamp at the end of each frame.

A stamp says who sent the frame and when. Servers pass it on as it is. Pictures are bytes of none;
sounds are Opus that decodes, since mixers do, and the stamp is padding (RFC 6716 section 3.2.5).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Final, NamedTuple

import av

from rig.rtc_sdp import AUDIO_TYPE

__all__ = ["Stamp", "encode_sounds", "level", "picture", "sound", "stamp", "stamp_of"]

_STAMP: Final = 20
"""Bytes."""
_SIZES: Final = (1_050, 700, 1_600, 1_100, 900, 2_250, 1_150)
"""Of frames that depend on others, in turn: 300 kbit/s at 30 a second."""
_KEY_SIZE: Final = 8_000
_BITRATE: Final = 32_000
"""Of sound."""
_PAYLOAD: Final = 1_150
"""Bytes of a packet's payload at most."""
_SETS: Final = (
    bytes.fromhex("6742c01fd9005005bb016a02020280000003008000001e078c1924"),
    bytes.fromhex("68cb83cb20"),
)
_PAIR: Final = b"\x78" + b"".join(len(unit).to_bytes(2) + unit for unit in _SETS)
_KEY: Final = b"\x88" + b"\x55" * _KEY_SIZE
_BODIES: Final = [b"\x9a" + b"\x55" * (size - _STAMP - 2) for size in _SIZES]
_TURN: Final = 2.0
"""Seconds that each speaker's turn lasts."""
_AT_ONCE: Final = 3
"""Of eight that speak at a time."""


class Stamp(NamedTuple):
    """Who sent a frame, when, and is it a key frame?"""

    sender: int
    at: int
    """Nanoseconds, monotonic."""
    key: bool


def stamp(sender: int, at: int) -> bytes:
    """Digits: nothing that a NAL unit would have to escape."""
    return b"%04x%016x" % (sender, at)


def encode_sounds(pitch: int = 440, count: int = 50) -> list[bytes]:
    """A tone as Opus packets of 20 ms, ready for `sound`; takes some milliseconds."""
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "mono", "s16"
    encoder.bit_rate, encoder.time_base = _BITRATE, Fraction(1, 48_000)
    found: list[bytes] = []
    for number in range(count + 2):  # the first are of the encoder's beginning
        frame = av.AudioFrame("s16", "mono", 960)
        wave = [(n * pitch * 2 // 48_000 % 2) * 8_000 for n in range(960)]
        frame.planes[0].update(b"".join(value.to_bytes(2, "little") for value in wave))
        frame.sample_rate, frame.pts = 48_000, 960 * number
        found += [bytes(packet) for packet in encoder.encode(frame)]
    # One frame, arbitrary in number (code 3), with padding.
    return [bytes((data[0] | 3, 0x41, _STAMP)) + data[1:] for data in found[2:]]


def sound(sounds: Sequence[bytes], number: int, mark: bytes) -> bytes:
    """An Opus packet."""
    return sounds[number % len(sounds)] + mark


def picture(number: int, mark: bytes, *, key: bool) -> Iterator[bytes]:
    """The RTP payloads of a frame (RFC 6184, mode 1)."""
    if key:
        yield _PAIR
    header, body = (0x65, _KEY) if key else (0x41, _BODIES[number % len(_BODIES)])
    body += mark
    if len(body) < _PAYLOAD:
        yield bytes([header]) + body
        return
    count = -(-len(body) // (_PAYLOAD - 2))
    size = -(-len(body) // count)  # as even as browsers cut
    for at in range(0, len(body), size):
        first, last = at == 0, at + size >= len(body)
        flags = 0x80 * first | 0x40 * last | header & 0x1F
        yield bytes((header & 0x60 | 28, flags)) + body[at : at + size]


def level(sender: int, now: float) -> int:
    """-dBov of somebody's microphone: of eight people three speak, in turns."""
    return 20 + sender % 8 if (int(now / _TURN) + sender) % 8 < _AT_ONCE else 70


def _header_size(packet: bytes) -> int:
    """Of an RTP packet, with CSRCs and extension."""
    size = 12 + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        size += 4 + 4 * int.from_bytes(packet[size + 2 : size + 4])
    return size


def stamp_of(packet: bytes) -> Stamp | None:
    """What a decrypted RTP packet was stamped with; None: it is not a frame's last one."""
    kind = packet[1]
    sounds = kind & 0x7F == AUDIO_TYPE
    if not (sounds or kind & 0x80):
        return None
    start = _header_size(packet)
    end = len(packet) - (packet[-1] if packet[0] & 0x20 else 0)
    mark = packet[max(start, end - _STAMP) : end]
    unit = packet[start] & 0x1F
    if unit == 28:
        unit = packet[start + 1] & 0x1F
    key = sounds or unit == 5
    try:
        return Stamp(int(mark[:4], 16), int(mark[4:], 16), key)
    except ValueError:  # cut somewhere else, or not ours
        return None
