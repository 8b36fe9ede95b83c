"""VoiceFeed: the voices of one room as RTP, made once and sent to everybody who hears it.

A small audience is sent each packet in the very call that brings it: to wake a task costs more
than to send to two. For a large one a system call for each member is the price, so the packets of
one frame's time (20 ms) go out in one run: as soon as everybody who is speaking has said his part,
and never later than a frame after the first. All of them are the same for all members; who sits
in a slot himself is not sent it (`voice_member`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from livetrio.logs import get_logger
from livetrio.media.edition import Edition
from livetrio.net.guard import guarded
from livetrio.packet import Codec, Kind, Packet, StreamKey
from livetrio.webrtc.datagrams import blame
from livetrio.webrtc.plan import PACKETS_PER_HOLD, nowhere, serve
from livetrio.webrtc.run import Run
from livetrio.webrtc.sender_report import MediaClock
from livetrio.webrtc.slots.shown import Shown
from livetrio.webrtc.slots.voice_circle import VoiceCircle
from livetrio.webrtc.slots.voice_member import Spoken, VoiceMember, renumbered_runs
from livetrio.webrtc.slots.voice_slot import Utterance, VoiceSlot
from livetrio.webrtc.slots.voice_words import padded, voice_report

if TYPE_CHECKING:
    from livetrio.webrtc.peer import Peer

__all__ = ["VoiceFeed"]

log = get_logger(__name__)

_REPORTS_PER_HOLD: Final = 200
_GATHER_FROM: Final = 32
"""Members from which on the packets of one frame's time are gathered."""
_FRAME: Final = 0.02
"""Seconds a packet waits at most for those of the other voices."""
_OVERDUE: Final = 0.02
"""Seconds after which a voice that should have come is taken to pause."""
_BACKLOG: Final = 10
"""Packets of one voice that may wait, the newest: what is older than 200 ms nobody wants."""
_REPORT_EVERY: Final = 1.0


@dataclass(slots=True, eq=False)
class _Source:
    """Who speaks in a slot."""

    edition: Edition
    slot: VoiceSlot
    clock: MediaClock
    track: int | None = None
    """The one of several that is heard: the first that came."""
    listening: ExitStack = field(default_factory=ExitStack)


