"""The body of AUTH in three dialects, and what is no login."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetrio.errors import RemoteProtocolError
from livetrio.wire.goim.login import MAX_ACCEPTS, Dialect, Login, operations, read_login


def test_the_login_of_goims_own_example():
    body = b'{"mid":123, "room_id":"live://1000", "platform":"web", "accepts":[1000,1001,1002]}'
    assert read_login(body) == Login(
        Dialect.GOIM, 123, "", "live://1000", "web", frozenset({1000, 1001, 1002})
    )


def test_what_is_missing_or_null_is_zero_and_names_match_as_in_go():
    assert read_login(b"{}") == Login(Dialect.GOIM)
    body = b'{"mid":null,"key":null,"accepts":null,"x":[1]}'
    assert read_login(body) == Login(Dialect.GOIM)
    body = b'{"MID":7,"Key":"k","Token":"t"}'
    assert read_login(body) == Login(Dialect.GOIM, 7, "k", token="t")


def test_a_bilibili_login_has_a_room_by_number_and_its_key_is_a_token():
    body = b'{"uid":5,"roomid":1000,"protover":3,"platform":"web","type":2,"key":"abc"}'
    assert read_login(body) == Login(
        Dialect.BILIBILI, 5, "", "live://1000", "web", token="abc", version=3
    )
    assert read_login(b'{"roomid":0,"protover":9}') == Login(Dialect.BILIBILI)


@pytest.mark.parametrize(("body", "v1"), [(b"123", False), (b'"123"', True), (b"123", True)])
def test_a_v1_login_is_a_number_and_leads_to_room_1(body: bytes, v1: bool):
    assert read_login(body, v1=v1) == Login(Dialect.V1, 123, room="live://1")


def test_a_v1_page_without_a_number_is_nobody_or_has_a_token():
    assert read_login(b'{"data":{}}', v1=True) == Login(Dialect.V1)
    assert read_login(b"", v1=True) == Login(Dialect.V1)
    assert read_login(b'"a.b.c"', v1=True) == Login(Dialect.V1, token="a.b.c")


BROKEN = {
    "nothing": b"",
    "no JSON": b"{mid:1}",
    "NaN": b'{"mid":NaN}',
    "no UTF-8": b'{"key":"\xff"}',
    "a list": b"[1]",
    "null": b"null",
    "true": b"true",
    "a negative number": b"-1",
    "a number of 65 bits": b"18446744073709551616",
    "a number of 400 digits": b"1" * 400,
    "a number Python will not read": b"1" * 4090,
    "a word": b'"abc"',
    "mid as text": b'{"mid":"123"}',
    "mid as a float": b'{"mid":1.5}',
    "mid as a boolean": b'{"mid":true}',
    "mid of 65 bits": b'{"mid":9223372036854775808}',
    "key as a number": b'{"key":1}',
    "a key of 257 characters": json.dumps({"key": "k" * 257}).encode(),
    "a key with a newline": b'{"key":"a\\nb"}',
    "half a surrogate pair": b'{"room_id":"\\ud800"}',
    "accepts as text": b'{"accepts":"1000"}',
    "accepts of text": b'{"accepts":["1000"]}',
    "accepts of 33 bits": b'{"accepts":[2147483648]}',
    "too many accepts": json.dumps({"accepts": [1] * (MAX_ACCEPTS + 1)}).encode(),
    "a room number that is text": b'{"roomid":"1000"}',
    "depth": b"[" * 4096,
    "depth in an object": b'{"a":' * 800,
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_login_is_refused(name: str):
    with pytest.raises(RemoteProtocolError, match="goim"):
        read_login(BROKEN[name])


def test_operations_are_numbers_with_commas_or_none():
    assert operations(b"1000,1001,-1") == [1000, 1001, -1]
    for broken in (b"", b",", b"1000,", b"a", b"1 ,2", b"2147483648", b"--1", b"1" * 11, b"\xb2"):
        assert operations(broken) is None


@given(st.binary(max_size=200), st.booleans())
def test_noise_is_refused_and_never_anything_else(noise: bytes, v1: bool):
    try:
        read_login(noise, v1=v1)
    except RemoteProtocolError:
        return
    finally:
        operations(noise)
