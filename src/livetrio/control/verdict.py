"""Verdict: what is to be said about a stream as it comes in, and where it can be watched.

Findings carry an id, so that pages can say them in other languages; the text is English.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from livetrio.media.stream import Stream, TrackStatistics
from livetrio.packet import US_PER_SECOND, Codec, Kind

__all__ = ["Finding", "Playable", "findings", "playable"]

Level = Literal["ok", "warn", "error"]

SLOW_START = 4.0
"""Seconds between key frames beyond which newcomers and segment cutters wait noticeably."""
UNSTEADY = 0.5
"""Seconds of arrival jitter that players with a second of buffer stumble over."""
_PROFESSIONAL = ("High 10", "High 4:2:2", "High 4:4:4")
"""H.264 profiles that encoders choose for RGB or 10-bit input, unasked."""
_PATIENCE = 10.0
"""Seconds of video without a key frame before that is worth a word."""

_LEGACY = frozenset(
    {Codec.H264, Codec.H263, Codec.SCREEN, Codec.SCREEN2, Codec.VP6, Codec.VP6A,
     Codec.AAC, Codec.MP3, Codec.MP3_8K, Codec.PCM, Codec.PCM_LE, Codec.ADPCM, Codec.G711A,
     Codec.G711U, Codec.SPEEX, Codec.NELLYMOSER, Codec.NELLYMOSER_16K, Codec.NELLYMOSER_8K}
)  # fmt: skip
"""What FLV and RTMP carried before the enhanced RTMP specification."""
_MPEGTS_JS = frozenset(
    {Codec.H264, Codec.HEVC, Codec.AV1, Codec.AAC, Codec.MP3, Codec.OPUS, Codec.FLAC}
)
"""What mpegts.js demultiplexes from FLV and browsers play through Media Source Extensions."""
_COMMON = frozenset({Codec.H264, Codec.HEVC, Codec.AV1, Codec.AAC, Codec.MP3, Codec.OPUS})
"""What most players of today decode."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark."""

    level: Level
    text_id: str
    text: str
    values: Mapping[str, object] = field(default_factory=dict)
    """What varies in the text, for those who say it otherwise."""


@dataclass(frozen=True, slots=True)
class Playable:
    """Can the stream be watched this way, and if not, or only by some players, why?"""

    ok: bool
    why: str = ""
    why_id: str = ""
    codecs: tuple[str, ...] = ()
    """Those that are the reason."""


def findings(stream: Stream, jitter: float) -> list[Finding]:
    """All remarks, the worst first; one "ok" if there is nothing to remark.

    Args:
        jitter: seconds, from `Gauges.jitter`.
    """
    found = [*_of_stream(stream, jitter)]
    for seen in stream.track_statistics:
        found += _of_track(seen)
    found.sort(key=lambda finding: finding.level != "error")
    return found or [Finding("ok", "good", "everything can play this")]


def playable(stream: Stream) -> dict[str, Playable]:
    """Each way of watching this version has, by name."""
    codecs = [track.codec for track in stream.tracks if track.kind is not Kind.DATA]
    if not codecs:
        nothing = Playable(False, "no audio or video yet", "no-media")
        return dict.fromkeys(("rtmp", "http-flv", "ws-flv", "mpegts.js"), nothing)
    classic = browser = Playable(True)
    if enhanced := sorted(codec.value for codec in set(codecs) - _LEGACY):
        why = f"enhanced players only: {', '.join(enhanced)}"
        classic = Playable(True, why, "enhanced", tuple(enhanced))
    if foreign := sorted(codec.value for codec in set(codecs) - _MPEGTS_JS):
        why = f"not in browsers: {', '.join(foreign)}"
        browser = Playable(False, why, "foreign", tuple(foreign))
    return {"rtmp": classic, "http-flv": classic, "ws-flv": classic, "mpegts.js": browser}


def _of_stream(stream: Stream, jitter: float) -> Iterator[Finding]:
    kinds = {track.kind for track in stream.tracks}
    if stream.publication is None:
        yield Finding("error", "no-publisher", "the publisher has gone; waiting for its return")
    if not kinds & {Kind.VIDEO, Kind.AUDIO}:
        yield Finding("warn", "no-media", "no audio or video has arrived yet")
    elif Kind.AUDIO not in kinds:
        yield Finding("warn", "no-audio", "no audio track")
    elif Kind.VIDEO not in kinds:
        yield Finding("ok", "audio-only", "audio only")
    if jitter > UNSTEADY:
        text = f"media arrive unsteadily, {jitter:.1f} s off on average: the uplink is too slow"
        yield Finding("warn", "unsteady", text, {"seconds": round(jitter, 1)})
    repairs = stream.repairs
    if count := repairs.jumps + repairs.backward:
        yield Finding("warn", "repairs", f"{count} broken timestamps repaired", {"count": count})


def _of_track(seen: TrackStatistics) -> Iterator[Finding]:
    track = seen.track
    if track.kind is Kind.DATA:
        return
    name = track.codec.value
    if track.codec not in _COMMON:
        yield Finding("warn", "odd-codec", f"few players decode {name}", {"codec": name})
    elif track.codec not in _LEGACY:
        text = f"{name} needs players that know enhanced RTMP and FLV"
        yield Finding("warn", "enhanced", text, {"codec": name})
    if track.kind is not Kind.VIDEO:
        return
    if track.profile.startswith(_PROFESSIONAL):
        text = f"profile {track.profile}: phones and many browsers decode 8-bit 4:2:0 only"
        yield Finding("warn", "odd-profile", text, {"profile": track.profile})
    watched = (seen.last_dts - seen.first_dts) / US_PER_SECOND
    last_key = seen.last_key_dts if seen.last_key_dts is not None else seen.first_dts
    keyless = (seen.last_dts - last_key) / US_PER_SECOND
    if not seen.keys and watched > _PATIENCE:
        text = f"no key frame in {watched:.0f} s: nobody can start"
        yield Finding("error", "no-keys", text, {"seconds": round(watched)})
    elif max(seen.gop / US_PER_SECOND, keyless) > SLOW_START:
        seconds = max(seen.gop / US_PER_SECOND, keyless)
        text = f"{seconds:.1f} s between key frames: viewers start slowly; set 2 s"
        yield Finding("warn", "long-gop", text, {"seconds": round(seconds, 1)})
    if seen.reordered:
        text = "B-frames: WebRTC viewers will need a rendition without them"
        yield Finding("ok", "b-frames", text)
