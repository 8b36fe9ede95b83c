"""The extended tag headers of enhanced RTMP, taken apart: ModEx, FourCC, multitrack.

Source: Veovera's Enhanced RTMP v2, ExAudioTagHeader and ExVideoTagHeader. Both are laid out
alike and differ in the number that means "multitrack".
"""

from __future__ import annotations

from typing import Final, NamedTuple

from livetrio.errors import RemoteProtocolError
from livetrio.wire.flv.words import MultitrackType, VideoPacketType

__all__ = ["Part", "read_parts"]

_MOD_EX: Final = VideoPacketType.MOD_EX
"""The same number for audio."""
_MAX_MOD_EX: Final = 8
"""Extensions before one packet; a single kind is defined so far."""
_TIMESTAMP_OFFSET_NANO: Final = 0
_MAX_OFFSET: Final = 999_999
"""Nanoseconds: the offset refines a millisecond and stays below it."""


class Part(NamedTuple):
    """One track's share of a tag."""

    packet_type: int
    fourcc: bytes
    track_id: int
    data: bytes


def read_parts(body: bytes, multitrack: int) -> tuple[int, list[Part]]:
    """Take apart a tag's body that has an extended header.

    Nothing of a tag that is broken anywhere is used: with sizes that lie there is no telling
    where it went wrong. A track id that appears twice counts as broken.

    Args:
        body: of the whole tag, its first byte included.
        multitrack: AudioPacketType.MULTITRACK or VideoPacketType.MULTITRACK.

    Returns:
        Nanoseconds to add to the tag's time, and the parts in order.

    Raises:
        RemoteProtocolError: the headers are cut, nest multitrack, or announce more than there is.
    """
    packet_type = body[0] & 0x0F
    pos = 1
    nanoseconds = 0
    extensions = 0
    while packet_type == _MOD_EX:
        extensions += 1
        if extensions > _MAX_MOD_EX:
            raise RemoteProtocolError(f"more than {_MAX_MOD_EX} ModEx extensions in one tag")
        packet_type, offset, pos = _read_mod_ex(body, pos)
        nanoseconds = nanoseconds if offset is None else offset
    if packet_type != multitrack:
        return nanoseconds, [Part(packet_type, _fourcc(body, pos), 0, body[pos + 4 :])]
    return nanoseconds, _read_tracks(body, pos, multitrack)


def _read_mod_ex(body: bytes, pos: int) -> tuple[int, int | None, int]:
    """The packet type behind an extension, the time offset if it is one, and the new position."""
    if pos + 3 > len(body):
        raise RemoteProtocolError("a ModEx extension is cut")
    size = body[pos] + 1
    pos += 1
    if size == 256:
        size = int.from_bytes(body[pos : pos + 2], "big") + 1
        pos += 2
    stop = pos + size
    if stop >= len(body):
        raise RemoteProtocolError("a ModEx extension is longer than its tag")
    kind, packet_type = body[stop] >> 4, body[stop] & 0x0F
    if kind != _TIMESTAMP_OFFSET_NANO:
        return packet_type, None, stop + 1
    if size < 3:
        raise RemoteProtocolError("a ModEx time offset is cut")
    offset = int.from_bytes(body[pos : pos + 3], "big")
    return packet_type, min(offset, _MAX_OFFSET), stop + 1


def _read_tracks(body: bytes, pos: int, multitrack: int) -> list[Part]:
    if pos >= len(body):
        raise RemoteProtocolError("a multitrack header is cut")
    kind, packet_type = body[pos] >> 4, body[pos] & 0x0F
    pos += 1
    if packet_type == multitrack:
        raise RemoteProtocolError("multitrack inside multitrack")
    if kind > MultitrackType.MANY_TRACKS_MANY_CODECS:
        raise RemoteProtocolError(f"unknown multitrack type {kind}")
    fourcc = b""
    if kind != MultitrackType.MANY_TRACKS_MANY_CODECS:
        fourcc = _fourcc(body, pos)
        pos += 4
    if kind == MultitrackType.ONE_TRACK:
        if pos >= len(body):
            raise RemoteProtocolError("a multitrack header is cut")
        return [Part(packet_type, fourcc, body[pos], body[pos + 1 :])]
    parts: list[Part] = []
    seen: set[int] = set()
    while pos < len(body):
        if kind == MultitrackType.MANY_TRACKS_MANY_CODECS:
            fourcc = _fourcc(body, pos)
            pos += 4
        start = pos + 4
        stop = start + int.from_bytes(body[pos + 1 : start], "big")
        if start > len(body) or stop > len(body):
            raise RemoteProtocolError("a track is longer than its tag")
        track_id = body[pos]
        if track_id in seen:
            raise RemoteProtocolError(f"track {track_id} twice in one tag")
        seen.add(track_id)
        parts.append(Part(packet_type, fourcc, track_id, body[start:stop]))
        pos = stop
    return parts


def _fourcc(body: bytes, pos: int) -> bytes:
    fourcc = body[pos : pos + 4]
    if len(fourcc) < 4:
        raise RemoteProtocolError("a FourCC is cut")
    return fourcc
