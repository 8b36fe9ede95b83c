"""RoomRpc: what moderators do from their own connection: Centrifugo's rpc, JSON in and out.

| method | asks | answers |
|---|---|---|
| room.me | room | user, moderator |
| room.mute, room.ban | room, client or user, seconds (0: for ever), reason | user or guest |
| room.unmute, room.unban | room, and user or guest, as answered | nothing |

A guest is found by his connection, which must be in the room; his device or address is meant, and
neither is told: `guest` is a word that only this server understands.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import trio

from livetrio.errors import RefusalCode, Refused
from livetrio.im.hub import Hub
from livetrio.im.moderation import Subject
from livetrio.im.options import check_channel
from livetrio.im.rules import PRIVILEGED
from livetrio.im.words import Sender
from livetrio.logs import get_logger

__all__ = ["RoomRpc"]

log = get_logger(__name__)

Json = Mapping[str, Any]
_KINDS: Final[tuple[Literal["user", "device", "ip"], ...]] = ("user", "device", "ip")
_MAX_TEXT: Final = 255
_MAX_SECONDS: Final = 1e10
_MOST_GUESTS: Final = 10_000
"""Words for guests that are understood; the oldest are forgotten: then operators pardon."""


class RoomRpc:
    """Fits `CentrifugePolicy.rpc`. Only who owns or moderates a room, by his token or by the
    room's rules, is listened to."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._key = secrets.token_bytes(32)
        self._guests: OrderedDict[str, Subject] = OrderedDict()
        self._methods: dict[str, Callable[[Sender, str, Json], Json]] = {
            "room.me": self._me,
            "room.mute": self._mute,
            "room.unmute": self._unmute,
            "room.ban": self._ban,
            "room.unban": self._unban,
        }

    async def __call__(self, sender: Sender, method: str, data: bytes) -> bytes:
        """Do what is asked.

        Raises:
            Refused: NOT_FOUND (no such method, nobody of that name), BAD_REQUEST, FORBIDDEN.
        """
        handler = self._methods.get(method)
        if handler is None:
            raise Refused(RefusalCode.NOT_FOUND, "no such method")
        asked = _object(data)
        room = check_channel(_text(asked, "room"))
        if method != "room.me" and not self._may_moderate(sender, room):
            raise Refused(RefusalCode.FORBIDDEN, "only owners and moderators of the room may")
        answer = handler(sender, room, asked)
        if method != "room.me":
            log.info("moderated", by=sender.user, method=method, room=room, **answer)
        return json.dumps(answer, ensure_ascii=False).encode()

    def _me(self, sender: Sender, room: str, asked: Json) -> Json:  # noqa: ARG002
        return {"user": sender.user, "moderator": self._may_moderate(sender, room)}

    def _mute(self, sender: Sender, room: str, asked: Json) -> Json:  # noqa: ARG002
        subject = self._whom(room, asked)
        self._hub.moderation.mute(room, subject, _until(asked), _text(asked, "reason", ""))
        return self._word(room, subject)

    def _ban(self, sender: Sender, room: str, asked: Json) -> Json:  # noqa: ARG002
        subject = self._whom(room, asked)
        self._hub.ban(room, subject, _until(asked), reason=_text(asked, "reason", ""))
        return self._word(room, subject)

    def _unmute(self, sender: Sender, room: str, asked: Json) -> Json:  # noqa: ARG002
        self._hub.moderation.lift("mute", room, self._named(asked))
        return {}

    def _unban(self, sender: Sender, room: str, asked: Json) -> Json:  # noqa: ARG002
        self._hub.moderation.lift("ban", room, self._named(asked))
        return {}

    def _may_moderate(self, sender: Sender, room: str) -> bool:
        rules = self._hub.rules.of(room, self._hub.namespaces.of(room))
        return not PRIVILEGED.isdisjoint(rules.roles(sender))

    def _whom(self, room: str, asked: Json) -> Subject:
        """Who is meant: the user of that connection; of an anonymous one the device, or else the
        address, which concerns all behind it."""
        if "client" not in asked:
            user = _text(asked, "user")
            subject = Subject("user", user)
            others = [Sender(user), *(m.sender for m in self._hub.members.of_user(user))]
        else:
            member = self._hub.members.get(_text(asked, "client"))
            # Of another room it is none of this one's moderators' business.
            if member is None or all(here.name != room for here in member.channels):
                raise Refused(RefusalCode.BAD_REQUEST, "that connection is not in the room")
            who = member.sender
            subject = next(s for kind in _KINDS if (s := Subject(kind, getattr(who, kind))).value)
            others = [who]
        if any(self._may_moderate(other, room) for other in others):
            raise Refused(RefusalCode.FORBIDDEN, "that is a moderator")
        return subject

    def _word(self, room: str, subject: Subject) -> Json:
        """How a moderator names him from now on."""
        if subject.kind == "user":
            return {"user": subject.value}
        meant = json.dumps([room, *subject]).encode()
        word = hmac.new(self._key, meant, hashlib.sha256).hexdigest()[:32]
        self._guests[word] = subject
        self._guests.move_to_end(word)
        if len(self._guests) > _MOST_GUESTS:
            self._guests.popitem(last=False)
        return {"guest": word}

    def _named(self, asked: Json) -> Subject:
        """Who is to be pardoned."""
        if ("user" in asked) == ("guest" in asked):
            raise Refused(RefusalCode.BAD_REQUEST, "name one of user and guest")
        if "user" in asked:
            return Subject("user", _text(asked, "user"))
        subject = self._guests.get(_text(asked, "guest"))
        if subject is None:
            raise Refused(RefusalCode.BAD_REQUEST, "no such guest")
        return subject


def _object(data: bytes) -> Json:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Refused(RefusalCode.BAD_REQUEST, "not a JSON object")
    return value


def _text(asked: Json, name: str, default: str | None = None) -> str:
    value = asked.get(name, default)
    if not isinstance(value, str) or len(value) > _MAX_TEXT or (not value and default is None):
        raise Refused(RefusalCode.BAD_REQUEST, f"{name} is missing or not a short text")
    return value


def _until(asked: Json) -> float:
    """Trio time; 0 seconds are for ever."""
    seconds = asked.get("seconds", 0)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise Refused(RefusalCode.BAD_REQUEST, "seconds is no number")
    if not 0 <= seconds <= _MAX_SECONDS:
        raise Refused(RefusalCode.BAD_REQUEST, "seconds is not from 0 on")
    return trio.current_time() + seconds if seconds else math.inf
