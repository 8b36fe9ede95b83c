"""Publisher: the media of a WebRTC peer into a stream.

Everything that a packet causes happens in the call that brings it; one task, on the shared beat,
does what time causes: feedback every 50 ms, reports every second, key frames now and then.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import trio

from livetrio.errors import RemoteProtocolError
from livetrio.logs import get_logger
from livetrio.media.stream import Publication
from livetrio.net.beat import Beat
from livetrio.net.scope import Scope
from livetrio.packet import Kind
from livetrio.webrtc.congestion import ArrivalLog, RembEstimate
from livetrio.webrtc.curtain import Curtain
from livetrio.webrtc.negotiation_words import Agreed, Media
from livetrio.webrtc.outlet import Outlet
from livetrio.webrtc.receive_track import ReceivePolicy, ReceiveStatistics, ReceiveTrack
from livetrio.webrtc.sender_clock import SenderClock
from livetrio.webrtc.sources import Sources
from livetrio.wire.rtp import extensions as ext
from livetrio.wire.rtp.depacketize import Frame
from livetrio.wire.rtp.header import RtpPacket, parse_rtp
from livetrio.wire.rtp.rtcp import parse_rtcp
from livetrio.wire.rtp.rtcp_feedback import Nack, Pli, Remb
from livetrio.wire.rtp.rtcp_reports import Bye, ReceiverReport, SenderReport, SourceDescription

__all__ = ["AudioLevel", "Publisher", "PublisherStatistics", "ReceivingPeer"]

log = get_logger(__name__)

_FEEDBACK_INTERVAL: Final = 0.05
"""Seconds; libwebrtc's receivers do the same."""
_FEW: Final = 8
"""Packets since the last feedback below which there is half as much of it: libwebrtc's receivers
spend a twentieth of the bandwidth on it, too, and a look at a packet costs what it does."""
_REPORT_EVERY: Final = 1.0
_LEVEL_SPACING: Final = 0.03
"""Seconds between two levels that are told of one microphone, at least: each second packet's."""
_REPAIR_SPACING: Final = 0.01
"""Seconds between two looks at what is missing."""
_MAX_COMPOUND: Final = 1_200
"""Bytes of one RTCP datagram."""
_MAX_MALFORMED: Final = 1_000
"""Packets in a row that cannot be read: what decrypts, and is no RTP, comes from no browser."""
_MAX_BLOCKS: Final = 31
"""Report blocks of one receiver report."""


class ReceivingPeer(Protocol):
    """What is asked of a `Peer`: less than it can, so that tests can stand in for it."""

    scope: Scope
    connected: trio.Event
    on_rtp: Callable[[bytes, float], None]
    on_rtcp: Callable[[bytes], None]

    def send_rtcp(self, compound: bytes) -> None:
        """Send one compound packet, or lose it."""


class AudioLevel(NamedTuple):
    """How loud a source is right now, as its sender says (RFC 6464)."""

    dbov: int
    """0 loudest to -127 silence."""
    voice: bool
    """Does the sender take it for speech?"""
    at: float
    """When, seconds of Trio's clock."""


@dataclass(frozen=True, slots=True)
class PublisherStatistics:
    """One WebRTC publisher, as shown to operators."""

    tracks: tuple[ReceiveStatistics, ...]
    ignored: int
    """Packets of payload types or SSRCs that nobody agreed to."""
    malformed: int
    """RTP and RTCP packets that could not be read."""
    reason: str
    """Why the last of those, or the last broken frame, was one."""
    rtt_ms: float | None
    """Round trip as repairs measure it; None before the first."""
    levels: Mapping[str, AudioLevel]
    """The last level of each audio media that sends one, by mid."""


