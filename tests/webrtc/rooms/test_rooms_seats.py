"""Seats of a room: who comes to them and how, and what is told of it."""

from __future__ import annotations

import pytest
from kit.rooms import Followed, command, consistent, user

from livetrio.errors import RefusalCode, Refused
from livetrio.webrtc.rooms.actions import Caller

CONFLICT, FORBIDDEN = RefusalCode.CONFLICT, RefusalCode.FORBIDDEN


@pytest.fixture
def on() -> Followed:
    return Followed()


@pytest.fixture
def voice() -> Followed:
    return Followed("voice", free=True)


def test_the_owner_has_the_first_seat_and_the_others_are_empty(on: Followed) -> None:
    assert on.seat(1)["user"] == "anna"
    assert [on.seat(n)["state"] for n in (2, 3, 4)] == ["empty"] * 3
    assert on.known["owner"] == {"user": "anna", "name": "Anna"}
    assert (on.known["version"], on.events[0].type) == (1, "room.opened")


def test_an_applicant_is_admitted_to_the_seat_he_wished_for(on: Followed) -> None:
    on.do("apply", "bob", seat=3)
    assert on.known["applications"]["bob"] == {"name": "Bob", "ticket": 1, "version": 2, "seat": 3}
    (event,) = on.do("admit", "anna", user="bob")
    assert event.type == "seat.taken"
    assert event.about == {"by": "anna", "seat": 3, "user": "bob"}
    assert on.users() == {1: "anna", 3: "bob"}
    assert on.known["applications"] == {}
    consistent(on.room, on.known)


def test_an_applicant_whose_wish_is_taken_gets_another_seat(on: Followed) -> None:
    on.do("apply", "bob", seat=3)
    on.do("invite", "anna", user="carl", seat=3)
    on.do("admit", "anna", user="bob")
    assert on.users()[2] == "bob"


def test_applying_twice_keeps_the_place_in_the_queue(on: Followed) -> None:
    on.do("apply", "bob")
    on.do("apply", "carl")
    assert on.do("apply", "bob") == ()
    on.do("apply", "bob", seat=2)
    assert on.known["applications"]["bob"]["ticket"] == 1


def test_applications_end_by_their_sender_or_by_a_manager(on: Followed) -> None:
    on.do("apply", "bob")
    on.do("apply", "carl")
    assert on.do("withdraw", "bob")[0].type == "application.withdrawn"
    assert on.do("reject", "anna", user="carl")[0].type == "application.rejected"
    assert on.do("withdraw", "bob") == ()
    assert on.known["applications"] == {}


def test_the_queue_is_bounded_and_says_so() -> None:
    on = Followed(applications=10_000)
    for number in range(10_000):
        on.room.apply(command("apply", f"u{number}"), on.now)
    with pytest.raises(Refused) as refusal:
        on.room.apply(command("apply", "one more"), on.now)
    assert refusal.value.code is RefusalCode.TOO_MANY
    on.known = on.room.state.view()
    assert len(on.known["applications"]) == 10_000
    on.do("withdraw", "u3")
    assert on.do("apply", "late")[0].type == "application.made"
    consistent(on.room, on.known)


def test_an_invitation_reserves_a_seat_until_it_is_accepted(on: Followed) -> None:
    on.do("invite", "anna", user="bob", seat=2)
    assert on.seat(2) == {
        "state": "reserved", "user": "bob", "version": 2, "until": round((1e9 + 1030) * 1000),
    }  # fmt: skip
    on.do("apply", "carl")
    reason = on.refused(CONFLICT, "admit", "anna", user="carl", seat=2)
    assert reason == "seat 2 is reserved for somebody else"
    assert on.do("accept", "bob")[0].type == "seat.taken"
    assert on.seat(2)["name"] == "Bob"
    assert on.do("accept", "bob") == ()


def test_who_is_invited_cannot_apply_and_is_not_invited_twice(on: Followed) -> None:
    on.do("invite", "anna", user="bob", seat=2)
    assert on.refused(CONFLICT, "apply", "bob") == "you have an invitation to seat 2"
    assert on.refused(CONFLICT, "invite", "anna", user="bob") == "he has an invitation to seat 2"
    on.refused(CONFLICT, "reject", "anna", user="bob")
    assert on.refused(CONFLICT, "mute", "anna", seat=2) == "nobody sits on seat 2"


