"""VoiceMember: one peer that hears a room: which slots it is sent, under which numbers.

Everybody shares the slots' packets with their numbers, but for who sits in a slot himself: he is
not sent it, and the numbers go on meanwhile. When he is sent it again his own go on where they
stopped, by a shift. Refused: to leave the gap to him. A receiver counts it as loss, asks for
hundreds of packets again, and after 32,768 of them (eleven minutes in a seat) no longer knows
the roll-over counter, so that it could decrypt nothing (RFC 3711 section 3.3.1). The packets of a
shifted member are copies under other numbers, which costs twice as much as sharing; only those
who have sat in a seat pay it, until they connect anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import trio

from livetrio.webrtc.lane import renumbered
from livetrio.webrtc.run import Run, runs_of
from livetrio.webrtc.slots.voice_slot import VoiceSlot
from livetrio.wire.rtp.header import unwrap
from livetrio.wire.rtp.rtcp_feedback import Nack
from livetrio.wire.rtp.rtcp_reports import ReportBlock

if TYPE_CHECKING:
    from livetrio.webrtc.peer import Peer

__all__ = ["Shifts", "Spoken", "VoiceMember", "VoiceStatistics", "renumbered_runs"]

_RESENDS: Final = 100
"""Packets sent again per second and member at most, and at once: half of three voices. Whoever
asks for more has no path for them, or wants an amplifier."""
_ASKING: Final = 0.25
"""What a number costs of them that is not sent again: it was looked up all the same."""
_STRETCHES: Final = 16
"""Remembered of each slot, for NACKs: each is an absence of at least one packet."""
_SMOOTHING: Final = 0.3
"""Weight of the newest report in the loss."""


Shifts = tuple[int | None, ...]
"""By slot: a member's own index minus the slot's; None: it is not sent this slot."""


class Spoken(NamedTuple):
    """A packet that goes out."""

    slot: int
    packet: bytes
    at: int
    """Index, as in a `Run`."""


@dataclass(frozen=True, slots=True)
class VoiceStatistics:
    """The voices of one member, as shown to operators."""

    slots: tuple[int, ...]
    """Those it is sent."""
    shared: bool
    """Is it sent the packets that all are sent, or renumbered copies?"""
    loss: float
    """Share of packets that it lately reported lost, of its worst slot."""
    nacks: int
    """Packets asked for again."""
    resent: int


class _Numbers:
    """One member's numbers of one slot."""

    __slots__ = ("_first", "_resumes", "_stretches", "begun", "shift")

    def __init__(self) -> None:
        self.begun = False
        """Was it ever to be sent this slot?"""
        self.shift = 0
        """Its own index minus the slot's, at present."""
        self._first = 0  # its own index of the first packet of all
        self._resumes: int | None = None  # its own next index, while it is sent nothing
        self._stretches: deque[tuple[int, int]] | None = None  # (own first index, shift)

    def show(self, next_index: int) -> None:
        """It is sent the slot from this packet on."""
        resumes, self._resumes = self._resumes, None
        if resumes is None or resumes == self._first:  # it was sent nothing so far
            self.begun, self.shift, self._first = True, 0, next_index
            self._stretches = None
            return
        shift = resumes - next_index
        if shift == self.shift:
            return
        if self._stretches is None:
            self._stretches = deque([(self._first, 0)], maxlen=_STRETCHES)
        if self._stretches[-1][0] == resumes:
            self._stretches.pop()  # nothing was sent in it
        self._stretches.append((resumes, shift))
        self.shift = shift

    def hide(self, next_index: int) -> None:
        """It is not sent the slot from this packet on."""
        if self._resumes is None:
            self._resumes = next_index + self.shift

    def find(self, sequence: int, next_index: int) -> tuple[int, int] | None:
        """Its own index and the slot's of the packet that it knows by these 16 bits."""
        if not self.begun:
            return None
        end = self._resumes if self._resumes is not None else next_index + self.shift
        index = unwrap(sequence, end - 1)
        if not self._first <= index < end:
            return None
        for first, shift in reversed(self._stretches or ()):
            if index >= first:
                return index, index - shift
        return (index, index) if self._stretches is None else None


