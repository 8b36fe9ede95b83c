"""Permissions: who may do what in a room, as a table."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final, NamedTuple

from livetrio.errors import RefusalCode, Refused
from livetrio.webrtc.rooms.actions import Action

__all__ = ["RULES", "Role", "Rule", "check"]


class Role(enum.IntEnum):
    """What somebody is in a room; one may be several. The number is the rank: whoever acts on
    another must be of a higher one."""

    AUDIENCE = 0
    SEATED = 1
    MANAGER = 2
    OWNER = 3
    ADMIN = 4
    """The site's back end, or its staff: not of the room."""


class Rule(NamedTuple):
    """Of one action: who may, with regard to himself and to others."""

    own: frozenset[Role] = frozenset()
    others: frozenset[Role] = frozenset()
    own_where_free: frozenset[Role] = frozenset()
    """Beside `own`, in rooms whose seats are free for everybody."""


_EVERYBODY: Final = frozenset(Role)
_STAFF: Final = frozenset({Role.MANAGER, Role.OWNER, Role.ADMIN})
_HEADS: Final = frozenset({Role.OWNER, Role.ADMIN})
_SEATED: Final = frozenset({Role.SEATED})

RULES: Final[Mapping[Action, Rule]] = {
    Action.APPLY: Rule(own=_EVERYBODY),
    Action.WITHDRAW: Rule(own=_EVERYBODY),
    Action.ADMIT: Rule(others=_STAFF),
    Action.REJECT: Rule(others=_STAFF),
    Action.INVITE: Rule(others=_STAFF),
    Action.REVOKE: Rule(others=_STAFF),
    Action.ACCEPT: Rule(own=_EVERYBODY),
    Action.DECLINE: Rule(own=_EVERYBODY),
    Action.TAKE: Rule(own=_STAFF, own_where_free=_EVERYBODY),
    Action.LEAVE: Rule(own=_SEATED),
    Action.MOVE: Rule(own=_SEATED, others=_STAFF),
    Action.KICK: Rule(others=_STAFF),
    Action.LOCK: Rule(others=_STAFF),
    Action.UNLOCK: Rule(others=_STAFF),
    Action.MUTE: Rule(own=_SEATED, others=_STAFF),
    Action.UNMUTE: Rule(own=_SEATED, others=_STAFF),
    Action.RAISE: Rule(own=_SEATED),
    Action.LOWER: Rule(own=_SEATED, others=_STAFF),
    Action.ARRANGE: Rule(others=_STAFF),
    Action.GAIN: Rule(others=_STAFF),
    Action.KEY: Rule(own=_SEATED),
    Action.APPOINT: Rule(others=_HEADS),
    Action.DISMISS: Rule(own=frozenset({Role.MANAGER}), others=_HEADS),
    Action.BATTLE: Rule(others=_HEADS),
    Action.END_BATTLE: Rule(others=_HEADS),
    # Not the owner: he would decide what the gifts to him are worth.
    Action.SCORE: Rule(others=frozenset({Role.ADMIN})),
    Action.END: Rule(others=_HEADS),
}
"""Every action has a rule. What concerns nobody, or the room, counts as another's."""


def check(
    action: Action,
    roles: frozenset[Role],
    *,
    own: bool,
    free: bool,
    rank: Role = Role.AUDIENCE,
) -> None:
    """Whether somebody with these roles may.

    Args:
        own: does it concern himself?
        free: are the room's seats free for everybody?
        rank: the highest role of whom it concerns, where that is somebody else.

    Raises:
        Refused: FORBIDDEN.
    """
    rule = RULES[action]
    allowed = rule.own if own else rule.others
    if own and free:
        allowed |= rule.own_where_free
    if not roles & allowed:
        raise Refused(RefusalCode.FORBIDDEN, _reason(action, rule, own=own))
    if not own and rank >= Role.MANAGER and max(roles) <= rank:
        raise Refused(RefusalCode.FORBIDDEN, f"you cannot {action.value} the {rank.name.lower()}")


def _reason(action: Action, rule: Rule, *, own: bool) -> str:
    if own and Role.SEATED in rule.own:
        return f"only who has a seat may {action.value}"
    if own and action is Action.TAKE:
        return "seats have to be applied for in this room"
    allowed = rule.others or rule.own
    names = [role.name.lower() for role in sorted(allowed)]
    return f"{action.value} is for: {', '.join(names)}"
