"""The multivariant playlist of a stream that comes in several qualities (no transcoding)."""

from __future__ import annotations

from collections.abc import Sequence

from livetrio.delivery.hls_renditions import Place
from livetrio.delivery.hls_window import Window
from livetrio.errors import RemoteProtocolError
from livetrio.media.stream import Stream
from livetrio.packet import US_PER_SECOND, Codec, Kind, Track
from livetrio.wire.fmp4 import codec_string
from livetrio.wire.m3u8 import Variant, master

__all__ = ["multivariant"]

_GUESS = 2_000_000
"""Bits a second of a quality that has no whole segment yet."""


def multivariant(
    stream: Stream | None,
    places: Sequence[Place],
    windows: Sequence[Window],
    name: str,
    query: str,
) -> str:
    """The text; one variant for each window.

    Args:
        stream: None if it has ended: sizes and codecs are not known any more.
        name: of the playlists, without ".m3u8".
        query: what they carry on, with its "?".
    """
    tracks = {(t.kind, t.id): t for t in stream.tracks} if stream is not None else {}
    variants = []
    for place, window in zip(places, windows, strict=True):
        picture = tracks.get((Kind.VIDEO, place.video))
        sound = tracks.get((Kind.AUDIO, place.audio))
        peak, average = _rates(window)
        passed = query.replace("?", "&", 1)
        variants.append(
            Variant(
                uri=f"{name}.m3u8?variant={place.variant}&video={place.video}{passed}",
                bandwidth=peak,
                average=average,
                codecs=_codecs(picture, sound, place),
                width=picture.width if picture else 0,
                height=picture.height if picture else 0,
            )
        )
    # Players start with the first; the best one is the one they should try.
    variants.sort(key=lambda variant: variant.bandwidth, reverse=True)
    return master(variants)


def _rates(window: Window) -> tuple[int, int]:
    """Peak and average, bits a second, of the segments that are listed."""
    whole = [(s.size, s.duration) for s in window.listed if s.duration]
    if not whole:
        return _GUESS, 0
    peak = max(size * 8 * US_PER_SECOND // duration for size, duration in whole)
    length = sum(duration for _, duration in whole)
    return peak, sum(size for size, _ in whole) * 8 * US_PER_SECOND // length


def _codecs(picture: Track | None, sound: Track | None, place: Place) -> list[str]:
    """Their RFC 6381 names; nothing if one of them is not known: half a list misleads players."""
    names = []
    for track in filter(None, (picture, sound)):
        if track is sound and place.variant == "ts" and track.codec is Codec.OPUS:
            names.append("mp4a.40.2")  # what it is turned into for transport streams
            continue
        try:
            names.append(codec_string(track))
        except RemoteProtocolError:
            return []
    return names if all(names) else []
