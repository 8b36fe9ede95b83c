"""RoomViewer: one peer that receives a room: its slots, what it reports, how much it can take.

One transport carries all slots, so what arrives on it is read here, once, and dealt out by the
SSRC it is about.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import trio

from livetrio.errors import RefusalCode, Refused, RemoteProtocolError
from livetrio.packet import Codec, Kind
from livetrio.webrtc.allowance import Allowance
from livetrio.webrtc.bandwidth import Bandwidth
from livetrio.webrtc.negotiation_words import Agreed
from livetrio.webrtc.peer import Peer
from livetrio.webrtc.sending_source import Layout
from livetrio.webrtc.slots.slot_place import SlotCounts, SlotPlace
from livetrio.webrtc.slots.thrift import NOTHING, SlotWish, Thrift, layer, starting_layer
from livetrio.webrtc.slots.video_slot import VideoSlot
from livetrio.webrtc.slots.voice_member import VoiceMember, VoiceStatistics
from livetrio.webrtc.unreadable import Unreadable
from livetrio.wire.rtp.rtcp import parse_rtcp
from livetrio.wire.rtp.rtcp_feedback import Fir, Nack, Pli, Remb
from livetrio.wire.rtp.rtcp_reports import ReceiverReport, ReportBlock, SenderReport

__all__ = ["RoomViewer", "RoomViewerStatistics", "SlotStatistics"]


@dataclass(frozen=True, slots=True)
class SlotStatistics:
    """What one viewer is sent in one picture slot."""

    slot: int
    seat: int | None
    wish: SlotWish
    mode: str
    """As a viewer's of a stream; "off" while it is sent nothing."""
    layer: int | None
    """Id of the video track."""


@dataclass(frozen=True, slots=True)
class RoomViewerStatistics:
    """One viewer of a room, as shown to operators."""

    slots: tuple[SlotStatistics, ...]
    level: int
    """0: all pictures as wished for; 1 and 2: layers less; 3: key frames; 4: sound only."""
    bitrate: int | None
    """bit/s that its network carries, as far as its reports tell."""
    loss: float
    """Share of packets that it lately reported lost."""
    nacks: int
    """Packets of pictures asked for again."""
    resent: int
    plis: int
    switches: int
    malformed: int
    """Datagrams that could not be read."""
    voices: VoiceStatistics | None
    """None: it did not want any."""


