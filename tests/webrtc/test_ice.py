"""IceAgent and Throttle, without a socket."""

from __future__ import annotations

from livetrio.webrtc.ice import IceAgent, IceCredentials, Throttle
from livetrio.wire.stun import build_request, parse_stun

HERE = ("192.0.2.1", 4242)


def check(agent, credentials, **changes):
    data = build_request(
        bytes(12),
        f"{credentials.ufrag}:x",
        credentials.pwd,
        priority=1,
        **({"controlling": 1} | changes),
    )
    return agent.check(parse_stun(data), HERE)


def test_credentials_are_long_enough_and_never_the_same():
    made = {IceCredentials.make() for _ in range(100)}
    assert len({one.ufrag for one in made}) == len({one.pwd for one in made}) == 100
    assert all(len(one.ufrag) >= 4 and len(one.pwd) >= 22 for one in made)
    assert not any(one.pwd in repr(one) for one in made)


def test_a_good_check_is_answered_and_nominates_if_it_says_so():
    agent = IceAgent()
    plain, chosen = check(agent, agent.local), check(agent, agent.local, use_candidate=True)
    assert (plain.valid, plain.nominated) == (True, False)
    assert (chosen.valid, chosen.nominated) == (True, True)
    assert parse_stun(chosen.reply).mapped == HERE


def test_two_restarts_in_a_row_keep_what_the_peer_still_uses():
    agent = IceAgent()
    first = agent.local
    second, third = agent.restart(), agent.restart()
    assert agent.ufrags == (third.ufrag, first.ufrag)
    assert check(agent, first).valid
    assert check(agent, second) is None
    assert check(agent, third).valid
    assert check(agent, first) is None
    assert agent.ufrags == (third.ufrag,)


def test_the_throttle_forgets_every_second_and_is_bounded():
    throttle = Throttle(limit=3, sources=2)
    for _ in range(3):
        assert not throttle.blocked("a", 1.0)
        throttle.failed("a")
    assert throttle.blocked("a", 1.9)
    assert not throttle.blocked("b", 1.9)
    throttle.failed("b")
    for _ in range(10):
        throttle.failed("c")  # no room: not counted, so nobody new is shut out by a flood
    assert not throttle.blocked("c", 1.9)
    assert not throttle.blocked("a", 2.0)
