"""/v1/im: bans, mutes, the word filter and the rules of rooms."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Final, Literal

import trio
from quart import request
from quart_trio.wrappers import TrioResponse as Response

from livetrio.control.answers import BadRequest, json_answer
from livetrio.control.body import Body, read_body
from livetrio.control.fields import PAGING, paged
from livetrio.control.im_table import LIST, ROOM_PATH, im_operation
from livetrio.control.im_view import rules_view, sanction_view
from livetrio.control.table import Operation, Parameter
from livetrio.errors import RefusalCode, Refused
from livetrio.im.hub import Hub
from livetrio.im.moderation import Subject
from livetrio.im.options import check_channel
from livetrio.im.rules import OPEN, RoomRules
from livetrio.im.word_filter import Action

__all__ = ["ImModeration", "subject_of"]

Verb = Literal["ban", "mute"]
_KINDS: Final[tuple[Literal["user", "device", "ip"], ...]] = ("user", "device", "ip")
_TEXT: Final = {"type": "string"}
_NAMED: Final = dict.fromkeys(("user", "device", "ip"), _TEXT)
_SANCTION: Final = {
    "type": "object",
    "properties": {
        "room": {"type": "string", "description": "without: everywhere"},
        **_NAMED,
        "seconds": {"type": "number", "description": "without: for ever"},
        "reason": {"type": "string", "description": "told to whom it concerns"},
    },
}
_ACTIONS: Final = [action.name.lower() for action in Action if action is not Action.PASS]
_WORDS: Final = {
    "type": "object",
    "required": ["words"],
    "properties": {
        "words": {"type": "object", "additionalProperties": {"enum": _ACTIONS}},
        "replace": {
            "type": "boolean",
            "default": False,
            "description": "forget those that there were",
        },
    },
}


def _rule_schema(value: object) -> dict[str, Any]:
    match value:
        case bool():
            return {"type": "boolean"}
        case int():
            return {"type": "integer"}
        case float():
            return {"type": "number"}
        case frozenset():
            return {"type": "array", "items": _TEXT}
        case _:
            return {"type": "object", "additionalProperties": {"type": "number"}}


_DEFAULTS: Final = {f.name: getattr(OPEN, f.name) for f in dataclasses.fields(RoomRules)}
_RULES: Final = {
    "type": "object",
    "properties": {name: _rule_schema(value) for name, value in _DEFAULTS.items()},
}


class ImModeration:
    """The handlers. Refusals they raise become problem details."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._editing = trio.Lock()  # of the word list: building it takes a while

    def operations(self) -> list[Operation]:
        """For the operator's table."""
        get, post, delete = "GET", "POST", "DELETE"
        of_room = (Parameter("room", "only of this room; empty: those for everywhere"), *PAGING)
        one = (
            Parameter("room", "without: the one for everywhere"),
            *(Parameter(kind, "one of user, device and ip") for kind in _KINDS),
        )
        words, rules = "/v1/im/words", "/v1/im/rules/{name}"
        word = (Parameter("word", "which; without: all", schema=_TEXT),)
        bans, mutes = "/v1/im/bans", "/v1/im/mutes"
        return [
            im_operation(get, bans, "All bans", self.bans, of_room, LIST),
            im_operation(
                post, bans, "Ban a user, device or address, and show it the door", self.ban,
                body=_SANCTION,
            ),
            im_operation(delete, bans, "Lift a ban", self.unban, one),
            im_operation(get, mutes, "All mutes", self.mutes, of_room, LIST),
            im_operation(
                post, mutes, "Mute a user, device or address", self.mute, body=_SANCTION
            ),
            im_operation(delete, mutes, "Lift a mute", self.unmute, one),
            im_operation(get, words, "The words not liked", self.words, PAGING, LIST),
            im_operation(post, words, "Add words not liked", self.add_words, body=_WORDS),
            im_operation(delete, words, "Allow a word again, or all", self.remove_words, word),
            im_operation(get, rules, "The rules of a room", self.rules, ROOM_PATH),
            im_operation(
                post, rules, "Change rules of a room; those not named stay", self.change_rules,
                ROOM_PATH, body=_RULES,
            ),
            im_operation(
                delete, rules, "Back to the default rules", self.reset_rules, ROOM_PATH
            ),
        ]  # fmt: skip

    async def bans(self) -> Response:
        """GET /v1/im/bans"""
        return self._sanctions("ban")

    async def mutes(self) -> Response:
        """GET /v1/im/mutes"""
        return self._sanctions("mute")

    def _sanctions(self, verb: Verb) -> Response:
        now = trio.current_time()
        every = self._hub.moderation.sanctions(now, request.args.get("room"))
        chosen, about = paged(sanction for sanction in every if sanction.verb == verb)
        return json_answer({**about, "items": [sanction_view(one, now) for one in chosen]})

    async def ban(self) -> Response:
        """POST /v1/im/bans"""
        body = await read_body()
        room, subject, until = _sanction(body)
        gone = self._hub.ban(room, subject, until, reason=body.text("reason", ""))
        return json_answer({"kicked": gone})

    async def mute(self) -> Response:
        """POST /v1/im/mutes"""
        body = await read_body()
        room, subject, until = _sanction(body)
        self._hub.moderation.mute(room, subject, until, body.text("reason", ""))
        return json_answer({})

    async def unban(self) -> Response:
        """DELETE /v1/im/bans"""
        return self._lift("ban")

    async def unmute(self) -> Response:
        """DELETE /v1/im/mutes"""
        return self._lift("mute")

    def _lift(self, verb: Verb) -> Response:
        args = request.args
        subject = subject_of({kind: args[kind] for kind in _KINDS if kind in args})
        if not self._hub.moderation.lift(verb, args.get("room", ""), subject):
            raise Refused(RefusalCode.NOT_FOUND, f"there is no such {verb}")
        return json_answer({})

    async def words(self) -> Response:
        """GET /v1/im/words"""
        chosen, about = paged(self._hub.word_filter.words.items())
        items = [{"word": word, "action": action.name.lower()} for word, action in chosen]
        return json_answer({**about, "items": items})

    async def add_words(self) -> Response:
        """POST /v1/im/words"""
        body = await read_body()
        given = body.pairs("words", str)
        if strange := set(given.values()) - set(_ACTIONS):
            raise BadRequest(f"{strange.pop()!r:.40} is none of {', '.join(_ACTIONS)}")
        async with self._editing:
            known = {} if body.flag("replace") else dict(self._hub.word_filter.words)
            known |= {word: Action[action.upper()] for word, action in given.items()}
            await self._hub.word_filter.load(known)
        return json_answer({"words": len(known)})

    async def remove_words(self) -> Response:
        """DELETE /v1/im/words"""
        word = request.args.get("word")
        async with self._editing:
            known = dict(self._hub.word_filter.words)
            if word is None:
                known.clear()
            elif known.pop(word, None) is None:
                raise Refused(RefusalCode.NOT_FOUND, "there is no such word")
            await self._hub.word_filter.load(known)
        return json_answer({"words": len(known)})

    async def rules(self, name: str) -> Response:
        """GET /v1/im/rules/{name}"""
        options = self._hub.namespaces.of(check_channel(name))
        return json_answer(rules_view(self._hub.rules.of(name, options)))

    async def change_rules(self, name: str) -> Response:
        """POST /v1/im/rules/{name}"""
        body = await read_body()
        options = self._hub.namespaces.of(check_channel(name))
        if strange := [field for field in body if field not in _DEFAULTS]:
            raise BadRequest(f"there is no rule {strange[0][:40]!r}")
        changes = {field: _rule(body, field, _DEFAULTS[field]) for field in body}
        return json_answer(rules_view(self._hub.rules.change(name, options, **changes)))

    async def reset_rules(self, name: str) -> Response:
        """DELETE /v1/im/rules/{name}"""
        self._hub.rules.reset(check_channel(name))
        return json_answer(rules_view(self._hub.rules.of(name, self._hub.namespaces.of(name))))


def subject_of(named: dict[Literal["user", "device", "ip"], str]) -> Subject:
    """Whom fields of these names are about.

    Raises:
        BadRequest: nobody, or several.
    """
    if len(named) != 1:
        raise BadRequest("name one of user, device and ip")
    ((kind, value),) = named.items()
    return Subject(kind, value)


def _sanction(body: Body) -> tuple[str, Subject, float]:
    """Room ("": everywhere), whom, and the Trio time until."""
    room = body.text("room", "")
    if room:
        check_channel(room)
    subject = subject_of({kind: body.text(kind) for kind in _KINDS if kind in body})
    until = trio.current_time() + body.number("seconds", math.inf)
    return room, subject, until


def _rule(body: Body, name: str, default: object) -> object:
    """One rule's value in its type; `RoomRules` looks at its range."""
    match default:
        case bool():
            return body.flag(name)
        case int():
            return body.integer(name)
        case float():
            return body.amount(name)
        case frozenset():
            return frozenset(body.texts(name))
        case _:
            return body.pairs(name, float)
