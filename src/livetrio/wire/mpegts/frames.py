"""Frames of sound in a transport stream: where each ends, how long it lasts, what is in it.

Source: ISO/IEC 14496-3 section 1.A.2 (ADTS), 11172-3 and 13818-3 section 2.4.2.3 (MPEG audio),
ETSI TS 102 366 tables 4.13 and E.1.3 (AC-3, E-AC-3).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from livetrio.errors import RemoteProtocolError
from livetrio.packet import Codec, Kind, Track
from livetrio.wire import ac3, mp3
from livetrio.wire.aac import SAMPLE_RATES, AacConfig
from livetrio.wire.tracks import track_from_record

__all__ = ["HEADS", "MARKS", "MIN_HEAD", "FrameHead", "track_of"]

MIN_HEAD: Final = 8
"""Bytes of a frame that all of these are told by."""
_LAYERS: Final = {3: 1, 2: 2, 1: 3}
_BIT_RATES: Final = {
    (1, 1): range(32, 449, 32),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Of MPEG audio, kbit/s by version (2.5 is as 2) and layer."""
_AC3_RATES: Final = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512,
                     576, 640)  # fmt: skip
_AC3_SAMPLES: Final = 1536
_BLOCKS: Final = (1, 2, 3, 6)
"""Of 256 samples in a frame of E-AC-3."""


class FrameHead(NamedTuple):
    """What a frame's header says."""

    size: int
    """Bytes, header included."""
    skip: int
    """Of these, the header that only a transport stream has."""
    samples: int
    rate: int
    """Hertz, of `samples`."""
    channels: int
    object_type: int = 0
    """Of AAC."""


def _adts(data: bytes) -> FrameHead | None:
    rate, channels = data[2] >> 2 & 15, (data[2] & 1) << 2 | data[3] >> 6
    size = (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
    skip = 7 if data[1] & 1 else 9  # with a checksum
    is_head = data[0] == 0xFF and data[1] & 0xF6 == 0xF0
    # Channels by a program_config_element, or several blocks in a frame: nobody sends them.
    if not is_head or rate >= len(SAMPLE_RATES) or not channels or data[6] & 3 or size <= skip:
        return None
    channels = 8 if channels == 7 else channels
    return FrameHead(size, skip, 1024, SAMPLE_RATES[rate], channels, (data[2] >> 6) + 1)


def _mpeg_audio(data: bytes) -> FrameHead | None:
    try:
        rate, channels = mp3.read_header(data)
    except RemoteProtocolError:
        return None
    version, layer = (1 if data[1] >> 3 & 3 == 3 else 2), _LAYERS[data[1] >> 1 & 3]
    index = data[2] >> 4
    if index in (0, 15):  # free format has no size
        return None
    bits, padding = _BIT_RATES[version, layer][index - 1] * 1000, data[2] >> 1 & 1
    if layer == 1:
        return FrameHead((12 * bits // rate + padding) * 4, 0, 384, rate, channels)
    samples = 576 if version == 2 and layer == 3 else 1152
    return FrameHead(samples // 8 * bits // rate + padding, 0, samples, rate, channels)


def _dolby(data: bytes) -> FrameHead | None:
    try:
        enhanced, rate, channels = ac3.read_header(data)
    except RemoteProtocolError:
        return None
    if enhanced:
        words = (int.from_bytes(data[2:4], "big") & 0x7FF) + 1
        blocks = 6 if data[4] >> 6 == 3 else _BLOCKS[data[4] >> 4 & 3]
        return FrameHead(2 * words, 0, 256 * blocks, rate, channels)
    code, half = data[4] >> 6, data[4] & 0x3F
    if half >= 2 * len(_AC3_RATES):
        return None
    bits = _AC3_RATES[half >> 1] * 1000
    words = bits * _AC3_SAMPLES // (48_000, 44_100, 32_000)[code] // 16
    words += half & 1 if code == 1 else 0
    return FrameHead(2 * words, 0, _AC3_SAMPLES, rate, channels)


HEADS: Final[dict[Codec, Callable[[bytes], FrameHead | None]]] = {
    Codec.AAC: _adts,
    Codec.MP3: _mpeg_audio,
    Codec.AC3: _dolby,
    Codec.EAC3: _dolby,
}
"""By codec: the header that `MIN_HEAD` bytes begin with; None where they are none."""
MARKS: Final[dict[Codec, re.Pattern[bytes]]] = {
    Codec.AAC: re.compile(rb"\xff[\xf0\xf1\xf8\xf9]"),
    Codec.MP3: re.compile(rb"\xff[\xe0-\xff]"),
    Codec.AC3: re.compile(rb"\x0b\x77"),
    Codec.EAC3: re.compile(rb"\x0b\x77"),
}
"""The two bytes that such a header begins with: in nonsense the next one is found by these."""


def track_of(codec: Codec, head: FrameHead) -> Track:
    """The track that a frame is of."""
    if codec is Codec.AAC:
        record = AacConfig.build(head.rate, head.channels, object_type=head.object_type)
        return track_from_record(codec, record)
    return Track(Kind.AUDIO, codec, sample_rate=head.rate, channels=head.channels)
