"""Moderation: who is banned from where and who may not speak, until a time or for ever."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from livetrio.errors import RefusalCode, Refused
from livetrio.im.words import Sender

__all__ = ["Moderation", "Sanction", "Subject"]

_MOST: Final = 200_000
"""Bans and mutes remembered; with more, the one that ends first of the oldest few goes."""
_MAX_VALUE: Final = 256


class Subject(NamedTuple):
    """Whom a ban or mute is about."""

    kind: Literal["user", "device", "ip"]
    value: str

    def matches(self, sender: Sender) -> bool:
        """Is it about him? Never about everybody that has no user (device, address)."""
        return bool(self.value) and self.value == getattr(sender, self.kind)


class Sanction(NamedTuple):
    """One ban or mute, as operators see it."""

    verb: Literal["ban", "mute"]
    room: str
    """"": everywhere."""
    subject: Subject
    until: float
    """Trio time; inf: for ever."""
    reason: str


_Key = tuple[str, str, Subject]


class Moderation:
    """Looked up by what a sender is: at most twelve dictionary look-ups, whatever their number."""

    def __init__(self) -> None:
        self._all: OrderedDict[_Key, Sanction] = OrderedDict()

    def __len__(self) -> int:
        return len(self._all)

    def ban(self, room: str, subject: Subject, until: float = math.inf, reason: str = "") -> None:
        """May not join, nor speak. Raises Refused (BAD_REQUEST)."""
        self._put(Sanction("ban", room, subject, until, reason))

    def mute(self, room: str, subject: Subject, until: float = math.inf, reason: str = "") -> None:
        """May not speak. Raises Refused (BAD_REQUEST)."""
        self._put(Sanction("mute", room, subject, until, reason))

    def lift(self, verb: Literal["ban", "mute"], room: str, subject: Subject) -> bool:
        """Take it back; False if there was none."""
        return self._all.pop((verb, room, subject), None) is not None

    def sanctions(self, now: float, room: str | None = None) -> Iterator[Sanction]:
        """Those in force, of one room or of all."""
        for sanction in list(self._all.values()):
            if sanction.until > now and room in (None, sanction.room):
                yield sanction

    def check_ban(self, room: str, sender: Sender, now: float) -> None:
        """Raises Refused (FORBIDDEN) if he may not be in the room ("": connect at all)."""
        if self._all:
            self._check("ban", room, sender, now)

    def check_speech(self, room: str, sender: Sender, now: float) -> None:
        """Raises Refused (FORBIDDEN) if he may not speak in the room."""
        if self._all:
            self._check("ban", room, sender, now)
            self._check("mute", room, sender, now)

    def _check(self, verb: Literal["ban", "mute"], room: str, sender: Sender, now: float) -> None:
        for place in {"", room}:
            for kind in ("user", "device", "ip"):
                value = getattr(sender, kind)
                key = verb, place, Subject(kind, value)
                sanction = self._all.get(key) if value else None
                if sanction is None:
                    continue
                if sanction.until <= now:
                    del self._all[key]
                    continue
                what = "banned" if verb == "ban" else "muted"
                when = "" if math.isinf(sanction.until) else f" for {sanction.until - now:.0f} s"
                why = f": {sanction.reason}" if sanction.reason else ""
                raise Refused(RefusalCode.FORBIDDEN, f"{what}{when}{why}")

    def _put(self, sanction: Sanction) -> None:
        subject = sanction.subject
        if subject.kind not in ("user", "device", "ip") or not subject.value:
            raise Refused(RefusalCode.BAD_REQUEST, "a user, device or ip must be named")
        if len(subject.value) > _MAX_VALUE or math.isnan(sanction.until):
            raise Refused(RefusalCode.BAD_REQUEST, "not a possible user, device, ip or time")
        key = sanction.verb, sanction.room, subject
        self._all.pop(key, None)
        if len(self._all) >= _MOST:
            oldest = [k for k, _ in zip(self._all, range(100), strict=False)]
            del self._all[min(oldest, key=lambda k: self._all[k].until)]
        self._all[key] = sanction
