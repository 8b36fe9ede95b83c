"""Archive: any past interval of a stream, out of its recordings or what memory still has: as one
MP4, or as a playlist.

Wall clock and media clock meet in `Recording.start`. Cuts are at key frames: what is handed out
begins with the last one before the interval, and ends with the first one behind it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from livetrio.delivery import vod_hls
from livetrio.delivery.clip import ClipWriter
from livetrio.delivery.recording import Recording
from livetrio.delivery.recordings import Recordings
from livetrio.errors import RefusalCode, Refused
from livetrio.media.registry import Registry
from livetrio.media.vod.library import Library
from livetrio.packet import US_PER_SECOND, Kind, Packet, StreamKey, Track
from livetrio.wire.m3u8 import MediaPlaylist, PlaylistSegment, render
from livetrio.wire.title import alike

__all__ = ["Archive", "Clip"]

_LONGEST: Final = 6 * 3600.0
"""Seconds of one clip."""
_SEGMENT: Final = 2 * US_PER_SECOND
"""Of playlists: an interval is met as closely as key frames and this allow."""
_LATE: Final = 15.0
"""Seconds by which a recording that goes on may be longer than was last noted."""


@dataclass(slots=True)
class _Stretch:
    """A part of a clip: of one file, or (no recording) out of memory."""

    start: float
    """Unix time of its time 0, seconds."""
    tracks: Sequence[Sequence[Track]]
    """Of each part of a file (`Cut.span`) its tracks."""
    recording: Recording | None = None
    cuts: Sequence[tuple[int, vod_hls.Cut]] = ()
    packets: Sequence[Packet] = ()

    @property
    def used(self) -> list[Sequence[Track]]:
        """The configurations of what was found."""
        if self.recording is None:
            return list(self.tracks)
        return [self.tracks[span] for span in sorted({cut.span for _, cut in self.cuts})]


@dataclass(slots=True)
class Clip:
    """What was found of an interval; `Archive.mp4` writes it."""

    start: float
    """Unix time of the first frame, seconds."""
    stretches: list[_Stretch]


class Archive:
    """Made by the composition root.

    Args:
        recordings: where files are known.
        registry: where live streams are.
    """

    def __init__(self, recordings: Recordings, registry: Registry) -> None:
        self._recordings = recordings
        self._registry = registry
        self._library = Library({})

    async def clip(self, key: StreamKey, start: float, end: float, *, segment: int = 0) -> Clip:
        """Look for an interval of a stream. Times are Unix times, seconds.

        segment: microseconds of the pieces it is cut into, as far as key frames allow.

        Raises:
            Refused: BAD_REQUEST, no interval; NOT_FOUND, nothing of it is there.
        """
        if not start < end <= start + _LONGEST:
            raise Refused(RefusalCode.BAD_REQUEST, f"not an interval of up to {_LONGEST:g} s")
        stretches: list[_Stretch] = []
        for recording in self._covering(key, start, end):
            stretch = await self._of_file(recording, start, end, segment)
            if stretch.cuts:
                stretches.append(stretch)
        if stretches:
            first = stretches[0]
            return Clip(first.start + first.cuts[0][1].start / US_PER_SECOND, stretches)
        remembered = self._of_memory(key, start, end)
        if not remembered:
            raise Refused(RefusalCode.NOT_FOUND, "nothing of this interval is there")
        first_frame = remembered[0].packets[0].dts
        return Clip(remembered[0].start + first_frame / US_PER_SECOND, remembered)

    async def mp4(self, clip: Clip) -> AsyncGenerator[bytes, None]:
        """A clip as fragmented MP4, piece by piece; its time begins at 0.

        Raises:
            Refused: UNAVAILABLE, MP4 knows none of the codecs.
        """
        writer = ClipWriter(tracks for stretch in clip.stretches for tracks in stretch.used)
        if writer.is_empty:
            raise Refused(RefusalCode.UNAVAILABLE, "the codecs of this stream have no place in MP4")
        yield writer.header()
        for stretch in clip.stretches:
            origin = round((clip.start - stretch.start) * US_PER_SECOND)
            if stretch.recording is None:
                (tracks,) = stretch.tracks
                samples = [vod_hls.samples_of(stretch.packets, track, None) for track in tracks]
                yield writer.piece(tracks, samples, origin)
                continue
            async with self._library.open_path(*self._place(stretch.recording)) as opened:
                for _, cut in stretch.cuts:
                    if writer.takes(stretch.tracks[cut.span]):
                        yield writer.piece(*await vod_hls.read_cut(opened, cut), origin)

    async def playlist(self, key: StreamKey, start: float, end: float, query: str) -> str:
        """A playlist of an interval; its files are for `file`.

        Raises:
            Refused: as `clip`.
        """
        clip = await self.clip(key, start, end, segment=_SEGMENT)
        rows: list[PlaylistSegment] = []
        for stretch in clip.stretches:
            if stretch.recording is None:
                raise Refused(RefusalCode.NOT_FOUND, "this interval was not recorded")
            base = f"timeshift/{stretch.recording.id}."
            span = -1
            for number, cut in stretch.cuts:
                began = stretch.start + cut.start / US_PER_SECOND
                row = PlaylistSegment(f"{base}{number}.m4s{query}", cut.duration, began)
                row.map_uri = f"{base}{vod_hls.header_name(cut.span)}{query}"
                row.discontinuity = bool(rows) and cut.span != span
                span = cut.span
                rows.append(row)
        longest = max(row.duration or 0 for row in rows)
        about = MediaPlaylist(target=longest, sequence=0, segments=rows, ended=True, kind="VOD")
        return render(about)

    async def file(self, key: StreamKey, name: str) -> bytes:
        """One of the files a playlist names.

        Raises:
            Refused: NOT_FOUND.
        """
        id_, _, rest = name.partition(".")
        recording = self._recordings.find(id_)
        stem, _, ending = rest.partition(".")
        header = vod_hls.header_number(rest)
        is_number = stem.isascii() and stem.isdecimal() and len(stem) < 9 and ending == "m4s"
        ours = recording is not None and (recording.app, recording.name) == key
        if recording is None or not ours or (header is None and not is_number):
            raise Refused(RefusalCode.NOT_FOUND, "there is no such segment")
        async with self._library.open_path(*self._place(recording)) as opened:
            if header is not None:
                return vod_hls.header(opened, header)
            every, number = vod_hls.cuts(opened, _SEGMENT), int(stem)
            if number >= len(every):
                raise Refused(RefusalCode.NOT_FOUND, "there is no such segment")
            return await vod_hls.segment(opened, number, every[number])

    def _covering(self, key: StreamKey, start: float, end: float) -> list[Recording]:
        found = []
        for recording in self._recordings.every(key):
            late = 0.0 if recording.finished else _LATE
            if recording.start < end and recording.start + recording.duration + late > start:
                found.append(recording)
        return found

    def _place(self, recording: Recording) -> tuple[Path, str]:
        return self._recordings.options.folder, recording.path

    async def _of_file(
        self, recording: Recording, start: float, end: float, segment: int
    ) -> _Stretch:
        async with self._library.open_path(*self._place(recording)) as opened:
            every = vod_hls.cuts(opened, segment)
            if segment and not recording.finished:
                every = every[:-1]  # it grows, and what has a name must not change
            first = round((start - recording.start) * US_PER_SECOND)
            last = round((end - recording.start) * US_PER_SECOND)
            chosen = vod_hls.segments_between(every, first, last)
            cuts = [(number, every[number]) for number in chosen]
            spans = [span.tracks for span in opened.title.spans]
            return _Stretch(recording.start, spans, recording, cuts)

    def _of_memory(self, key: StreamKey, start: float, end: float) -> list[_Stretch]:
        """What the ring of a live stream still has: a stretch for each configuration."""
        stream = self._registry.streams.get(key)
        newest = stream.newest_dts if stream is not None else None
        if stream is None or newest is None:
            return []
        zero = time.time() - newest / US_PER_SECOND  # Unix time of the stream's time 0
        packets = [
            p
            for p in stream.ring.read(stream.ring.tail)
            if not p.config
            and p.track.kind is not Kind.DATA
            and not p.track.id
            and zero + p.dts / US_PER_SECOND < end
        ]
        has_video = any(packet.track.kind is Kind.VIDEO for packet in packets)
        lead = Kind.VIDEO if has_video else Kind.AUDIO
        keys = [n for n, packet in enumerate(packets) if packet.key and packet.track.kind is lead]
        early = [n for n in keys if zero + packets[n].dts / US_PER_SECOND <= start]
        chosen = packets[early[-1] if early else keys[0] :] if keys else []
        if not chosen or zero + chosen[-1].dts / US_PER_SECOND < start:
            return []
        return [_Stretch(zero, [tracks], packets=run) for tracks, run in _runs(chosen, lead)]


def _runs(packets: Sequence[Packet], lead: Kind) -> list[tuple[list[Track], list[Packet]]]:
    """Packets, divided at the key frames behind which something is configured otherwise."""
    newest: dict[Kind, Track] = {}
    for packet in packets:
        newest.setdefault(packet.track.kind, packet.track)
    runs: list[tuple[list[Track], list[Packet]]] = []
    for packet in packets:
        newest[packet.track.kind] = packet.track
        if packet.key and packet.track.kind is lead:
            tracks = sorted(newest.values(), key=lambda track: track.kind is not Kind.VIDEO)
            if not runs or not alike(runs[-1][0], tracks):
                runs.append((tracks, []))
        runs[-1][1].append(packet)
    return runs
