"""Request heads: what is asked for, and by whom."""

from __future__ import annotations

import ipaddress
from contextlib import suppress

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetrio.errors import Refused
from livetrio.net.request import HttpProtocolError, forwarded_for, parse_request, stream_path

PROXIES = [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")]


def parsed(target: str, *headers: tuple[str, str], method: str = "GET"):
    return parse_request(
        h11.Request(method=method, target=target, headers=[("Host", "test"), *headers])
    )


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/live/movie.flv", "/live/movie.flv"),
        ("/live/movie.flv?token=a/b", "/live/movie.flv"),
        ("http://host:80/live/movie.flv?x", "/live/movie.flv"),
        ("http://host", "/"),
        ("*", "*"),
        ("/live/%E7%9B%B4%E6%92%AD.flv", "/live/直播.flv"),
        ("/live/a%2Fb.flv", "/live/a/b.flv"),
        ("/live/%252e%252e/x.flv", "/live/%2e%2e/x.flv"),
        ("/live/a+b.flv", "/live/a+b.flv"),
        ("//live/movie.flv", "//live/movie.flv"),
    ],
)
def test_a_path_is_decoded_once(target: str, path: str):
    assert parsed(target).path == path


def test_of_a_repeated_parameter_the_first_counts_and_an_empty_one_is_there():
    assert parsed("/x?a=1&a=2&b&c=%20+").query == {"a": "1", "b": "", "c": "  "}


def test_repeated_headers_are_one_list():
    request = parsed("/x", ("Upgrade", "h2c"), ("upgrade", "WebSocket"))
    assert request.tokens("upgrade") == {"h2c", "websocket"}


def test_of_a_long_user_agent_the_beginning_is_kept():
    assert parsed("/x", ("User-Agent", "VLC" * 1000)).agent == ("VLC" * 100)[:256]


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_any_target_is_understood_or_refused(target: str):
    with suppress(HttpProtocolError):
        path = parsed(target).path
        assert path == "*" or path.startswith("/")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/live/movie.flv", ("live", "movie")),
        ("/live/a/b.c.flv", ("live", "a/b.c")),
        ("//live/movie.flv", ("live", "movie")),
        ("/live/.flv.flv", ("live", ".flv")),
        ("/直播/房间 1.flv", ("直播", "房间 1")),
    ],
)
def test_the_first_part_is_the_app_and_the_rest_is_the_name(path: str, expected):
    assert stream_path(path, ".flv") == expected


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "*",
        "/live",
        "/live.flv",
        "/live/.flv",
        "/live/movie",
        "/live/movie.flv/",
        "/live/movie.FLV",
        "/live//movie.flv",
        "/live/../movie.flv",
        "/../movie.flv",
        "/live/./movie.flv",
        "/live/a\\b.flv",
        "/live/a\x00b.flv",
        "/live/a\r\nSet-Cookie: b.flv",
        "/live/\x1b[31mred.flv",
        "/live/ x.flv",
        "/live/" + "x" * 257 + ".flv",
        "/live/\N{RIGHT-TO-LEFT OVERRIDE}x.flv",
    ],
)
def test_a_path_that_names_no_stream_is_invalid_in_livegos_words(path: str):
    with pytest.raises(Refused) as refused:
        stream_path(path, ".flv")
    assert refused.value.reason == "invalid path"
    assert "x" * 257 not in refused.value.hint


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("198.51.100.1, 203.0.113.7", "203.0.113.7"),  # what the client wrote itself is left
        ("203.0.113.7, 10.1.1.1", "203.0.113.7"),
        ("203.0.113.7, fd00::1, 10.1.1.1", "203.0.113.7"),
        ("10.2.2.2, 10.1.1.1", "10.2.2.2"),
        ("203.0.113.7:5555", "203.0.113.7"),
        ("[2001:db8::7]:5555", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, unknown", "10.0.0.1"),
        ("203.0.113.7, unknown, 10.1.1.1", "10.1.1.1"),
        ("", "10.0.0.1"),
        (",,,", "10.0.0.1"),
        ("203.0.113.7\x1b", "10.0.0.1"),
    ],
)
def test_the_rightmost_address_that_is_no_proxy_of_ours_asks(header: str, expected: str):
    assert forwarded_for(header, "10.0.0.1", PROXIES) == expected


def test_a_peer_that_is_no_proxy_speaks_for_itself_only():
    assert forwarded_for("203.0.113.7", "192.0.2.1", PROXIES) == "192.0.2.1"


@given(st.text())
def test_any_forwarded_header_gives_an_address(header: str):
    ipaddress.ip_address(forwarded_for(header, "10.0.0.1", PROXIES))