@pytest.mark.parametrize(("action", "by"), [("decline", "bob"), ("revoke", "anna")])
def test_an_invitation_declined_or_revoked_frees_its_seat(on: Followed, action, by) -> None:
    on.do("invite", "anna", user="bob", seat=2)
    on.do(action, by, user="bob" if by == "anna" else "")
    assert on.seat(2)["state"] == "empty"
    on.refused(CONFLICT, "accept", "bob")
    consistent(on.room, on.known)


def test_of_two_who_take_one_seat_one_wins_and_the_other_hears_why(voice: Followed) -> None:
    voice.do("take", "bob", seat=2)
    assert voice.refused(CONFLICT, "take", "carl", seat=2) == "seat 2 is taken by somebody else"
    assert voice.users() == {1: "anna", 2: "bob"}
    assert voice.do("take", "carl")[0].about["seat"] == 3


def test_nobody_has_two_seats(voice: Followed) -> None:
    voice.do("take", "bob", seat=2)
    assert voice.do("take", "bob", seat=2) == ()
    assert voice.refused(CONFLICT, "take", "bob", seat=3) == "you have seat 2: move"
    assert voice.refused(CONFLICT, "apply", "bob") == "you have seat 2"
    assert voice.refused(CONFLICT, "invite", "anna", user="bob") == "he has seat 2"


def test_who_takes_a_seat_loses_his_application_and_his_invitation(voice: Followed) -> None:
    voice.do("apply", "bob")
    voice.do("invite", "anna", user="bob", seat=3)
    (event,) = voice.do("take", "bob", seat=2)
    assert set(event.changes["seats"]) == {"2", "3"}
    assert event.changes["applications"] == {"bob": None}
    assert voice.seat(3)["state"] == "empty"
    consistent(voice.room, voice.known)


def test_all_seats_taken_is_a_conflict_for_everybody_else() -> None:
    on = Followed("voice", seats=2, free=True)
    on.do("take", "bob")
    assert on.refused(CONFLICT, "take", "carl") == "there is no empty seat"
    assert on.refused(CONFLICT, "invite", "anna", user="carl") == "there is no empty seat"


def test_moving_takes_switches_and_hand_along_in_one_event(voice: Followed) -> None:
    voice.do("take", "bob", seat=2)
    voice.do("mute", "anna", seat=2)
    voice.do("raise", "bob")
    (event,) = voice.do("move", "bob", to=4)
    assert set(event.changes["seats"]) == {"2", "4"}
    assert voice.seat(2) == {"state": "empty", "version": event.version}
    moved = voice.seat(4)
    assert (moved["microphone"], moved["hand"]) == ("off-by-manager", True)
    assert voice.do("move", "bob", to=4) == ()
    voice.refused(CONFLICT, "move", "bob", to=1)
    voice.refused(RefusalCode.NOT_FOUND, "move", "bob", to=17)


def test_leaving_and_being_kicked_leave_an_empty_seat(voice: Followed) -> None:
    voice.do("take", "bob", seat=2)
    voice.do("take", "carl", seat=3)
    voice.do("leave", "bob")
    assert voice.do("kick", "anna", seat=3)[0].about == {"by": "anna", "seat": 3, "user": "carl"}
    assert voice.users() == {1: "anna"}
    assert voice.refused(FORBIDDEN, "leave", "bob") == "only who has a seat may leave"
    assert voice.refused(CONFLICT, "kick", "anna", seat=3) == "nobody sits on seat 3"


def test_a_kick_for_somebody_who_has_left_meanwhile_hits_nobody_else(voice: Followed) -> None:
    voice.do("take", "bob", seat=2)
    voice.do("leave", "bob")
    voice.do("take", "carl", seat=2)
    reason = voice.refused(CONFLICT, "kick", "anna", seat=2, user="bob")
    assert reason == "seat 2 is somebody else's by now"
    assert voice.users()[2] == "carl"


def test_a_locked_seat_is_nobodys_until_it_is_unlocked(voice: Followed) -> None:
    assert voice.do("unlock", "anna", seat=2) == ()
    voice.do("lock", "anna", seat=2)
    assert voice.do("lock", "anna", seat=2) == ()
    assert voice.refused(CONFLICT, "take", "bob", seat=2) == "seat 2 is locked"
    assert voice.do("take", "bob")[0].about["seat"] == 3
    assert voice.refused(CONFLICT, "lock", "anna", seat=3) == "seat 3 is taken"
    voice.do("unlock", "anna", seat=2)
    voice.do("move", "bob", to=2)


