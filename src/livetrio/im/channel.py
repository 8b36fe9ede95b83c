"""Channel: numbering, memory and membership of one channel; plain calls, no clock, no socket.

Numbering, remembering and queueing for broadcast happen in `pend`, in that order and without
an await, so nobody can see n+1 before n. What waits for the next tick is `pending`; `cut` takes
it. Everything ever queued is counted (`arrivals`, numbered or not); a member keeps the count at
its joining, so that a batch that was queued before is never sent to it twice.
"""

from __future__ import annotations

import math
import secrets
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from livetrio.errors import RefusalCode, Refused
from livetrio.im.idempotency import Recent
from livetrio.im.lanes import LaneState
from livetrio.im.member import Member
from livetrio.im.options import ChannelOptions, Kind
from livetrio.im.words import History, Joined, Lane, Move, Position, Publication

__all__ = ["Channel", "Cut"]

_MAX_MOVES = 1000
"""Joins and leaves told in one tick; more are left out."""


@dataclass(slots=True, eq=False)
class Cut:
    """What one tick delivers."""

    publications: Sequence[Publication]
    first: int
    """The channel's count of arrivals before the first of them."""
    moves: Sequence[Move] = ()


@dataclass(slots=True)
class _Kept:
    publication: Publication
    until: float


_NOTHING: Final[deque[_Kept]] = deque()
"""The memory of a channel that has none: an empty deque takes 760 bytes. Never appended to."""


