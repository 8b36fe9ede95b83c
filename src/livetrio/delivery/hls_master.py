"""The multivariant playlist of a stream with several pictures or sounds (no transcoding)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from livetrio.delivery.hls_listing import Listing
from livetrio.delivery.hls_places import NONE, Place
from livetrio.delivery.hls_window import Window
from livetrio.errors import LivetrioError
from livetrio.media.stream import Stream
from livetrio.packet import US_PER_SECOND, Track
from livetrio.wire.fmp4 import codec_string
from livetrio.wire.m3u8 import Audio, Variant, master

__all__ = ["multivariant"]

_GUESS: Final = 2_000_000
"""Bits a second of a quality that has no whole segment yet."""
_GROUP: Final = "sound"


def multivariant(
    stream: Stream | None, listings: Mapping[Place, Listing], stem: str, query: str
) -> str:
    """The text: a variant for each picture, a rendition for each sound if there are several.

    Args:
        stream: None if it has ended: sizes and codecs are not known any more.
        listings: all with the same first sound, and each further sound by itself.
        stem: of the playlists' names, without ".m3u8".
        query: what they carry on, with its "?".
    """
    tracks = stream.tracks if stream is not None else []
    passed = query.replace("?", "&", 1)
    main = [place for place in listings if place.video != NONE]
    others = [place for place in listings if place not in main]
    audios = []
    if others:
        # The first is in every variant (no URI); so players without choice have it as well.
        first = main[0].sound(tracks)
        audios.append(_audio(first, 1, "", is_first=True))
        for number, place in enumerate(others, 2):
            uri = f"{stem}.m3u8?{place.parameters}{passed}"
            track = place.sound(tracks)
            audios.append(_audio(track, number, uri, is_first=False))
    extra = max((_rates(listings[place].window)[0] for place in others), default=0)
    variants = []
    for place in main:
        picture = place.picture(tracks)
        sound = place.sound(tracks)
        peak, average = _rates(listings[place].window)
        variants.append(
            Variant(
                uri=f"{stem}.m3u8?{place.parameters}{passed}",
                bandwidth=peak + extra,
                average=average + extra if average else 0,
                codecs=_codecs(picture, sound, place),
                width=picture.width if picture else 0,
                height=picture.height if picture else 0,
                audio=_GROUP if audios else "",
            )
        )
    # Players start with the first; the best one is the one they should try.
    variants.sort(key=lambda variant: variant.bandwidth, reverse=True)
    return master(variants, audios)


def _audio(track: Track | None, number: int, uri: str, *, is_first: bool) -> Audio:
    return Audio(
        group=_GROUP,
        name=f"Track {number}",
        uri=uri,
        default=is_first,
        channels=track.channels if track is not None else 0,
    )


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
        if track is sound and place.needed_audio([track]) is not None:
            names.append("mp4a.40.2")  # what it is turned into
            continue
        try:
            names.append(codec_string(track))
        except LivetrioError:
            return []
    return names if all(names) else []
