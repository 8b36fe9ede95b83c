"""Receive track: one SSRC of a publisher, from RTP packets to frames with their times.

Joins what is told apart elsewhere: order (`reorder`), repair (`missing`), frames (`assembly`),
times (`sender_clock`), key frames (`key_frames`), and counts it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from livetrio.packet import Codec, Kind
from livetrio.webrtc.assembly import FrameAssembler
from livetrio.webrtc.key_frames import KeyFrameWish
from livetrio.webrtc.missing import MissingPackets
from livetrio.webrtc.negotiation_words import Media, RtpCodec
from livetrio.webrtc.reorder import ReorderBuffer
from livetrio.webrtc.sender_clock import TrackClock
from livetrio.wire.rtp.depacketize import Frame, depacketizer
from livetrio.wire.rtp.header import RtpPacket, unwrap
from livetrio.wire.rtp.rtcp_reports import ReportBlock, SenderReport

__all__ = ["ReceivePolicy", "ReceiveStatistics", "ReceiveTrack"]

_MAX_JUMP: Final = 3_000
"""Numbers; a packet further away is an error or a restart (RFC 3550 appendix A.1, MAX_DROPOUT)."""
_REORDER_PATIENCE: Final = 0.06
"""Seconds. What cannot be asked for again (sound, mostly) is only ever reordered: a hole costs
less than a delay."""


@dataclass(frozen=True, slots=True)
class ReceivePolicy:
    """How a publisher's losses and key frames are handled."""

    patience: float = 1.0
    """Seconds a lost packet is asked for before the picture goes on without it."""
    key_frame_interval: float = 2.0
    """Seconds without a key frame after which one is asked for (HLS segments and the GOP cache
    live on them); 0: only when somebody needs one."""
    key_frame_spacing: float = 0.3
    """Least seconds between two requests to one source."""
    start_bitrate: int = 1_000_000
    """bit/s: where the REMB fall-back begins."""
    max_bitrate: int = 10_000_000
    """bit/s: the most that the REMB fall-back allows."""


@dataclass(frozen=True, slots=True)
class ReceiveStatistics:
    """One SSRC, as shown to operators."""

    ssrc: int
    mid: str
    rid: str
    kind: Kind
    codec: Codec
    track_id: int | None
    """Of the track it is now; None while it is none (paused layer, nothing decodable yet)."""
    packets: int
    bytes: int
    """Of payload."""
    lost: int
    """Packets that never came."""
    recovered: int
    """Packets that came after they were asked for."""
    duplicates: int
    nacks: int
    """Numbers asked for, repeats included."""
    plis: int
    frames: int
    keys: int
    dropped_frames: int
    """Broken, or before the key frame that they needed."""
    jitter_ms: float
    bitrate: int
    """bit/s over the last second."""


