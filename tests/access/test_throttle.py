"""How many wrong keys an address has."""

import pytest

from livetrio.access.throttle import FailureLimit


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_ten_failures_and_then_no_more(clock):
    limit = FailureLimit(clock)
    assert [limit.take("192.0.2.1") for _ in range(12)] == [True] * 10 + [False] * 2
    assert limit.take("192.0.2.2")


def test_guesses_come_back_with_time_up_to_ten(clock):
    limit = FailureLimit(clock)
    for _ in range(10):
        limit.take("192.0.2.1")
    clock.now += 6
    assert limit.take("192.0.2.1")
    assert not limit.take("192.0.2.1")
    clock.now += 1e6
    assert [limit.take("192.0.2.1") for _ in range(11)] == [True] * 10 + [False]


def test_a_right_answer_costs_nothing_and_is_forgotten(clock):
    limit = FailureLimit(clock)
    for _ in range(100):
        assert limit.take("192.0.2.1")
        limit.give_back("192.0.2.1")
    assert not limit._buckets


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("somewhere", "elsewhere", False),
    ],
)
def test_who_counts_as_one(clock, one, other, same):
    limit = FailureLimit(clock, failures=1)
    assert limit.take(one)
    assert limit.take(other) is not same


def test_the_table_is_bounded_and_the_quiet_are_forgotten_first(clock):
    limit = FailureLimit(clock, failures=1, peers=3)
    for peer in ("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"):
        assert limit.take(peer)
    assert len(limit._buckets) == 3
    assert not limit.take("192.0.2.4")
    assert limit.take("192.0.2.1")