def test_what_a_manager_switched_off_its_user_cannot_switch_on(voice: Followed) -> None:
    voice.do("take", "bob", seat=2)
    voice.do("mute", "anna", seat=2)
    assert voice.seat(2)["microphone"] == "off-by-manager"
    voice.refused(FORBIDDEN, "unmute", "bob")
    assert voice.do("mute", "bob") == ()  # it does not become his own doing
    voice.do("unmute", "anna", seat=2)
    assert voice.seat(2)["microphone"] == "off"  # nobody is switched on by others
    assert voice.do("unmute", "anna", seat=2) == ()
    voice.do("unmute", "bob")
    assert voice.seat(2)["microphone"] == "on"


def test_a_camera_is_switched_like_a_microphone(on: Followed) -> None:
    on.do("mute", "anna", medium="camera")
    assert (on.seat(1)["camera"], on.seat(1)["microphone"]) == ("off", "on")


def test_a_voice_room_has_no_cameras(voice: Followed) -> None:
    assert voice.seat(1)["camera"] == "off"
    voice.refused(RefusalCode.BAD_REQUEST, "unmute", "anna", medium="camera")


def test_a_hand_is_raised_by_its_owner_and_lowered_by_either(voice: Followed) -> None:
    voice.do("take", "bob", seat=2)
    voice.do("raise", "bob")
    assert voice.seat(2)["hand"] is True
    assert voice.do("raise", "bob") == ()
    voice.do("lower", "anna", seat=2)
    assert voice.seat(2)["hand"] is False
    voice.refused(FORBIDDEN, "raise", "anna", seat=2)


def test_managers_are_appointed_and_dismissed(on: Followed) -> None:
    on.do("appoint", "anna", user="bob")
    assert on.known["managers"] == {"bob": True}
    assert on.do("appoint", "anna", user="bob") == ()
    assert on.do("dismiss", "anna", user="carl") == ()
    on.do("invite", "bob", user="carl")
    on.do("dismiss", "anna", user="bob")
    assert on.known["managers"] == {}
    on.refused(FORBIDDEN, "revoke", "bob", user="carl")
    for number in range(50):
        on.do("appoint", "anna", user=f"m{number}")
    on.refused(RefusalCode.TOO_MANY, "appoint", "anna", user="one more")


def test_markup_in_a_name_is_data_and_invisible_characters_are_none(on: Followed) -> None:
    evil = Caller.named("eve", "<img src=x onerror=alert(1)>\n\u202e\x00", frozenset())
    on.do("apply", evil)
    assert on.known["applications"]["eve"]["name"] == "<img src=x onerror=alert(1)>"
    assert len(Caller.named("u", "x" * 10_000, frozenset()).name) == 64
    assert Caller.named("u", {"a": 1}, frozenset()).name == "u"


@pytest.mark.parametrize("name", ["a\nb", "x" * 129, "\u202e", "\ud800"])
def test_users_that_cannot_be_shown_are_refused(on: Followed, name: str) -> None:
    with pytest.raises(Refused):
        Caller.named(name, "", frozenset())
    with pytest.raises(Refused):
        on.do("invite", "anna", user=name)


def test_an_ended_room_has_no_seat_and_takes_no_command(voice: Followed) -> None:
    voice.do("take", "bob", seat=2)
    voice.do("apply", "carl")
    voice.hear(voice.room.end("closed", voice.now, "anna"))
    assert (voice.known["phase"], voice.known["reason"]) == ("ended", "closed")
    assert not {"seats", "applications", "managers", "pk"} & voice.known.keys()
    assert voice.users() == {}
    voice.refused(RefusalCode.GONE, "take", "dora")
    assert voice.room.end("again", voice.now) == ()
    assert voice.room.deadline == float("inf")
    consistent(voice.room, voice.known)


def test_the_site_s_moderators_manage_every_room(voice: Followed) -> None:
    voice.do("take", "bob", seat=2)
    voice.do("mute", user("mod", "moderator"), seat=2)
    assert voice.seat(2)["microphone"] == "off-by-manager"
    voice.refused(FORBIDDEN, "kick", user("mod", "moderator"), seat=1)
    voice.do("kick", user("root", "admin"), seat=1)
