"""Editions for browsers: what of a stream WebRTC can carry as it is, and what takes a rendition."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import trio

from livetrio.errors import RefusalCode, Refused
from livetrio.media.edition import Edition
from livetrio.media.needs import has_codec, needs_no_b
from livetrio.media.rendition_stage import Claim
from livetrio.media.renditions import Renditions, VideoWish
from livetrio.media.stream import Stream
from livetrio.packet import US_PER_SECOND, Codec, Kind

__all__ = ["Editions", "media_known"]

_PATIENCE = 5.0
"""Seconds that a viewer waits for a stream's first packets."""
_ENCODER_PATIENCE = 10.0
"""Seconds, likewise of a rendition's."""
_ALONE = US_PER_SECOND // 2
"""Of one kind of track so much (us) passes before the other is taken not to come."""


class Editions:
    """Finds what a browser can be sent of a stream."""

    def __init__(self, renditions: Renditions, *, on_request: bool = True) -> None:
        """on_request: may viewers ask for H.264 of what browsers can show as it is?"""
        self._renditions = renditions
        self._on_request = on_request

    @asynccontextmanager
    async def for_browser(
        self, stream: Stream, query: Mapping[str, str], claim: Claim | None = None
    ) -> AsyncIterator[Edition]:
        """The stream itself where WebRTC carries it, else a shared rendition, while in the block.

        Sound becomes Opus, and H.264 with B-frames (which browsers do not reorder) H.264 without.
        A codec that WebRTC has goes out as it is; `?video=h264` asks for H.264 instead, and
        for `?video=none` no picture is coded anew.

        Args:
            stream: what is watched.
            query: the viewer's wishes.
            claim: who it is; None: nobody that could be a flood.

        Raises:
            Refused: the renditions' own (UNAVAILABLE: no room for one more); FORBIDDEN: H.264 is
                not made because somebody asks.
        """
        audio = Codec.OPUS if has_codec(stream, Kind.AUDIO, Codec.OPUS) is False else None
        video: VideoWish | None = None
        if query.get("video") == "h264" and has_codec(stream, Kind.VIDEO, Codec.H264) is False:
            if not self._on_request:
                reason = "no H.264 is made of this stream on request"
                raise Refused(RefusalCode.FORBIDDEN, reason, hint="rendition.on_request: false")
            video = "h264"
        elif query.get("video") != "none" and await needs_no_b(stream):
            video = "no-b"
        async with self._renditions.open(stream, audio=audio, video=video, claim=claim) as edition:
            await media_known(edition, _kinds(stream) if edition is not stream else frozenset())
            yield edition


async def media_known(edition: Edition, kinds: frozenset[Kind] = frozenset()) -> None:
    """Wait until it shows which tracks an edition has.

    Args:
        edition: a stream or a rendition.
        kinds: what it will have without doubt, since what it is made of has them. An encoder's
            process needs a second to start, while the sound beside it passes at once.

    Raises:
        Refused: GONE, the stream ended; UNAVAILABLE, the rendition did, or nothing came for
            some seconds.
    """
    with trio.move_on_after(_PATIENCE if not kinds else _ENCODER_PATIENCE):
        while not (edition.ring.ended or _is_known(edition, kinds)):
            await edition.ring.changed(edition.ring.head)
    if edition.ring.ended:
        if kinds:
            raise Refused(RefusalCode.UNAVAILABLE, edition.ring.end_reason)
        raise Refused(RefusalCode.GONE, f"stream {edition.key} has ended")
    if missing := kinds - _kinds(edition):
        names = " and ".join(sorted(kind.value for kind in missing))
        raise Refused(
            RefusalCode.UNAVAILABLE,
            f"the {names} rendition of stream {edition.key} is not there yet",
            hint=f"its encoder made nothing for {_ENCODER_PATIENCE:g} s",
        )
    if not _kinds(edition):
        raise Refused(
            RefusalCode.UNAVAILABLE,
            f"stream {edition.key} has no audio or video yet",
            hint=f"nothing but data arrived for {_PATIENCE:g} s",
        )


def _is_known(edition: Edition, kinds: frozenset[Kind]) -> bool:
    seen = [s for s in edition.track_statistics if s.track.kind is not Kind.DATA]
    found = {s.track.kind for s in seen}
    if len(found) == 2:
        return True
    return kinds <= found and any(s.last_dts - s.first_dts >= _ALONE for s in seen if s.packets)


def _kinds(edition: Edition) -> frozenset[Kind]:
    return frozenset(track.kind for track in edition.tracks if track.kind is not Kind.DATA)