@dataclass(slots=True, eq=False)
class Channel:
    """One channel; made by `Channels`."""

    name: str
    options: ChannelOptions
    epoch: str = field(default_factory=lambda: secrets.token_urlsafe(6))
    offset: int = 0
    """Of the newest publication."""
    cold: bool = False
    """Durable, and the log's position is not known here yet."""
    members: dict[Member, int] = field(default_factory=dict)
    """In the order of joining, with the count of arrivals at that moment."""
    arrivals: int = 0
    pending: list[Publication] = field(default_factory=list)
    size: int = 0
    """Bytes of data remembered."""
    grown: int = 0
    """The part of `size` that `Channels` has not heard of yet."""
    recent: Recent = field(default_factory=Recent)
    lanes: LaneState = field(default_factory=LaneState)
    flush_at: float = 0.0
    """Kept by the ticker: not before this Trio time."""
    scheduled: float = float("inf")
    """Kept by the ticker: when it will look at this channel."""
    delivering: bool = False
    """Kept by the ticker: a cut is on its way."""
    pins: int = 0
    """Tasks that hold it across an await; it must not be freed meanwhile."""
    _kept: deque[_Kept] = field(default_factory=lambda: _NOTHING)
    _value: Publication | None = None
    _watchers: set[Member] | None = None
    _moves: list[Move] = field(default_factory=list)

    @property
    def position(self) -> Position:
        """Of the newest publication."""
        return Position(self.epoch, self.offset)

    @property
    def busy(self) -> bool:
        """Is there anything for the next tick?"""
        return bool(self.pending or self._moves or self._value is not None)

    @property
    def tells_moves(self) -> bool:
        """Are joins and leaves told now?"""
        return bool(self._watchers) and len(self.members) <= self.options.join_leave_members

    # Publishing

    def pend(self, publication: Publication) -> None:
        """Queue for the next tick, as it is: numbered already, or never."""
        if self.members:  # nobody is here: it is remembered, if it is, and that is all
            self.pending.append(publication)
        self.arrivals += 1

    def number(self, publication: Publication, now: float) -> Position:
        """Number and remember; the caller queues it in the same breath."""
        self.offset += 1
        publication.offset = self.offset
        if publication.lane is Lane.P2:  # nobody would be told what he has lost of that
            publication.lane = Lane.P1
        self.keep(publication, now)
        return Position(self.epoch, self.offset)

    def begin(self, position: Position) -> None:
        """Durable: this is where the log stands."""
        self.epoch, self.offset = position
        self.cold = False
        self.forget()

    def replace(self, publication: Publication) -> Position:
        """State: the value that the next tick numbers and delivers, unless one more comes."""
        self._value = publication
        return Position(self.epoch, self.offset + 1)

    def keep(self, publication: Publication, now: float) -> None:
        """Remember a numbered publication, within the bounds of the options."""
        options = self.options
        state = options.kind is Kind.STATE  # the latest value holds until there is another
        count = 1 if state else options.history_size
        ttl = math.inf if state else options.history_ttl
        if count <= 0 or ttl <= 0:
            return
        if self._kept is _NOTHING:
            self._kept = deque()
        self._kept.append(_Kept(publication, now + ttl))
        self._grow(len(publication.data))
        while len(self._kept) > count or self.size > options.history_bytes:
            self._forget_oldest()
        self._expire(now)

    def cut(self, now: float) -> Cut:
        """Take what waits for the tick."""
        if (value := self._value) is not None:
            self._value = None
            self.number(value, now)
            self.pend(value)
        publications, self.pending = self.pending, []
        moves, self._moves = self._moves, []
        return Cut(publications, self.arrivals - len(publications), moves)

    # Membership

    def join(
        self,
        member: Member,
        recover_from: Position | None,
        backlog: int,
        missed: Sequence[Publication] | None,
        now: float,
        *,
        moves: bool,
    ) -> Joined:
        """Add a member; it has, or is given here, everything up to the newest offset.

        missed: what a log gave for `recover_from`, ending at or after what is remembered here;
            None if there is no log.
        """
        found = self._since(recover_from, missed, now) if recover_from is not None else None
        recovered = found is not None
        if found is None:
            self._expire(now)
            if self.options.kind is Kind.STATE:
                backlog = 1
            elif recover_from is None:
                backlog = max(backlog, self.options.backlog)
            start = max(len(self._kept) - max(backlog, 0), 0)
            found = [kept.publication for kept in islice(self._kept, start, None)]
        self.members[member] = self.arrivals
        if moves and self.options.join_leave:
            self._watchers = self._watchers or set()
            self._watchers.add(member)
        return Joined(self.position, found, recovered)

    def leave(self, member: Member) -> None:
        """No further publication."""
        self.members.pop(member, None)
        if self._watchers is not None:
            self._watchers.discard(member)
        if member.lost is not None:
            member.lost.pop(self.name, None)
            member.lost = member.lost or None
        if not self.members:
            self.pending.clear()
            self._moves.clear()

    def move(self, member: Member, *, joined: bool) -> None:
        """Queue the news that somebody came or left."""
        if len(self._moves) < _MAX_MOVES:
            self._moves.append(Move(joined, member.sender))

    def watchers(self) -> Sequence[Member]:
        """Who is told of joins and leaves."""
        return tuple(self._watchers or ())

    # Memory

    def history(
        self, since: Position | None, limit: int, now: float, *, reverse: bool = False
    ) -> History:
        """As `Hub.history`, for what is remembered here.

        Raises:
            Refused: GONE, `since` is of another numbering.
        """
        self._expire(now)
        if since is not None and since.epoch and since.epoch != self.epoch:
            raise Refused(RefusalCode.GONE, "unrecoverable position")
        if since is not None and since.offset > self.offset and not reverse:
            raise Refused(RefusalCode.GONE, "unrecoverable position")
        found = [kept.publication for kept in self._kept]
        if since is not None:
            found = [p for p in found if (p.offset < since.offset) == reverse]
            if not reverse:
                found = [p for p in found if p.offset > since.offset]
        if reverse:
            found.reverse()
        return History(found if limit < 0 else found[:limit], self.position)

    def forget(self) -> None:
        """Remember nothing of what was; the numbering goes on."""
        while self._kept:
            self._forget_oldest()

    def expired(self, now: float) -> bool:
        """Is nothing remembered any more (so that an empty channel may go)?"""
        self._expire(now)
        return not self._kept and not self.recent.alive(now) and not self.lanes.busy

    def oldest(self) -> int:
        """Offset of the oldest remembered publication; one past the newest if there is none."""
        return self._kept[0].publication.offset if self._kept else self.offset + 1

    def _since(
        self, since: Position, missed: Sequence[Publication] | None, now: float
    ) -> list[Publication] | None:
        """Everything after a position, or None: never a part of it."""
        self._expire(now)
        if since.epoch != self.epoch or not 0 <= since.offset <= self.offset:
            return None
        if self.offset - since.offset > self.options.recovery_limit:
            return None
        kept = [kept.publication for kept in self._kept]
        found = [p for p in kept if p.offset > since.offset]
        if missed:
            first = found[0].offset if found else self.offset + 1
            found = [p for p in missed if since.offset < p.offset < first] + found
        if len(found) != self.offset - since.offset:
            # A state channel has only its latest value: that is all there is to recover.
            return found if self.options.kind is Kind.STATE and found else None
        return found

    def _expire(self, now: float) -> None:
        while self._kept and self._kept[0].until <= now:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        self._grow(-len(self._kept.popleft().publication.data))
        if not self._kept:
            self._kept = _NOTHING

    def _grow(self, count: int) -> None:
        self.size += count
        self.grown += count
