"""HLS playlists, written: media playlists with low-latency parts, and multivariant ones.

Source: RFC 8216 and draft-pantos-hls-rfc8216bis (the section is named where it decides).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from livetrio.packet import US_PER_SECOND

__all__ = [
    "Audio",
    "Key",
    "MediaPlaylist",
    "PlaylistPart",
    "PlaylistSegment",
    "Report",
    "Variant",
    "master",
    "render",
]

_VERSION_TS: Final = 3
_VERSION_MAP: Final = 6
"""EXT-X-MAP in a playlist that is not I-frames only (section 8)."""
_VERSION_SKIP: Final = 9
_SKIP_TARGETS: Final = 6
"""CAN-SKIP-UNTIL must be at least six target durations (section 4.4.3.8)."""
_HOLD_BACK_TARGETS: Final = 3
_PART_HOLD_BACK: Final = 3.0
"""Times the part target; at least twice it, three times is recommended (section 4.4.3.8)."""
_PARTS_KEPT: Final = 3
"""Parts are listed for the segments of the last three target durations (section 4.4.4.9)."""


@dataclass(frozen=True, slots=True)
class Key:
    """EXT-X-KEY: how a segment is encrypted."""

    uri: str
    iv: bytes
    """16 bytes."""


@dataclass(frozen=True, slots=True)
class PlaylistPart:
    """EXT-X-PART. Durations here and below in microseconds."""

    uri: str
    duration: int
    independent: bool


@dataclass(slots=True)
class PlaylistSegment:
    """One segment, or (duration None) the newest one, of which there are only parts yet."""

    uri: str
    duration: int | None
    began: float | None = None
    """Seconds since 1970, for EXT-X-PROGRAM-DATE-TIME."""
    discontinuity: bool = False
    map_uri: str = ""
    """Its initialization segment; "" in transport streams."""
    key: Key | None = None
    parts: Sequence[PlaylistPart] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """EXT-X-RENDITION-REPORT: where another rendition's playlist is by now."""

    uri: str
    msn: int
    part: int | None


@dataclass(slots=True, kw_only=True)
class MediaPlaylist:
    """Everything that stands in a media playlist."""

    target: int
    """Microseconds; rounded as section 4.4.3.1 wants. It must never change."""
    sequence: int
    """Number of the first segment."""
    discontinuities: int = 0
    """Of those that have left the playlist (EXT-X-DISCONTINUITY-SEQUENCE)."""
    segments: Sequence[PlaylistSegment]
    independent: bool = True
    """Does each of them begin with a key frame?"""
    part_target: int = 0
    """0: no parts; otherwise this is a low-latency playlist."""
    hint: str = ""
    """URI of the part that comes next."""
    reports: Sequence[Report] = ()
    ended: bool = False
    kind: str = ""
    """"VOD", "EVENT" or nothing."""
    skippable: bool = False
    """Offer delta updates."""


