"""moof: the samples of a movie fragment.

Source: ISO/IEC 14496-12 sections 8.8.6 (traf) to 8.8.12 (tfdt).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from livetrio.errors import RemoteProtocolError
from livetrio.wire.mp4.boxes import Box, child, children, fields
from livetrio.wire.mp4.header import Defaults
from livetrio.wire.mp4.tables import TableSample

__all__ = ["TrackRun", "read_moof"]

_FLAGS: Final = struct.Struct(">I")
_WORD: Final = struct.Struct(">I")
_LONG: Final = struct.Struct(">Q")
_COUNT: Final = struct.Struct(">4xI")
_TIMES: Final = (struct.Struct(">4xI"), struct.Struct(">4xQ"))
_NOT_SYNC: Final = 0x10000
_MAX_SAMPLES: Final = 100_000
"""In one run."""

_BASE_OFFSET: Final = 0x1
_DESCRIPTION: Final = 0x2
_DURATION: Final = 0x8
_SIZE: Final = 0x10
_DEFAULT_FLAGS: Final = 0x20
_BASE_IS_MOOF: Final = 0x20000

_DATA_OFFSET: Final = 0x1
_FIRST_FLAGS: Final = 0x4
_COLUMNS: Final = (0x100, 0x200, 0x400, 0x800)
"""Of each sample: duration, size, flags, composition offset."""


@dataclass(slots=True)
class TrackRun:
    """The samples of one track in one fragment, not unrolled yet."""

    track_id: int
    time: int | None
    """Of its first sample, ticks; None: where the track's previous fragment ended."""
    defaults: Defaults
    runs: list[tuple[int, bytes, int]]
    """Of each trun: where its samples begin in the file, its fields, its flags."""

    @property
    def starts_with_key(self) -> bool:
        """Can a decoder start at the first sample?"""
        return next((sample.key for sample in self.samples(0)), False)

    def samples(self, time: int) -> Iterator[TableSample]:
        """The samples; time: of the first one, where the fragment does not say.

        Raises:
            RemoteProtocolError: fields are missing.
        """
        dts = time if self.time is None else self.time
        position = 0
        for begins, body, flags in self.runs:
            position = begins if begins >= 0 else position
            for duration, size, sample_flags, offset in self._rows(body, flags):
                key = not sample_flags & _NOT_SYNC
                yield TableSample(dts, offset, duration, position, size, key)
                dts += duration
                position += size

    def _rows(self, body: bytes, flags: int) -> Iterator[tuple[int, int, int, int]]:
        count = int.from_bytes(body[:4], "big")
        pos = 4 + (4 if flags & _DATA_OFFSET else 0)
        first = None
        if flags & _FIRST_FLAGS:
            first = int.from_bytes(body[pos : pos + 4], "big")
            pos += 4
        there = [bool(flags & column) for column in _COLUMNS]
        form = struct.Struct(
            ">" + "".join(code for code, is_ in zip("IIIi", there, strict=True) if is_)
        )
        if count > _MAX_SAMPLES or pos + count * form.size > len(body):
            raise RemoteProtocolError(f"MP4: a run of {count} samples is cut")
        usual = self.defaults
        if there == [True, True, True, True]:
            rows: Iterator[tuple[int, ...]] = form.iter_unpack(body[pos : pos + count * form.size])
            for duration, size, sample_flags, offset in rows:
                yield duration, size, sample_flags if first is None else first, offset
                first = None
            return
        for number in range(count):
            values = iter(form.unpack_from(body, pos + number * form.size))
            duration = next(values) if there[0] else usual.duration
            size = next(values) if there[1] else usual.size
            own = next(values) if there[2] else usual.flags
            offset = next(values) if there[3] else 0
            yield duration, size, own if first is None else first, offset
            first = None


def read_moof(data: bytes, offset: int, defaults: dict[int, Defaults]) -> list[TrackRun]:
    """The content of a moof box.

    Args:
        data: of it.
        offset: where the box begins in the file.
        defaults: by track id, of the tracks that are wanted.

    Raises:
        RemoteProtocolError: it cannot be read.
    """
    found = []
    for box in children(data, 0, len(data)):
        if box.kind == b"traf":
            run = _read_traf(data, box, offset, defaults)
            if run is not None:
                found.append(run)
    return found


def _read_traf(
    data: bytes, traf: Box, offset: int, defaults: dict[int, Defaults]
) -> TrackRun | None:
    header = child(data, traf, b"tfhd")
    if header is None:
        raise RemoteProtocolError("MP4: a fragment of no track")
    (flags,) = fields(data, header, _FLAGS)
    (track_id,) = fields(data, header, _WORD, 4)
    usual = defaults.get(track_id)
    if usual is None:
        return None
    base = offset  # also where the old rule says "behind the track before": nobody writes so
    skip = 8
    if flags & _BASE_OFFSET and not flags & _BASE_IS_MOOF:
        (base,) = fields(data, header, _LONG, skip)
    skip += 8 if flags & _BASE_OFFSET else 0
    skip += 4 if flags & _DESCRIPTION else 0
    values = [usual.duration, usual.size, usual.flags]
    for index, flag in enumerate((_DURATION, _SIZE, _DEFAULT_FLAGS)):
        if flags & flag:
            (values[index],) = fields(data, header, _WORD, skip)
            skip += 4
    time = _read_time(data, child(data, traf, b"tfdt"))
    boxes = children(data, traf.start, traf.end)
    runs = [_read_run(data, box, base) for box in boxes if box.kind == b"trun"]
    return TrackRun(track_id, time, Defaults(*values), runs)


def _read_run(data: bytes, box: Box, base: int) -> tuple[int, bytes, int]:
    (flags,) = fields(data, box, _FLAGS)
    fields(data, box, _COUNT)
    body = data[box.start + 4 : box.end]
    begins = -1  # behind the run before
    if flags & _DATA_OFFSET:
        begins = max(base + int.from_bytes(body[4:8], "big", signed=True), 0)
    return begins, body, flags


def _read_time(data: bytes, box: Box | None) -> int | None:
    if box is None:
        return None
    version = data[box.start] if box.start < box.end else 0
    (time,) = fields(data, box, _TIMES[version & 1])
    return time
