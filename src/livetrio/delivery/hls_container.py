"""Container: how a rendition's samples become the bytes of segments, as MPEG-TS or fMP4."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from livetrio.packet import Codec, Track
from livetrio.wire.fmp4 import fragment, in_mp4, initialization
from livetrio.wire.mpegts import TsMuxer, in_ts
from livetrio.wire.segment import Sample

__all__ = ["MP4_CODECS", "TS_CODECS", "Container", "Mp4Container", "TsContainer"]

TS_CODECS = frozenset(filter(in_ts, Codec))
MP4_CODECS = frozenset(filter(in_mp4, Codec))


class Container(Protocol):
    """Told of segments and parts in their order."""

    suffix: str
    """Of its segments' file names."""

    def begin(self, tracks: Sequence[Track], *, discontinuity: bool) -> bytes:
        """A segment begins; returns its initialization segment, b"" where it needs none.

        Raises:
            RemoteProtocolError: a configuration record cannot be read.
        """

    def part(self, samples: Sequence[Sequence[Sample]]) -> bytes:
        """The bytes of a part.

        Raises:
            RemoteProtocolError: a frame cannot be converted.
            LocalProtocolError: neither can one, for want of a field for its format.
        """


class TsContainer:
    """Transport stream: each segment begins with its tables."""

    suffix = ".ts"

    def __init__(self) -> None:
        self._muxer: TsMuxer | None = None
        self._tables = b""

    def begin(self, tracks: Sequence[Track], *, discontinuity: bool) -> bytes:
        if self._muxer is None or discontinuity:
            self._muxer = TsMuxer(tracks)
        self._tables = self._muxer.tables()
        return b""

    def part(self, samples: Sequence[Sequence[Sample]]) -> bytes:
        assert self._muxer is not None
        tables, self._tables = self._tables, b""
        return tables + self._muxer.write(samples)


class Mp4Container:
    """Fragmented MP4: each part is a fragment."""

    suffix = ".m4s"

    def __init__(self) -> None:
        self._tracks: Sequence[Track] = ()
        self._header = b""
        self._number = 0

    def begin(self, tracks: Sequence[Track], *, discontinuity: bool) -> bytes:  # noqa: ARG002
        if tracks is not self._tracks:
            self._header = initialization(tracks)
            self._tracks = tracks
        return self._header

    def part(self, samples: Sequence[Sequence[Sample]]) -> bytes:
        self._number += 1
        return fragment(self._number, self._tracks, samples)