def render(playlist: MediaPlaylist, *, skip: bool = False) -> str:
    """The text of a media playlist.

    skip: a delta update (section 6.2.5.1): what is older than the skip boundary is left out.
    """
    segments = playlist.segments
    target = max(-(-(playlist.target - US_PER_SECOND // 2 + 1) // US_PER_SECOND), 1)
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{_version(playlist, skip)}"]
    lines.append(f"#EXT-X-TARGETDURATION:{target}")
    if playlist.kind:
        lines.append(f"#EXT-X-PLAYLIST-TYPE:{playlist.kind}")
    control = _server_control(playlist, target)
    if control:
        lines.append(control)
    if playlist.part_target:
        lines.append(f"#EXT-X-PART-INF:PART-TARGET={_seconds(playlist.part_target)}")
    lines.append(f"#EXT-X-MEDIA-SEQUENCE:{playlist.sequence}")
    if playlist.discontinuities:
        lines.append(f"#EXT-X-DISCONTINUITY-SEQUENCE:{playlist.discontinuities}")
    if playlist.independent:
        lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
    skipped = _skippable(segments, target) if skip and playlist.skippable else 0
    if skipped:
        lines.append(f"#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}")
    first_with_parts = _first_with_parts(segments, target)
    # After a skip the map and key in force are those of the last segment left out.
    map_uri = segments[skipped - 1].map_uri if skipped else ""
    key = segments[skipped - 1].key if skipped else None
    for index in range(skipped, len(segments)):
        segment = segments[index]
        if segment.discontinuity:
            lines.append("#EXT-X-DISCONTINUITY")
        if segment.key != key:
            lines.append(_key(segment.key))
            key = segment.key
        if segment.map_uri != map_uri:
            lines.append(f'#EXT-X-MAP:URI="{segment.map_uri}"')
            map_uri = segment.map_uri
        if segment.began is not None:
            lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{_date(segment.began)}")
        if playlist.part_target and index >= first_with_parts:
            lines += map(_part, segment.parts)
        if segment.duration is not None:
            lines += (f"#EXTINF:{_seconds(segment.duration)},", segment.uri)
    if playlist.hint and not playlist.ended:
        lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{playlist.hint}"')
    lines += map(_report, playlist.reports)
    if playlist.ended:
        lines.append("#EXT-X-ENDLIST")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """EXT-X-STREAM-INF."""

    uri: str
    bandwidth: int
    """Peak, bits a second, sound included."""
    average: int = 0
    codecs: Sequence[str] = ()
    width: int = 0
    height: int = 0
    frame_rate: float = 0.0
    audio: str = ""
    """GROUP-ID of its sound; "" when it has its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audio:
    """EXT-X-MEDIA of TYPE=AUDIO."""

    group: str
    name: str
    uri: str = ""
    default: bool = False
    channels: int = 0
    language: str = ""


def master(variants: Sequence[Variant], audios: Sequence[Audio] = (), *, version: int = 6) -> str:
    """The text of a multivariant playlist."""
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{version}", "#EXT-X-INDEPENDENT-SEGMENTS"]
    for audio in audios:
        fields = [f'TYPE=AUDIO,GROUP-ID="{audio.group}",NAME="{audio.name}"']
        if audio.language:
            fields.append(f'LANGUAGE="{audio.language}"')
        fields.append(f"DEFAULT={'YES' if audio.default else 'NO'},AUTOSELECT=YES")
        if audio.channels:
            fields.append(f'CHANNELS="{audio.channels}"')
        if audio.uri:
            fields.append(f'URI="{audio.uri}"')
        lines.append("#EXT-X-MEDIA:" + ",".join(fields))
    for variant in variants:
        fields = [f"BANDWIDTH={variant.bandwidth}"]
        if variant.average:
            fields.append(f"AVERAGE-BANDWIDTH={variant.average}")
        if variant.codecs:
            fields.append(f'CODECS="{",".join(variant.codecs)}"')
        if variant.width and variant.height:
            fields.append(f"RESOLUTION={variant.width}x{variant.height}")
        if variant.frame_rate:
            fields.append(f"FRAME-RATE={variant.frame_rate:.3f}")
        if variant.audio:
            fields.append(f'AUDIO="{variant.audio}"')
        lines += ("#EXT-X-STREAM-INF:" + ",".join(fields), variant.uri)
    return "\n".join(lines) + "\n"


def _version(playlist: MediaPlaylist, skip: bool) -> int:
    if playlist.part_target or (skip and playlist.skippable):
        return _VERSION_SKIP
    return _VERSION_MAP if any(s.map_uri for s in playlist.segments) else _VERSION_TS


def _server_control(playlist: MediaPlaylist, target: int) -> str:
    fields = []
    if playlist.part_target and not playlist.ended:
        hold_back = playlist.part_target * _PART_HOLD_BACK / US_PER_SECOND
        fields += ["CAN-BLOCK-RELOAD=YES", f"PART-HOLD-BACK={hold_back:.3f}"]
        fields.append(f"HOLD-BACK={_HOLD_BACK_TARGETS * target}")
    if playlist.skippable and not playlist.ended:
        fields.append(f"CAN-SKIP-UNTIL={_SKIP_TARGETS * target}")
    return "#EXT-X-SERVER-CONTROL:" + ",".join(fields) if fields else ""


def _skippable(segments: Sequence[PlaylistSegment], target: int) -> int:
    """How many segments are older than the skip boundary."""
    boundary = _SKIP_TARGETS * target * US_PER_SECOND
    count = len(segments)
    age = 0
    while count and age < boundary:
        count -= 1
        segment = segments[count]
        parts = sum(part.duration for part in segment.parts)
        age += parts if segment.duration is None else segment.duration
    return count


def _first_with_parts(segments: Sequence[PlaylistSegment], target: int) -> int:
    index = len(segments)
    left = _PARTS_KEPT * target * US_PER_SECOND
    while index and left > 0:
        index -= 1
        left -= segments[index].duration or 0
    return index


def _part(part: PlaylistPart) -> str:
    independent = ",INDEPENDENT=YES" if part.independent else ""
    return f'#EXT-X-PART:DURATION={_seconds(part.duration)},URI="{part.uri}"{independent}'


def _report(report: Report) -> str:
    part = "" if report.part is None else f",LAST-PART={report.part}"
    return f'#EXT-X-RENDITION-REPORT:URI="{report.uri}",LAST-MSN={report.msn}{part}'


def _key(key: Key | None) -> str:
    if key is None:
        return "#EXT-X-KEY:METHOD=NONE"
    return f'#EXT-X-KEY:METHOD=AES-128,URI="{key.uri}",IV=0x{key.iv.hex()}'


def _seconds(duration: int) -> str:
    return f"{duration / US_PER_SECOND:.5f}"


def _date(time: float) -> str:
    text = datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
