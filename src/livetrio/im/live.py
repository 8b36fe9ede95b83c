"""Live lanes: the way of an ephemeral channel's publication from the pipeline to its number."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any, Final

from livetrio.im.channel import Channel
from livetrio.im.lanes import Sampler
from livetrio.im.rules import Rulebook
from livetrio.im.words import Lane, Position, Publication

__all__ = ["LiveLanes", "kind_of"]

_MAX_COUNTED: Final = 1024
"""Bytes of a message that may be a like; a longer one is chat."""
_MAX_AMOUNT: Final = 1_000_000

Place = Callable[[Channel, Publication], None]


class LiveLanes:
    """Decides per lane: at once, merged into what comes later, or to its sender alone."""

    def __init__(
        self,
        rules: Rulebook,
        broadcast: Place,
        alone: Place,
        remind: Callable[[Channel, float], None],
    ) -> None:
        """
        Args:
            broadcast: queue for everybody.
            alone: show to the sender alone.
            remind: have `ripen` called for this channel at this time.
        """
        self._rules = rules
        self._broadcast = broadcast
        self._alone = alone
        self._remind = remind

    def publish(self, room: Channel, publication: Publication, now: float) -> Position:
        """Number and queue it, or not (see `Position.offset`)."""
        match publication.lane:
            case Lane.P2:
                placed = self._count(room, publication, now)
            case Lane.P1:
                placed = self._sample(room, publication, now)
            case Lane.P0:
                placed = self._combine(room, publication, now)
        return placed or self._number(room, publication, now)

    def ripen(self, room: Channel, now: float) -> None:
        """Queue merged publications whose time has come; called by the ticker before a cut."""
        lanes = room.lanes
        for kind, counter in lanes.ripe_counters(now):
            data = _merged(counter.last.data, kind, counter.new, counter.total)
            counter.new = 0
            # State, not history: not numbered, so that one who loses it has no gap.
            self._broadcast(room, dataclasses.replace(counter.last, data=data, sender=None))
        rules = self._rules.of(room.name, room.options)
        for combo in lanes.ripe_combos(now, rules.combo_window):
            if (last := combo.waiting) is not None:
                data = _merged(last.data, "", combo.total, combo.total)
                tags = {**last.tags, "count": str(combo.total)}
                self._number(room, dataclasses.replace(last, data=data, tags=tags), now)
        if lanes.busy:  # always: an earlier tick has taken the place of a later reminder
            self._remind(room, lanes.next_due())

    def _number(self, room: Channel, publication: Publication, now: float) -> Position:
        position = room.number(publication, now)
        self._broadcast(room, publication)
        return position

    def _sample(self, room: Channel, publication: Publication, now: float) -> Position | None:
        rules = self._rules.of(room.name, room.options)
        if not rules.budget:
            return None
        sampler = room.lanes.sampler
        if sampler is None:
            sampler = room.lanes.sampler = Sampler()
        weight = 1.0
        if rules.weights and publication.sender is not None:
            roles = rules.roles(publication.sender)
            weight = max((rules.weights.get(role, 1.0) for role in roles), default=1.0)
        if sampler.admits(rules.budget, weight, now):
            return None
        self._alone(room, publication)
        return Position(room.epoch, 0)

    def _count(self, room: Channel, publication: Publication, now: float) -> Position | None:
        kind, amount = kind_of(publication.data)
        if publication.sender is not None:
            amount = 1  # a client's word for more is not taken
        window = self._rules.of(room.name, room.options).counter_window
        if not room.lanes.count(kind, publication, amount, now + window):
            return None
        self._remind(room, room.lanes.next_due())
        return Position(room.epoch, 0)

    def _combine(self, room: Channel, publication: Publication, now: float) -> Position | None:
        combo = publication.tags.get("combo")
        if not combo:
            return None
        giver = publication.tags.get("user", "")
        if not giver and publication.sender is not None:
            giver = publication.sender.user
        key = giver, combo
        _, amount = kind_of(publication.data)
        if room.lanes.combine(key, publication, amount) is not None:
            return Position(room.epoch, 0)
        window = self._rules.of(room.name, room.options).combo_window
        room.lanes.begin(key, amount, now + window)
        self._remind(room, room.lanes.next_due())
        return None


def kind_of(data: bytes) -> tuple[str, int]:
    """ "type" and "count" of a small JSON object; ("", 1) of anything else."""
    if len(data) > _MAX_COUNTED or not data.startswith(b"{"):
        return "", 1
    found = _object(data)
    kind, count = found.get("type"), found.get("count")
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= _MAX_AMOUNT:
        count = 1
    return (kind if isinstance(kind, str) else ""), count


def _merged(data: bytes, kind: str, count: int, total: int) -> bytes:
    """The message that stands for several: the last one's object with the sums in it."""
    found = _object(data) if data.startswith(b"{") else {}
    if kind:  # a counter is nobody's: only what it counts
        found = {"type": kind, "total": total}
    elif not found:
        return data
    found["count"] = count
    return json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