class VoiceMember:
    """Made by `VoiceFeed.member`.

    The owner of `peer.on_rtcp` parses a compound once and hands on the words for the voices.
    """

    __slots__ = (
        "_allowance",
        "_allowed_at",
        "_losses",
        "_numbers",
        "_slots",
        "count",
        "mask",
        "nacks",
        "peer",
        "resent",
        "send",
        "shifts",
        "user",
    )

    def __init__(self, peer: Peer, user: str, slots: Sequence[VoiceSlot], count: int) -> None:
        """
        Args:
            peer: to whom.
            user: who that is; "": nobody in particular.
            slots: all of the feed.
            count: how many of them it has m-lines for.
        """
        self.peer = peer
        self.send: Callable[[Run], object] = peer.send_run
        self.user = user
        self.count = count
        self.mask = 0
        """Slots that it is sent, one bit each."""
        self.shifts: Shifts = (None,) * len(slots)
        """At present; replaced, never changed, so that a plan may keep it."""
        self.nacks = 0
        """Packets asked for again."""
        self.resent = 0
        self._slots = slots
        self._numbers = [_Numbers() for _ in slots]
        self._losses: dict[int, float] = {}
        self._allowance = float(_RESENDS)
        self._allowed_at = trio.current_time()

    @property
    def shifted(self) -> bool:
        """Does it need copies under its own numbers?"""
        return any(self.shifts)

    @property
    def loss(self) -> float:
        """Share of packets that it lately reported lost, 0 to 1, of its worst slot."""
        return max(self._losses.values(), default=0.0)

    def statistics(self) -> VoiceStatistics:
        """The counters now."""
        return VoiceStatistics(
            slots=tuple(slot.number for slot in self._slots if self.mask >> slot.number & 1),
            shared=not self.shifted,
            loss=round(self.loss, 4),
            nacks=self.nacks,
            resent=self.resent,
        )

    def hear(self, mask: int) -> None:
        """Be sent these slots, and no others, from their next packets on."""
        for slot, numbers in zip(self._slots, self._numbers, strict=True):
            bit = 1 << slot.number
            if mask & bit and not self.mask & bit:
                numbers.show(slot.next_index)
            elif self.mask & bit and not mask & bit:
                numbers.hide(slot.next_index)
                self._losses.pop(slot.number, None)
        self.mask = mask
        self.shifts = tuple(
            numbers.shift if mask >> n & 1 else None for n, numbers in enumerate(self._numbers)
        )

    def nack(self, nack: Nack, now: float) -> bool:
        """Send again what it misses of a voice. False: it is not about a voice.

        Args:
            nack: the peer's.
            now: seconds.
        """
        slot = self._slot(nack.media_ssrc)
        if slot is None:
            return False
        self.nacks += len(nack.lost)
        passed = now - self._allowed_at
        self._allowance = min(_RESENDS, self._allowance + passed * _RESENDS)
        self._allowed_at = now
        found: list[tuple[bytes, int]] = []
        for sequence in nack.lost:
            if self._allowance < 1:
                break
            pair = self._lookup(slot, sequence)
            self._allowance -= 1 if pair is not None else _ASKING
            if pair is not None:
                found.append(pair)
        self.resent += len(found)
        for run in runs_of(found):
            self.send(run)
        return True

    def report(self, block: ReportBlock) -> bool:
        """How a voice arrives there. False: it is not about a voice."""
        slot = self._slot(block.ssrc)
        if slot is None:
            return False
        if self.mask >> slot.number & 1:  # what it is not sent, it cannot lose
            lost = block.fraction_lost / 256
            before = self._losses.get(slot.number, lost)
            self._losses[slot.number] = before + (lost - before) * _SMOOTHING
        return True

    def _slot(self, ssrc: int) -> VoiceSlot | None:
        return next((slot for slot in self._slots if slot.ssrc == ssrc), None)

    def _lookup(self, slot: VoiceSlot, sequence: int) -> tuple[bytes, int] | None:
        """The packet as this member was sent it, and its index."""
        found = self._numbers[slot.number].find(sequence, slot.next_index)
        if found is None:
            return None
        own, index = found
        packet = slot.history.packet(index)
        if packet is None:
            return None
        return (renumbered(packet, own) if own != index else packet), own


def renumbered_runs(spoken: Sequence[Spoken], shifts: Shifts) -> list[Run]:
    """What a member with these shifts is sent of the packets, under its own numbers."""
    pairs: list[tuple[bytes, int]] = []
    for slot, packet, index in spoken:
        shift = shifts[slot]
        if shift is not None:
            own = index + shift
            pairs.append((renumbered(packet, own) if shift else packet, own))
    return runs_of(pairs)
