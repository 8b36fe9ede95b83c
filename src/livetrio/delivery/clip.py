"""ClipWriter: pieces of one or more recordings as one MP4, also where their configurations differ.

A track gets a sample entry for each configuration, and each fragment says which it has (ISO/IEC
14496-12 section 8.8.7). Readers that overlook that, FFmpeg's among them, find the parameter sets
of a picture once more before its first frame; a second configuration of sound they cannot see.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from livetrio.packet import Codec, Kind, Track
from livetrio.wire.avc import AvcConfig
from livetrio.wire.fmp4 import fragment, in_mp4, initialization
from livetrio.wire.hevc import HevcConfig
from livetrio.wire.nal import join_units
from livetrio.wire.segment import Sample
from livetrio.wire.title import alike

__all__ = ["ClipWriter"]


class ClipWriter:
    """One MP4.

    Args:
        configurations: the tracks of all pieces, in their order. Of each kind the first codec
            decides: a track of MP4 readers know only one.
    """

    def __init__(self, configurations: Iterable[Sequence[Track]]) -> None:
        found: dict[Kind, list[Track]] = {}
        for tracks in configurations:
            for track in tracks:
                known = found.setdefault(track.kind, []) if in_mp4(track.codec) else []
                fits = in_mp4(track.codec) and (not known or known[0].codec is track.codec)
                if fits and _number(known, track) is None:
                    known.append(track)
        order = sorted(found, key=lambda kind: kind is not Kind.VIDEO)
        self._lanes = [found[kind] for kind in order if found[kind]]
        self._current = [0] * len(self._lanes)
        self._count = 0

    @property
    def is_empty(self) -> bool:
        """Is there nothing that MP4 has a place for?"""
        return not self._lanes

    def takes(self, tracks: Sequence[Track]) -> bool:
        """Has this MP4 a place for what leads these tracks?"""
        return any(_number(lane, tracks[0]) is not None for lane in self._lanes)

    def header(self) -> bytes:
        """What it begins with."""
        return initialization([lane[0] for lane in self._lanes], [lane[1:] for lane in self._lanes])

    def piece(
        self, tracks: Sequence[Track], samples: Sequence[Sequence[Sample]], origin: int
    ) -> bytes:
        """The next piece.

        Args:
            tracks: of it, one of the configurations.
            samples: of each track.
            origin: microseconds that are time 0 of the file.
        """
        runs: list[Sequence[Sample]] = [()] * len(self._lanes)
        for track, own in zip(tracks, samples, strict=True):
            for lane, known in enumerate(self._lanes):
                number = _number(known, track)
                if number is None or not own:
                    continue
                if number != self._current[lane]:
                    own = [_announced(own[0], track), *own[1:]]
                    self._current[lane] = number
                runs[lane] = own
        self._count += 1
        heads = [lane[0] for lane in self._lanes]  # times are counted as the first one's
        return fragment(self._count, heads, runs, origin=origin, configurations=self._current)


def _number(known: Sequence[Track], track: Track) -> int | None:
    """Which of some configurations this is."""
    return next((n for n, each in enumerate(known) if alike([each], [track])), None)


def _announced(sample: Sample, track: Track) -> Sample:
    """A picture with its parameter sets before it."""
    match track.codec:
        case Codec.H264:
            avc = AvcConfig.parse(track.config)
            sets, size = (*avc.sps_list, *avc.pps_list), avc.length_size
        case Codec.HEVC:
            hevc = HevcConfig.parse(track.config)
            sets, size = (*hevc.vps_list, *hevc.sps_list, *hevc.pps_list), hevc.length_size
        case _:
            return sample
    return replace(sample, data=join_units(sets, size) + sample.data)