class Publisher:
    """One peer's turn at publishing."""

    def __init__(
        self,
        peer: ReceivingPeer,
        agreed: Agreed,
        publication: Publication,
        *,
        beat: Beat,
        policy: ReceivePolicy | None = None,
    ) -> None:
        self.levels: dict[str, AudioLevel] = {}
        """The last level of each audio media that sends one, by mid."""
        self._peer = peer
        self._publication = publication
        self._beat = beat
        self._policy = policy or ReceivePolicy()
        self._clock = SenderClock()
        self._curtain = Curtain(agreed)
        self._sources = Sources(agreed, self._make_track)
        self._ssrc = secrets.randbits(31) + 1
        self._prefix = _introduction(self._ssrc)
        medias = [media for media in agreed.active if media.codecs]
        self._transport_id = _extension_id(medias, ext.TRANSPORT_CC)
        self._level_id = _extension_id(medias, ext.AUDIO_LEVEL)
        self._arrivals = ArrivalLog()
        self._with_remb = not self._transport_id and any(
            "goog-remb" in codec.feedback for media in medias for codec in media.codecs
        )
        self._remb = RembEstimate(self._policy.start_bitrate, self._policy.max_bitrate)
        self._pause = _FEEDBACK_INTERVAL
        self._next_repair = 0.0
        self._reported = 0.0
        self._malformed = 0
        self._malformed_in_a_row = 0
        self._reason = ""

    async def run(self, early: Iterable[tuple[bytes, float]] = ()) -> None:
        """Publish until cancelled. It listens from the moment it is called.

        A peer whose sources all said goodbye (BYE) before it went has ended cleanly.

        Args:
            early: packets that came before, with their arrival; nothing comes between them and
                those that follow, which would make them late.
        """
        self._peer.on_rtp = self._receive_rtp
        self._peer.on_rtcp = self._receive_rtcp
        self._publication.on_key_frame_request = self._request_key_frame
        try:
            for packet, arrival in early:
                self._receive_rtp(packet, arrival)
            await self._peer.connected.wait()
            now = self._reported = trio.current_time()
            due = now + _REPORT_EVERY
            while True:
                await self._beat.wait(min(self._pause, due - now))
                now = trio.current_time()
                report = now >= due
                if report:
                    due = now + _REPORT_EVERY
                self.tick(now, report=report)
        finally:
            tracks = self._sources.tracks.values()
            if tracks and all(track.said_bye for track in tracks):
                self._publication.finish()
            self._publication.on_key_frame_request = None
            self._peer.on_rtp = _ignore_rtp
            self._peer.on_rtcp = _ignore_rtcp

    def statistics(self) -> PublisherStatistics:
        """The counters now."""
        sources = self._sources
        tracks = list(sources.tracks.values())
        recovered = [track.missing.rtt for track in tracks if track.missing.recovered]
        reason = next((track.reason for track in tracks if track.reason), "")
        return PublisherStatistics(
            tuple(track.statistics(sources.outlet(track).track_id) for track in tracks),
            sources.ignored + sum(track.ignored for track in tracks),
            self._malformed,
            self._reason or reason,
            round(min(recovered) * 1000, 1) if recovered else None,
            dict(self.levels),
        )

    def _receive_rtp(self, data: bytes, arrival: float) -> None:
        try:
            packet = parse_rtp(data)
            if self._transport_id:
                value = ext.extension(packet, self._transport_id)
                if value is not None and len(value) >= 2:
                    self._arrivals.add(value[0] << 8 | value[1], arrival)
            track = self._sources.find(packet, arrival)
            if track is None:
                return
            if self._level_id and track.media.kind is Kind.AUDIO:
                self._take_level(track, packet, arrival)
            track.receive(packet, arrival)
        except RemoteProtocolError as error:
            self._bad(str(error))
            return
        self._malformed_in_a_row = 0
        if (track.missing.pending or track.wants_key) and arrival >= self._next_repair:
            self._look_after(arrival)

    def _receive_rtcp(self, compound: bytes) -> None:
        now = trio.current_time()
        try:
            words = parse_rtcp(compound, transport=False)
        except RemoteProtocolError as error:
            self._bad(str(error))
            return
        for word in words:
            match word:
                case SenderReport(ssrc=ssrc):
                    if track := self._sources.tracks.get(ssrc):
                        track.sender_report(word, now)
                case Bye(ssrcs=ssrcs):
                    self._goodbye(ssrcs)
                case _:
                    pass  # about media we do not send, or names that nobody asks for

    def _goodbye(self, ssrcs: list[int]) -> None:
        """Some sources stop. That ends nothing: browsers say so of a layer that they pause and of
        a camera that is switched off, and go on under the same SSRC later."""
        for ssrc in ssrcs:
            if track := self._sources.tracks.get(ssrc):
                track.said_bye = True
                self._sources.layers[track.media.mid].leave(self._sources.outlet(track).layer)

    def _take_level(self, track: ReceiveTrack, packet: RtpPacket, arrival: float) -> None:
        known = self.levels.get(track.media.mid)
        if known is not None and arrival - known.at < _LEVEL_SPACING:
            return
        level = ext.extension(packet, self._level_id)
        if level:
            told = AudioLevel(-(level[0] & 0x7F), level[0] >= 0x80, arrival)
            self.levels[track.media.mid] = told
            self._publication.tell_level(told.dbov)

    def _make_track(
        self, ssrc: int, media: Media, rid: str, outlet: Outlet, now: float
    ) -> ReceiveTrack:
        clock = self._clock.track(media.codecs[0].clock_rate, audio=media.kind is Kind.AUDIO)

        def deliver(track: ReceiveTrack, frame: Frame, time: int, now: float) -> None:
            packets = outlet.packets(track.codec.codec, frame, time, now)
            if not packets:
                track.wish.want()
            elif ready := self._curtain.passed(packets, now):
                self._publication.publish(ready)

        log.debug("source", peer=self._peer.scope.name, ssrc=ssrc, mid=media.mid, rid=rid)
        return ReceiveTrack(ssrc, media, rid, clock, deliver, self._policy, now)

    def _request_key_frame(self, track_id: int) -> None:
        """A viewer (or HLS) needs one; asked for at once where it was not asked for just now."""
        now = trio.current_time()
        for track in self._sources.sending(track_id):
            track.wish.want()
            if track.wish.due(now):
                self._send([Pli(self._ssrc, track.ssrc).build()])

    def tick(self, now: float, *, report: bool) -> None:
        """What time causes; called every 50 or 100 ms, with `report` once a second."""
        tracks = list(self._sources.tracks.values())
        if not tracks:
            return
        few = len(self._arrivals) < _FEW and not any(track.missing.pending for track in tracks)
        self._pause = 2 * _FEEDBACK_INTERVAL if few else _FEEDBACK_INTERVAL
        if self._transport_id:
            self._send(self._arrivals.feedback(self._ssrc, tracks[0].ssrc))
        self._look_after(now)
        for layers in self._sources.layers.values():
            layers.pause(now)
        if report:
            self._report(tracks, now)

    def _look_after(self, now: float) -> None:
        """Ask for what is missing, give up what is hopeless, ask for key frames."""
        self._next_repair = now + _REPAIR_SPACING
        words: list[bytes] = []
        for track in self._sources.tracks.values():
            if track.missing.pending and (numbers := track.repair(now)):
                words.append(Nack(self._ssrc, track.ssrc, numbers).build())
            if track.media.kind is Kind.VIDEO and now - track.last_packet < 1.0:
                if track.wants_key:
                    track.wish.want()
                if track.wish.due(now):
                    words.append(Pli(self._ssrc, track.ssrc).build())
        self._send(words)

    def _report(self, tracks: list[ReceiveTrack], now: float) -> None:
        passed, self._reported = now - self._reported, now
        blocks = [track.report_block(now, passed) for track in tracks]
        words = [ReceiverReport(self._ssrc, blocks[:_MAX_BLOCKS]).build()]
        if self._with_remb:
            received = sum(track.bitrate for track in tracks)
            loss = max(block.fraction_lost for block in blocks) / 256
            ceiling = self._remb.update(received, loss)
            words.append(Remb(self._ssrc, ceiling, [t.ssrc for t in tracks][:255]).build())
        self._send(words)

    def _send(self, words: list[bytes]) -> None:
        """Send RTCP packets, as many as fit behind each introduction."""
        compound = self._prefix
        for word in words:
            if len(compound) + len(word) > _MAX_COMPOUND and compound is not self._prefix:
                self._peer.send_rtcp(compound)
                compound = self._prefix
            compound += word
        if compound is not self._prefix:
            self._peer.send_rtcp(compound)

    def _bad(self, reason: str) -> None:
        self._malformed += 1
        self._malformed_in_a_row += 1
        if self._malformed == 1:
            log.info("unreadable packet", peer=self._peer.scope.name, reason=reason)
        self._reason = reason
        if self._malformed_in_a_row > _MAX_MALFORMED:
            self._peer.scope.cancel(f"nothing readable in {_MAX_MALFORMED} packets: {reason}")


def _introduction(ssrc: int) -> bytes:
    """What a compound must begin with, unless reduced size was agreed on (RFC 4585 section 3.1):
    an empty report, and a name."""
    name = SourceDescription.of([(ssrc, secrets.token_urlsafe(6))])
    return ReceiverReport(ssrc, []).build() + name.build()


def _extension_id(medias: list[Media], uri: str) -> int:
    """The id agreed for a header extension (all medias share them), 0 without."""
    return next((m.extensions[uri] for m in medias if uri in m.extensions), 0)


def _ignore_rtp(packet: bytes, arrival: float) -> None:
    """Media that come when nobody takes them any more."""


def _ignore_rtcp(compound: bytes) -> None:
    """As above."""
