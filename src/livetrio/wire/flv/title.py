"""An FLV file that can be played from any key frame: by its own index, or by looking it through.

The index is the de facto one of metadata editors: `keyframes` in onMetaData, with `times` in
seconds and `filepositions`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from livetrio.errors import RemoteProtocolError
from livetrio.packet import US_PER_MS, US_PER_SECOND, Kind, Packet, Track
from livetrio.wire import amf0
from livetrio.wire.amf import Value
from livetrio.wire.flv.demux import Demuxer
from livetrio.wire.flv.mux import HEADER_SIZE
from livetrio.wire.flv.words import AUDIO, AVC_FRAME, EX_VIDEO, SCRIPT, VIDEO, FrameType
from livetrio.wire.title import Source, Span
from livetrio.wire.tracks import MAX_RECORD

__all__ = ["FlvTitle", "read_flv"]

_FILE_HEADER: Final = 9
_MAX_DATA_OFFSET: Final = 4096
_HEADS: Final = 500
"""Tags at the beginning among which all tracks must show themselves."""
_MAX_SCRIPT: Final = 4 << 20
_MAX_VALUES: Final = 200_000
_MAX_TAGS: Final = 5_000_000
"""Tags of a file without index that are looked at: about a day."""
_BLOCK: Final = 1 << 20
"""Bytes read at a time while playing."""
_APART: Final = US_PER_SECOND
"""Points of sound alone are no closer together."""
_WRONG: Final = US_PER_SECOND
"""How wrong the times of an index may be; some writers round them to seconds."""
_MAX_CHANGES: Final = 1_000
"""Sequence headers in the middle of a file that are looked at."""
_MAX_CONFIGS: Final = 4 << 20
"""Bytes of those that are kept, for as long as the index is."""
_STEPS_BACK: Final = 4
"""Tags before a key frame: both sequence headers, metadata, and one more."""
_MAX_HEAD: Final = 16
"""Bytes of a sequence header before its record."""
_LARGEST: Final = 1e12
"""Seconds, or bytes: more is a lie, and no offset for a system call."""
_KINDS: Final = {VIDEO: Kind.VIDEO, AUDIO: Kind.AUDIO}
_SEQUENCE_HEADER_AT: Final = HEADER_SIZE + 1
_PEEK: Final = HEADER_SIZE + 2


class _Tag(NamedTuple):
    """A tag's header, and where it is."""

    kind: int
    time: int
    """Microseconds, as written."""
    start: int
    """Of its body."""
    end: int
    """Behind its PreviousTagSize."""
    is_key: bool
    is_config: bool


class _Config(NamedTuple):
    """A sequence header."""

    place: int
    """Of its tag."""
    kind: int
    body: bytes


class FlvTitle:
    """See wire/title.py; made by `read_flv`."""

    def __init__(
        self,
        demuxer: Demuxer,
        configs: Sequence[_Config],
        changes: Iterable[_Config],
        zero: int,
        index: Sequence[tuple[int, int]],
        duration: int,
    ) -> None:
        """
        Args:
            demuxer: what has read the beginning.
            configs: the sequence headers found there.
            changes: those further on; each is asked for when the one before has been looked at.
            zero: time of the first frame, microseconds.
            index: of each point, time and place in the file.
            duration: microseconds.
        """
        self.points: Sequence[int] = array("q", [max(time - zero, 0) for time, _ in index])
        self.duration = duration
        self._places = array("q", [place for _, place in index])
        self._configs = [(0, config) for config in configs]  # from which point on
        self._zero = zero
        self.spans = [Span(0, _tracks(demuxer))]
        room = _MAX_CONFIGS
        for change in changes:
            if self._change(demuxer, change):
                room -= len(change.body)
            if room <= 0:
                break
        self.tracks = self.spans[0].tracks

    def _change(self, demuxer: Demuxer, change: _Config) -> bool:
        """A sequence header in the middle: mostly the same once more. Returns: is it kept?"""
        if not demuxer.feed(change.kind, 0, change.body):
            return False
        point = bisect_right(self._places, change.place)
        if point == len(self._places):
            return False  # what is behind the last key frame is found while playing
        self._configs.append((point, change))
        tracks = _tracks(demuxer)
        if point == self.spans[-1].first:
            self.spans[-1] = Span(point, tracks)
        else:
            self.spans.append(Span(point, tracks))
        return True

    def packets(self, source: Source, first: int, stop: int) -> Iterator[Packet | None]:
        """See `Title.packets`; where the configuration changes, the new one is among them."""
        demuxer = Demuxer()
        for point, config in self._configs:
            if point <= first:
                demuxer.feed(config.kind, 0, config.body)
        place = self._places[first]
        end = self._places[stop] if stop < len(self.points) else source.size
        block, begin, found = b"", place, True
        while place < end:
            tag = _tag(block[place - begin : place - begin + _PEEK], place, source.size)
            if tag is None:
                if not found:
                    yield None
                block, begin, found = source.read(place, _BLOCK), place, False
                tag = _tag(block[:_PEEK], place, source.size)
                if tag is None:
                    return  # broken, or cut off, here
            if tag.end > begin + len(block):
                if not found:
                    yield None
                found = False
                block, begin = source.read(place, max(_BLOCK, tag.end - place)), place
                if tag.end - 4 > begin + len(block):
                    return  # the file has become shorter
            body = block[tag.start - begin : tag.end - 4 - begin]
            time = max(tag.time - self._zero, 0) // US_PER_MS
            for packet in demuxer.feed(tag.kind, time, body):
                if packet.track.kind is not Kind.DATA and not packet.track.id:
                    found = True
                    yield packet
            place = tag.end


