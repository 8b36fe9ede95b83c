"""Publishing: the way of a message from its sender to its number; the only place that numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import trio

from livetrio.errors import RefusalCode, Refused
from livetrio.im.channel import Channel
from livetrio.im.channels import Channels
from livetrio.im.commit import Committer
from livetrio.im.idempotency import check_id
from livetrio.im.live import LiveLanes
from livetrio.im.member import Member
from livetrio.im.members import Members
from livetrio.im.options import HubLimits, Kind
from livetrio.im.pipeline import Draft, Pipeline
from livetrio.im.rules import Rulebook
from livetrio.im.ticker import Ticker
from livetrio.im.words import Lane, Position, Publication, Sender
from livetrio.store.log import DurableLog

__all__ = ["Publishing"]


class Publishing:
    """Idempotency, rules, then the way of the channel's class; `Hub.publish` is its face."""

    def __init__(
        self,
        channels: Channels,
        members: Members,
        pipeline: Pipeline,
        rules: Rulebook,
        limits: HubLimits,
        log: DurableLog,
        ticker: Ticker,
        gap: Callable[[Member, Channel], None],
    ) -> None:
        """gap: for strict members when a log has lost what they know."""
        self._channels = channels
        self._members = members
        self._pipeline = pipeline
        self._limits = limits
        self._ticker = ticker
        self._gap = gap
        self.committer = Committer(log, self._committed)
        self._live = LiveLanes(rules, self._broadcast, self._alone, ticker.at)

    async def publish(
        self,
        room: Channel,
        data: bytes,
        sender: Sender | None,
        op: int,
        lane: Lane | None,
        id_: str,
        tags: Mapping[str, str],
        *,
        skip_history: bool,
    ) -> Position:
        """As `Hub.publish`."""
        now = trio.current_time()
        check_id(id_)
        author = (sender.user or sender.client) if sender is not None else ""
        if id_ and (known := room.recent.get((author, id_), now)) is not None:
            return known
        if sender is not None:
            self._must_be_in(room, sender)
        draft = Draft(room.name, room.options, data, sender, lane, tags)
        verdict = self._pipeline.judge(draft, now)
        publication = Publication(
            0, int(time.time() * 1000), verdict.data, op, sender, tags, verdict.lane, id_
        )
        if verdict.shadowed:
            self._alone(room, publication)
            position = Position(room.epoch, 0)
        elif skip_history:
            self._broadcast(room, publication)
            position = Position(room.epoch, 0)
        else:
            match room.options.kind:
                case Kind.DURABLE:
                    position = await self.committer.append(room, publication)
                case Kind.STATE:
                    position = room.replace(publication)
                    self._ticker.touch(room)
                case Kind.EPHEMERAL:
                    position = self._live.publish(room, publication, now)
        if id_:
            room.recent.put((author, id_), position, now)
        return position

    def ripen(self, room: Channel, now: float) -> None:
        """Number and queue what was merged and is due; the ticker's first step."""
        self._live.ripen(room, now)

    def _must_be_in(self, room: Channel, sender: Sender) -> None:
        """A connection speaks where it is; a back end may speak for a user anywhere."""
        if sender.client:
            member = self._members.get(sender.client)
            if member is None or member not in room.members:
                raise Refused(RefusalCode.FORBIDDEN, "join the channel before you publish")

    def _broadcast(self, room: Channel, publication: Publication) -> None:
        room.pend(publication)
        self._ticker.touch(room)
        self._channels.account(room)

    def _committed(self, room: Channel, publication: Publication, position: Position) -> None:
        """The log has it: number, remember, broadcast."""
        if position.epoch != room.epoch:  # the log was lost, and begins anew
            for member in [member for member in room.members if member.strict]:
                self._gap(member, room)
            room.begin(position._replace(offset=position.offset - 1))
        if position.offset == room.offset + 1:
            room.number(publication, trio.current_time())
            self._broadcast(room, publication)

    def _alone(self, room: Channel, publication: Publication) -> None:
        """Show it to its sender and nobody else."""
        sender = publication.sender
        member = self._members.get(sender.client) if sender is not None else None
        if member is not None and member in room.members:
            frame = member.view.batch(room.name, [publication])
            if frame and member.outbox.queued + len(frame) <= self._limits.keep_chat:
                member.outbox.send(frame)
