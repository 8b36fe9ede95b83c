"""Moderation: who is banned from where and who may not speak, until a time or for ever."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, Literal, NamedTuple

from livetrio.errors import RefusalCode, Refused
from livetrio.im.words import Sender

__all__ = ["Moderation", "Sanction", "Subject"]

_MOST: Final = 200_000
"""Bans and mutes remembered; with more, the one that ends first of the oldest few goes, a room's
before one of the whole server."""
_MOST_OF_A_ROOM: Final = 10_000
"""Of these, of one room: its moderators cannot push out anybody else's."""
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
        self._rooms: dict[str, OrderedDict[_Key, None]] = {}
        """The keys of each room's, oldest first; "" are those that hold everywhere."""

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
        return self._drop((verb, room, subject))

    def sanctions(self, now: float, room: str | None = None) -> Iterator[Sanction]:
        """Those in force, of one room or of all."""
        for sanction in list(self._all.values()):
            if sanction.until > now and room in (None, sanction.room):
                yield sanction

    def check_ban(self, room: str, sender: Sender, now: float, *, privileged: bool = False) -> None:
        """Raises Refused (FORBIDDEN) if he may not be in the room ("": connect at all).

        privileged: he owns or moderates the room, and what it has against a device or an address
            is not about him who shares it.
        """
        if self._all:
            self._check("ban", room, sender, now, privileged)

    def check_speech(
        self, room: str, sender: Sender, now: float, *, privileged: bool = False
    ) -> None:
        """Raises Refused (FORBIDDEN) if he may not speak in the room; see `check_ban`."""
        if self._all:
            self._check("ban", room, sender, now, privileged)
            self._check("mute", room, sender, now, privileged)

    def _check(
        self,
        verb: Literal["ban", "mute"],
        room: str,
        sender: Sender,
        now: float,
        privileged: bool,
    ) -> None:
        for place in {"", room}:
            for kind in ("user", "device", "ip"):
                if privileged and place and kind != "user":
                    continue
                value = getattr(sender, kind)
                key = verb, place, Subject(kind, value)
                sanction = self._all.get(key) if value else None
                if sanction is None:
                    continue
                if sanction.until <= now:
                    self._drop(key)
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
        self._drop(key)
        if sanction.room and len(self._rooms.get(sanction.room, ())) >= _MOST_OF_A_ROOM:
            self._make_place(self._rooms[sanction.room])
        if len(self._all) >= _MOST:
            # Those of the whole server go last: a room's must not push them out.
            place = next((room for room in self._rooms if room), "")
            if sanction.room and not place:
                raise Refused(RefusalCode.TOO_MANY, "too many bans and mutes on this server")
            self._make_place(self._rooms[place])
        self._all[key] = sanction
        self._rooms.setdefault(sanction.room, OrderedDict())[key] = None

    def _make_place(self, keys: Iterable[_Key]) -> None:
        """Forget the one that ends first of the oldest few."""
        self._drop(min(islice(keys, 100), key=lambda k: self._all[k].until))

    def _drop(self, key: _Key) -> bool:
        """Forget one; False if there was none."""
        if self._all.pop(key, None) is None:
            return False
        of_room = self._rooms[key[1]]
        del of_room[key]
        if not of_room:
            del self._rooms[key[1]]
        return True
