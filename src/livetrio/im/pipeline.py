"""Pipeline: may this be said here, in what words and in which lane; the stages in their order.

ban, mute, membership, forgery; then, for those without a privileged role: quiet rooms, size, word
filter, rate, slow mode, repeats. What a filter will refuse is refused before it counts towards a
rate.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from livetrio.errors import RefusalCode, Refused
from livetrio.im.live import kind_of
from livetrio.im.moderation import Moderation
from livetrio.im.options import ChannelOptions, HubLimits, is_room_of_stream
from livetrio.im.rate import Rates
from livetrio.im.rules import PRIVILEGED, RoomRules, Rulebook
from livetrio.im.word_filter import Action, WordFilter
from livetrio.im.words import Lane, Sender

__all__ = ["Draft", "Pipeline", "Verdict"]

_MAX_TAGS = 32
_MAX_TAG = 256
_OF_ROOMS: Final = frozenset({"changes", "slots", "life"})
_TYPES_OF_ROOMS: Final = ("room.", "seat.", "pk.", "application.", "manager.")


@dataclass(slots=True, eq=False)
class Draft:
    """What somebody wants to say."""

    room: str
    options: ChannelOptions
    data: bytes
    sender: Sender | None
    lane: Lane | None
    tags: Mapping[str, str]


@dataclass(slots=True, eq=False)
class Verdict:
    """What becomes of it."""

    data: bytes
    lane: Lane
    shadowed: bool = False
    """Only its sender is shown it, and is not told so."""


class Pipeline:
    """One for all rooms: rules and rates are looked up by room."""

    def __init__(
        self, rules: Rulebook, moderation: Moderation, words: WordFilter, limits: HubLimits
    ) -> None:
        self._rules = rules
        self._moderation = moderation
        self._words = words
        self._limits = limits
        self._rates = Rates()

    def judge(self, draft: Draft, now: float) -> Verdict:
        """Every stage.

        Raises:
            Refused: BAD_REQUEST, FORBIDDEN or TOO_MANY, with what may be told to the sender.
        """
        if len(draft.data) > self._limits.data_size:
            raise Refused(RefusalCode.BAD_REQUEST, f"over {self._limits.data_size} bytes")
        tags = draft.tags
        if tags and (
            len(tags) > _MAX_TAGS or any(len(k) + len(v) > _MAX_TAG for k, v in tags.items())
        ):
            raise Refused(RefusalCode.BAD_REQUEST, "too many or too long tags")
        rules = self._rules.of(draft.room, draft.options)
        sender = draft.sender
        if sender is None:
            return Verdict(draft.data, _server_lane(draft, rules))
        privileged = not PRIVILEGED.isdisjoint(rules.roles(sender))
        self._moderation.check_speech(draft.room, sender, now, privileged=privileged)
        if is_room_of_stream(draft.room) and _is_word_of_room(draft.data):
            reason = "only the server tells what happens in a room"
            raise Refused(RefusalCode.FORBIDDEN, reason)
        if privileged:
            return Verdict(draft.data, Lane.P0 if draft.lane is None else draft.lane)
        if rules.quiet:
            raise Refused(RefusalCode.FORBIDDEN, "only moderators may speak here now")
        if rules.max_size and len(draft.data) > rules.max_size:
            raise Refused(RefusalCode.BAD_REQUEST, f"over {rules.max_size} bytes")
        data, shadowed = draft.data, False
        if rules.words:
            found = self._words.look(draft.data)
            if found.action is Action.BLOCK:
                raise Refused(RefusalCode.FORBIDDEN, "a word in it is not allowed here")
            data, shadowed = found.data, found.action is Action.SHADOW
        lane = _client_lane(draft, rules)
        author = sender.user or sender.client or sender.ip
        address = "" if sender.user else sender.ip
        if lane is Lane.P2:  # likes have a rate of their own, and are all the same
            author = f"{author}\0{Lane.P2}"
            address = address and f"{address}\0{Lane.P2}"
            self._rates.check(draft.room, author, b"", _likes(rules), now, address)
        else:
            self._rates.check(draft.room, author, draft.data, rules, now, address)
        return Verdict(data, lane, shadowed)


def _is_word_of_room(data: bytes) -> bool:
    """Might a page take it for an event of a co-host room, by which seats and microphones go?

    Read as leniently as any page may read it: escapes, a byte order mark, bytes that are no
    UTF-8, numbers of any length. Refused: to look for the words in the bytes.
    """
    text = data.decode("utf-8-sig", "replace").lstrip()
    if not text.startswith("{"):
        return False
    try:
        words = json.loads(text, parse_int=float)
    except RecursionError:  # deeper than we can look; JavaScript can
        return True
    except ValueError:
        return False
    kind = words.get("type")
    typed = isinstance(kind, str) and kind.startswith(_TYPES_OF_ROOMS)
    return typed or not _OF_ROOMS.isdisjoint(words)


def _server_lane(draft: Draft, rules: RoomRules) -> Lane:
    """The server's own: what it says, or must, but for counters."""
    if draft.lane is not None:
        return draft.lane
    return Lane.P2 if _counts(draft, rules) else Lane.P0


def _client_lane(draft: Draft, rules: RoomRules) -> Lane:
    """Chat, unless it is (or calls itself) less."""
    return Lane.P2 if draft.lane is Lane.P2 or _counts(draft, rules) else Lane.P1


def _counts(draft: Draft, rules: RoomRules) -> bool:
    return bool(rules.counters) and kind_of(draft.data)[0] in rules.counters


_LIKES = RoomRules(rate=10.0, burst=30)


def _likes(rules: RoomRules) -> RoomRules:
    return _LIKES if rules.rate else rules