def read_flv(source: Source) -> FlvTitle:
    """The index of an FLV file. What is broken or cut off at its end is left out.

    Raises:
        RemoteProtocolError: it is none, or nothing of it can be played.
    """
    head = source.read(0, _FILE_HEADER)
    place = int.from_bytes(head[5:9], "big")
    if head[:4] != b"FLV\x01" or not _FILE_HEADER <= place <= _MAX_DATA_OFFSET:
        raise RemoteProtocolError("not an FLV file")
    begin = place + 4
    demuxer = Demuxer()
    about: dict[str, Value] = {}
    configs: list[_Config] = []
    early: list[int] = []
    zero: int | None = None
    wanted = {kind for kind, bit in ((Kind.VIDEO, 1), (Kind.AUDIO, 4)) if head[4] & bit}
    place = begin
    for _ in range(_HEADS):
        tag = _read_tag(source, place)
        if tag is None:
            break
        body = _body(source, tag)
        known = {kind for kind, _ in demuxer.tracks}
        if tag.kind == SCRIPT:
            about = about or _metadata(body)
        elif zero is not None and tag.is_config and _KINDS[tag.kind] in known:
            early.append(place)  # a change, not the beginning
        else:
            demuxer.feed(tag.kind, 0, body)
            if tag.is_config:
                configs.append(_Config(place, tag.kind, body))
            elif zero is None:
                zero = tag.time
        place = tag.end
        if zero is not None and wanted and wanted <= {kind for kind, _ in demuxer.tracks}:
            break
    if zero is None or not demuxer.tracks:
        raise RemoteProtocolError("FLV: no frame that could be played")
    lead = VIDEO if (Kind.VIDEO, 0) in demuxer.tracks else AUDIO
    index, last = _given(source, about, zero, lead), 0
    if index is None:
        index, found, last = _looked_through(source, begin, lead)
    else:
        given = _given_changes(source, about)
        found = [*early, *_changes_before(source, index)] if given is None else given
    if not index:
        raise RemoteProtocolError("FLV: no key frame")
    duration = max(_end(source, about, zero, last), index[-1][0] - zero)
    places = sorted(set(found) - {config.place for config in configs})[:_MAX_CHANGES]
    return FlvTitle(demuxer, configs, _headers(source, places), zero, index, duration)


def _headers(source: Source, places: Iterable[int]) -> Iterator[_Config]:
    """The sequence headers at some places, in order; none that begins in the one before."""
    end = 0
    for place in places:
        tag = _read_tag(source, place)
        if tag is not None and tag.is_config and place >= end:
            end = tag.end
            yield _Config(place, tag.kind, _body(source, tag))


