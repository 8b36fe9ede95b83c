"""wire/names.py."""

import pytest

from livetrio.errors import RefusalCode, Refused
from livetrio.wire.names import check_name


@pytest.mark.parametrize(
    "name",
    [
        "live",
        "35",
        "sub/dir/x",
        "房间",
        "café",
        "a b",
        "...",
        "a..b",
        "..a/b..",
        "x?y",
        "|;$()`'\"<>&",
        "100%",
        "a" * 256,
        "\N{SNOWMAN}" * 85,
    ],
)
def test_a_harmless_name_is_returned_unchanged(name):
    assert check_name(name) is name


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "is empty"),
        ("a" * 257, "longer than 256"),
        ("\N{SNOWMAN}" * 86, "longer than 256"),
        ("a" * 65_536, "longer than 256"),
        ("a\N{REPLACEMENT CHARACTER}", "not valid UTF-8"),
        ("\udc80a", "not valid UTF-8"),
        ("a\0", "control"),
        ("a\r\nSet-Cookie: x", "control"),
        ("a\x1b[31m", "control"),
        ("a\N{RIGHT-TO-LEFT OVERRIDE}b", "control"),
        ("a\N{LINE SEPARATOR}b", "control"),
        ("a\N{NO-BREAK SPACE}", "control"),
        ("a\\b", "backslash"),
        (" a", "begins or ends"),
        ("a ", "begins or ends"),
        ("/a", "empty path segment"),
        ("a/", "empty path segment"),
        ("a//b", "empty path segment"),
        ("..", '"."'),
        (".", '"."'),
        ("a/../b", '"."'),
        ("a/./b", '"."'),
    ],
)
def test_a_name_that_would_mean_something_elsewhere_is_refused_with_the_rule(name, fault):
    with pytest.raises(Refused) as caught:
        check_name(name)
    assert caught.value.code is RefusalCode.BAD_REQUEST
    assert fault in caught.value.reason
    assert len(name) < 5 or name not in caught.value.reason
