"""Delivery: one tick's publications to every member of a channel, the same bytes for all of a view.

Plain `send` calls, in slices, so that whoever drives it can let others run in between. Who is
slow (bytes wait in its outbox) is sent less: without lane P2, then without P1 and with the
number it lost told in its next frame; and is closed if even P0 cannot wait for it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from itertools import islice

from livetrio.im.channel import Channel, Cut
from livetrio.im.member import Member
from livetrio.im.options import HubLimits
from livetrio.im.words import Lane, Publication, View
from livetrio.net.outbox import Block

__all__ = ["Delivery", "tell_directly"]

Gap = Callable[[Member, Channel], None]
Slow = Callable[[Member], None]


class _Level(enum.Enum):
    """What a member is sent: lanes up to this one."""

    ALL = Lane.P2
    CHAT = Lane.P1
    MUST = Lane.P0


class Delivery:
    """A cut on its way."""

    __slots__ = (
        "_cut",
        "_failed",
        "_frames",
        "_gap",
        "_limits",
        "_members",
        "_parts",
        "_phase",
        "_slow",
        "begun",
        "channel",
        "done",
        "spent",
    )

    def __init__(
        self, channel: Channel, cut: Cut, limits: HubLimits, *, gap: Gap, slow: Slow
    ) -> None:
        """
        Args:
            gap: takes a strict member out of the channel and tells it.
            slow: ends a member, which is sent nothing any more.
        """
        self._slow = slow
        self.channel = channel
        self.begun = 0.0
        """Kept by the ticker: Trio time at which this began."""
        self.spent = 0.0
        """Kept by the ticker: CPU seconds."""
        self.done = False
        """Everybody has been given it."""
        self._cut = cut
        self._limits = limits
        self._gap = gap
        # A copy: members come and go between the slices. Those that come have what is in here.
        self._members = iter(list(channel.members) if cut.publications else ())
        self._phase = 0
        self._failed = False
        self._frames: dict[View, Block] = {}
        self._parts: dict[tuple[View, int, _Level], bytes] = {}

    def step(self, count: int) -> int:
        """Give it to at most so many members; how many there were."""
        if self._failed:
            return self._tell_failure(count)
        done = 0
        live = self.channel.members
        frames = self._frames
        first = self._cut.first
        for member in islice(self._members, count):
            done += 1
            since = live.get(member)
            if since is None:
                continue
            if since > first:
                self._send_part(member, since - first, _Level.ALL)
            elif member.lost is not None or member.outbox.queued:
                self._send_slow(member)
            else:
                block = frames.get(member.view)
                if block is None:
                    data = self._encode(member.view, 0, _Level.ALL)
                    block = frames[member.view] = Block(data, media=False)
                if block.data:
                    member.outbox.send_block(block)
        if done < count:
            self.done = True
            if self._phase == 0:
                self._phase = 1
                done += self._tell_moves()
        return done

    def give_up(self) -> None:
        """A view has failed: from now on `step` tells strict members that they miss the batch."""
        if not self._failed:
            self._failed = True
            strict = [member for member in self.channel.members if member.strict]
            self._members = iter(strict if self._phase == 0 else ())

    def _tell_failure(self, count: int) -> int:
        done = 0
        behind = self._cut.first + len(self._cut.publications)
        for member in islice(self._members, count):
            done += 1
            if self.channel.members.get(member, behind) < behind:
                self._gap(member, self.channel)
        self.done = done < count
        return done

    def _send_slow(self, member: Member) -> None:
        queued = member.outbox.queued
        level = _Level.ALL
        if queued > self._limits.keep_chat:
            level = _Level.MUST
        elif queued > self._limits.keep_counters:
            level = _Level.CHAT
        if level is not _Level.ALL:
            omitted = [p for p in self._cut.publications if p.lane > level.value]
            lost = sum(p.lane is Lane.P1 for p in omitted)
            if member.strict and (lost or any(p.offset for p in omitted)):
                self._gap(member, self.channel)
                return
            if lost:
                member.lost = member.lost or {}
                name = self.channel.name
                member.lost[name] = member.lost.get(name, 0) + lost
        self._send_part(member, 0, level)

    def _send_part(self, member: Member, skip: int, level: _Level) -> None:
        data = self._encode(member.view, skip, level)
        if not data:
            return
        if member.lost is not None and (lost := member.lost.pop(self.channel.name, 0)):
            data = member.view.lost(self.channel.name, lost) + data
            member.lost = member.lost or None
        _send(member, data, self._limits, self._slow)

    def _encode(self, view: View, skip: int, level: _Level) -> bytes:
        key = view, skip, level
        data = self._parts.get(key)
        if data is None:
            chosen = self._cut.publications[skip:]
            if level is not _Level.ALL:
                chosen = [p for p in chosen if p.lane <= level.value]
            data = view.batch(self.channel.name, chosen) if chosen else b""
            self._parts[key] = data
        return data

    def _tell_moves(self) -> int:
        if not self._cut.moves:
            return 0
        watchers = self.channel.watchers()
        for member in watchers:
            if member.outbox.queued <= self._limits.keep_counters:
                data = member.view.moves(self.channel.name, self._cut.moves)
                if data:
                    _send(member, data, self._limits, self._slow)
        return len(watchers)


def tell_directly(
    members: Iterable[Member], publication: Publication, limits: HubLimits, slow: Slow
) -> int:
    """A direct message to those of them that want it; returns how many. A plain call."""
    frames: dict[View, bytes] = {}
    told = 0
    for member in members:
        if member.wants(publication.op):
            view = member.view
            if view not in frames:
                frames[view] = view.direct([publication])
            _send(member, frames[view], limits, slow)
            told += 1
    return told


def _send(member: Member, data: bytes, limits: HubLimits, slow: Slow) -> None:
    if member.outbox.queued + len(data) > limits.keep_all and member.outbox.queued:
        slow(member)
    else:
        member.outbox.send(data)
