"""VoiceCircle: who is to hear which slots of a room, in groups that share every packet.

Everybody hears the first slots, but nobody himself; who lacks one of them so gets one of the
spare slots behind them. So there are hardly more groups than slots, however many members.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from livetrio.webrtc.run import Run, runs_of
from livetrio.webrtc.slots.voice_member import Shifts, Spoken, VoiceMember, renumbered_runs
from livetrio.webrtc.slots.voice_slot import VoiceSlot

__all__ = ["VoiceCircle"]

Hearers = tuple[list[VoiceMember], list[VoiceMember]]


class VoiceCircle:
    """Of one feed. Plain calls; a change of seats costs as much as members are concerned."""

    __slots__ = (
        "_by_user",
        "_groups",
        "_hearers",
        "_shifted",
        "_slots",
        "_users",
        "_voices",
        "members",
        "wanted",
    )

    def __init__(self, slots: Sequence[VoiceSlot], voices: int) -> None:
        """
        Args:
            slots: of the feed.
            voices: how many of the first everybody hears; the rest are spare.
        """
        self.members: dict[VoiceMember, None] = {}
        """A dict for its order."""
        self.wanted = 0
        """Slots that somebody is to hear, one bit each."""
        self._slots = slots
        self._voices = min(voices, len(slots))
        self._users = [""] * len(slots)
        self._by_user: dict[str, dict[VoiceMember, None]] = {}
        self._groups: dict[int, dict[VoiceMember, None]] = {}
        """By the slots that its members hear; all of them under the slots' own numbers."""
        self._shifted: dict[int, dict[VoiceMember, None]] = {}
        """The same of those that have numbers of their own."""
        self._hearers: dict[int, Hearers] = {}
        """By slot, as they were last asked for; forgotten with every change."""

    def add(self, member: VoiceMember) -> None:
        """From the next packet on."""
        self.members[member] = None
        if member.user:
            self._by_user.setdefault(member.user, {})[member] = None
        self._assign(member)
        self._count()

    def remove(self, member: VoiceMember) -> None:
        """No packet any more."""
        del self.members[member]
        self._release(member)
        if same := self._by_user.get(member.user):
            del same[member]
            if not same:
                del self._by_user[member.user]
        self._count()

    def seat(self, users: Sequence[str]) -> None:
        """Who sits in which slot from now on; "": nobody who could be a member."""
        changed = {
            user
            for before, after in zip(self._users, users, strict=True)
            if before != after
            for user in (before, after)
        }
        self._users = list(users)
        for user in changed:
            for member in list(self._by_user.get(user, ())):
                self._release(member)
                self._assign(member)
        self._count()

    def hearers(self, slot: int) -> Hearers:
        """Who is sent this slot: under its own numbers, and under numbers of their own."""
        found = self._hearers.get(slot)
        if found is None:
            found = self._hearers[slot] = (
                [m for mask, group in self._groups.items() if mask >> slot & 1 for m in group],
                [m for mask, group in self._shifted.items() if mask >> slot & 1 for m in group],
            )
        return found

    def turns(self, spoken: Sequence[Spoken]) -> Iterator[tuple[VoiceMember, Run]]:
        """Who gets what of these packets, one by one.

        That is settled by this call, and only made as it is asked for: whoever comes, goes or
        takes a seat in between begins behind these packets.
        """
        shared: list[tuple[list[Run], list[VoiceMember]]] = []
        for mask, members in self._groups.items():
            pairs = [(packet, index) for slot, packet, index in spoken if mask >> slot & 1]
            if pairs:
                shared.append((runs_of(pairs), list(members)))
        own = [(m, m.shifts) for members in self._shifted.values() for m in members]
        return _turns(spoken, shared, own)

    def _assign(self, member: VoiceMember) -> None:
        member.hear(self._mask(member))
        groups = self._shifted if member.shifted else self._groups
        groups.setdefault(member.mask, {})[member] = None

    def _release(self, member: VoiceMember) -> None:
        groups = self._shifted if member.shifted else self._groups
        group = groups[member.mask]
        del group[member]
        if not group:
            del groups[member.mask]

    def _mask(self, member: VoiceMember) -> int:
        own = [n for n, user in enumerate(self._users) if user and user == member.user]
        mask = sum(1 << n for n in range(min(self._voices, member.count)) if n not in own)
        spare = [n for n in range(self._voices, member.count) if n not in own]
        lacking = sum(1 for n in own if n < self._voices)
        return mask | sum(1 << n for n in spare[:lacking])

    def _count(self) -> None:
        self._hearers.clear()
        self.wanted = 0
        for mask in (*self._groups, *self._shifted):
            self.wanted |= mask


def _turns(
    spoken: Sequence[Spoken],
    shared: list[tuple[list[Run], list[VoiceMember]]],
    own: list[tuple[VoiceMember, Shifts]],
) -> Iterator[tuple[VoiceMember, Run]]:
    for runs, members in shared:
        for run in runs:
            for member in members:
                yield member, run
    for member, shifts in own:
        for run in renumbered_runs(spoken, shifts):
            yield member, run
