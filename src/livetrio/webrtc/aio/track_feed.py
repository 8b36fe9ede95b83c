"""TrackFeed: one edition of a stream into the tracks of one peer, at a pace the peer can follow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio

from livetrio.errors import RefusalCode, Refused, RemoteProtocolError
from livetrio.media.edition import Edition
from livetrio.media.ring import EndOfStream
from livetrio.media.stream import Stream
from livetrio.packet import US_PER_SECOND, Kind, Packet, Track
from livetrio.webrtc.aio.descriptions import CODECS
from livetrio.webrtc.aio.packet_track import PacketTrack
from livetrio.webrtc.fitness import misfit
from livetrio.webrtc.negotiation_words import NotAcceptable
from livetrio.webrtc.selection import Selection
from livetrio.wire.rtp.rtcp import parse_rtcp
from livetrio.wire.rtp.rtcp_feedback import Fir, Pli

__all__ = ["TrackFeed"]

_CATCH_UP: Final = 4 * US_PER_SECOND
"""Microseconds of the cached group of pictures per second: a burst of all of it would overflow
what lies between us and the picture."""


class TrackFeed:
    """One viewer's. Its tracks go into the offer or answer, then `run` fills them."""

    def __init__(self, stream: Stream, edition: Edition, selection: Selection) -> None:
        """
        Args:
            stream: whose publisher is asked for key frames.
            edition: of it, its tracks known.
            selection: what is wanted of it.

        Raises:
            Refused: UNAVAILABLE, there is nothing of what is wanted.
            NotAcceptable: it is in a codec that aiortc cannot packetise.
        """
        self.announced = _announced(edition, selection)
        """Of the stream: at most one video and one audio."""
        self.tracks = {t.kind: PacketTrack(t.kind, t.codec) for t in self.announced}
        """What they are sent as."""
        self._selection = selection
        self._stream = stream
        self._edition = edition
        self._current: dict[Kind, int] = {}
        self._origin: int | None = None

    async def run(self) -> str:
        """Send until the stream has ended, or is not what was announced; the reason."""
        edition = self._edition
        cursor = edition.ring.cursor()
        edge, begun = edition.newest_dts or 0, trio.current_time()
        jumps = 0
        while True:
            try:
                packets = await cursor.read()
            except EndOfStream:
                return "the stream has ended"
            if cursor.jumps > jumps:  # the loop stood still; what is cached is new again
                jumps, edge = cursor.jumps, 0
            for packet in packets:
                if packet.config or packet.track.kind not in self.tracks:
                    continue
                if self._origin is None:
                    self._origin = packet.dts
                if packet.dts < edge:
                    due = begun + (packet.dts - self._origin) / _CATCH_UP
                    await trio.sleep_until(max(due, trio.current_time()))
                if self._is_wanted(packet):
                    codec = self.tracks[packet.track.kind].codec
                    if packet.dts > edge and (reason := misfit(packet, codec)):
                        return reason
                    self.tracks[packet.track.kind].put(packet, packet.pts - self._origin)

    def choose(self, selection: Selection) -> None:
        """Another layer from its next key frame on. Kinds stay as announced."""
        self._selection = selection
        if selection.video is not None:
            self._stream.request_key_frame(selection.video)

    def receive(self, compound: bytes) -> None:
        """The viewer's reports: is a key frame asked for?"""
        try:
            words = parse_rtcp(compound)
        except RemoteProtocolError:
            return  # aiortc's own reader has to cope with it as well
        if any(isinstance(word, Pli | Fir) for word in words):
            self._stream.request_key_frame(self._current.get(Kind.VIDEO, 0))

    def _is_wanted(self, packet: Packet) -> bool:
        """Is it of the track that is sent? Another begins with a key frame."""
        kind, id_ = packet.track.kind, packet.track.id
        current = self._current.get(kind)
        if id_ == current:
            return True
        wish = self._selection.video if kind is Kind.VIDEO else self._selection.audio
        ids = [track.id for track in self._edition.tracks if track.kind is kind]
        best = wish if wish in ids else min(ids, default=id_)
        if packet.key and id_ == best:
            self._current[kind] = id_
            return True
        return False


def _announced(edition: Edition, selection: Selection) -> Sequence[Track]:
    wanted = {Kind.VIDEO: selection.with_video, Kind.AUDIO: selection.with_audio}
    chosen: dict[Kind, Track] = {}
    for track in sorted(edition.tracks, key=lambda track: track.id):
        if wanted.get(track.kind, False):
            chosen.setdefault(track.kind, track)
    if not chosen:
        raise Refused(RefusalCode.UNAVAILABLE, "nothing that was asked for can be sent")
    for track in chosen.values():
        if track.codec not in CODECS[track.kind]:
            raise NotAcceptable(
                f"the {track.kind.value} is {track.codec.value}, which this engine cannot send; "
                "?video=h264 asks for H.264"
            )
    return list(chosen.values())
