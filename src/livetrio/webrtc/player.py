"""Players: everybody who watches by WebRTC; what is announced to each, and which feed it joins."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import trio

from livetrio.errors import RefusalCode, Refused
from livetrio.logs import get_logger
from livetrio.media.edition import Edition
from livetrio.media.stream import Stream
from livetrio.net.guard import guarded
from livetrio.net.scope import open_scope
from livetrio.packet import Codec, Kind, Track
from livetrio.webrtc.negotiation_words import Agreed, Media, SendTrack
from livetrio.webrtc.peer import Peer
from livetrio.webrtc.play_feed import PlayFeed
from livetrio.webrtc.quality import Quality
from livetrio.webrtc.rtp_mux import Origin
from livetrio.webrtc.selection import Selection
from livetrio.webrtc.sending_source import Layout
from livetrio.webrtc.viewer import Viewer
from livetrio.wire.rtp.extensions import TRANSPORT_CC
from livetrio.wire.rtp.packetize import PACKETIZED

__all__ = ["Player", "Players", "can_ask", "fmtp_of"]

log = get_logger(__name__)

_FIRST: Final = 1 << 14
"""Sequence numbers begin below this: half of what RFC 3711 allows, for long catching up."""


@dataclass(slots=True, eq=False)
class _Audience:
    """All who watch one edition."""

    origin: Origin
    players: int = 0
    feeds: dict[Layout, PlayFeed] = field(default_factory=dict)


class Players:
    """Made once per node; holds nothing while nobody watches."""

    def __init__(self, bits: Callable[[int], int] = secrets.randbits) -> None:
        """bits: a number of that many random bits; tests know them."""
        self._bits = bits
        self._audiences: dict[Edition, _Audience] = {}
        self._others: dict[PlayFeed, None] = {}

    @property
    def feeds(self) -> list[PlayFeed]:
        """One for each edition and layout that somebody watches, and those of rooms."""
        own = [feed for audience in self._audiences.values() for feed in audience.feeds.values()]
        return [*own, *self._others]

    @contextmanager
    def counting(self, feed: PlayFeed) -> Iterator[None]:
        """Count a feed that was made elsewhere among these while in the block."""
        self._others[feed] = None
        try:
            yield
        finally:
            del self._others[feed]

    @contextmanager
    def player(self, stream: Stream, edition: Edition, selection: Selection) -> Iterator[Player]:
        """A place in the audience, from before the answer (which names the SSRCs) to the end.

        Args:
            stream: whose publisher is asked for key frames.
            edition: of that stream, in codecs RTP has; its tracks must be known.
            selection: what is wanted of it.

        Raises:
            Refused: GONE, the stream has ended; UNAVAILABLE, it has no track that was asked for
                and that RTP could carry.
        """
        if edition.ring.ended:
            raise Refused(RefusalCode.GONE, f"stream {edition.key} has ended")
        video, audio = _tracks(edition, selection)
        audience = self._audiences.get(edition)
        if audience is None:
            cname = f"{self._bits(64):016x}"
            audience = self._audiences[edition] = _Audience(Origin.random(self._bits, cname))
        audience.players += 1
        try:
            yield Player(self, stream, edition, selection, audience.origin, video, audio)
        finally:
            audience.players -= 1
            if not audience.players:
                del self._audiences[edition]

    @contextmanager
    def feed(self, stream: Stream, edition: Edition, layout: Layout) -> Iterator[PlayFeed]:
        """The feed of a layout, started by its first viewer and stopped by the going of the last.

        Raises:
            Refused: GONE, the stream has ended.
        """
        if edition.ring.ended:
            raise Refused(RefusalCode.GONE, f"stream {edition.key} has ended")
        audience = self._audiences[edition]
        feed = audience.feeds.get(layout)
        if feed is None or feed.done.is_set():
            feed = PlayFeed(
                edition,
                layout,
                audience.origin,
                first=self._bits(32) % _FIRST,
                asks=partial(can_ask, stream),
            )
            audience.feeds[layout] = feed
            edition.scope.nursery.start_soon(_run, feed, edition, name=f"feed {feed.name}")
        try:
            yield feed
        finally:
            if not feed.viewers and audience.feeds.get(layout) is feed:
                del audience.feeds[layout]
                feed.stopped.cancel()


class Player:
    """One viewer, from what it is announced to its last packet. Made by `Players.player`."""

    def __init__(
        self,
        players: Players,
        stream: Stream,
        edition: Edition,
        selection: Selection,
        origin: Origin,
        video: Track | None,
        audio: Track | None,
    ) -> None:
        self.viewer: Viewer | None = None
        """Its numbers, once it is connected."""
        self._players = players
        self._stream = stream
        self._edition = edition
        self._selection = selection
        self._origin = origin
        self._video = video
        self._audio = audio

    @property
    def tracks(self) -> list[SendTrack]:
        """What to announce, for `agree_play` and `offer_play`: at most one video and one audio."""
        origin = self._origin
        pairs = ((self._video, origin.video_ssrc), (self._audio, origin.audio_ssrc))
        return [
            SendTrack(
                track.kind,
                track.codec,
                ssrc,
                origin.cname,
                f"{origin.cname} {track.kind.value}",
                fmtp_of(track),
                track.channels or 2,
            )
            for track, ssrc in pairs
            if track is not None
        ]

    def select(self, selection: Selection) -> None:
        """Another layer from the next key frame on. Sound and kinds stay as negotiated."""
        self._selection = selection
        viewer = self.viewer
        if viewer is not None:
            viewer.selection = selection
            viewer.quality = Quality()
            viewer.feed.choose(viewer, trio.current_time())

    async def run(self, peer: Peer, agreed: Agreed) -> None:
        """Send to the peer, once it is connected, until the stream ends or its scope does.

        Raises:
            Refused: GONE, the stream has ended meanwhile.
        """
        layout = self._layout(agreed)
        with self._players.feed(self._stream, self._edition, layout) as feed:
            viewer = Viewer(peer, feed, self._selection)
            viewer.lacks = self._lacks()
            peer.on_rtcp = viewer.receive
            await peer.connected.wait()
            self.viewer = viewer
            with feed.viewer(viewer):
                await feed.done.wait()
            peer.scope.cancel(feed.ending)

    def _lacks(self) -> frozenset[Kind]:
        wish = self._selection
        kinds = (
            (Kind.VIDEO, wish.with_video and self._video is None),
            (Kind.AUDIO, wish.with_audio and self._audio is None),
        )
        return frozenset(kind for kind, lacking in kinds if lacking)

    def _layout(self, agreed: Agreed) -> Layout:
        video = _sent(agreed, self._origin.video_ssrc)
        audio = _sent(agreed, self._origin.audio_ssrc)
        carrier = video or audio
        reports = carrier is not None and "transport-cc" in carrier.codecs[0].feedback
        return Layout(
            codec=video.codecs[0].codec if video is not None else None,
            video=video.codecs[0].payload_type if video is not None else 0,
            audio=audio.codecs[0].payload_type if audio is not None else 0,
            audio_track=self._audio.id if self._audio is not None else 0,
            transport_cc=carrier.extensions.get(TRANSPORT_CC, 0) if carrier and reports else 0,
        )


def fmtp_of(track: Track) -> dict[str, str]:
    """The format parameters that say what a track is, in SDP's words."""
    match track.codec:
        case Codec.H264 if len(track.config) >= 4:
            return {"profile-level-id": track.config[1:4].hex()}
        case Codec.VP9 if track.config:
            record = track.config.removeprefix(b"\x01\x00\x00\x00")
            return {"profile-id": str(record[0])}
        case Codec.AV1 if len(track.config) >= 2:
            return {"profile": str(track.config[1] >> 5)}
        case _:
            return {}