def _given(
    source: Source, about: dict[str, Value], zero: int, lead: int
) -> list[tuple[int, int]] | None:
    """The file's own index: time and place of key frames; None if it has none, or it lies."""
    index = about.get("keyframes")
    if not isinstance(index, dict):
        return None
    times, places = _numbers(index.get("times")), _numbers(index.get("filepositions"))
    found: list[tuple[int, int]] = []
    for time, place in zip(times, places, strict=False):
        at = int(time * US_PER_SECOND) + zero, int(place)
        if not found or (at[0] > found[-1][0] and at[1] > found[-1][1]):
            found.append(at)
    # Some writers begin with an entry for the sequence header: not a place to start, but right.
    for time, place in {found[0], found[len(found) // 2], found[-1]} if found else ():
        tag = _read_tag(source, place)
        if tag is None or tag.kind != lead or abs(tag.time - time) > _WRONG:
            return None
    return found or None


def _given_changes(source: Source, about: dict[str, Value]) -> list[int] | None:
    """Where our own recordings say that sequence headers stand; None in others."""
    given = about.get("sequenceheaders")
    if not isinstance(given, dict):
        return None
    said = given.get("filepositions")
    places = [int(place) for place in _numbers(said)]
    tags = [_read_tag(source, place) for place in places[:_MAX_CHANGES]]
    is_whole = isinstance(said, list) and len(said) == len(places)
    ends = [tag.end for tag in tags if tag is not None and tag.is_config]
    apart = all(end <= place for end, place in zip(ends, places[1:], strict=False))
    return places if is_whole and len(ends) == len(tags) and apart else None


def _changes_before(source: Source, index: Sequence[tuple[int, int]]) -> list[int]:
    """Sequence headers right before key frames, where all muxers put them: found by stepping
    back, so that of files with an index little is read. The first key frame's are known."""
    found = []
    for _, place in index[1:]:
        before = place
        for _ in range(_STEPS_BACK):
            size = int.from_bytes(source.read(max(before - 4, 0), 4), "big")
            before -= size + 4
            tag = _read_tag(source, before) if 0 < size < MAX_RECORD and before > 0 else None
            if tag is None or not (tag.is_config or tag.kind == SCRIPT):
                break
            if tag.is_config:
                found.append(before)
        if len(found) >= _MAX_CHANGES:
            break
    return found


def _looked_through(
    source: Source, place: int, lead: int
) -> tuple[list[tuple[int, int]], list[int], int]:
    """The same by reading every tag's header; the places of sequence headers; the last time."""
    found: list[tuple[int, int]] = []
    changes: list[int] = []
    last = 0
    for _ in range(_MAX_TAGS):
        tag = _read_tag(source, place)
        if tag is None:
            break
        if tag.is_config and len(changes) < _MAX_CHANGES:
            changes.append(place)
        if tag.kind == lead and tag.is_key and not tag.is_config:
            apart = _APART if lead == AUDIO else 1
            if not found or tag.time - found[-1][0] >= apart:
                found.append((tag.time, place))
        last = max(last, tag.time)
        place = tag.end
    return found, changes, last


def _end(source: Source, about: dict[str, Value], zero: int, last: int) -> int:
    """How long the file is, microseconds: as it says, or as its last tag does."""
    (said,) = _numbers([about.get("duration")]) or (0.0,)
    if said > 0:
        return int(said * US_PER_SECOND)
    if not last:
        size = int.from_bytes(source.read(source.size - 4, 4), "big")
        tag = _read_tag(source, source.size - 4 - size) if size < source.size - 4 else None
        last = tag.time if tag is not None else 0
    return max(last - zero, 0)


def _tracks(demuxer: Demuxer) -> list[Track]:
    """The first of each kind, video first."""
    kinds = (Kind.VIDEO, Kind.AUDIO)
    return [demuxer.tracks[kind, 0] for kind in kinds if (kind, 0) in demuxer.tracks]


def _body(source: Source, tag: _Tag) -> bytes:
    return source.read(tag.start, tag.end - 4 - tag.start)


def _read_tag(source: Source, place: int) -> _Tag | None:
    return _tag(source.read(place, _PEEK), place, source.size)


def _tag(head: bytes, place: int, size: int) -> _Tag | None:
    """The tag that begins with these bytes; None if it is none, or not all of it is there."""
    if len(head) < _PEEK or head[0] not in (AUDIO, VIDEO, SCRIPT):
        return None
    start = place + HEADER_SIZE
    length = int.from_bytes(head[1:4], "big")
    if start + length > size:
        return None
    time = (int.from_bytes(head[4:7], "big") | head[7] << 24) * US_PER_MS
    first, second = head[HEADER_SIZE], head[_SEQUENCE_HEADER_AT]
    if head[0] == VIDEO:
        is_key = first >> 4 & 7 == FrameType.KEY
        enhanced = bool(first & EX_VIDEO)
        legacy = first & 0x0F in (7, 12, 13) and second != AVC_FRAME  # the end of a sequence too
        is_config = first & 0x0F == 0 if enhanced else legacy
    else:
        is_key = head[0] == AUDIO
        is_config = first == 0x90 or (first >> 4 == 10 and not second)
    is_config = is_config and length <= MAX_RECORD + _MAX_HEAD
    return _Tag(head[0], time, start, start + length + 4, is_key, is_config)


def _metadata(body: bytes) -> dict[str, Value]:
    """onMetaData's values; none if they cannot be read."""
    if len(body) > _MAX_SCRIPT:
        return {}
    try:
        values = amf0.decode(body, limit=_MAX_VALUES)
    except RemoteProtocolError:
        return {}
    about = values[1] if len(values) > 1 and values[0] == "onMetaData" else None
    return dict(about) if isinstance(about, dict) else {}


def _numbers(values: Value) -> list[float]:
    """Numbers that can be times or places, up to the first of a list that is none."""
    found: list[float] = []
    for value in values if isinstance(values, list) else ():
        if not isinstance(value, int | float) or not 0 <= value < _LARGEST:
            break
        found.append(float(value))
    return found
