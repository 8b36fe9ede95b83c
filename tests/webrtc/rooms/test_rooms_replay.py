"""Commands that come twice, late or out of order, and too many of them."""

from __future__ import annotations

import pytest
from kit.rooms import Followed, command, consistent

from livetrio.errors import RefusalCode, Refused
from livetrio.webrtc.rooms.events import difference, merged
from livetrio.webrtc.rooms.pace import Pace
from livetrio.webrtc.rooms.replay import Answered

CONFLICT = RefusalCode.CONFLICT


@pytest.fixture
def on() -> Followed:
    return Followed("voice", free=True)


def test_a_repeated_command_is_answered_as_the_first_time_and_not_done_again(on) -> None:
    first = on.do("take", "bob", seat=2, key="k1")
    on.do("leave", "bob")
    assert on.do("take", "bob", seat=2, key="k1") == first
    assert on.users() == {1: "anna"}


def test_a_repeated_refusal_is_a_refusal_though_it_could_be_done_by_now(on) -> None:
    on.do("take", "bob", seat=2)
    reason = on.refused(CONFLICT, "take", "carl", seat=2, key="k1")
    on.do("leave", "bob")
    assert on.refused(CONFLICT, "take", "carl", seat=2, key="k1") == reason


def test_a_key_is_for_one_command_of_one_user_for_some_minutes(on) -> None:
    on.do("take", "bob", seat=2, key="k1")
    reason = on.refused(CONFLICT, "take", "bob", seat=3, key="k1")
    assert reason == "the key was used for another command"
    on.do("take", "carl", seat=3, key="k1")
    on.arrive("anna", "bob", "carl")
    on.wait(301)
    assert on.do("leave", "bob", key="k1")[0].type == "seat.left"


def test_one_user_s_keys_push_out_nobody_else_s() -> None:
    answered = Answered()
    mine = command("take", "bob", key="mine")
    answered.keep(mine, (), None, 0.0)
    for number in range(5000):
        answered.keep(command("take", "eve", key=str(number)), (), None, 0.0)
    assert answered.find(mine, 1.0) == ()
    assert answered.find(command("take", "eve", key="0"), 1.0) is None
    assert answered.find(command("take", "eve", key="4999"), 1.0) == ()


def test_all_keys_together_are_bounded() -> None:
    answered = Answered()
    for number in range(5000):
        answered.keep(command("take", f"u{number}", key="k"), (), None, 0.0)
    assert answered.find(command("take", "u0", key="k"), 1.0) is None
    assert answered.find(command("take", "u4999", key="k"), 1.0) == ()


def test_keys_that_are_too_long_are_refused() -> None:
    with pytest.raises(Refused):
        command("take", "bob", key="x" * 129)


def test_a_command_is_refused_if_what_it_concerns_has_changed_since(on) -> None:
    on.do("take", "bob", seat=2)
    seen = on.known["version"]
    on.do("unmute", "bob")
    on.do("mute", "bob")
    reason = on.refused(CONFLICT, "kick", "anna", seat=2, version=seen)
    assert reason == "this has changed since the version named"
    on.do("kick", "anna", seat=2, version=on.known["version"])


def test_what_changed_elsewhere_in_the_room_is_no_conflict(on) -> None:
    on.do("take", "bob", seat=2)
    seen = on.known["version"]
    on.do("take", "carl", seat=3)
    on.do("apply", "dora")
    on.do("mute", "anna", seat=2, version=seen)


def test_of_two_commands_that_overtook_each_other_the_late_one_is_refused(on) -> None:
    on.do("take", "bob", seat=2)
    seen = on.known["version"]
    on.do("mute", "bob", version=seen)
    on.refused(CONFLICT, "mute", "bob", medium="microphone", version=seen - 1)
    on.refused(CONFLICT, "leave", "bob", version=seen)
    assert on.users()[2] == "bob"


def test_a_version_from_the_future_is_refused(on) -> None:
    on.refused(CONFLICT, "take", "bob", seat=2, version=2)


@pytest.mark.parametrize("action", ["admit", "reject"])
def test_an_application_withdrawn_and_made_again_is_another_one(on, action) -> None:
    on.do("apply", "bob")
    seen = on.known["version"]
    on.do("withdraw", "bob")
    on.do("apply", "bob", seat=4)
    on.refused(CONFLICT, action, "anna", user="bob", version=seen)


def test_managers_that_others_changed_are_a_conflict(on) -> None:
    seen = on.known["version"]
    on.do("appoint", "anna", user="bob")
    on.refused(CONFLICT, "dismiss", "anna", user="bob", version=seen)


def test_who_is_too_hasty_is_refused_and_may_go_on_later() -> None:
    on = Followed("voice", free=True, pace=Pace(rate=1.0, burst=3))
    for _ in range(3):
        on.do("mute", "anna")
    on.refused(RefusalCode.TOO_MANY, "unmute", "anna")
    on.do("take", "bob")  # others are not concerned
    on.now += 1.0
    on.do("unmute", "anna")
    consistent(on.room, on.known)


def test_paces_are_forgotten_in_the_end() -> None:
    pace = Pace(rate=1.0, burst=1)
    for number in range(20_000):
        pace.spend(f"u{number}", 0.0)
    pace.spend("u0", 0.0)  # was forgotten
    with pytest.raises(Refused):
        pace.spend("u19999", 0.0)


@pytest.mark.parametrize(
    ("state", "patch", "result"),
    [  # RFC 7396, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": "foo"}, {"b": None}, {"a": "foo"}),
        (["a", "b"], {"a": 1}, {"a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": "b"}, "c", "c"),
    ],
)
def test_changes_are_merge_patches(state, patch, result) -> None:
    assert merged(state, patch) == result


def test_the_difference_of_two_states_leads_from_one_to_the_other() -> None:
    one = {"a": 1, "b": {"c": 2, "d": 3}, "e": {"f": 4}, "same": {"g": 5}}
    two = {"a": 2, "b": {"d": 3, "x": 6}, "e": 7, "same": {"g": 5}}
    patch = difference(one, two)
    assert patch == {"a": 2, "b": {"c": None, "x": 6}, "e": 7}
    assert merged(one, patch) == two
