"""What a recording is written as: FLV, fragmented MP4, MPEG-TS; where one file may end and the
next begin.

A Tape follows one stream and cuts it into pieces; a TapeFile writes the pieces of one file.
Nothing here opens a file: bytes come out, and at the end patches to what was written first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol

from livetrio.packet import US_PER_SECOND, Codec, Kind, Packet, Track
from livetrio.wire import amf0
from livetrio.wire.amf import EcmaArray, Value
from livetrio.wire.flv import file_header, tag
from livetrio.wire.fmp4 import fragment, in_mp4, initialization
from livetrio.wire.mpegts import TsMuxer, in_ts, ticks
from livetrio.wire.mpegts.index import IndexWriter, Mark
from livetrio.wire.segment import Event, Part, Segmenter, SegmentLimits, SegmentStart

__all__ = ["FORMATS", "Piece", "RecordFormat", "Tape", "TapeFile", "make_tape"]

RecordFormat = Literal["flv", "fmp4", "ts"]
FORMATS: Final[tuple[RecordFormat, ...]] = ("flv", "fmp4", "ts")

_PART: Final = US_PER_SECOND
"""A fragment of an MP4 file: what is lost at most when the process is killed."""
_SOUND: Final = US_PER_SECOND
"""Sound alone could be cut at each frame: tables, index and fragment of one are many times as
much as it is."""
_CHANGES: Final = 1_000
"""Changes of configuration in that index: as many as readers look at."""
_INDEX: Final = 2_000
"""Key frames in the index of an FLV file; of longer recordings every second, third ... one."""


@dataclass(slots=True, eq=False)
class Piece:
    """Something to write."""

    content: Packet | Part
    time: int
    """Decoding time of its first frame, microseconds."""
    until: int
    """When it is over, as far as that is known."""
    begins: bool
    """A file may begin with it."""
    forced: bool = False
    """A file must: what is before it and what follows do not go into one."""
    tracks: Sequence[Track] = ()
    heads: Sequence[Packet] = ()
    """Of FLV: the configurations in force, where it begins a file."""


class TapeFile(Protocol):
    """One file."""

    head: bytes
    """What it begins with."""

    def add(self, piece: Piece) -> bytes:
        """The bytes of a piece."""

    def patches(self, duration: int, size: int) -> list[tuple[int, bytes]]:
        """At the end: (offset, bytes) to write over what is there.

        Args:
            duration: microseconds.
            size: bytes that the disk took, maybe fewer than were added.
        """


class Tape(Protocol):
    """One stream on its way into files."""

    suffix: str

    def feed(self, packets: Iterable[Packet]) -> list[Piece]:
        """The pieces that packets complete."""

    def end(self) -> list[Piece]:
        """What is left."""

    def open(self, first: Piece) -> TapeFile:
        """The file that begins with a piece.

        Raises:
            RemoteProtocolError: a configuration record cannot be read.
        """


def make_tape(format_: RecordFormat) -> Tape:
    """A tape for a stream that begins."""
    return FlvTape() if format_ == "flv" else SegmentTape(format_)


class FlvTape:
    """FLV: packets as they are, each by itself."""

    suffix = ".flv"

    def __init__(self) -> None:
        self._configs: dict[tuple[Kind, int], Packet] = {}

    def feed(self, packets: Iterable[Packet]) -> list[Piece]:
        pieces = []
        for packet in packets:
            track = packet.track
            if packet.config:
                self._configs[track.kind, track.id] = packet
            has_video = any(kind is Kind.VIDEO for kind, _ in self._configs)
            leads = track.kind is (Kind.VIDEO if has_video else Kind.AUDIO)
            begins = leads and packet.key and not packet.config
            piece = Piece(packet, packet.dts, packet.dts, begins)
            if begins:  # what follows in the same batch may change them
                piece.heads = tuple(self._configs.values())
            pieces.append(piece)
        return pieces

    def end(self) -> list[Piece]:
        return []

    def open(self, first: Piece) -> TapeFile:
        return FlvFile(first.heads, first.time)


class FlvFile:
    """An FLV file that gets its duration and an index of key frames when it is whole.

    The room for them is left at the beginning; refused: a second file to copy everything into,
    which doubles what a long recording costs.
    """

    def __init__(self, configs: Sequence[Packet], origin: int) -> None:
        self._origin = origin
        self._keys: list[tuple[int, int]] = []  # time, offset
        self._changes: list[tuple[int, int]] = []  # of sequence headers, the same
        tracks = [packet.track for packet in configs]
        self._about: dict[str, Value] = {"duration": 0.0, "filesize": 0.0}
        for track in tracks:
            if track.kind is Kind.VIDEO and not track.id:
                self._about |= {"width": float(track.width), "height": float(track.height)}
        kinds = {track.kind for track in tracks}
        start = file_header(audio=Kind.AUDIO in kinds, video=Kind.VIDEO in kinds)
        self._metadata_at = len(start)
        script = self._metadata([], [])
        heads = [tag(replace(p, dts=0, pts=0)) for p in configs if p.track.kind is not Kind.DATA]
        self.head = start + script + b"".join(heads)
        self._size = len(self.head)

    def add(self, piece: Piece) -> bytes:
        packet = piece.content
        assert isinstance(packet, Packet)
        if packet.track.kind is Kind.DATA and packet.config:
            return b""  # ours stands at the beginning already
        time = max(packet.dts - self._origin, 0)
        data = tag(replace(packet, dts=time, pts=time + packet.pts - packet.dts))
        if piece.begins and (packet.track.kind is Kind.VIDEO or self._is_apart(time)):
            self._keys.append((time, self._size))
        if packet.config:
            self._changes.append((time, self._size))
        self._size += len(data)
        return data

    def patches(self, duration: int, size: int) -> list[tuple[int, bytes]]:
        self._about |= {"duration": duration / US_PER_SECOND, "filesize": float(size)}
        changes = [change for change in self._changes if change[1] < size][:_CHANGES]
        there = [key for key in self._keys if key[1] < size]
        step = -(-len(there) // (_INDEX - len(changes))) or 1
        return [(self._metadata_at, self._metadata(there[::step], changes))]

    def _is_apart(self, time: int) -> bool:
        return not self._keys or time - self._keys[-1][0] >= _SOUND

    def _metadata(
        self, keys: Sequence[tuple[int, int]], changes: Sequence[tuple[int, int]]
    ) -> bytes:
        """The script tag, always of the same size: what the index leaves is filled up.

        Each unused entry (two numbers of nine bytes) becomes 18 bytes of a text that no player
        looks at.
        """
        known: dict[str, Value] = {
            "keyframes": _columns(keys),
            "sequenceheaders": _columns(changes),
        }
        room = 18 * (_INDEX - len(keys) - len(changes))
        # Two texts: one alone would be longer than AMF0's short strings, and change its head.
        padding: list[Value] = ["x" * min(room - pos, 18_000) for pos in range(0, room, 18_000)]
        padding += [""] * (_INDEX // 1_000 - len(padding))
        about = EcmaArray({**self._about, **known, "padding": padding})
        body = amf0.encode("onMetaData", about)
        script = Track(Kind.DATA, Codec.SCRIPT, config=body)
        return tag(Packet(script, 0, 0, body, config=True))


def _columns(marks: Sequence[tuple[int, int]]) -> dict[str, Value]:
    """Times and places as two lists, the way all indexes of FLV files are."""
    times: list[Value] = [time / US_PER_SECOND for time, _ in marks]
    places: list[Value] = [float(place) for _, place in marks]
    return {"times": times, "filepositions": places}


class SegmentTape:
    """fMP4 and TS: what the segmenter cuts; a file may begin where a segment does."""

    def __init__(self, format_: RecordFormat) -> None:
        self._ts = format_ == "ts"
        self.suffix = ".ts" if self._ts else ".mp4"
        carried = in_ts if self._ts else in_mp4
        longest = 60 * US_PER_SECOND
        limits = SegmentLimits(target=0, sound=_SOUND, part=_PART, longest=longest)
        self._segmenter = Segmenter(limits, frozenset(filter(carried, Codec)))
        self._start: SegmentStart | None = None
        self._tracks: Sequence[Track] = ()

    def feed(self, packets: Iterable[Packet]) -> list[Piece]:
        return self._pieces([event for p in packets for event in self._segmenter.feed(p)])

    def end(self) -> list[Piece]:
        return self._pieces(self._segmenter.end())

    def open(self, first: Piece) -> TapeFile:
        return TsFile(first) if self._ts else Mp4File(first)

    def _pieces(self, events: list[Event]) -> list[Piece]:
        pieces = []
        for event in events:
            match event:
                case SegmentStart():
                    self._start, self._tracks = event, event.tracks
                case Part():
                    start, self._start = self._start, None
                    forced = start is not None and start.discontinuity
                    begins = start is not None
                    until = event.start + event.duration
                    pieces.append(Piece(event, event.start, until, begins, forced, self._tracks))
        return pieces


class Mp4File:
    """Fragments behind an initialization segment: playable up to the last one at any moment."""

    def __init__(self, first: Piece) -> None:
        self._tracks = first.tracks
        self._origin = first.time
        self._number = 0
        self.head = initialization(first.tracks)

    def add(self, piece: Piece) -> bytes:
        assert isinstance(piece.content, Part)
        self._number += 1
        samples = piece.content.samples
        return fragment(self._number, self._tracks, samples, origin=self._origin)

    def patches(self, duration: int, size: int) -> list[tuple[int, bytes]]:  # noqa: ARG002
        return []


class TsFile:
    """A transport stream with its tables at each key frame, and its index behind them."""

    def __init__(self, first: Piece) -> None:
        self._muxer = TsMuxer(first.tracks)
        self._index = IndexWriter()
        self._size = 0
        self.head = b""

    def add(self, piece: Piece) -> bytes:
        assert isinstance(piece.content, Part)
        data = self._muxer.tables() if piece.begins else b""
        if piece.begins and piece.content.independent:
            data += self._index.packet(Mark(ticks(piece.time), self._size))
        data += self._muxer.write(piece.content.samples)
        self._size += len(data)
        return data

    def patches(self, duration: int, size: int) -> list[tuple[int, bytes]]:  # noqa: ARG002
        return []
