"""Sample tables: when each sample of a track is, how long, and where in the file.

Kept as the file has them, run by run: an index of hours costs what its tables do, and nothing is
unrolled but the samples that are played.

Source: ISO/IEC 14496-12 sections 8.6.1 (times), 8.7 (sizes, chunks, offsets).
"""

from __future__ import annotations

import struct
import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from operator import lt, mul, sub
from typing import Final, NamedTuple

from livetrio.errors import RemoteProtocolError
from livetrio.wire.mp4.boxes import Box, child, fields

__all__ = ["SampleTable", "TableSample"]

_COUNT: Final = struct.Struct(">4xI")
_SIZES: Final = struct.Struct(">4xII")
_MAX_SAMPLES: Final = 20_000_000
"""About four days of picture and sound."""


class TableSample(NamedTuple):
    """One sample. Times in ticks of the track."""

    dts: int
    offset: int
    """From decoding to presentation."""
    duration: int
    position: int
    """In the file."""
    size: int
    key: bool


class _Runs:
    """A value for each sample, as (count, value) runs."""

    def __init__(self, words: array[int], samples: int) -> None:
        counts, self.values = words[0::2], words[1::2]
        self.starts = array("q", accumulate(counts, initial=0))
        if self.starts[-1] > _MAX_SAMPLES:
            raise RemoteProtocolError(f"MP4: a table for {self.starts[-1]} samples")
        if self.starts[-1] < samples:  # the last value holds on, for want of better
            self.values.append(self.values[-1] if self.values else 0)
            self.starts.append(samples)

    def at(self, number: int) -> int:
        """Which run a sample is in."""
        return bisect_right(self.starts, number) - 1


