"""Who may do what, as one table: each action by each role, to himself and to others."""

from __future__ import annotations

import pytest
from kit.rooms import Followed, user

from livetrio.errors import RefusalCode, Refused
from livetrio.webrtc.rooms.actions import Action
from livetrio.webrtc.rooms.permissions import RULES, Role, check

#           admin owner manager seated audience; upper case: in rooms with free seats only
TABLE = {
    Action.APPLY: ("aomsu", ""),
    Action.WITHDRAW: ("aomsu", ""),
    Action.ADMIT: ("", "aom"),
    Action.REJECT: ("", "aom"),
    Action.INVITE: ("", "aom"),
    Action.REVOKE: ("", "aom"),
    Action.ACCEPT: ("aomsu", ""),
    Action.DECLINE: ("aomsu", ""),
    Action.TAKE: ("aomSU", ""),
    Action.LEAVE: ("s", ""),
    Action.MOVE: ("s", "aom"),
    Action.KICK: ("", "aom"),
    Action.LOCK: ("", "aom"),
    Action.UNLOCK: ("", "aom"),
    Action.MUTE: ("s", "aom"),
    Action.UNMUTE: ("s", "aom"),
    Action.RAISE: ("s", ""),
    Action.LOWER: ("s", "aom"),
    Action.ARRANGE: ("", "aom"),
    Action.GAIN: ("", "aom"),
    Action.KEY: ("s", ""),
    Action.APPOINT: ("", "ao"),
    Action.DISMISS: ("m", "ao"),
    Action.BATTLE: ("", "ao"),
    Action.END_BATTLE: ("", "ao"),
    Action.SCORE: ("", "a"),
    Action.END: ("", "ao"),
}
ROLES = {
    "a": Role.ADMIN, "o": Role.OWNER, "m": Role.MANAGER, "s": Role.SEATED, "u": Role.AUDIENCE,
}  # fmt: skip


def allowed(action: Action, role: Role, *, own: bool, free: bool) -> bool:
    try:
        check(action, frozenset({role}), own=own, free=free)
    except Refused as refusal:
        return refusal.code is not RefusalCode.FORBIDDEN
    return True


def test_the_table_has_every_action() -> None:
    assert TABLE.keys() == RULES.keys() == set(Action)


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("letter", ROLES)
def test_each_role_may_what_the_table_says_and_nothing_else(action: Action, letter: str) -> None:
    own, others = TABLE[action]
    role = ROLES[letter]
    assert allowed(action, role, own=True, free=False) == (letter in own)
    assert allowed(action, role, own=True, free=True) == (letter in own.lower())
    assert allowed(action, role, own=False, free=False) == (letter in others)
    assert allowed(action, role, own=False, free=True) == (letter in others)


@pytest.mark.parametrize(
    ("actor", "target", "may"),
    [
        (Role.MANAGER, Role.OWNER, False),
        (Role.MANAGER, Role.MANAGER, False),
        (Role.MANAGER, Role.SEATED, True),
        (Role.OWNER, Role.MANAGER, True),
        (Role.OWNER, Role.OWNER, False),
        (Role.ADMIN, Role.OWNER, True),
    ],
)
def test_who_acts_on_another_is_of_a_higher_rank(actor: Role, target: Role, may: bool) -> None:
    def ask() -> None:
        check(Action.KICK, frozenset({actor}), own=False, free=False, rank=target)

    if may:
        ask()
    else:
        with pytest.raises(Refused, match="you cannot kick the"):
            ask()


@pytest.mark.parametrize("action", ["kick", "mute", "lock", "unlock"])
@pytest.mark.parametrize("by", ["bob", "stranger"])
def test_commands_of_the_wrong_role_change_nothing(action: str, by: str) -> None:
    on = Followed(free=True)
    on.do("take", "bob", seat=2)
    on.refused(RefusalCode.FORBIDDEN, action, by, seat=1)


def test_nobody_without_a_name_may_do_anything() -> None:
    on = Followed(free=True)
    for action in Action:
        with pytest.raises(Refused):
            on.do(action.value, user(""), user="bob", seat=2)
    assert on.known["version"] == 1


def test_the_owner_of_one_room_is_nobody_in_another() -> None:
    on = Followed()
    foreign = user("zoe", "host", "owner")  # a token's "owner" says nothing of which room
    on.refused(RefusalCode.FORBIDDEN, "kick", foreign, seat=1)
    on.refused(RefusalCode.FORBIDDEN, "appoint", foreign, user="zoe")
