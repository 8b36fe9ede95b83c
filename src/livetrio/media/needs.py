"""What an edition lacks for some kind of player, told from what is known of its tracks.

Nothing here decodes: configuration records and what was seen of the packets' times suffice.
"""

from __future__ import annotations

from typing import Final

import trio

from livetrio.errors import RemoteProtocolError
from livetrio.media.edition import Edition, TrackStatistics
from livetrio.media.stream import Stream
from livetrio.packet import US_PER_SECOND, Codec, Kind
from livetrio.wire.avc import AvcConfig

__all__ = ["WEBRTC", "has_codec", "is_one_sound", "legacy_audio", "needs_no_b", "reorders"]

WEBRTC: Final = frozenset({"webrtc", "whip", "whep"})
"""`Client.protocol` of publishers that send what browsers do: Opus, never AAC."""
_MIXED: Final = "mix"
"""`Client.protocol` of composed streams (media/mix/)."""
_ALONE: Final = US_PER_SECOND // 2
"""Sound of so much (us) without a picture: there will be none, as `webrtc.editions` has it."""
_ENOUGH: Final = 12
"""Frames after which B-frames that did not show will not come: no live encoder uses groups of
pictures whose first ten frames are all in order."""


def has_codec(edition: Edition, kind: Kind, codec: Codec) -> bool | None:
    """Is its first track of that kind coded so? None while there is no such track."""
    seen = _first(edition, kind)
    return None if seen is None else seen.track.codec is codec


def reorders(edition: Edition) -> bool | None:
    """Are frames of its first video track shown in another order than they are decoded in?

    True once that was seen. False where the SPS rules it out (max_num_reorder_frames of 0,
    Baseline, picture order count type 2), where the codec is none that reorders towards us, or
    when enough frames have come in order. None: too early to say. That an SPS *allows*
    reordering says nothing: hardware encoders leave a default there.
    """
    seen = _first(edition, Kind.VIDEO)
    if seen is None:
        return None
    if seen.reordered:
        return True
    if seen.track.codec not in (Codec.H264, Codec.HEVC):
        return False
    if seen.track.codec is Codec.H264 and _ruled_out(seen.track.config):
        return False
    return False if seen.judged >= _ENOUGH else None


def is_one_sound(edition: Edition) -> bool:
    """Are its audio tracks one and the same sound in several codecs, and not several sounds?

    So it is in composed streams, which are made in AAC and in Opus.
    """
    return isinstance(edition, Stream) and edition.protocol == _MIXED


async def needs_no_b(edition: Edition, patience: float = 2.0) -> bool:
    """Would a browser, which does not reorder, show this stream's H.264 jumping back and forth?

    Waits while it is too early to say. OBS's and x264's first key frame settles it already: its
    presentation time is moved, to leave room for what is decoded later and shown before.

    Args:
        edition: of a stream.
        patience: seconds; a stream that has not shown anything by then is taken as it is.
    """
    with trio.move_on_after(patience):
        while (known := reorders(edition)) is None and not edition.ring.ended:
            if _sounds_alone(edition):
                return False
            await edition.ring.changed(edition.ring.head)
    return bool(known) and has_codec(edition, Kind.VIDEO, Codec.H264) is True


def legacy_audio(stream: Stream, wish: str = "", *, takes_opus: bool = False) -> Codec | None:
    """What sound an RTMP or FLV viewer of a stream is to get: a codec, or None for what comes.

    Sound that a browser published is Opus, which old players cannot decode: they get AAC.
    What came by RTMP goes out as it is, since its publisher chose it for these protocols.

    Args:
        stream: what is watched.
        wish: the viewer's `audio` parameter: "aac", "opus", "copy"; anything else is no wish.
        takes_opus: the viewer said that it understands Opus in enhanced RTMP.
    """
    match wish:
        case "aac":
            return Codec.AAC
        case "opus":
            return Codec.OPUS
        case "copy":
            return None
    if takes_opus or stream.protocol not in WEBRTC:
        return None
    return Codec.AAC


def _first(edition: Edition, kind: Kind) -> TrackStatistics | None:
    found = [seen for seen in edition.track_statistics if seen.track.kind is kind]
    return min(found, key=lambda seen: seen.track.id, default=None)


def _sounds_alone(edition: Edition) -> bool:
    """Has there been sound for so long that no picture is to be expected with it?"""
    seen = edition.track_statistics
    return all(one.track.kind is not Kind.VIDEO for one in seen) and any(
        one.track.kind is Kind.AUDIO and one.packets and one.last_dts - one.first_dts >= _ALONE
        for one in seen
    )


def _ruled_out(record: bytes) -> bool:
    try:
        sps = AvcConfig.parse(record).sps()
    except RemoteProtocolError:
        return False
    return sps is not None and sps.reorder == 0