class ReceiveTrack:
    """One SSRC."""

    __slots__ = (
        "_accepted",
        "_asks",
        "_assembler",
        "_deliver",
        "_expected_before",
        "_first",
        "_highest",
        "_jitter",
        "_last_sr",
        "_rate_bytes",
        "_received_before",
        "_restart",
        "_sr_at",
        "_transit",
        "bitrate",
        "buffer",
        "bytes",
        "clock",
        "codec",
        "duplicates",
        "ignored",
        "last_packet",
        "media",
        "missing",
        "packets",
        "rid",
        "said_bye",
        "ssrc",
        "wish",
    )

    def __init__(
        self,
        ssrc: int,
        media: Media,
        rid: str,
        clock: TrackClock,
        deliver: Callable[[ReceiveTrack, Frame, int, float], None],
        policy: ReceivePolicy,
        now: float,
    ) -> None:
        """deliver: called with this track, a frame, its time in microseconds, and now."""
        self.ssrc = ssrc
        self.media = media
        self.rid = rid
        self.clock = clock
        self._deliver = deliver
        self.buffer = ReorderBuffer(self._ordered, self._lost)
        self.wish = KeyFrameWish(
            policy.key_frame_interval if media.kind is Kind.VIDEO else 0,
            policy.key_frame_spacing,
            now,
        )
        self.codec: RtpCodec = media.codecs[0]
        self.packets = 0
        self.bytes = 0
        self.duplicates = 0
        self.ignored = 0
        """Packets of payload types that were not agreed."""
        self.bitrate = 0
        self.last_packet = now
        self.said_bye = False
        """Has it stopped, by its own word, and sent nothing since?"""
        self._accepted = {codec.payload_type: codec for codec in media.codecs}
        self._asks = any("nack" in codec.feedback for codec in media.codecs)
        self.missing = MissingPackets(policy.patience if self._asks else _REORDER_PATIENCE)
        self._assembler = self._assembler_for(self.codec)
        self._first: int | None = None
        self._highest = 0
        self._restart = -1
        self._transit: float | None = None
        self._jitter = 0.0
        self._last_sr = 0
        self._sr_at = 0.0
        self._expected_before = 0
        self._received_before = 0
        self._rate_bytes = 0

    @property
    def wants_key(self) -> bool:
        """Is nothing shown of it before a key frame comes?"""
        return self._assembler.wants_key

    @property
    def reason(self) -> str:
        """Why the last broken frame was one; empty while there is none."""
        return self._assembler.reason

    def receive(self, packet: RtpPacket, now: float) -> None:
        """Take a packet of this SSRC; one of a payload type that was not agreed is ignored."""
        if packet.payload_type not in self._accepted:
            self.ignored += 1
            return
        self.last_packet = now
        self.said_bye = False
        first = self._first
        if first is None:
            number = self._first = self._highest = packet.sequence
        else:
            number = self._highest + 1
            if (packet.sequence - number) & 0xFFFF == 0:
                self._highest = number
            else:
                number = unwrap(packet.sequence, self._highest)
                if not self._place(number, packet, now):
                    return
        if not self.buffer.push(number, packet, now):
            self.duplicates += 1
            return
        self.packets += 1
        self.bytes += len(packet.payload)
        # Interarrival jitter (RFC 3550 section 6.4.1), in ticks.
        transit = now * self.codec.clock_rate - packet.timestamp
        if self._transit is not None:
            change = abs(transit - self._transit)
            if change < self.codec.clock_rate * 10:  # else the timestamp wrapped or jumped
                self._jitter += (change - self._jitter) / 16
        self._transit = transit

    def repair(self, now: float) -> list[int]:
        """Give up what was waited for too long; the 16-bit numbers to ask for now."""
        missing = self.missing
        missing.forget_before(self.buffer.next or 0)  # where the buffer's own bounds gave up
        while missing.hopeless(now, needed=not self._assembler.idle):
            self.buffer.skip(now)
            missing.forget_before(self.buffer.next or 0)
        if not self._asks:
            return []
        return [number & 0xFFFF for number in missing.due(now)]

    def sender_report(self, report: SenderReport, now: float) -> None:
        """The source said how it is."""
        self._last_sr = report.middle
        self._sr_at = now
        self.clock.report(report.ntp, report.rtp_timestamp)

    def report_block(self, now: float, passed: float) -> ReportBlock:
        """What a receiver report says of this source; begins a new interval.

        Args:
            now: seconds.
            passed: since the last one.
        """
        expected = self._expected()
        new = expected - self._expected_before
        lost = new - (self.packets - self._received_before)
        self._expected_before, self._received_before = expected, self.packets
        if passed > 0:
            self.bitrate = int((self.bytes - self._rate_bytes) * 8 / passed)
        self._rate_bytes = self.bytes
        return ReportBlock(
            self.ssrc,
            min(lost * 256 // new, 255) if lost > 0 and new > 0 else 0,
            expected - self.packets,
            self._highest,
            int(self._jitter),
            self._last_sr,
            int((now - self._sr_at) * 65536) if self._last_sr else 0,
        )

    def statistics(self, track_id: int | None) -> ReceiveStatistics:
        """The counters now."""
        assembler, missing = self._assembler, self.missing
        return ReceiveStatistics(
            ssrc=self.ssrc,
            mid=self.media.mid,
            rid=self.rid,
            kind=self.media.kind,
            codec=self.codec.codec,
            track_id=track_id,
            packets=self.packets,
            bytes=self.bytes,
            lost=missing.given_up,
            recovered=missing.recovered,
            duplicates=self.duplicates,
            nacks=missing.nacks,
            plis=self.wish.sent,
            frames=assembler.frames,
            keys=assembler.keys,
            dropped_frames=assembler.dropped,
            jitter_ms=round(self._jitter * 1000 / self.codec.clock_rate, 2),
            bitrate=self.bitrate,
        )

    def _expected(self) -> int:
        """Packets sent so far, as far as their numbers tell."""
        return 0 if self._first is None else self._highest - self._first + 1

    def _place(self, number: int, packet: RtpPacket, now: float) -> bool:
        """A packet that is not the next: late, from ahead, or of a source that began anew.

        False: it is to be ignored.
        """
        if abs(number - self._highest) > _MAX_JUMP:
            return self._restarted(number, packet, now)
        if number <= self._highest:
            self.missing.arrived(number, now)
            return True
        if not self.missing.add(self._highest + 1, number, now):
            self.buffer.restart(number, now)
            self.missing.given_up += number - self._highest - 1
            self.missing.forget_before(number)
        self._highest = number
        return True

    def _restarted(self, number: int, packet: RtpPacket, now: float) -> bool:
        """Two in a row from far away are a restart, a single one is nothing (RFC 3550 A.1)."""
        if packet.sequence != self._restart:
            self._restart = (packet.sequence + 1) & 0xFFFF
            return False
        self._restart = -1
        self.buffer.restart(number, now)
        self.missing.forget_before(self._highest + 1)
        self._first = number - self._expected()  # so that what was expected so far stays so
        self._highest = number
        return True

    def _switch(self, codec: RtpCodec) -> None:
        """Another of the agreed codecs from here on."""
        old = self._assembler
        self._assembler = self._assembler_for(codec)
        self._assembler.frames, self._assembler.keys = old.frames, old.keys
        self._assembler.dropped = old.dropped
        self.codec = codec

    def _assembler_for(self, codec: RtpCodec) -> FrameAssembler:
        return FrameAssembler(
            depacketizer(codec.codec, codec.fmtp),
            self._frame,
            video=self.media.kind is Kind.VIDEO,
        )

    def _ordered(self, packet: RtpPacket, now: float) -> None:
        if packet.payload_type != self.codec.payload_type:
            self._switch(self._accepted[packet.payload_type])
        self._assembler.add(packet, now)

    def _lost(self) -> None:
        self._assembler.lost()
        if self._assembler.wants_key:
            self.wish.want()

    def _frame(self, frame: Frame, timestamp: int, now: float) -> None:
        if frame.key:
            self.wish.came(now)
        self._deliver(self, frame, self.clock.time(timestamp, now), now)
