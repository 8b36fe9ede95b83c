"""wire/rtmp/url.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetrio.errors import RefusalCode, Refused
from livetrio.wire.rtmp.url import RtmpUrl, Target, parse_query, resolve


@pytest.mark.parametrize(
    ("text", "url", "tc_url", "stream"),
    [
        ("rtmp://h/live/x", RtmpUrl("h", 1935, False, "live", "x"), "rtmp://h/live", "x"),
        ("rtmps://h/live/x", RtmpUrl("h", 443, True, "live", "x"), "rtmps://h/live", "x"),
        (
            "rtmp://h:19350/live/x?token=a/b&c",
            RtmpUrl("h", 19350, False, "live", "x", "token=a/b&c"),
            "rtmp://h:19350/live",
            "x?token=a/b&c",
        ),
        (
            "RTMP://H.example/a/b/c",
            RtmpUrl("h.example", 1935, False, "a/b", "c"),
            "rtmp://h.example/a/b",
            "c",
        ),
        ("rtmp://[::1]:80/a/b", RtmpUrl("::1", 80, False, "a", "b"), "rtmp://[::1]:80/a", "b"),
        ("rtmp://h/a/%20/", RtmpUrl("h", 1935, False, "a", "%20"), "rtmp://h/a", "%20"),
    ],
)
def test_a_url_is_a_host_an_application_and_a_name(text, url, tc_url, stream):
    assert RtmpUrl.parse(text) == url
    assert url.tc_url == tc_url
    assert url.stream == stream


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("http://h/a/b", "does not begin"),
        ("h/a/b", "does not begin"),
        ("", "does not begin"),
        ("rtmp:///a/b", "has no host"),
        ("rtmp://h", "needs a path"),
        ("rtmp://h/a", "needs a path"),
        ("rtmp://h//b", "needs a path"),
        ("rtmp://h:0/a/b", "port 0"),
        ("rtmp://h:99999/a/b", "RTMP URL"),
        ("rtmp://h:x/a/b", "RTMP URL"),
        ("rtmp://[::1/a/b", "RTMP URL"),
        ("rtmp://u:p@h/a/b", "user name"),
        ("rtmp://h/a/b\r\nc", "spaces or control"),
        ("rtmp://h/a/b c", "spaces or control"),
        ("rtmp://h/a/" + "b" * 5000, "too long"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_with_the_fault(text, fault):
    with pytest.raises(Refused, match=fault) as caught:
        RtmpUrl.parse(text)
    assert caught.value.code is RefusalCode.BAD_REQUEST


@given(st.text(max_size=60) | st.text(max_size=40).map("rtmp://".__add__))
def test_any_text_is_a_url_or_refused(text):
    try:
        RtmpUrl.parse(text)
    except Refused:
        return


@pytest.mark.parametrize(
    ("app", "tc_url", "stream", "target"),
    [
        ("live", "rtmp://h/live", "x", Target("live", "x", {})),
        ("live", "rtmp://h:1935/live/", "x", Target("live", "x", {})),
        ("live/sub", "rtmp://h/live/sub", "x", Target("live", "sub/x", {})),
        ("live", "rtmp://h/live", "sub/x", Target("live", "sub/x", {})),
        ("live", "", "x", Target("live", "x", {})),
        ("live", "rtmp://h", "x", Target("live", "x", {})),
        ("live", "nonsense", "x", Target("live", "x", {})),
        ("other", "rtmp://h/live", "x", Target("live", "x", {})),
        ("", "", "live/x", Target("live", "x", {})),
        ("live", "rtmp://h/live", "/x/", Target("live", "x", {})),
        ("live", "rtmp://h/live", "a%20b", Target("live", "a b", {})),
        ("live", "rtmp://h/live", "%E6%88%BF", Target("live", "房", {})),
        ("live", "rtmp://h/live", "100%", Target("live", "100%", {})),
        ("live", "rtmp://h/live", "x?token=s/e/c", Target("live", "x", {"token": "s/e/c"})),
        ("live", "rtmp://h/live", "x?a=1&b&a=2", Target("live", "x", {"a": "2", "b": ""})),
        (
            "live?vhost=v",
            "rtmp://h/live?vhost=w&k=1",
            "x?k=2",
            Target("live", "x", {"vhost": "w", "k": "2"}),
        ),
        ("live?vhost=v", "rtmp://h", "x", Target("live", "x", {"vhost": "v"})),
        ("live", "rtmp://h/live", None, Target("live", "", {})),
        ("live/sub", "rtmp://h/live/sub", None, Target("live", "sub", {})),
        ("", "", None, Target("", "", {})),
    ],
)
def test_app_tc_url_and_name_mean_one_stream(app, tc_url, stream, target):
    assert resolve(app, tc_url, stream) == target


@pytest.mark.parametrize(
    ("app", "tc_url", "stream", "fault"),
    [
        ("live", "rtmp://h/live", "", "is empty"),
        ("live", "rtmp://h/live", "?token=x", "is empty"),
        ("", "", "x", "is empty"),
        ("live", "rtmp://h/live", "../x", '".."'),
        ("live", "rtmp://h/live", "%2e%2e/x", '".."'),
        ("live", "rtmp://h/live", "..%2Fx", '".."'),
        ("..", "rtmp://h/..", None, '".."'),
        ("live", "rtmp://h/live/..", None, '".."'),
        ("live", "rtmp://h/live", "a//b", "empty path segment"),
        ("live", "rtmp://h/live", "a%00b", "control"),
        ("live", "rtmp://h/live", "a%0d%0ab", "control"),
        ("live", "rtmp://h/live", "a%ffb", "UTF-8"),
        ("live", "rtmp://h/live", "x" * 257, "longer than 256"),
        ("x" * 257, "", None, "longer than 256"),
        ("x" * 65_000, "", None, "longer than 4096"),
        ("live", "rtmp://h/" + "x" * 65_000, None, "longer than 4096"),
        ("live", "rtmp://h/live", "x" * 65_000, "longer than 4096"),
        ("live", "rtmp://h/live", "x?" + "&".join("a" * 65), "more than 64 parameters"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(app, tc_url, stream, fault):
    with pytest.raises(Refused, match=fault.replace(".", r"\.")) as caught:
        resolve(app, tc_url, stream)
    assert caught.value.code is RefusalCode.BAD_REQUEST


def test_a_query_is_decoded_and_the_last_of_a_name_counts():
    assert parse_query("a=%2F&b=&c&a=x+y") == {"a": "x y", "b": "", "c": ""}
    assert parse_query("") == {}


@given(st.text(max_size=30), st.text(max_size=30), st.none() | st.text(max_size=30))
def test_any_address_is_resolved_or_refused(app, tc_url, stream):
    try:
        resolve(app, tc_url, stream)
    except Refused:
        return
