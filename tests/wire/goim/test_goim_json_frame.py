"""goim v1's JSON frames, in both of its forms."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetrio.errors import RemoteProtocolError
from livetrio.wire.goim.frame import Frame
from livetrio.wire.goim.json_frame import (
    frames_of_text,
    json_body,
    text_of_frame,
    text_of_frames,
)


def test_a_frame_is_v1s_text_character_for_character():
    assert text_of_frame(Frame(1, 8, 2)) == '{"ver":1,"op":8,"seq":2,"body":{}}'
    pushed = [Frame(0, 5, 0, b'{"test":1}'), Frame(0, 5, 0, b"2")]
    assert text_of_frames(pushed) == (
        '[{"ver":0,"op":5,"seq":0,"body":{"test":1}},{"ver":0,"op":5,"seq":0,"body":2}]'
    )


def test_one_frame_or_an_array_of_them_is_read():
    one = '{"ver": 1, "op": 7, "seq": 2, "body": {"data": {}}}'
    frame = Frame(1, 7, 2, b'{"data":{}}')
    assert frames_of_text(one) == ([frame], False)
    assert frames_of_text(f"[{one},{one}]") == ([frame, frame], True)
    assert frames_of_text('{"op":2}') == ([Frame(0, 2, 0)], False)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'{"a":1}', '{"a":1}'),
        (b"plain words", '"plain words"'),
        (b"\xff", '"\\ufffd"'),
        (b"NaN", '"NaN"'),
        ("弹幕".encode(), '"\\u5f39\\u5e55"'),
        (b"[" * 100_000, json.dumps("[" * 100_000)),
    ],
    ids=["an object", "words", "bytes", "NaN", "Chinese", "depth"],
)
def test_any_message_becomes_a_json_value(data: bytes, text: str):
    assert json_body(data) == text


BROKEN = {
    "no JSON": "hello",
    "a number": "1",
    "a list of numbers": "[1]",
    "an empty list": "[]",
    "too many": json.dumps([{"op": 2}] * 65),
    "op as text": '{"op":"2"}',
    "op of 33 bits": '{"op":2147483648}',
    "depth": "[" * 4000,
    "depth in a body": '{"op":2,"body":' + "[" * 4000 + "]" * 4000 + "}",
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_frame_is_refused(name: str):
    with pytest.raises(RemoteProtocolError, match="goim"):
        frames_of_text(BROKEN[name])


@given(st.text(max_size=100))
def test_noise_is_refused_and_never_anything_else(noise: str):
    try:
        frames_of_text(noise)
    except RemoteProtocolError:
        return
