"""The initialization segment: which tracks there are, and nothing of their samples.

Source: ISO/IEC 14496-12 sections 4.3 (ftyp), 8.2 to 8.5 (moov and its tracks), 8.8 (mvex).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from livetrio.packet import Kind, Track
from livetrio.wire.fmp4.boxes import box, full_box
from livetrio.wire.fmp4.sample_entry import sample_entry

__all__ = ["initialization", "timescale"]

_BRANDS: Final = b"iso6" + bytes(4) + b"iso6cmfciso5mp41"
_MATRIX: Final = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_VIDEO_SCALE: Final = 90_000
_AUDIO_SCALE: Final = 48_000
_UNDETERMINED: Final = 0x55C4
"""The language "und" in packed ISO 639-2."""
_KEY_SAMPLE: Final = 0x02000000
"""Sample flags: depends on no other."""
_EMPTY_TABLES: Final = b"".join(
    (
        full_box(b"stts", 0, 0, bytes(4)),
        full_box(b"stsc", 0, 0, bytes(4)),
        full_box(b"stsz", 0, 0, bytes(8)),
        full_box(b"stco", 0, 0, bytes(4)),
    )
)
_DATA_INFORMATION: Final = box(
    b"dinf", full_box(b"dref", 0, 0, b"\x00\x00\x00\x01", full_box(b"url ", 0, 1))
)


def timescale(track: Track) -> int:
    """Ticks a second of a track's times: of sound its sampling rate, of pictures 90 kHz."""
    if track.kind is Kind.VIDEO:
        return _VIDEO_SCALE
    return track.sample_rate or _AUDIO_SCALE


def initialization(tracks: Sequence[Track], later: Sequence[Sequence[Track]] = ()) -> bytes:
    """ftyp and moov of a file whose samples come in fragments.

    Args:
        tracks: in this order they have the track ids 1, 2, ... that `fragment` uses.
        later: of each, further configurations of its samples, of the same kind.

    Raises:
        LocalProtocolError: a codec that MP4 has no name for.
        RemoteProtocolError: a configuration record that cannot be read.
    """
    movie_header = full_box(
        b"mvhd",
        0,
        0,
        struct.pack(">IIII", 0, 0, 1000, 0),  # made, changed, timescale, duration unknown
        struct.pack(">IH10x", 0x10000, 0x0100),  # rate 1.0, volume 1.0
        _MATRIX,
        bytes(24),
        struct.pack(">I", len(tracks) + 1),
    )
    further = later or [()] * len(tracks)
    boxes = [
        _track(number, track, [track, *others])
        for number, (track, others) in enumerate(zip(tracks, further, strict=True), 1)
    ]
    extends = [_defaults(number, track) for number, track in enumerate(tracks, 1)]
    return box(b"ftyp", _BRANDS) + box(b"moov", movie_header, *boxes, box(b"mvex", *extends))


def _track(number: int, track: Track, configurations: Sequence[Track]) -> bytes:
    video = track.kind is Kind.VIDEO
    header = full_box(
        b"tkhd",
        0,
        3,  # enabled, in the movie
        struct.pack(">IIIII", 0, 0, number, 0, 0),
        struct.pack(">8xHHH2x", 0, 0, 0 if video else 0x0100),  # layer, group, volume
        _MATRIX,
        struct.pack(">II", track.width << 16, track.height << 16),
    )
    media_header = full_box(
        b"mdhd", 0, 0, struct.pack(">IIIIHH", 0, 0, timescale(track), 0, _UNDETERMINED, 0)
    )
    handler, name = (b"vide", b"video") if video else (b"soun", b"sound")
    handler_box = full_box(b"hdlr", 0, 0, bytes(4), handler, bytes(12), name, b"\x00")
    media_information = (
        full_box(b"vmhd", 0, 1, bytes(8)) if video else full_box(b"smhd", 0, 0, bytes(4))
    )
    count = len(configurations).to_bytes(4, "big")
    description = full_box(b"stsd", 0, 0, count, *map(sample_entry, configurations))
    table = box(b"stbl", description, _EMPTY_TABLES)
    information = box(b"minf", media_information, _DATA_INFORMATION, table)
    return box(b"trak", header, box(b"mdia", media_header, handler_box, information))


def _defaults(number: int, track: Track) -> bytes:
    flags = 0 if track.kind is Kind.VIDEO else _KEY_SAMPLE
    return full_box(b"trex", 0, 0, struct.pack(">IIIII", number, 1, 0, 0, flags))
