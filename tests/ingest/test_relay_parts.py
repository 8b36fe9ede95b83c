"""The parts of relays that need no socket: addresses, loops, back-off."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetrio.errors import RefusalCode, Refused
from livetrio.ingest.backoff import Backoff
from livetrio.ingest.relay_loops import Loops
from livetrio.ingest.relay_url import (
    HttpUrl,
    local_key,
    parse_url,
    remote_of,
    secrets_of,
    shown,
)
from livetrio.net.dial import Remote
from livetrio.net.listen import Address
from livetrio.packet import StreamKey

KEY = StreamKey("live", "movie")


# -- addresses ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "remote"),
    [
        ("rtmp://h/a/b", Remote("h", 1935, False)),
        ("rtmps://h/a/b", Remote("h", 443, True)),
        ("RTMP://h:1/a/b", Remote("h", 1, False)),
        ("http://h/a.flv", Remote("h", 80, False)),
        ("https://h:8443/a.flv?x=1", Remote("h", 8443, True)),
        ("http://[::1]:7001/live/movie.flv", Remote("::1", 7001, False)),
    ],
)
def test_the_schemes_of_rtmp_and_http_can_be_pulled(text: str, remote: Remote):
    assert remote_of(parse_url("pull", text)) == remote


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("pull", "file:///etc/passwd"),
        ("pull", "ftp://h/a.flv"),
        ("pull", "gopher://h/a"),
        ("pull", "//h/a.flv"),
        ("pull", "/etc/passwd"),
        ("pull", ""),
        ("pull", "http://"),
        ("pull", "http:///a.flv"),
        ("pull", "http://h:0/a.flv"),
        ("pull", "http://h:99999/a.flv"),
        ("pull", "http://[::1/a.flv"),
        ("pull", "http://h/a b.flv"),
        ("pull", "http://h/a\r\nX: y"),
        ("pull", "http://h/\tx"),
        ("pull", "http://h/é.flv"),
        ("pull", "http://h/" + "a" * 5000),
        ("pull", "rtmp://h"),
        ("pull", "rtmp://h/app"),
        ("push", "http://h/a.flv"),
        ("push", "file:///tmp/x"),
        ("push", "rtmp://h/app"),
    ],
)
def test_every_other_address_is_refused_without_repeating_it(kind: str, text: str):
    with pytest.raises(Refused) as refused:
        parse_url(kind, text)
    assert refused.value.code is RefusalCode.BAD_REQUEST
    if len(text) > 3:
        assert text not in refused.value.reason


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_refused(text: str):
    for kind in ("pull", "push"):
        for prefix in ("", "http://", "rtmp://"):
            try:
                url = parse_url(kind, prefix + text)
            except Refused:
                continue
            shown(url, kind, KEY)
            local_key(url)
            secrets_of(url, kind)


def test_a_redirect_is_relative_to_where_it_was_given():
    url = HttpUrl.parse("https://h:8443/live/a.flv?x=1")
    assert url.redirected("b.flv") == HttpUrl("h", 8443, True, "/live/b.flv")
    assert url.redirected("/c?y") == HttpUrl("h", 8443, True, "/c", "y")
    assert url.redirected("http://other/d") == HttpUrl("other", 80, False, "/d")


@pytest.mark.parametrize("location", ["file:///etc/passwd", "rtmp://h/a/b", "http://[", "a b"])
def test_a_redirect_to_anything_but_http_is_refused(location: str):
    with pytest.raises(Refused):
        HttpUrl.parse("http://h/a.flv").redirected(location)


def test_a_password_follows_a_redirect_only_to_its_own_origin():
    url = HttpUrl.parse("http://me:pass%20word@h/a.flv")
    assert url.user == "me:pass word"
    assert url.redirected("/b.flv").user == "me:pass word"
    assert url.redirected("http://other/b.flv").user is None
    assert url.redirected("https://h/b.flv").user is None
    assert url.redirected("http://h:81/b.flv").user is None


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("pull", "rtmp://h/live/movie?token=s3cret&a", "rtmp://h/live/movie?token=…&…"),
        ("pull", "http://me:pw@h:81/a.flv?auth_key=s3cret", "http://h:81/a.flv?auth_key=…"),
        ("push", "rtmp://h/live/abcdefgh-1234", "rtmp://h/live/abcd…"),
        ("push", "rtmp://h/live/short", "rtmp://h/live/…"),
        ("push", "rtmp://h/live/movie", "rtmp://h/live/movie"),
        ("push", "rtmps://h/a/b/movie?k=v", "rtmps://h/a/b/movie?k=…"),
        ("pull", "rtmp://[::1]:1/live/movie", "rtmp://[::1]:1/live/movie"),
    ],
)
def test_an_address_is_shown_without_its_secrets(kind: str, text: str, expected: str):
    assert shown(parse_url(kind, text), kind, KEY) == expected


def test_secrets_are_found_longest_first_and_trifles_are_none():
    url = parse_url("push", "rtmp://h/live/abcdefgh?token=s3cret&x=1&barevalue")
    assert secrets_of(url, "push") == [
        "token=s3cret&x=1&barevalue",
        "barevalue",
        "abcdefgh",
        "s3cret",
    ]
    assert secrets_of(parse_url("pull", "rtmp://h/live/abcdefgh"), "pull") == []


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("rtmp://h/live/movie", KEY),
        ("rtmp://h/live/movie?x=1", KEY),
        ("rtmp://h/live/a/b%20c", StreamKey("live", "a/b c")),
        ("http://h/live/movie.flv?only=audio", KEY),
        ("http://h/live/a/b%20c.flv", StreamKey("live", "a/b c")),
        ("http://h/movie.flv", None),
        ("rtmp://h/live/..", None),
    ],
)
def test_the_stream_that_an_address_would_mean_here(text: str, key: StreamKey | None):
    assert local_key(parse_url("pull", text)) == key


# -- loops -------------------------------------------------------------------------------------


def key(name: str) -> StreamKey:
    return StreamKey("live", name)


def test_a_stream_is_not_relayed_onto_itself():
    with pytest.raises(Refused, match="live/a would be relayed onto itself") as refused:
        Loops([]).add("1", key("a"), key("a"))
    assert refused.value.code is RefusalCode.FORBIDDEN


def test_a_ring_of_relays_is_refused_and_named():
    loops = Loops([])
    loops.add("1", key("a"), key("b"))
    loops.add("2", key("b"), key("c"))
    loops.add("3", key("b"), key("d"))
    with pytest.raises(Refused, match="from live/c to live/a to live/b to live/c"):
        loops.add("4", key("c"), key("a"))
    loops.add("5", key("c"), key("d"))  # two ways to one stream are no ring


def test_a_relay_that_is_gone_or_replaced_closes_no_ring():
    loops = Loops([])
    loops.add("1", key("a"), key("b"))
    loops.add("2", key("b"), key("a"), instead_of=["1"])
    loops.remove("1")
    loops.add("2", key("b"), key("a"))
    with pytest.raises(Refused):
        loops.add("1", key("a"), key("b"))
    loops.remove("2")
    loops.remove("2")
    loops.add("1", key("a"), key("b"))


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=30))
def test_whatever_is_added_there_is_never_a_ring(arrows: list[tuple[int, int]]):
    loops = Loops([])
    accepted: set[tuple[int, int]] = set()

    def reaches(start: int, end: int) -> bool:
        seen, pending = set(), [start]
        while pending:
            here = pending.pop()
            if here == end:
                return True
            if here not in seen:
                seen.add(here)
                pending += [b for a, b in accepted if a == here]
        return False

    for number, (source, target) in enumerate(arrows):
        ring = reaches(target, source)
        try:
            loops.add(str(number), key(str(source)), key(str(target)))
        except Refused:
            assert ring
        else:
            assert not ring
            accepted.add((source, target))


@pytest.mark.parametrize(
    ("bound", "ip", "port", "own"),
    [
        (None, "127.0.0.1", 1935, True),
        (None, "127.0.0.2", 1935, True),
        (None, "::1", 1935, True),
        (None, "0.0.0.0", 1935, True),
        (None, "::ffff:127.0.0.1", 1935, True),
        (None, "127.0.0.1", 1936, False),
        (None, "192.0.2.1", 1935, False),
        ("127.0.0.1", "127.0.0.1", 1935, True),
        ("127.0.0.1", "::ffff:127.0.0.1", 1935, True),
        ("127.0.0.1", "0.0.0.0", 1935, True),
        ("127.0.0.1", "127.0.0.2", 1935, False),
        ("::1", "::", 1935, True),
        ("192.0.2.7", "192.0.2.7", 1935, True),
        ("192.0.2.7", "0.0.0.0", 1935, False),
        ("not-an-ip", "127.0.0.1", 1935, False),
    ],
)
def test_our_own_listeners_are_recognised_by_address(bound, ip: str, port: int, own: bool):
    assert Loops([Address(bound, 1935)]).is_own(ip, port) is own


# -- back-off ----------------------------------------------------------------------------------


def test_waits_grow_from_the_shortest_to_the_longest_and_begin_anew():
    backoff = Backoff(1.0, 30.0, draw=lambda low, high: high)
    assert [backoff.next() for _ in range(5)] == [3.0, 9.0, 27.0, 30.0, 30.0]
    backoff.reset()
    assert backoff.next() == 3.0


def test_waits_are_within_their_bounds_and_not_in_step():
    first, second = Backoff(), Backoff()
    mine = [first.next() for _ in range(100)]
    others = [second.next() for _ in range(100)]
    assert all(1.0 <= wait <= 30.0 for wait in mine + others)
    assert mine != others
    assert max(mine) > 10.0
