"""Hub: where channels and members meet; joining, leaving, publishing and asking, in one place."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import trio

from livetrio.errors import RefusalCode, Refused
from livetrio.im.channel import Channel
from livetrio.im.channels import Channels
from livetrio.im.delivery import tell_directly
from livetrio.im.member import Member
from livetrio.im.members import Kick, Members
from livetrio.im.moderation import Moderation, Subject
from livetrio.im.online import OnlineCounts, presence
from livetrio.im.options import ChannelOptions, HubLimits, Kind, Namespaces, check_channel
from livetrio.im.pipeline import Pipeline
from livetrio.im.publishing import Publishing
from livetrio.im.rules import PRIVILEGED, Rulebook
from livetrio.im.ticker import Ticker
from livetrio.im.word_filter import WordFilter
from livetrio.im.words import (
    NO_TAGS,
    Goodbye,
    History,
    Joined,
    Lane,
    Online,
    Position,
    Publication,
    Sender,
)
from livetrio.net.fanout import Pacer
from livetrio.net.scope import open_scope
from livetrio.store.log import DurableLog, MemoryLog

__all__ = ["Hub", "open_hub"]

_SHUT_SLICE: Final = 100
"""Connections told of the end before others run."""


class Hub:
    """Made by `open_hub`. Everything here is a plain call unless a durable log is asked."""

    def __init__(
        self,
        *,
        namespaces: Namespaces,
        limits: HubLimits,
        kick: Kick,
        pacer: Pacer,
        log: DurableLog,
    ) -> None:
        self.limits = limits
        self.namespaces = namespaces
        self.members = Members(kick, limits.members)
        """Who is connected."""
        self.rules = Rulebook()
        """Rules of rooms, changeable while they live."""
        self.moderation = Moderation()
        """Bans and mutes."""
        self.word_filter = WordFilter()
        """The words not liked, in all rooms."""
        self.counts = OnlineCounts()
        self._log = log
        self.channels = Channels(namespaces, limits)
        """All channels that there are."""
        self.ticker = Ticker(pacer, limits, gap=self._gap, slow=self._slow, ripen=self._ripen)
        self._publishing = Publishing(
            self.channels,
            self.members,
            Pipeline(self.rules, self.moderation, self.word_filter, limits),
            self.rules,
            limits,
            log,
            self.ticker,
            self._gap,
        )
        self.committer = self._publishing.committer

    # Members

    def present(self, member: Member) -> Present:
        """The member is connected while in the block; leaving it leaves all its channels.

        Others of the same id or beyond the kick policy are told goodbye (REPLACED).

        Raises (on entering):
            Refused: FORBIDDEN, banned everywhere; TOO_MANY, the node (or the user) is full.
        """
        return Present(self, member)

    def enter(self, member: Member) -> None:
        """What `present` begins with."""
        self.moderation.check_ban("", member.sender, trio.current_time())
        for other in self.members.add(member):
            self._dismiss(other, Goodbye.REPLACED)

    def forget(self, member: Member) -> None:
        """Out of all its channels, and not connected any more: what `present` ends with."""
        self.members.discard(member)
        rooms, member.channels = member.channels, ()
        for room in rooms:
            self._remove(member, room)

    async def join(
        self,
        member: Member,
        channel: str,
        *,
        recover_from: Position | None = None,
        backlog: int = 0,
        moves: bool = False,
    ) -> Joined:
        """Become a member of a channel; atomic with the order of its broadcasts.

        What the answer does not contain follows through the member's outbox, and nothing comes
        twice: hand the answer to the outbox before the next await.

        Args:
            recover_from: the position the member has everything up to.
            backlog: publications a newcomer (or one that cannot be recovered) wants to see.
            moves: tell it of joins and leaves, where the channel's options allow that.

        Raises:
            Refused: BAD_REQUEST (the name), FORBIDDEN (banned), CONFLICT (is in there already),
                TOO_MANY (its channels, the room, the node), UNAVAILABLE (the log).
        """
        room = self.channels.get(channel, member.sender)
        self._may_join(member, room)
        missed = None
        if room.options.kind is Kind.DURABLE:
            missed = await self.committer.missed_since(room, recover_from)
            self._may_join(member, room)  # again: others ran meanwhile
        joined = room.join(member, recover_from, backlog, missed, trio.current_time(), moves=moves)
        member.channels += (room,)
        self.channels.joined(room)
        if room.tells_moves:
            room.move(member, joined=True)
            self.ticker.touch(room)
        return joined

    def leave(self, member: Member, channel: str) -> bool:
        """Leave a channel; False if it was not in there."""
        room = self.channels.find(channel)
        if room is None or member not in room.members:
            return False
        member.channels = tuple(other for other in member.channels if other is not room)
        self._remove(member, room)
        return True

    # Publishing

    async def publish(
        self,
        channel: str,
        data: bytes,
        *,
        sender: Sender | None = None,
        op: int = 0,
        lane: Lane | None = None,
        id: str = "",
        tags: Mapping[str, str] = NO_TAGS,
        skip_history: bool = False,
    ) -> Position:
        """The whole way of a message: may it be said, what lane, numbered, logged, broadcast.

        Args:
            sender: None is the server or a back end: no rules apply to it.
            lane: None: P0 for the server, owners and moderators, P2 for a room's counters
                (likes, joins), P1 for the rest. Others than those of P0 cannot choose P0.
            id: the sender's; a retry within minutes returns the same position, once delivered.
            tags: "combo" on a P0 publication merges a sender's repeats (gifts).
            skip_history: deliver it, but neither number nor remember it.

        Returns:
            Where it is; offset 0 if it was not numbered (see Position).

        Raises:
            Refused: BAD_REQUEST (name, size), FORBIDDEN (banned, muted, a blocked word, not a
                member's right), TOO_MANY (rate, slow mode, repeated), UNAVAILABLE (the log).
        """
        return await self._publishing.publish(
            self.channels.get(channel), data, sender, op, lane, id, tags, skip_history=skip_history
        )

    def send_user(self, user: str, data: bytes, *, op: int = 0) -> int:
        """A direct message to all connections of a user that want it; returns how many."""
        return self.send(self.members.of_user(user), data, op=op)

    def send(self, members: Iterable[Member], data: bytes, *, op: int = 0) -> int:
        """A direct message to these members, where they want it; returns how many. A plain
        call: for a few. Unnumbered and in no channel."""
        publication = Publication(0, int(time.time() * 1000), data, op, lane=Lane.P0)
        return tell_directly(members, publication, self.limits, self._slow)

    async def broadcast(self, data: bytes, *, op: int = 0, speed: float = 0.0) -> int:
        """A direct message to everybody connected that wants it; returns how many.

        speed: members per second; 0: as fast as others on this loop allow.
        """
        publication = Publication(0, int(time.time() * 1000), data, op, lane=Lane.P0)
        return await self.ticker.broadcast(self.members.all(), publication, speed)

    # Asking

    def online(self, channel: str) -> Online:
        """How many are in the channel now; zeros if there is none."""
        room = self.channels.find(channel)
        return self.counts.of(room, trio.current_time()) if room is not None else Online(0, 0)

    def presence(self, channel: str) -> dict[str, Sender]:
        """Who is in the channel, by connection; {} if there is none.

        Raises:
            Refused: FORBIDDEN, the options of the channel forbid it; TOO_MANY, over 10,000.
        """
        return presence(self.channels.find(channel), self.namespaces.of(channel))

    async def history(
        self, channel: str, *, since: Position | None = None, limit: int = 0, reverse: bool = False
    ) -> History:
        """What the channel remembers.

        Args:
            since: only after this position (reverse: before it).
            limit: at most so many; 0: only the newest position, -1: all (within bounds).
            reverse: newest first.

        Raises:
            Refused: GONE, `since` is of another epoch or in the future; BAD_REQUEST;
                UNAVAILABLE, the log.
        """
        if self.namespaces.of(check_channel(channel)).kind is Kind.DURABLE:
            room = self.channels.get(channel)
            return await self.committer.history(room, since, limit, reverse=reverse)
        found = self.channels.find(channel)
        if found is None:  # asking makes none
            if since is not None and (since.epoch or since.offset):
                raise Refused(RefusalCode.GONE, "unrecoverable position")
            return History([], Position("", 0))
        return found.history(since, limit, trio.current_time(), reverse=reverse)

    async def forget_history(self, channel: str) -> None:
        """Remove what a channel remembers; its numbering goes on."""
        room = self.channels.find(channel)
        if room is not None:
            room.forget()
        if self.namespaces.of(channel).kind is Kind.DURABLE:
            await self._log.remove(channel)

    # Operators

    def disconnect(
        self,
        user: str,
        *,
        client: str = "",
        goodbye: Goodbye = Goodbye.KICKED,
        reason: str = "",
        keep: Iterable[str] = (),
    ) -> int:
        """End a user's connections (or the one named, of that user or of anybody if user is ""),
        but those whose ids are to be kept; returns how many."""
        kept = frozenset(keep)
        ended = [m for m in self.members.find(user, client) if m.id not in kept]
        for member in ended:
            self._dismiss(member, goodbye, reason)
        return len(ended)

    def remove(self, user: str, channel: str, *, client: str = "", code: int = 2000) -> int:
        """Take a user's connections out of a channel and tell them; returns how many."""
        gone = [m for m in self.members.find(user, client) if self.leave(m, channel)]
        for member in gone:
            member.on_removed(channel, code, "server unsubscribe")
        return len(gone)

    async def shut(self) -> None:
        """Tell all connections that the server stops, some at a time; clients come again, to
        whoever answers then."""
        for number, member in enumerate(list(self.members.all()), start=1):
            if self.members.get(member.id) is member:
                self._dismiss(member, Goodbye.SHUTDOWN)
            if number % _SHUT_SLICE == 0:
                await trio.lowlevel.checkpoint()

    def ban(self, room: str, subject: Subject, until: float, *, reason: str = "") -> int:
        """Forbid a user, device or IP address a room ("": everywhere) until a Trio time (inf:
        for ever), and show it the door; returns how many connections that concerned."""
        self.moderation.ban(room, subject, until, reason)
        among: Iterable[Member] = self.members.all() if not room else ()
        if subject.kind == "user":
            among = self.members.of_user(subject.value)
        elif room and (channel := self.channels.find(room)) is not None:
            among = channel.members
        hit = [m for m in among if subject.matches(m.sender)]
        if not room:
            for member in hit:
                self._dismiss(member, Goodbye.BANNED, reason)
            return len(hit)
        if subject.kind != "user":  # shared, perhaps with those whose room it is
            options = self.namespaces.of(room)
            hit = [m for m in hit if not self._is_privileged(m.sender, room, options)]
        out = [m for m in hit if self.leave(m, room)]
        for member in out:
            member.on_removed(room, 2000, reason or "banned")
        return len(out)

    # Inside

    def _may_join(self, member: Member, room: Channel) -> None:
        sender = member.sender
        privileged = self._is_privileged(sender, room.name, room.options)
        self.moderation.check_ban(room.name, sender, trio.current_time(), privileged=privileged)
        if member in room.members:
            raise Refused(RefusalCode.CONFLICT, "already subscribed")
        if len(member.channels) >= self.limits.channels_per_member:
            raise Refused(RefusalCode.TOO_MANY, "too many channels on one connection")
        if len(room.members) >= room.options.max_members:
            raise Refused(RefusalCode.TOO_MANY, "the room is full")

    def _is_privileged(self, sender: Sender, room: str, options: ChannelOptions) -> bool:
        return not PRIVILEGED.isdisjoint(self.rules.of(room, options).roles(sender))

    def _ripen(self, room: Channel, now: float) -> None:
        self._publishing.ripen(room, now)

    def _remove(self, member: Member, room: Channel) -> None:
        room.leave(member)
        if room.tells_moves:
            room.move(member, joined=False)
            self.ticker.touch(room)
        self.channels.left(room)

    def _slow(self, member: Member) -> None:
        self._dismiss(member, Goodbye.SLOW)

    def _dismiss(self, member: Member, goodbye: Goodbye, reason: str = "") -> None:
        """Out of everything first, so that nothing follows what it could not be sent."""
        self.forget(member)
        member.on_goodbye(goodbye, reason or goodbye.reason)

    def _gap(self, member: Member, room: Channel) -> None:
        """A strict member cannot be sent everything: out, and told."""
        if self.leave(member, room.name):
            member.on_gap(room.name)


class Present:
    """`Hub.present`. A class and not a generator: every connection is inside of one, and a
    generator with its context manager takes 400 bytes."""

    __slots__ = ("_hub", "_member")

    def __init__(self, hub: Hub, member: Member) -> None:
        self._hub = hub
        self._member = member

    def __enter__(self) -> None:
        self._hub.enter(self._member)

    def __exit__(self, *error: object) -> None:
        self._hub.forget(self._member)


@asynccontextmanager
async def open_hub(
    *,
    namespaces: Namespaces | None = None,
    limits: HubLimits | None = None,
    kick: Kick | None = None,
    pacer: Pacer | None = None,
    log: DurableLog | None = None,
) -> AsyncIterator[Hub]:
    """The hub, with its two tasks: the ticker of all rooms and the committer to the log.

    pacer: divides the time spent on fan-out; its cap is the longest tick (0.25 s if None).
    """
    async with open_scope("im", "hub", aside=True) as scope:
        hub = Hub(
            namespaces=namespaces or Namespaces(),
            limits=limits or HubLimits(),
            kick=kick or Kick(),
            pacer=pacer or Pacer(cap=0.25),
            log=log or MemoryLog(),
        )
        scope.nursery.start_soon(hub.ticker.run, name="im ticker")
        scope.nursery.start_soon(hub.committer.run, name="im committer")
        scope.nursery.start_soon(hub.channels.sweep, name="im sweep")
        yield hub
