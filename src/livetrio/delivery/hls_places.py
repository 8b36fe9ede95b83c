"""Place: what a window shows; and which windows a stream has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from livetrio.delivery.hls_container import MP4_CODECS, TS_CODECS
from livetrio.delivery.hls_request import Variant
from livetrio.media.needs import is_one_sound
from livetrio.media.stream import Stream
from livetrio.packet import Codec, Kind, StreamKey, Track

__all__ = ["NONE", "Place", "places_of"]

NONE: Final = -1
"""In place of a video track's id: sound alone."""


class Place(NamedTuple):
    """What a window shows. 0 is the first track of its kind, whatever its id, and whether it is
    there yet: a picture that comes late must not make another playlist of the same URL."""

    key: StreamKey
    variant: Variant
    video: int = 0
    """Id of the video track; -1: sound alone."""
    audio: int = 0
    """Id of the audio track."""

    @property
    def parameters(self) -> str:
        """What asks for it, in a playlist's URL."""
        if self.video == NONE:
            return f"variant={self.variant}&audio={self.audio}"
        return f"variant={self.variant}&video={self.video}"

    def is_asked(self, video: int | None, audio: int | None) -> bool:
        """Is it this one, by the tracks in a playlist's URL?"""
        if video is not None:
            return video == self.video and audio in {None, self.audio}
        return self.video == NONE and audio == self.audio

    def picture(self, tracks: Iterable[Track]) -> Track | None:
        """The video track, of those there are."""
        return None if self.video == NONE else _find(tracks, Kind.VIDEO, self.video)

    def sound(self, tracks: Iterable[Track]) -> Track | None:
        """The audio track, likewise."""
        return _find(tracks, Kind.AUDIO, self.audio)

    def needed_audio(self, tracks: Iterable[Track]) -> Codec | None:
        """What its sound must be turned into, if anything: transport streams carry no Opus that
        players know, fMP4 no Speex."""
        sound = self.sound(tracks)
        carried = TS_CODECS if self.variant == "ts" else MP4_CODECS
        return Codec.AAC if sound is not None and sound.codec not in carried else None


def places_of(stream: Stream, variant: Variant | None) -> list[Place]:
    """The windows of a variant: one for each video track, with the first sound in it, and one
    for each further sound by itself. None while there are no tracks.

    variant: None for what plain players get: transport stream as from livego, or fMP4 where the
        picture's codec is not found in one.
    """
    tracks = [track for track in stream.tracks if track.codec in MP4_CODECS | TS_CODECS]
    videos = sorted((t for t in tracks if t.kind is Kind.VIDEO), key=_id)
    sounds = sorted((t for t in tracks if t.kind is Kind.AUDIO), key=_id)
    if not videos and not sounds:
        return []
    if variant is None:
        variant = "fmp4" if videos and videos[0].codec not in TS_CODECS else "ts"
    carried = TS_CODECS if variant == "ts" else MP4_CODECS
    # The first sound is converted if need be, others are not (media/renditions.py).
    others = [track for track in sounds[1:] if track.codec in carried]
    if is_one_sound(stream):
        others = []
    return [
        Place(stream.key, variant),
        *(Place(stream.key, variant, video.id) for video in videos[1:]),
        *(Place(stream.key, variant, NONE, track.id) for track in others),
    ]


def _find(tracks: Iterable[Track], kind: Kind, wanted: int) -> Track | None:
    found = sorted((track for track in tracks if track.kind is kind), key=_id)
    if not wanted:
        return found[0] if found else None
    return next((track for track in found if track.id == wanted), None)


def _id(track: Track) -> int:
    return track.id