class RoomViewer:
    """Made by `RoomFeed.viewer`."""

    def __init__(
        self,
        peer: Peer,
        user: str,
        agreed: Agreed,
        slots: Sequence[VideoSlot],
        voice: VoiceMember | None,
    ) -> None:
        """
        Args:
            peer: connected.
            user: who it is; "" for nobody known. He is not sent himself.
            agreed: which slots it has a place for.
            slots: of the room's pictures.
            voice: what it hears; None: it did not want to.
        """
        self.peer = peer
        self.user = user
        self.bandwidth = Bandwidth()
        self.thrift = Thrift()
        self.unreadable = Unreadable()
        self._voice = voice
        self._slots: dict[SlotPlace, VideoSlot] = {}
        self._by_ssrc: dict[int, SlotPlace] = {}
        self._rates: dict[SlotPlace, Sequence[float]] = {}
        allowance = Allowance(trio.current_time())
        types = {
            media.track.ssrc: media.codecs[0].payload_type
            for media in agreed.active
            if media.track is not None and media.codecs
        }
        for slot in slots:
            if slot.ssrc in types:
                place = SlotPlace(
                    slot.number,
                    peer,
                    user,
                    Layout(Codec.H264, video=types[slot.ssrc]),
                    allowance=allowance,
                    prefers=self._prefers,
                )
                self._slots[place] = slot
                self._by_ssrc[slot.ssrc] = place

    @contextmanager
    def watching(self) -> Iterator[None]:
        """In its slots, and listened to, while in the block."""
        self.peer.on_rtcp = self.receive
        for place, slot in self._slots.items():
            slot.enter(place)
        try:
            yield
        finally:
            for place, slot in self._slots.items():
                slot.quit(place)

    def wish(self, wishes: Mapping[int, SlotWish]) -> None:
        """How large it shows which slots from now on; those not named stay as they are.

        Raises:
            Refused: BAD_REQUEST, it has no such slot; nothing is changed then.
        """
        places = {place.number: place for place in self._slots}
        if strange := [number for number in wishes if number not in places]:
            raise Refused(RefusalCode.BAD_REQUEST, f"there is no slot {strange[0]} here")
        for number, wish in wishes.items():
            places[number].wish = wish
        self._settle()

    def tick(self, now: float) -> None:
        """Once a second: look at what its network carries, and send as much as that is."""
        if not self._slots:
            return
        for place in self._slots:
            if place.member is not None:
                self._rates[place] = [lane.rate for lane in place.member.feed.lanes.values()]
        flowing = [
            (rates, starting_layer(place.wish, self._pictures, len(rates)))
            for place, rates in self._rates.items()
            if rates and place.wish != "off" and self._is_shown(place)
        ]
        limit = self.bandwidth.limit(self._counts().octets, now)
        if self.thrift.decide(flowing, limit, self.bandwidth.loss(now), now):
            self._settle()

    def receive(self, compound: bytes) -> None:
        """Act on one decrypted RTCP datagram; one that cannot be read is counted."""
        now = trio.current_time()
        try:
            packets = parse_rtcp(compound, transport=False)
        except RemoteProtocolError as error:
            self.unreadable.came(self.peer.scope, str(error))
            return
        self.unreadable.in_a_row = 0
        for packet in packets:
            match packet:
                case ReceiverReport() | SenderReport():
                    self._reported(packet.reports, now)
                case Nack():
                    place = self._by_ssrc.get(packet.media_ssrc)
                    if place is not None and place.member is not None:
                        place.member.resend(packet, now)
                    elif place is None and self._voice is not None:
                        self._voice.nack(packet, now)
                case Pli():
                    self._need_key_frame(packet.media_ssrc, now)
                case Fir():
                    for ssrc in dict.fromkeys(ssrc for ssrc, _ in packet.requests):
                        self._need_key_frame(ssrc, now)
                case Remb():
                    self.bandwidth.remb(packet.bitrate, self._counts().octets, now)
                case _:
                    pass  # descriptions and goodbyes of a receiver change nothing

    @property
    def switches(self) -> int:
        """Times that a picture of it went on with another layer or seat."""
        return self._counts().switches

    def statistics(self) -> RoomViewerStatistics:
        """The counters now."""
        now = trio.current_time()
        estimate = self.bandwidth.estimate(now)
        counts = self._counts()
        return RoomViewerStatistics(
            slots=tuple(_of_slot(place, slot) for place, slot in self._slots.items()),
            level=self.thrift.level,
            bitrate=round(estimate) if estimate is not None else None,
            loss=round(self.bandwidth.loss(now), 4),
            nacks=counts.nacks,
            resent=counts.resent,
            plis=counts.plis,
            switches=counts.switches,
            malformed=self.unreadable.count,
            voices=self._voice.statistics() if self._voice is not None else None,
        )

    def _counts(self) -> SlotCounts:
        counts = SlotCounts()
        for place in self._slots:
            for part in (place.counts, place.member):
                if part is not None:
                    counts.add(part)
        return counts

    @property
    def _pictures(self) -> int:
        """How many it is sent, or would be if its network carried any."""
        return sum(place.wish != "off" and self._is_shown(place) for place in self._slots)

    def _is_shown(self, place: SlotPlace) -> bool:
        slot = self._slots[place]
        return slot.shown is not None and (not self.user or slot.shown.user != self.user)

    def _prefers(self, place: SlotPlace, rates: Sequence[float]) -> int:
        first = starting_layer(place.wish, self._pictures, len(rates))
        return layer(rates, first, self.thrift.level)

    def _settle(self) -> None:
        now = trio.current_time()
        for place, slot in self._slots.items():
            place.open = self.thrift.level < NOTHING
            slot.settle(place)
            if place.member is not None and place.member.feed.lanes:  # else it does so itself
                place.member.feed.choose(place.member, now)

    def _need_key_frame(self, ssrc: int, now: float) -> None:
        place = self._by_ssrc.get(ssrc)
        if place is not None and place.member is not None:
            place.member.need_key_frame(now)

    def _reported(self, reports: Sequence[ReportBlock], now: float) -> None:
        """Of several pictures the mean counts: they share one network. Voices are few packets,
        and tell of losses only where there are no pictures."""
        losses = [
            report.fraction_lost / 256
            for report in reports
            if (place := self._by_ssrc.get(report.ssrc)) is not None and place.member is not None
        ]
        voice = self._voice
        heard = [r for r in reports if r.ssrc not in self._by_ssrc and voice and voice.report(r)]
        if not losses:
            losses = [report.fraction_lost / 256 for report in heard]
        for report in reports[:1]:  # one is enough: all go the same way
            self.bandwidth.round_trip.answer(report, time.time(), now)
        if losses:
            self.bandwidth.report(sum(losses) / len(losses), now)


def _of_slot(place: SlotPlace, slot: VideoSlot) -> SlotStatistics:
    member = place.member
    lanes = member.feed.lanes if member is not None else {}
    layers = [id_ for id_, lane in lanes.items() if member is not None and lane is member.lane]
    return SlotStatistics(
        slot=slot.number,
        seat=slot.shown.seat if slot.shown is not None else None,
        wish=place.wish,
        mode=member.mode.value if member is not None else "off",
        layer=layers[0] if layers else None,
    )


def voice_type(agreed: Agreed) -> tuple[int, int]:
    """The payload type that voices are agreed to be sent as, and how many m-lines have it."""
    types = [
        media.codecs[0].payload_type
        for media in agreed.active
        if media.kind is Kind.AUDIO and media.codecs and media.track is not None
    ]
    return (types[0], types.count(types[0])) if types else (0, 0)
