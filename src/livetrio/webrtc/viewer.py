"""Viewer: one peer that watches: where it stands, what it reports, what it is sent again."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

from livetrio.errors import RemoteProtocolError
from livetrio.packet import Kind
from livetrio.webrtc.allowance import Allowance
from livetrio.webrtc.bandwidth import Bandwidth
from livetrio.webrtc.catch_up import CatchUp
from livetrio.webrtc.lane import Lane
from livetrio.webrtc.numbering import Numbering, Warp
from livetrio.webrtc.quality import Quality
from livetrio.webrtc.run import Run, runs_of
from livetrio.webrtc.selection import Selection
from livetrio.webrtc.sending_source import VIDEO_RATE, ticks
from livetrio.webrtc.unreadable import Unreadable
from livetrio.wire.rtp.header import unwrap
from livetrio.wire.rtp.rtcp import parse_rtcp
from livetrio.wire.rtp.rtcp_feedback import Fir, Nack, Pli, Remb
from livetrio.wire.rtp.rtcp_reports import ReceiverReport, ReportBlock, SenderReport
from livetrio.wire.rtp.twcc import TransportFeedback

if TYPE_CHECKING:
    from livetrio.webrtc.peer import Peer
    from livetrio.webrtc.play_feed import PlayFeed

__all__ = ["Mode", "Viewer", "ViewerStatistics"]

_ASKING: Final = 0.25
"""What a number costs of them that is not sent again: it was looked up all the same."""
_RESEND_SPACING: Final = 0.02
"""Seconds before the same packet is sent once more: NACKs are repeated faster than a round trip."""
_RESEND_MEMORY: Final = 1_024
_PLI_SPACING: Final = 0.5
"""Seconds between two wishes for a key frame that one viewer is granted."""


class Mode(enum.Enum):
    """How a viewer gets its pictures."""

    WAITING = "waiting"
    """For the first key frame."""
    CATCHING_UP = "catching-up"
    LIVE = "live"
    KEYS = "keys"
    """Key frames only: the network takes no more."""


@dataclass(frozen=True, slots=True)
class ViewerStatistics:
    """One WebRTC viewer, as shown to operators."""

    mode: str
    layer: int | None
    """Id of the video track it is sent; None while it is none."""
    bitrate: int | None
    """bit/s that its network carries, as far as its reports tell."""
    loss: float
    """Share of packets that it lately reported lost."""
    nacks: int
    """Packets asked for again."""
    resent: int
    plis: int
    switches: int
    """Times it was moved to another layer, or to key frames and back."""
    malformed: int
    """Datagrams that could not be read."""


class Viewer:
    """Made by `Player`; joins and leaves a `PlayFeed`."""

    def __init__(
        self,
        peer: Peer,
        feed: PlayFeed,
        selection: Selection,
        *,
        resumes: int | None = None,
        allowance: Allowance | None = None,
    ) -> None:
        """
        Args:
            peer: whom it is sent to.
            feed: what.
            selection: which of its tracks.
            resumes: the index that its pictures go on from, if it was sent some under the feed's
                SSRC before, by another feed.
            allowance: what it may be sent again, where it shares that with others.
        """
        self.peer = peer
        self.send: Callable[[Run], object] = peer.send_run
        self.feed = feed
        self.selection = selection
        self.lacks: Set[Kind] = frozenset()
        """Kinds that it would like, and that the stream had none of when it came."""
        self.mode = Mode.WAITING
        self.lane: Lane | None = None
        self.wanted: Lane | None = None
        """The lane it moves to with its next key frame; None: it is where it should be."""
        self.catch_up: CatchUp | None = None
        self.replayed: tuple[Lane, int] | None = None
        """The key frame that it was last sent once more, since it had lost its picture."""
        self.numbering = Numbering(begun=resumes is not None)
        self.bandwidth = Bandwidth()
        self.quality = Quality()
        self.resent = 0
        """Packets sent again on NACKs."""
        self.nacks = 0
        """Packets asked for again."""
        self.plis = 0
        self.unreadable = Unreadable()
        """RTCP datagrams that could not be read."""
        self.switches = 0
        """Times it was moved to another layer, or to key frames and back."""
        self._octets = 0  # of pictures, in lanes that it has left
        self._since = 0  # octets of its lane when it came
        self._frozen = resumes or 0  # its next index, while it is not at the live edge
        self._allowance = allowance or Allowance(trio.current_time())
        self._again: dict[tuple[int, int], float] = {}  # (ssrc, index): when it was sent again
        self._pli_at = float("-inf")
        # Where nobody agreed on it, it says nothing, and is the dearest thing to read.
        self._reports_arrivals = feed.layout.transport_cc > 0

    @property
    def next_index(self) -> int:
        """The viewer's index of the video packet it will be sent next."""
        if self.catch_up is not None:
            return self.catch_up.index + self.numbering.shift
        if self.lane is not None and self.mode is Mode.LIVE:
            return self.lane.source.history.next_index + self.numbering.shift
        return self._frozen

    @property
    def octets(self) -> int:
        """Of pictures that it was sent at the live edge, ever, without RTP."""
        lane = self.lane
        live = lane is not None and self.mode is Mode.LIVE
        return self._octets + (lane.source.sent_octets - self._since if lane and live else 0)

    def statistics(self) -> ViewerStatistics:
        """The counters now."""
        now = trio.current_time()
        lane, estimate = self.lane, self.bandwidth.estimate(now)
        layers = [id_ for id_, known in self.feed.lanes.items() if known is lane]
        return ViewerStatistics(
            mode=self.mode.value,
            layer=layers[0] if layers else None,
            bitrate=round(estimate) if estimate is not None else None,
            loss=round(self.bandwidth.loss(now), 4),
            nacks=self.nacks,
            resent=self.resent,
            plis=self.plis,
            switches=self.switches,
            malformed=self.unreadable.count,
        )

    def begin(self, lane: Lane, frame: int, now: float, warp: Warp | None = None) -> None:
        """Catch up with a lane from a key frame it still has; warp: if it was sent it before."""
        next_ = self.next_index
        self.leave_lane()
        self.catch_up = CatchUp(lane.source.history, frame, now)
        self.numbering.move(lane, self.catch_up.index, next_, warp)
        self.lane, self.mode = lane, Mode.CATCHING_UP

    def go_live(self, lane: Lane, index: int) -> None:
        """Be served at the edge of a lane, from its packet `index` on."""
        next_ = self.next_index
        self.leave_lane()
        self.numbering.move(lane, index, next_)
        self.lane, self.mode = lane, Mode.LIVE
        self._enter(lane)

    def skim(self) -> None:
        """Be sent key frames only from now on."""
        self._frozen = self.next_index
        lane = self.lane
        self.leave_lane()
        self.lane, self.mode = lane, Mode.KEYS

    def skimmed(self, lane: Lane, first: int, count: int) -> None:
        """This key frame is sent to it, in mode KEYS; call it before reading `numbering.shift`."""
        self.numbering.move(lane, first, self._frozen)
        self._frozen = first + count + self.numbering.shift

    def leave_lane(self) -> None:
        """Be sent no picture."""
        if self.lane is not None:
            self._frozen = self.next_index
            self._octets = self.octets
            self.lane.members.pop(self, None)
        self.lane = self.catch_up = None
        self.mode = Mode.WAITING

    def arrived(self) -> None:
        """Caught up: from now on the pump's runs are its own."""
        next_, catch_up = self.next_index, self.catch_up
        self.catch_up = None
        self.mode = Mode.LIVE
        lane = self.lane
        if lane is not None and catch_up is not None:
            self.numbering.move(lane, catch_up.index, next_, self._times_after(lane))
            self._enter(lane)

    def _enter(self, lane: Lane) -> None:
        lane.members[self] = None
        self._since = lane.source.sent_octets

    def _times_after(self, lane: Lane) -> Warp | None:
        """In its own times again, unless the replay has overtaken them."""
        history, at = lane.source.history, lane.source.timestamp
        newest, last = (history.frame(history.next_frame - n) for n in (1, 2))
        stretch = self.numbering.present
        if stretch is None or stretch.warp is None or newest is None:
            return None
        interval = newest.pts - last.pts if last is not None else 0
        return stretch.warp.after(at(newest.pts), ticks(interval, VIDEO_RATE))

    def prefers(self, rates: Sequence[float], now: float) -> int:
        """Which of the layers it is to be sent; as many as there are: key frames of one alone.

        Args:
            rates: bit/s of each layer, the best first; 0: it is paused.
            now: seconds.
        """
        bandwidth = self.bandwidth
        limit = bandwidth.limit(self.octets, now)
        return self.quality.decide(rates, limit, bandwidth.loss(now), now)

    def own(self, run: Run) -> Run:
        """A run of its lane under its own numbers and times."""
        shift, stretch = self.numbering.shift, self.numbering.present
        if self.lane is None or stretch is None or self.numbering.shared:
            return run
        ssrc = self.lane.source.ssrc.to_bytes(4, "big")
        packets, indexes = list(run.packets), list(run.indexes)
        for at, packet in enumerate(packets):
            if packet[8:12] == ssrc:  # and not the sound that rides along
                indexes[at] += shift
                packets[at] = stretch.dressed(packet, indexes[at])
        return Run(packets, indexes)

    def receive(self, compound: bytes) -> None:
        """Act on one decrypted RTCP datagram of this viewer; one that cannot be read is counted."""
        now = trio.current_time()
        try:
            packets = parse_rtcp(compound, transport=self._reports_arrivals)
        except RemoteProtocolError as error:
            self.unreadable.came(self.peer.scope, str(error))
            return
        self.unreadable.in_a_row = 0
        for packet in packets:
            match packet:
                case ReceiverReport() | SenderReport():
                    self._reported(packet.reports, now)
                case Nack():
                    self.resend(packet, now)
                case Pli() | Fir():
                    self.need_key_frame(now)
                case Remb():
                    self.bandwidth.remb(packet.bitrate, self.octets, now)
                case TransportFeedback():
                    self.bandwidth.feedback(packet, self.feed.log, now)
                case _:
                    pass  # descriptions and goodbyes of a receiver change nothing

    def _reported(self, reports: list[ReportBlock], now: float) -> None:
        for report in reports:
            if report.ssrc == self.feed.video_ssrc or not self.feed.layout.video:
                self.bandwidth.report(report.fraction_lost / 256, now)
                self.bandwidth.round_trip.answer(report, time.time(), now)

    def need_key_frame(self, now: float) -> None:
        """It cannot show what it is sent without a new key frame."""
        self.plis += 1
        if now - self._pli_at >= _PLI_SPACING and self.mode in {Mode.LIVE, Mode.KEYS}:
            self._pli_at = now
            self.feed.key_frame_for(self)

    def resend(self, nack: Nack, now: float) -> None:
        """Send again what is asked for, as far as it is allowed and was sent at all."""
        self.nacks += len(nack.lost)
        allowance = self._allowance
        allowance.refill(now)
        if len(self._again) > _RESEND_MEMORY:
            self._again.clear()
        found: list[tuple[bytes, int]] = []
        for sequence in nack.lost:
            if allowance.left < 1:
                break
            allowance.left -= _ASKING
            pair = self._lookup(nack.media_ssrc, sequence)
            if pair is None:
                continue
            mark = nack.media_ssrc, pair[1]
            if now - self._again.get(mark, float("-inf")) < _RESEND_SPACING:
                continue
            self._again[mark] = now
            allowance.left -= 1 - _ASKING
            found.append(pair)
        self.resent += len(found)
        for run in runs_of(found):
            self.send(run)

    def _lookup(self, ssrc: int, sequence: int) -> tuple[bytes, int] | None:
        """The packet as this viewer was sent it, and its index."""
        audio = self.feed.audio
        if audio is not None and ssrc == audio.ssrc:
            index = unwrap(sequence, audio.history.next_index - 1)
            packet = audio.history.packet(index)
            return None if packet is None else (packet, index)
        if ssrc != self.feed.video_ssrc:
            return None
        last = self.next_index - 1
        index = unwrap(sequence, last)
        stretch = self.numbering.find(index)
        if index > last or stretch is None:
            return None
        packet = stretch.lane.source.history.packet(index - stretch.shift)
        if packet is None:
            return None
        return stretch.dressed(packet, index), index