class VoiceFeed:
    """One per room and payload type."""

    def __init__(
        self,
        payload_type: int,
        ssrcs: Sequence[int],
        cname: str,
        *,
        voices: int,
        clock: Callable[[StreamKey], MediaClock] | None = None,
        first: int = 0,
        timestamp: int = 0,
    ) -> None:
        """
        Args:
            payload_type: of Opus, as agreed.
            ssrcs: one for each slot, as announced. Another feed (payload type) of the room may
                have the same ones: no member is in two.
            cname: of the room.
            voices: slots that everybody gets; those behind them are only for who lacks one.
            clock: the room's one MediaClock of a stream, so that sound and picture of a seat are
                reported on one line (the feed observes its sound packets into it); by default
                clocks of its own.
            first: sequence number that all slots begin with, below 2^14.
            timestamp: random 32 bits.
        """
        self.packets = 0
        """Packets handed to the members' peers."""
        self.skipped = 0
        """Packets that were too old to be sent before their turn came."""
        self._cname = cname
        self._clock = clock or _own_clocks()
        self._slots = [
            VoiceSlot(number, payload_type, ssrc, first=first, timestamp=timestamp)
            for number, ssrc in enumerate(ssrcs)
        ]
        self._circle = VoiceCircle(self._slots, voices)
        self._editions: list[Edition | None] = [None] * len(ssrcs)
        self._sources: dict[int, _Source] = {}
        """By slot; of those slots only that somebody is sent."""
        self._waiting: list[Utterance] = []
        self._since = 0.0
        """When the first of those came."""
        self._sending = False
        self._gathered = trio.lowlevel.ParkingLot()
        self._running = False

    @property
    def members(self) -> Mapping[VoiceMember, None]:
        """Those who hear it."""
        return self._circle.members

    @property
    def slots(self) -> Sequence[VoiceSlot]:
        """The slots with their counters."""
        return self._slots

    def arrange(self, shown: Sequence[Shown | None], editions: Mapping[StreamKey, Edition]) -> None:
        """Who is heard in which slot from now on. Plain, idempotent, at once.

        Args:
            shown: by slot; None: silence (a muted seat is nobody's to hear). A short sequence
                leaves the rest silent.
            editions: by stream, with Opus sound; a stream without one is silent.
        """
        filled = [*shown[: len(self._slots)], *[None] * (len(self._slots) - len(shown))]
        self._editions = [show and editions.get(show.stream) for show in filled]
        self._circle.seat([show.user if show is not None else "" for show in filled])
        self._follow_all()

    @contextmanager
    def member(self, peer: Peer, user: str, *, slots: int | None = None) -> Iterator[VoiceMember]:
        """Send to this peer until the block is left; it should be connected.

        Args:
            peer: to whom. Whoever owns its `on_rtcp` gives the member its NACKs and reports.
            user: who that is: he is not sent his own slot; "": nobody in particular.
            slots: how many of the first slots it has m-lines for; None: all.
        """
        count = len(self._slots) if slots is None else min(slots, len(self._slots))
        member = VoiceMember(peer, user, self._slots, count)
        self._circle.add(member)
        self._follow_all()
        try:
            yield member
        finally:
            member.send = nowhere
            self._circle.remove(member)
            self._follow_all()

    async def run(self) -> None:
        """Until cancelled; for the room's nursery."""
        try:
            async with trio.open_nursery() as nursery:
                self._running = True
                nursery.start_soon(self._gather, name="voices")
                nursery.start_soon(self._report, name="voice reports")
                self._follow_all()
        finally:
            self._running = False
            for source in self._sources.values():
                source.listening.close()
            self._sources.clear()

    # Listening.

    def _follow_all(self) -> None:
        """Follow the sources that somebody is to hear, and no others."""
        if not self._running:
            return
        for number, edition in enumerate(self._editions):
            if not self._circle.wanted >> number & 1:
                edition = None
            source = self._sources.get(number)
            if (source.edition if source is not None else None) is edition:
                continue
            if source is not None:
                source.listening.close()
                del self._sources[number]
                # What one who was muted has said, but nobody has been sent, stays unsaid.
                self._waiting = [u for u in self._waiting if u.slot.number != number]
            if edition is not None:
                self._sources[number] = self._follow(edition, self._slots[number])

    def _follow(self, edition: Edition, slot: VoiceSlot) -> _Source:
        """Take what a source says from now on, until it ends or somebody else is arranged."""
        source = _Source(edition, slot, self._clock(edition.key))
        slot.enter()

        def fault(error: BaseException) -> None:
            """A bug in one voice ends that voice; the room goes on, and so does its publisher."""
            log.error("bug: voice ended", stream=str(edition.key), exc_info=error)
            source.listening.close()

        guard = guarded(fault)

        def came(packets: Sequence[Packet]) -> None:
            if any(packet.track.kind is Kind.AUDIO for packet in packets):
                with guard:
                    self._take(source, packets)

        source.listening.enter_context(edition.ring.listen(came))
        return source

    def _take(self, source: _Source, packets: Sequence[Packet]) -> None:
        """In the publisher's call: what it has brought."""
        spoken: list[Packet] = []
        for packet in packets:
            track = packet.track
            if track.kind is Kind.AUDIO and track.codec is Codec.OPUS and not packet.config:
                source.track = track.id if source.track is None else source.track
                if track.id == source.track:
                    spoken.append(packet)
        if spoken:
            self._hear(source.slot, spoken, source.clock)

    def _hear(self, slot: VoiceSlot, packets: list[Packet], clock: MediaClock) -> None:
        self.skipped += max(0, len(packets) - _BACKLOG)
        now = trio.current_time()
        taken = [slot.take(packet, clock, now) for packet in packets[-_BACKLOG:]]
        utterances = [utterance for utterance in taken if utterance is not None]
        if not utterances:
            return
        if not self._waiting and not self._sending and len(self.members) < _GATHER_FROM:
            for utterance in utterances:
                self._say(utterance)
            return
        if not self._waiting:
            self._since = now
        self._waiting += utterances
        if len(self._waiting) > _BACKLOG:
            for old in [u for u in self._waiting if u.slot is slot][:-_BACKLOG]:
                self._waiting.remove(old)
                self.skipped += 1
        if len(self._waiting) == len(utterances) or self._complete(now):
            self._gathered.unpark_all()

    def _complete(self, now: float) -> bool:
        """Has everybody who is about to say something said it?"""
        overdue, latest = now - _OVERDUE, self._since + _FRAME
        here = {utterance.slot for utterance in self._waiting}
        for source in self._sources.values():
            slot = source.slot
            if overdue < slot.due <= latest and slot not in here:
                return False
        return True

    # Sending.

    async def _gather(self) -> None:
        """Send what waits, frame by frame."""
        while True:
            if not self._waiting:
                await self._gathered.park()
                continue
            with trio.CancelScope(deadline=self._since + _FRAME):
                while self._waiting and not self._complete(trio.current_time()):
                    await self._gathered.park()
            if not self._waiting:
                continue
            utterances, self._waiting = self._waiting, []
            turns = self._circle.turns(padded(utterances))
            self._sending = True
            try:
                while not self._send_some(turns, PACKETS_PER_HOLD):
                    await trio.lowlevel.checkpoint()
            finally:
                self._sending = False
            await trio.lowlevel.checkpoint()

    def _say(self, utterance: Utterance) -> None:
        """One packet, to a few, at once."""
        number = utterance.slot.number
        packet, index = utterance.slot.build(utterance, 0)
        shared, shifted = self._circle.hearers(number)
        serve(Run([packet], [index]), iter(shared), PACKETS_PER_HOLD)
        spoken = Spoken(number, packet, index)
        for member in shifted:
            for run in renumbered_runs([spoken], member.shifts):
                serve(run, iter((member,)), PACKETS_PER_HOLD)
        self.packets += len(shared) + len(shifted)

    def _send_some(self, turns: Iterator[tuple[VoiceMember, Run]], budget: int) -> bool:
        """Send so many packets at most; whoever that fails for is ended, and those behind it get
        theirs. False: there is more, and others have a turn first."""
        member: VoiceMember | None = None
        sent = 0

        def fault(error: BaseException) -> None:
            if member is not None:
                blame(member.peer, error)

        while True:
            with guarded(fault):  # one guard for all: it goes on where it was left
                for member, run in turns:
                    sent += len(run.packets)
                    member.send(run)
                    if sent >= budget:
                        self.packets += sent
                        return False
                self.packets += sent
                return True

    async def _report(self) -> None:
        """Each second: sender reports to all."""
        while True:
            await trio.sleep(_REPORT_EVERY)
            now, wall = trio.current_time(), time.time()
            lines: list[tuple[VoiceSlot, int]] = []
            for number, source in self._sources.items():
                pts = self._clock(source.edition.key).pts(now)
                if pts is not None and self._slots[number].timestamp(pts) is not None:
                    lines.append((self._slots[number], pts))
            reports: dict[int, bytes] = {}
            for count, member in enumerate(list(self.members), 1):
                if (mask := member.mask) not in reports:
                    heard = [(slot, pts) for slot, pts in lines if mask >> slot.number & 1]
                    reports[mask] = voice_report(heard, self._cname, wall)
                if reports[mask] and member in self.members:
                    with guarded(partial(blame, member.peer)):
                        member.peer.send_rtcp(reports[mask])
                if count % _REPORTS_PER_HOLD == 0:
                    await trio.lowlevel.checkpoint()


def _own_clocks() -> Callable[[StreamKey], MediaClock]:
    clocks: dict[StreamKey, MediaClock] = {}
    return lambda key: clocks.setdefault(key, MediaClock())
