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


class VoiceCircle:
    """Of one feed. Plain calls; a change of seats costs as much as members are concerned."""

    __slots__ = (
        "_by_user",
        "_groups",
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

    def turns(self, spoken: Sequence[Spoken]) -> Iterator[tuple[VoiceMember, Run]]:
        """Who gets what of these packets, one by one.

        That is settled by this call, and only made as it is asked for: whoever comes, goes or
        takes a seat in between begins behind these packets.
        """
        shared: list[tuple[list[Run], list[VoiceMember]]] = []
        known: dict[int, list[Run]] = {}
        spoke = 0
        for slot, _, _ in spoken:
            spoke |= 1 << slot
        for mask, members in self._groups.items():
            heard = mask & spoke
            if not heard:
                continue
            runs = known.get(heard)
            if runs is None:  # groups that hear the same of it share the runs, too
                pairs = [(packet, index) for slot, packet, index in spoken if heard >> slot & 1]
                runs = known[heard] = runs_of(pairs)
            shared.append((runs, list(members)))
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
