"""Packets without real media in them, for what only moves them."""

from __future__ import annotations

from livetrio.packet import Codec, Kind, Packet, Track

__all__ = ["AUDIO", "VIDEO", "audio", "config", "gop", "letters", "video"]

VIDEO = Track(Kind.VIDEO, Codec.H264, config=b"avcC")
AUDIO = Track(Kind.AUDIO, Codec.AAC, config=b"asc")


def video(ms: int, *, key: bool = False, data: bytes = b"v", track: Track = VIDEO) -> Packet:
    """A frame; key frames are upper case."""
    return Packet(track, ms * 1000, ms * 1000, data.upper() if key else data, key=key)


def audio(ms: int, data: bytes = b"a", track: Track = AUDIO) -> Packet:
    return Packet(track, ms * 1000, ms * 1000, data, key=True)


def config(track: Track, data: bytes | None = None) -> Packet:
    return Packet(track, 0, 0, track.config if data is None else data, config=True)


def gop(ms: int, frames: int = 3) -> list[Packet]:
    """A key frame and what depends on it, 40 ms apart, with sound."""
    packets = []
    for number in range(frames):
        packets += [video(ms + 40 * number, key=number == 0), audio(ms + 40 * number + 10)]
    return packets


def letters(packets) -> str:
    """What is in packets, short: "(avcC)VaVava"."""
    return "".join(f"({p.data.decode()})" if p.config else p.data.decode() for p in packets)
