"""Who speaks, who is loudest, and which seat is in which slot."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetrio.webrtc.rooms.loudest import Loudest
from livetrio.webrtc.rooms.seat import Seat, Switch
from livetrio.webrtc.rooms.slots import Slots, audible, visible
from livetrio.webrtc.rooms.speaking import Speaking

LOUD, QUIET = -20.0, -90.0


class TestSpeaking:
    def test_a_voice_is_told_once_it_has_lasted_and_until_it_has_rested(self) -> None:
        speaking = Speaking()
        assert not speaking.hear(1, LOUD, 0.0)
        assert speaking.news(0.0) is None
        assert speaking.hear(1, LOUD, 0.1)
        assert speaking.news(0.1) == (1,)
        assert speaking.news(0.6) is None
        assert speaking.deadline == pytest.approx(0.7)
        assert speaking.news(speaking.deadline) == ()
        assert speaking.deadline == math.inf

    def test_a_cough_is_no_speech(self) -> None:
        speaking = Speaking()
        speaking.hear(1, LOUD, 0.0)
        for tenth in range(1, 20):
            speaking.hear(1, QUIET, tenth / 10)
            assert speaking.news(tenth / 10) is None

    def test_a_breath_is_no_silence(self) -> None:
        speaking = Speaking()
        for tenth in range(5):
            speaking.hear(1, LOUD, tenth / 10)
        assert speaking.news(0.4) == (1,)
        for tenth in range(5, 9):
            speaking.hear(1, QUIET, tenth / 10)
            assert speaking.news(tenth / 10) is None
        speaking.hear(1, LOUD, 0.9)
        assert speaking.news(1.2) is None

    def test_a_level_between_the_thresholds_goes_on_but_begins_nothing(self) -> None:
        speaking = Speaking(on=-45, off=-50)
        for tenth in range(10):
            speaking.hear(1, -48.0, tenth / 10)
        assert speaking.news(1.0) is None
        speaking.hear(1, LOUD, 1.0)
        speaking.hear(1, LOUD, 1.1)
        assert speaking.news(1.1) == (1,)
        for tenth in range(12, 30):
            speaking.hear(1, -48.0, tenth / 10)
            assert speaking.news(tenth / 10) is None

    def test_a_muted_seat_is_silent_at_once(self) -> None:
        speaking = Speaking(interval=0.0)
        speaking.hear(1, LOUD, 0.0)
        speaking.hear(1, LOUD, 0.1)
        assert speaking.news(0.1) == (1,)
        speaking.silence(1)
        assert speaking.deadline <= 0.1
        assert speaking.news(0.11) == ()

    def test_however_voices_change_there_are_five_news_a_second_at_most(self) -> None:
        speaking = Speaking(attack=0.0, hold=0.01)
        news = []
        for step in range(500):  # 5 s, each 10 ms another seat
            speaking.hear(step % 16 + 1, LOUD, step / 100)
            if speaking.news(step / 100) is not None:
                news.append(step / 100)
        assert 20 <= len(news) <= 26
        assert all(b - a >= 0.199 for a, b in itertools.pairwise(news))

    def test_the_last_state_is_told_in_the_end(self) -> None:
        speaking = Speaking(attack=0.0)
        speaking.hear(1, LOUD, 0.0)
        assert speaking.news(0.0) == (1,)
        speaking.hear(2, LOUD, 0.05)
        assert speaking.news(0.05) is None
        assert speaking.deadline == pytest.approx(0.2)
        assert speaking.news(speaking.deadline) == (1, 2)


class TestLoudest:
    def test_with_few_seats_all_are_chosen_loud_or_not(self) -> None:
        assert Loudest(3).choose([4, 2], 0.0) == (2, 4)

    def test_the_loudest_of_many_are_chosen(self) -> None:
        loudest = Loudest(3)
        for seat, level in enumerate([-60, -20, -70, -30, -25], 1):
            loudest.hear(seat, level, 0.0)
        assert loudest.choose(range(1, 6), 0.0) == (2, 4, 5)

    def test_two_of_about_the_same_loudness_do_not_flicker(self) -> None:
        loudest = Loudest(1)
        changes, last = 0, ()
        for step in range(1000):
            now = step / 50
            loudest.hear(1, -30 + 2 * math.sin(step), now)
            loudest.hear(2, -30 - 2 * math.sin(step), now)
            chosen = loudest.choose([1, 2], now)
            changes += chosen != last
            last = chosen
        assert changes == 1

    def test_a_louder_one_takes_over_but_not_within_the_hold(self) -> None:
        loudest = Loudest(1, hold=1.0)
        loudest.hear(1, -40, 0.0)
        assert loudest.choose([1, 2], 0.0) == (1,)
        for step in range(1, 100):
            now = step / 50
            loudest.hear(1, -40, now)
            loudest.hear(2, -15, now)
            assert loudest.choose([1, 2], now) == ((1,) if now < 1.0 else (2,))

    def test_who_leaves_makes_room_at_once(self) -> None:
        loudest = Loudest(1)
        loudest.hear(1, -20, 0.0)
        loudest.hear(2, -60, 0.0)
        assert loudest.choose([1, 2], 0.0) == (1,)
        assert loudest.choose([2], 0.1) == (2,)

    def test_a_seat_that_sends_no_level_any_more_is_silent(self) -> None:
        loudest = Loudest(1)
        loudest.hear(1, -20, 0.0)
        assert loudest.choose([1, 2], 0.0) == (1,)
        loudest.hear(2, -60, 2.0)
        assert loudest.choose([1, 2], 2.0) == (2,)

    @given(
        st.lists(
            st.tuples(st.sets(st.integers(1, 8)), st.integers(1, 8), st.floats(-127, 0)),
            max_size=30,
        )
    )
    def test_never_more_than_there_are_places_and_none_is_left_empty(self, steps) -> None:
        loudest = Loudest(3)
        for step, (seats, seat, level) in enumerate(steps):
            loudest.hear(seat, level, step * 0.1)
            chosen = loudest.choose(seats, step * 0.1)
            assert set(chosen) <= seats
            assert len(set(chosen)) == len(chosen) == min(3, len(seats))


class TestSlots:
    def test_seats_fill_the_slots_in_their_order(self) -> None:
        slots = Slots(3)
        slots.assign([2, 5])
        assert slots.seats == [2, 5, None]

    def test_who_leaves_moves_nobody_else(self) -> None:
        slots = Slots(3)
        slots.assign([1, 2, 3])
        slots.assign([1, 3])
        assert slots.seats == [1, None, 3]
        slots.assign([1, 3, 4])
        assert slots.seats == [1, 4, 3]

    def test_one_for_another_is_one_change(self) -> None:
        slots = Slots(4)
        slots.assign([1, 2])
        slots.assign([2, 3])
        assert slots.seats == [3, 2, None, None]

    def test_with_more_seats_than_slots_the_important_ones_are_shown(self) -> None:
        slots = Slots(2)
        slots.assign([1, 2, 3])
        assert slots.seats == [1, 2]
        slots.assign([3, 1, 2])
        assert slots.seats == [1, 3]

    @given(
        st.integers(0, 5),
        st.lists(st.lists(st.integers(1, 9), unique=True), max_size=20),
    )
    def test_changes_are_as_few_as_can_be_and_lead_to_what_was_wanted(self, count, steps) -> None:
        slots = Slots(count)
        for wanted in steps:
            before = list(slots.seats)
            slots.assign(wanted)
            filled = [seat for seat in slots.seats if seat is not None]
            expected = wanted[:count]
            assert sorted(filled) == sorted(expected)
            # A seat that stays keeps its slot, so each change brings one or takes one away.
            new, gone = set(expected) - set(before), set(before) - {None} - set(expected)
            changes = sum(old != now for old, now in zip(before, slots.seats, strict=True))
            assert changes == max(len(new), len(gone))


def test_only_who_is_there_and_switched_on_is_seen_or_heard() -> None:
    def seat(number: int, **fields) -> Seat:
        made = Seat(number)
        made.take(f"u{number}", "", camera=True)
        made.present = True
        for name, value in fields.items():
            setattr(made, name, value)
        return made

    empty = Seat(9)
    seats = [
        seat(1), seat(2, present=False), seat(3, microphone=Switch.OFF),
        seat(4, camera=Switch.OFF_BY_MANAGER), empty,
    ]  # fmt: skip
    assert visible(seats) == [1, 3]
    assert audible(seats) == [1, 4]
