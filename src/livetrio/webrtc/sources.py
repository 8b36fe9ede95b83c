"""Sources: which SSRC is which media and layer.

SDP rarely says (Chromium names no SSRC of simulcast). So an unknown SSRC is placed, in this
order (RFC 9143 section 9.2), by the mid its packets carry, by the SSRCs announced, by a payload
type that only one media uses; and within its media by the rid. RTX, RED and FEC are told by their
payload types, or by a repaired rid, and ignored.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from livetrio.packet import Kind
from livetrio.webrtc.layers import Layers
from livetrio.webrtc.negotiation_words import Agreed, Media
from livetrio.webrtc.outlet import Outlet
from livetrio.webrtc.receive_track import ReceiveTrack
from livetrio.wire.rtp import extensions as ext
from livetrio.wire.rtp.header import RtpPacket

__all__ = ["Sources"]

_RETIRED: Final = 64
"""SSRCs remembered that others replaced: their stragglers must not take the place back."""


class Sources:
    """One publisher's receive tracks.

    Attributes:
        tracks: by SSRC.
        ignored: packets of payload types or SSRCs that nobody agreed to.
        layers: of each media, by mid.
    """

    __slots__ = ("_make", "_medias", "_outlets", "_retired", "ignored", "layers", "tracks")

    def __init__(
        self,
        agreed: Agreed,
        make: Callable[[int, Media, str, Outlet, float], ReceiveTrack],
    ) -> None:
        """make: a receive track for (ssrc, media, rid, outlet, now)."""
        self._make = make
        self._medias = tuple(m for m in agreed.active if m.codecs and not m.sending)
        self._retired: deque[int] = deque(maxlen=_RETIRED)
        self.tracks: dict[int, ReceiveTrack] = {}
        self.ignored = 0
        self.layers: dict[str, Layers] = {}
        self._outlets: dict[tuple[str, str], Outlet] = {}
        bases = dict.fromkeys(Kind, 0)
        for media in self._medias:
            rids = media.rids or ("",)
            layers = self.layers[media.mid] = Layers(rids, bases[media.kind])
            bases[media.kind] += len(rids)
            for rid in rids:
                outlet = Outlet(media.kind, layers, layers.get(rid))
                self._outlets[media.mid, rid] = outlet

    def find(self, packet: RtpPacket, now: float) -> ReceiveTrack | None:
        """The track of a packet's SSRC, made if the packet tells enough; None: ignore it."""
        track = self.tracks.get(packet.ssrc)
        if track is None:
            track = self._learn(packet, now)
            if track is None:
                self.ignored += 1
        return track

    def outlet(self, track: ReceiveTrack) -> Outlet:
        """Where a track's frames go."""
        return self._outlets[track.media.mid, track.rid]

    def sending(self, track_id: int) -> Iterator[ReceiveTrack]:
        """The sources of that video track; all of video, where none is it at this moment."""
        video = [track for track in self.tracks.values() if track.media.kind is Kind.VIDEO]
        found = [track for track in video if self.outlet(track).track_id == track_id]
        yield from found or video

    def _learn(self, packet: RtpPacket, now: float) -> ReceiveTrack | None:
        if packet.ssrc in self._retired:
            return None
        media = self._media_of(packet)
        if media is None or media.codec(packet.payload_type) is None:
            return None
        rid = ""
        if media.rids:
            if self._text(packet, media, ext.REPAIRED_RID):
                return None
            rid = self._text(packet, media, ext.RID)
            if rid not in media.rids:
                return None  # its next packets will say
        for old in [t for t in self.tracks.values() if t.media is media and t.rid == rid]:
            del self.tracks[old.ssrc]
            self._retired.append(old.ssrc)
        track = self._make(packet.ssrc, media, rid, self._outlets[media.mid, rid], now)
        self.tracks[packet.ssrc] = track
        return track

    def _media_of(self, packet: RtpPacket) -> Media | None:
        for media in self._medias:
            if mid := self._text(packet, media, ext.MID):
                return next((m for m in self._medias if m.mid == mid), None)
        for media in self._medias:
            if packet.ssrc in media.ssrcs:
                return media
        users = [m for m in self._medias if m.codec(packet.payload_type) is not None]
        return users[0] if len(users) == 1 else None

    @staticmethod
    def _text(packet: RtpPacket, media: Media, uri: str) -> str:
        number = media.extensions.get(uri)
        value = ext.extension(packet, number) if number else None
        return ext.text(value) if value else ""
