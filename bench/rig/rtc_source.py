"""1 Mbit/s of 720p30 H.264 and Opus as packets: sizes and pace of a real stream, bytes of none.

Nobody decodes pictures here. A key frame of 40 KB every two seconds, frames of 3.6 KB between
them, Opus at 64 kbit/s.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from livetrio.packet import Codec, Kind, Packet, Track
from livetrio.wire.nal import join_units

__all__ = ["AUDIO", "VIDEO", "packets"]

_CONFIG = bytes.fromhex("0142c01fffe100046742c01f01000468ce3880")
VIDEO = Track(Kind.VIDEO, Codec.H264, config=_CONFIG, width=1280, height=720)
AUDIO = Track(Kind.AUDIO, Codec.OPUS, sample_rate=48_000, channels=2)
_GOP = 60
_KEY, _FRAME, _SOUND = 40_000, 3_560, 159


def packets() -> Iterator[Packet]:
    """Endless, in the order of their times (us)."""
    key = join_units([b"\x65\x88" + os.urandom(_KEY)])
    frame = join_units([b"\x41\x9a" + os.urandom(_FRAME)])
    sound = b"\xfc" + os.urandom(_SOUND)
    shown = heard = 0
    while True:
        if heard * 20_000 < shown * 100_000 // 3:
            yield Packet(AUDIO, heard * 20_000, heard * 20_000, sound, key=True)
            heard += 1
            continue
        start = shown % _GOP == 0
        pts = shown * 100_000 // 3
        yield Packet(VIDEO, pts, pts, key if start else frame, key=start)
        shown += 1