def _tracks(edition: Edition, selection: Selection) -> tuple[Track | None, Track | None]:
    """The video and audio tracks that are announced; of several layers the first speaks for all."""
    usable = sorted(
        (track for track in edition.tracks if track.codec in PACKETIZED), key=lambda t: t.id
    )
    videos = [t for t in usable if t.kind is Kind.VIDEO and selection.with_video]
    audios = [t for t in usable if t.kind is Kind.AUDIO and selection.with_audio]
    wanted = [t for t in audios if t.id == selection.audio]
    video = next(iter(videos), None)
    audio = next(iter(wanted or audios), None)
    if video is None and audio is None:
        have = ", ".join(track.codec.value for track in edition.tracks) or "nothing yet"
        raise Refused(
            RefusalCode.UNAVAILABLE, f"nothing that was asked for can be sent; there is {have}"
        )
    return video, audio


def _sent(agreed: Agreed, ssrc: int) -> Media | None:
    """The media that carries this source, if it was agreed."""
    for media in agreed.active:
        if media.sending and media.codecs and media.track is not None and media.track.ssrc == ssrc:
            return media
    return None


def can_ask(stream: Stream) -> bool:
    """Does its publisher take wishes for key frames?"""
    publication = stream.publication
    return publication is not None and publication.on_key_frame_request is not None


async def _run(feed: PlayFeed, edition: Edition) -> None:
    def blame(error: BaseException) -> None:
        """A bug in one layout ends that feed; no stream ends another."""
        log.error("bug: feed ended", stream=str(edition.key), feed=feed.name, exc_info=error)

    async with open_scope("feed", feed.name, parent=edition.scope):
        with guarded(blame):
            await feed.run()
