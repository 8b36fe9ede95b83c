"""Byte ranges and conditional requests, as RFC 9110 has them."""

from __future__ import annotations

import pytest

from livetrio.net.ranges import select
from livetrio.net.request import Request

MODIFIED = 1_700_000_000.0
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"


def chosen(size: int = 1_000, **headers: str):
    """(status, start, size) and the headers of the answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    found = select(Request("GET", "/", {}, named, (1, 1)), size, "v1", MODIFIED)
    return (found.status, found.start, found.size), dict(found.headers)


def test_without_a_range_the_whole_file_is_sent_and_described():
    answer, headers = chosen()
    assert answer == (200, 0, 1_000)
    assert headers == {"Accept-Ranges": "bytes", "ETag": '"v1"', "Last-Modified": DATE}


@pytest.mark.parametrize(
    ("text", "start", "size"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 100),
        ("bytes=990-", 990, 10),
        ("bytes=990-5000", 990, 10),
        ("bytes=-10", 990, 10),
        ("bytes=-5000", 0, 1_000),
    ],
)
def test_a_range_is_cut_to_the_file(text, start, size):
    answer, headers = chosen(range=text)
    assert answer == (206, start, size)
    assert headers["Content-Range"] == f"bytes {start}-{start + size - 1}/1000"


@pytest.mark.parametrize("text", ["bytes=1000-", "bytes=5000-6000", "bytes=-0"])
def test_a_range_behind_the_end_cannot_be(text):
    answer, headers = chosen(range=text)
    assert answer == (416, 0, 0)
    assert headers["Content-Range"] == "bytes */1000"


def test_of_an_empty_file_no_range_can_be():
    assert chosen(0, range="bytes=0-")[0][0] == 416
    assert chosen(0, range="bytes=-5")[0][0] == 416


@pytest.mark.parametrize(
    "text",
    ["bytes=", "bytes=-", "bytes=a-b", "bytes=5-2", "bytes=0-1,3-4", "lines=1-2", "bytes 0-1",
     "bytes=" + "9" * 5_000 + "-", "bytes=٣-٤"],
)  # fmt: skip
def test_what_is_no_single_range_gets_the_whole_file(text):
    assert chosen(range=text)[0] == (200, 0, 1_000)


def test_a_range_of_another_version_gets_the_whole_file():
    assert chosen(range="bytes=0-9", if_range='"v1"')[0][0] == 206
    assert chosen(range="bytes=0-9", if_range=DATE)[0][0] == 206
    assert chosen(range="bytes=0-9", if_range='"v0"')[0][0] == 200
    assert chosen(range="bytes=0-9", if_range='W/"v1"')[0][0] == 200


@pytest.mark.parametrize("text", ['"v1"', 'W/"v1"', '"a", "v1"', "*"])
def test_what_is_known_is_not_sent_again(text):
    assert chosen(if_none_match=text)[0][0] == 304
