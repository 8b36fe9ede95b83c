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
from livetrio.delivery.recording import Recording
from livetrio.delivery.recordings import Recordings
from livetrio.errors import RefusalCode, Refused
from livetrio.media.registry import Registry
from livetrio.media.vod.library import Library
from livetrio.packet import US_PER_SECOND, Kind, Packet, StreamKey, Track
from livetrio.wire.fmp4 import fragment, in_mp4, initialization
from livetrio.wire.m3u8 import MediaPlaylist, PlaylistSegment, render

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
    tracks: Sequence[Track]
    recording: Recording | None = None
    cuts: Sequence[tuple[int, vod_hls.Cut]] = ()
    packets: Sequence[Packet] = ()


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
            same = not stretches or _alike(stretches[0].tracks, stretch.tracks)
            if stretch.cuts and same:  # one MP4 has one configuration
                stretches.append(stretch)
        if stretches:
            first = stretches[0]
            return Clip(first.start + first.cuts[0][1].start / US_PER_SECOND, stretches)
        remembered = self._of_memory(key, start, end)
        if remembered is None:
            raise Refused(RefusalCode.NOT_FOUND, "nothing of this interval is there")
        return Clip(remembered.start, [remembered])

    async def mp4(self, clip: Clip) -> AsyncGenerator[bytes, None]:
        """A clip as fragmented MP4, piece by piece; its time begins at 0."""
        tracks = [track for track in clip.stretches[0].tracks if in_mp4(track.codec)]
        yield initialization(tracks)
        number = 0
        for stretch in clip.stretches:
            origin = round((clip.start - stretch.start) * US_PER_SECOND)
            if stretch.recording is None:
                samples = [vod_hls.samples_of(stretch.packets, track, None) for track in tracks]
                yield fragment(number + 1, tracks, samples, origin=stretch.packets[0].dts)
                continue
            async with self._library.open_path(*self._place(stretch.recording)) as opened:
                for _, cut in stretch.cuts:
                    yield await vod_hls.segment(opened, number, cut, origin=origin)
                    number += 1

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
            for place, (number, cut) in enumerate(stretch.cuts):
                began = stretch.start + cut.start / US_PER_SECOND
                row = PlaylistSegment(f"{base}{number}.m4s{query}", cut.duration, began)
                row.map_uri = f"{base}init.mp4{query}"
                row.discontinuity = bool(rows) and not place
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
        is_header = rest == "init.mp4"
        is_number = stem.isascii() and stem.isdecimal() and len(stem) < 9 and ending == "m4s"
        ours = recording is not None and (recording.app, recording.name) == key
        if recording is None or not ours or not (is_header or is_number):
            raise Refused(RefusalCode.NOT_FOUND, "there is no such segment")
        async with self._library.open_path(*self._place(recording)) as opened:
            if is_header:
                return vod_hls.header(opened)
            every, number = vod_hls.cuts(opened, _SEGMENT), int(stem)
            if number >= len(every):
                raise Refused(RefusalCode.NOT_FOUND, "there is no such segment")
            return await vod_hls.segment(opened, number, every[number])

    def _covering(self, key: StreamKey, start: float, end: float) -> list[Recording]:
        found = []
        refused = False
        for recording in self._recordings.every(key):
            late = 0.0 if recording.finished else _LATE
            if recording.start < end and recording.start + recording.duration + late > start:
                refused = refused or recording.format == "ts"
                if recording.format != "ts":
                    found.append(recording)
        if refused and not found:
            raise Refused(RefusalCode.UNAVAILABLE, "recorded as MPEG-TS, which is not cut here")
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
            return _Stretch(recording.start, opened.title.tracks, recording, cuts)

    def _of_memory(self, key: StreamKey, start: float, end: float) -> _Stretch | None:
        """What the ring of a live stream still has."""
        stream = self._registry.streams.get(key)
        newest = stream.newest_dts if stream is not None else None
        if stream is None or newest is None:
            return None
        zero = time.time() - newest / US_PER_SECOND  # Unix time of the stream's time 0
        tracks = [t for t in stream.tracks if t.kind is not Kind.DATA and not t.id]
        tracks.sort(key=lambda track: track.kind is not Kind.VIDEO)
        packets = [
            p
            for p in stream.ring.read(stream.ring.tail)
            if not p.config and p.track in tracks and zero + p.dts / US_PER_SECOND < end
        ]
        lead = tracks[0].kind if tracks else None
        keys = [n for n, packet in enumerate(packets) if packet.key and packet.track.kind is lead]
        early = [n for n in keys if zero + packets[n].dts / US_PER_SECOND <= start]
        chosen = packets[early[-1] if early else keys[0] :] if keys else []
        if not chosen or zero + chosen[-1].dts / US_PER_SECOND < start:
            return None
        began = zero + chosen[0].dts / US_PER_SECOND
        return _Stretch(began, tracks, packets=chosen)


def _alike(one: Sequence[Track], other: Sequence[Track]) -> bool:
    about = [[(track.codec, track.config) for track in tracks] for tracks in (one, other)]
    return about[0] == about[1]