class SampleTable:
    """The samples of one track, numbered from 0.

    Args:
        data: a moov's bytes.
        box: the stbl in it.

    Raises:
        RemoteProtocolError: a table is missing, or says what cannot be.
    """

    def __init__(self, data: bytes, box: Box) -> None:
        self._size, self._sizes, self.count = _read_sizes(data, _need(data, box, b"stsz"))
        if self.count > _MAX_SAMPLES:
            raise RemoteProtocolError(f"MP4: {self.count} samples in a track")
        self._times = _Runs(_words(data, _need(data, box, b"stts"), 2), self.count)
        counts = map(sub, self._times.starts[1:], self._times.starts)
        self._began = array("q", accumulate(map(mul, counts, self._times.values), initial=0))
        shifts = child(data, box, b"ctts")
        # Signed although version 0 says otherwise: a shift of 36 hours is nobody's.
        signed = array("i", _words(data, shifts, 2).tobytes()) if shifts else array("i", (0, 0))
        self._shifts = _Runs(signed, self.count)
        keys = child(data, box, b"stss")
        self._keys = _words(data, keys, 1) if keys else None
        if self._keys is not None and not _ascends(self._keys, self.count):
            raise RemoteProtocolError("MP4: the table of key frames is not in order")
        self._read_chunks(data, box)

    @property
    def keys(self) -> Sequence[int]:
        """The numbers of the samples a decoder can start at, ascending."""
        if self._keys is None:
            return range(self.count)
        return [number - 1 for number in self._keys]

    def time(self, number: int) -> int:
        """Decoding time of a sample; of `count`, when the track is over."""
        run = min(self._times.at(number), len(self._times.values) - 1)
        past = number - self._times.starts[run]
        return int(self._began[run] + past * self._times.values[run])

    def find(self, time: int) -> int:
        """The first sample that is decoded at this time or later; `count`: none is."""
        low, high = 0, self.count
        while low < high:
            middle = (low + high) // 2
            if self.time(middle) < time:
                low = middle + 1
            else:
                high = middle
        return low

    def samples(self, first: int, stop: int) -> Iterator[TableSample]:
        """The samples from one number up to another."""
        if first >= stop:
            return
        times, shifts, keys = self._times, self._shifts, self._keys
        run, shift, chunk_run = times.at(first), shifts.at(first), self._chunk_run(first)
        key = 0 if keys is None else bisect_right(keys, first)
        dts = self.time(first)
        chunk, left, position = self._place(first, chunk_run)
        for number in range(first, stop):
            while number >= times.starts[run + 1]:
                run += 1
            while number >= shifts.starts[shift + 1]:
                shift += 1
            if not left:
                chunk += 1
                while chunk_run + 1 < len(self._chunk_firsts) and (
                    chunk >= self._chunk_firsts[chunk_run + 1]
                ):
                    chunk_run += 1
                left, position = self._chunk_counts[chunk_run], self._offsets[chunk]
            size = self._size or self._sizes[number]
            is_key = keys is None
            if keys is not None and key < len(keys) and keys[key] == number + 1:
                is_key = True
                key += 1
            duration = times.values[run]
            yield TableSample(dts, shifts.values[shift], duration, position, size, is_key)
            dts += duration
            position += size
            left -= 1

    def _read_chunks(self, data: bytes, box: Box) -> None:
        offsets = child(data, box, b"stco")
        if offsets is not None:
            self._offsets: Sequence[int] = _words(data, offsets, 1)
        else:
            self._offsets = _words(data, _need(data, box, b"co64"), 1, code="Q")
        words = _words(data, _need(data, box, b"stsc"), 3)
        self._chunk_firsts = array("q", [first - 1 for first in words[0::3]])
        self._chunk_counts = words[1::3]
        chunks = len(self._offsets)
        ascending = all(map(lt, self._chunk_firsts, self._chunk_firsts[1:]))
        if self.count and (not self._chunk_firsts or self._chunk_firsts[0] or not ascending):
            raise RemoteProtocolError("MP4: the table of chunks is not in order")
        if 0 in self._chunk_counts:
            raise RemoteProtocolError("MP4: a chunk without samples")
        ends = [*self._chunk_firsts[1:], chunks]
        lengths = map(sub, ends, self._chunk_firsts)
        products = map(mul, lengths, self._chunk_counts)
        self._chunk_starts = array("q", accumulate(products, initial=0))
        beyond = bool(self._chunk_firsts) and self._chunk_firsts[-1] >= chunks
        if self.count and (beyond or self._chunk_starts[-1] < self.count):
            raise RemoteProtocolError("MP4: samples without a chunk")

    def _chunk_run(self, number: int) -> int:
        return bisect_right(self._chunk_starts, number) - 1

    def _place(self, number: int, run: int) -> tuple[int, int, int]:
        """The chunk of a sample, how many of it are left there, and where the sample begins."""
        per_chunk = self._chunk_counts[run]
        inside = number - self._chunk_starts[run]
        chunk, before = self._chunk_firsts[run] + inside // per_chunk, inside % per_chunk
        fixed, sizes = self._size, self._sizes
        skipped = before * fixed if fixed else sum(sizes[number - before : number])
        return chunk, per_chunk - before, self._offsets[chunk] + skipped


def _need(data: bytes, box: Box, kind: bytes) -> Box:
    found = child(data, box, kind)
    if found is None:
        raise RemoteProtocolError(f"MP4: a track without {kind.decode()}")
    return found


def _words(data: bytes, box: Box, width: int, code: str = "I") -> array[int]:
    """A table of `width` numbers an entry, behind version, flags and the count of entries."""
    (count,) = fields(data, box, _COUNT)
    words = array(code)
    start = box.start + _COUNT.size
    stop = start + count * width * words.itemsize
    if stop > box.end:
        raise RemoteProtocolError(f"MP4: a {box.kind!r} table of {count} entries is cut")
    words.frombytes(data[start:stop])
    if sys.byteorder == "little":  # pragma: no branch
        words.byteswap()
    return words


def _read_sizes(data: bytes, box: Box) -> tuple[int, array[int], int]:
    """Size of all samples or 0, the size of each, and how many there are."""
    size, count = fields(data, box, _SIZES)
    if size:
        return size, array("I"), count
    stop = box.start + _SIZES.size + 4 * count
    if stop > box.end:
        raise RemoteProtocolError(f"MP4: a table of {count} sample sizes is cut")
    sizes = array("I")
    sizes.frombytes(data[box.start + _SIZES.size : stop])
    if sys.byteorder == "little":  # pragma: no branch
        sizes.byteswap()
    return 0, sizes, count


def _ascends(numbers: Sequence[int], most: int) -> bool:
    if not numbers:
        return True
    return numbers[0] >= 1 and numbers[-1] <= most and all(map(lt, numbers, numbers[1:]))
