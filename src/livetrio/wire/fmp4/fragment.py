"""A movie fragment: the samples of one part, with times that never drift.

Source: ISO/IEC 14496-12 sections 8.8.4 (moof) to 8.8.8 (trun), 8.8.12 (tfdt).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import chain, pairwise
from typing import Final

from livetrio.packet import US_PER_SECOND, Kind, Track
from livetrio.wire.fmp4.boxes import box, full_box
from livetrio.wire.fmp4.initialization import timescale
from livetrio.wire.segment import Sample

__all__ = ["fragment", "ticks"]

_BASE_IS_MOOF: Final = 0x020000
_DESCRIPTION: Final = 0x000002
_VIDEO_RUN: Final = 0x000F01
"""Data offset; of each sample: duration, size, flags, composition offset."""
_AUDIO_RUN: Final = 0x000301
_KEY: Final = 0x02000000
"""Sample flags: depends on no other."""
_DEPENDS: Final = 0x01010000
"""Depends on others, and is no place to start (non-sync)."""
_TRUN_HEADER: Final = 20
"""Bytes of a trun up to and with its data offset."""


def ticks(time: int, scale: int) -> int:
    """Microseconds as ticks of a timescale, to the nearest.

    Durations are differences of these, hence the sum of rounded durations is the rounded sum.
    """
    return (time * scale + US_PER_SECOND // 2) // US_PER_SECOND


def fragment(
    number: int,
    tracks: Sequence[Track],
    samples: Sequence[Sequence[Sample]],
    *,
    origin: int = 0,
    configurations: Sequence[int] = (),
) -> bytes:
    """moof and mdat.

    Args:
        number: of the fragment, from 1 on, growing.
        tracks: as given to `initialization`; a track without samples is left out.
        samples: of each track, in decoding order. Times before 0 are taken for 0.
        origin: microseconds that become time 0 of the file.
        configurations: of each track, which of those in `initialization` its samples have, from
            0 on; by default the first.
    """
    runs = [
        (number_of, track, run)
        for number_of, (track, run) in enumerate(zip(tracks, samples, strict=True), 1)
        if run
    ]
    sequence = full_box(b"mfhd", 0, 0, number.to_bytes(4, "big"))
    chosen = dict(enumerate(configurations, 1))
    heads = [
        _track_head(number_of, track, run, origin, chosen.get(number_of, 0))
        for number_of, track, run in runs
    ]
    tables = [_table(track, run) for _, track, run in runs]
    sizes = [
        8 + len(head) + _TRUN_HEADER + len(table) for head, table in zip(heads, tables, strict=True)
    ]
    offset = 8 + len(sequence) + sum(sizes) + 8  # from the moof's first byte into the mdat
    boxes = []
    for (_, track, run), head, table in zip(runs, heads, tables, strict=True):
        flags = _VIDEO_RUN if track.kind is Kind.VIDEO else _AUDIO_RUN
        where = struct.pack(">Ii", len(run), offset)
        # Version 1: composition offsets may be negative.
        boxes.append(box(b"traf", head, full_box(b"trun", 1, flags, where, table)))
        offset += sum([len(sample.data) for sample in run])
    data = box(b"mdat", *[sample.data for _, _, run in runs for sample in run])
    return box(b"moof", sequence, *boxes) + data


def _track_head(
    number: int, track: Track, run: Sequence[Sample], origin: int, configuration: int
) -> bytes:
    flags, which = _BASE_IS_MOOF, b""
    if configuration:
        flags, which = flags | _DESCRIPTION, (configuration + 1).to_bytes(4, "big")
    header = full_box(b"tfhd", 0, flags, number.to_bytes(4, "big"), which)
    scale = timescale(track)
    # Each is rounded by itself, so that fragments meet without a gap whatever the origin is.
    start = max(ticks(run[0].dts, scale) - ticks(origin, scale), 0)
    return header + full_box(b"tfdt", 1, 0, start.to_bytes(8, "big"))


def _table(track: Track, run: Sequence[Sample]) -> bytes:
    scale = timescale(track)
    starts = [ticks(sample.dts, scale) for sample in run]
    starts.append(ticks(run[-1].dts + run[-1].duration, scale))
    # A frame whose end another packet's clock put before it lasts no time, never less.
    durations = [max(after - before, 0) for before, after in pairwise(starts)]
    if track.kind is not Kind.VIDEO:
        words = chain.from_iterable(
            (duration, len(sample.data)) for duration, sample in zip(durations, run, strict=True)
        )
        return struct.pack(f">{2 * len(run)}I", *words)
    rows = [
        struct.pack(
            ">IIIi",
            duration,
            len(sample.data),
            _KEY if sample.key else _DEPENDS,
            ticks(sample.pts, scale) - start,
        )
        for sample, start, duration in zip(run, starts, durations, strict=False)
    ]
    return b"".join(rows)
