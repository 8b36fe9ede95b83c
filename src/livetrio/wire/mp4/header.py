"""moov: the tracks of a file, with their tables or with the defaults of its fragments.

Source: ISO/IEC 14496-12 sections 8.2 (movie), 8.3 (track), 8.6.6 (edit list), 8.8.3 (trex).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from livetrio.errors import RemoteProtocolError
from livetrio.packet import US_PER_SECOND, Kind, Track
from livetrio.wire.mp4.boxes import Box, child, children, fields
from livetrio.wire.mp4.entries import read_entry
from livetrio.wire.mp4.tables import SampleTable

__all__ = ["Defaults", "Header", "HeaderTrack", "read_moov"]

_MAX_TRACKS: Final = 64
_MAX_EDITS: Final = 64
_VERSION: Final = struct.Struct(">B")
_SCALES: Final = (struct.Struct(">12xI"), struct.Struct(">20xI"))
"""The timescale of mvhd and mdhd, by version."""
_TRACK_IDS: Final = (struct.Struct(">12xI"), struct.Struct(">20xI"))
_EDITS: Final = (struct.Struct(">Ii4x"), struct.Struct(">Qq4x"))
_COUNT: Final = struct.Struct(">4xI")
_TREX: Final = struct.Struct(">4xIIIII")


@dataclass(frozen=True, slots=True)
class Defaults:
    """What samples of a fragment are, unless it says otherwise."""

    duration: int = 0
    size: int = 0
    flags: int = 0


@dataclass(slots=True)
class HeaderTrack:
    """One track that can be played."""

    id: int
    track: Track
    scale: int
    """Ticks a second."""
    shift: int
    """Microseconds to add to the times of its samples: what the edit list says."""
    table: SampleTable
    """Empty where all samples are in fragments."""
    defaults: Defaults

    def us(self, ticks: int) -> int:
        """Ticks as microseconds of the presentation."""
        return ticks * US_PER_SECOND // self.scale + self.shift


@dataclass(slots=True)
class Header:
    """All of it."""

    tracks: list[HeaderTrack]
    """The first of pictures, then the first of sound; at least one."""
    fragmented: bool


def read_moov(data: bytes) -> Header:
    """The content of a moov box.

    Raises:
        RemoteProtocolError: it cannot be read, or has no track that could be played.
    """
    moov = Box(b"moov", 0, len(data))
    scale = _scale(data, child(data, moov, b"mvhd"))
    extends = child(data, moov, b"mvex")
    defaults = _read_defaults(data, extends) if extends else {}
    found: dict[Kind, HeaderTrack] = {}
    tracks = 0
    for box in children(data, moov.start, moov.end):
        if box.kind != b"trak":
            continue
        tracks += 1
        if tracks > _MAX_TRACKS:
            raise RemoteProtocolError(f"MP4: more than {_MAX_TRACKS} tracks")
        track = _read_track(data, box, scale, defaults)
        if track is not None:
            found.setdefault(track.track.kind, track)
    chosen = [found[kind] for kind in (Kind.VIDEO, Kind.AUDIO) if kind in found]
    if not chosen:
        raise RemoteProtocolError("MP4: no track that could be played")
    return Header(chosen, extends is not None)


def _read_track(
    data: bytes, box: Box, movie_scale: int, defaults: dict[int, Defaults]
) -> HeaderTrack | None:
    media = child(data, box, b"mdia")
    table = media and child(data, media, b"minf", b"stbl")
    description = table and child(data, table, b"stsd")
    header = child(data, box, b"tkhd")
    if media is None or table is None or description is None or header is None:
        return None
    track = read_entry(data, description)
    if track is None:
        return None
    scale = _scale(data, child(data, media, b"mdhd"))
    (track_id,) = fields(data, header, _TRACK_IDS[_version(data, header)])
    edits = child(data, box, b"edts", b"elst")
    shift = _read_edits(data, edits, movie_scale, scale) if edits else 0
    samples = SampleTable(data, table)
    default = defaults.get(track_id, Defaults())
    return HeaderTrack(track_id, track, scale, shift, samples, default)


def _read_edits(data: bytes, box: Box, movie_scale: int, scale: int) -> int:
    """How much later (microseconds) the first edit shows the media than their times say.

    Edits that follow it are not carried out: they cut and repeat, which editors do before they
    write a file that is to be served.
    """
    form = _EDITS[_version(data, box)]
    (count,) = fields(data, box, _COUNT)
    delay = 0
    for number in range(min(count, _MAX_EDITS)):
        duration, begins = fields(data, box, form, _COUNT.size + number * form.size)
        if begins >= 0:
            return delay - begins * US_PER_SECOND // scale
        delay += duration * US_PER_SECOND // movie_scale  # an empty edit
    return delay


def _read_defaults(data: bytes, extends: Box) -> dict[int, Defaults]:
    found = {}
    for box in children(data, extends.start, extends.end):
        if box.kind == b"trex":
            track_id, _, duration, size, flags = fields(data, box, _TREX)
            found[track_id] = Defaults(duration, size, flags)
    return found


def _scale(data: bytes, header: Box | None) -> int:
    if header is None:
        raise RemoteProtocolError("MP4: no timescale")
    (scale,) = fields(data, header, _SCALES[_version(data, header)])
    if not scale:
        raise RemoteProtocolError("MP4: a timescale of 0")
    return scale


def _version(data: bytes, box: Box) -> int:
    (version,) = fields(data, box, _VERSION)
    if version > 1:
        raise RemoteProtocolError(f"MP4: a {box.kind!r} box of version {version}")
    return version
