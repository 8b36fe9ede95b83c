"""RtpMux: the packets of an edition as RTP in one layout: video lanes, one sound, one clock.

Knows nothing of viewers but how many could use a ride. What leaves here is in the histories
already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from livetrio.packet import Codec, Kind, Packet, Track
from livetrio.webrtc.fitness import misfit
from livetrio.webrtc.history import History
from livetrio.webrtc.lane import Lane, cut
from livetrio.webrtc.run import Run
from livetrio.webrtc.sender_report import MediaClock
from livetrio.webrtc.sending_source import (
    AUDIO_RATE,
    VIDEO_RATE,
    Layout,
    SendingSource,
    TransportLog,
)

__all__ = ["Origin", "Picture", "RtpMux", "Sound"]

_AUDIO_KEEP: Final = 128
"""Sound packets kept for NACKs: 2.5 s."""


@dataclass(slots=True)
class Origin:
    """What all layouts of one edition share, so that all RTP times of it are comparable."""

    cname: str
    video_ssrc: int
    audio_ssrc: int
    video_timestamp: int
    """RTP timestamps of the stream's time 0."""
    audio_timestamp: int
    clock: MediaClock | None = None
    """The stream's, where others report by it too; None: each layout has one."""
    lasting: bool = False
    """Others will send under these SSRCs when the feed has ended."""

    @classmethod
    def random(cls, bits: Callable[[int], int], cname: str) -> Origin:
        """bits: a number of that many random bits."""
        video = bits(32)
        return cls(cname, video, video ^ 1, bits(32), bits(32))


@dataclass(slots=True)
class Sound:
    """One sound packet."""

    run: Run


@dataclass(slots=True)
class Picture:
    """One frame of one lane."""

    lane: Lane
    key: bool
    first: int
    """Lane's index of its first packet."""
    count: int
    """Packets of the frame."""
    runs: list[Run]
    """In order; `rider` is the last packet of the last one."""
    rider: Sound | None
    """Sound that goes out with it, to be sent alone to those who do not get the picture."""


class RtpMux:
    """Made by `PlayFeed`."""

    def __init__(
        self, layout: Layout, origin: Origin, first: int, rides: Callable[[Lane | None], bool]
    ) -> None:
        """
        Args:
            layout: what is sent, and how.
            origin: SSRCs and clocks of the edition.
            first: sequence number that all sources begin with, below 2^15.
            rides: is it worth holding sound back (None), and may it go with this lane?
        """
        self.layout = layout
        self.origin = origin
        self.log = TransportLog()
        self.clock = origin.clock or MediaClock()
        self.audio: SendingSource | None = None
        self.lanes: dict[int, Lane] = {}
        """By track id, the best first."""
        self.misfit = ""
        """Why this layout cannot go on; a track has changed."""
        self._first = first
        self._rides = rides
        self._held: Packet | None = None

    def take(self, packet: Packet, now: float) -> Iterator[Picture | Sound]:
        """One packet of the edition; what goes out for it, which may be the sound before it."""
        if packet.config:
            return
        track = packet.track
        if track.kind is Kind.VIDEO and self.layout.video:
            lane = self._lane(packet)
            if lane is not None and not self.misfit:
                self.clock.observe(packet.pts, now)
                picture = self._picture(lane, packet, now)
                if picture is not None:
                    yield picture
        elif self._is_sound(packet):
            self.clock.observe(packet.pts, now)
            yield from self.flush(now)
            self._held = packet
            if not self.layout.video or not self._rides(None):
                yield from self.flush(now)

    def flush(self, now: float) -> Iterator[Sound]:
        """The sound that was held back, if any."""
        packet, self._held = self._held, None
        if packet is not None:
            yield from self._sounds(packet, now)

    def track_id(self, lane: Lane) -> int:
        """Of a lane of this mux."""
        return next(id_ for id_, known in self.lanes.items() if known is lane)

    def sources(self, lane: Lane | None) -> list[SendingSource]:
        """What somebody in that lane is sent."""
        video = [lane.source] if lane is not None else []
        return video if self.audio is None else [*video, self.audio]

    def _is_sound(self, packet: Packet) -> bool:
        layout, track = self.layout, packet.track
        if track.kind is not Kind.AUDIO or not layout.audio or track.id != layout.audio_track:
            return False
        self.misfit = self.misfit or misfit(packet, Codec.OPUS)
        return not self.misfit

    def _picture(self, lane: Lane, packet: Packet, now: float) -> Picture | None:
        lane.measure(len(packet.data), packet.pts)
        source, audio = lane.source, self.audio
        held = self._held
        size = 0
        if held is not None and audio is not None and self._rides(lane):
            size = len(held.data) + audio.overhead
        first = source.history.next_index
        packets = source.packets(packet, now, ride=size > 0)
        if not packets:
            return None
        rider = None
        if 0 < size <= len(packets[-1]):
            rider = next(self.flush(now), None)
        tail = (rider.run.packets[0], rider.run.indexes[0]) if rider is not None else None
        runs = cut(packets, first, tail)
        return Picture(lane, packet.key, first, len(packets), runs, rider)

    def _sounds(self, packet: Packet, now: float) -> Iterator[Sound]:
        if self.audio is None:
            self.audio = self._source(
                packet.track,
                self.layout.audio,
                self.origin.audio_ssrc,
                AUDIO_RATE,
                self.origin.audio_timestamp,
                History(self._first, keep=_AUDIO_KEEP),
            )
        index = self.audio.history.next_index
        for data in self.audio.packets(packet, now):
            yield Sound(Run([data], [index]))

    def _lane(self, packet: Packet) -> Lane | None:
        track, codec = packet.track, self.layout.codec
        lane = self.lanes.get(track.id)
        if lane is not None and codec is not None:
            self.misfit = self.misfit or misfit(packet, codec)
        if track.codec is not codec:
            return None
        if lane is None:
            source = self._source(
                track,
                self.layout.video,
                self.origin.video_ssrc,
                VIDEO_RATE,
                self.origin.video_timestamp,
                History(self._first),
            )
            lane = self.lanes[track.id] = Lane(source)
            self.lanes = dict(sorted(self.lanes.items()))
        return lane

    def _source(
        self,
        track: Track,
        payload_type: int,
        ssrc: int,
        rate: int,
        base: int,
        history: History,
    ) -> SendingSource:
        return SendingSource(
            track,
            payload_type,
            ssrc,
            rate=rate,
            timestamp_base=base,
            history=history,
            transport_cc=self.layout.transport_cc,
            log=self.log,
        )
