"""Centrifugo's JSON: what is taken from clients, and what they are told."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetrio.errors import RemoteProtocolError
from livetrio.wire.centrifuge import json_codec as codec
from livetrio.wire.centrifuge import replies as wire
from livetrio.wire.centrifuge.commands import Command, SubscribeRequest
from livetrio.wire.centrifuge.replies import Push, Reply

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)  # fmt: skip


def test_the_smallest_push_is_as_small_as_centrifugos():
    pub = wire.Publication(b'{"test":1}', offset=123)
    assert codec.encode_reply(Reply(push=Push("room:1", pub=pub))) == (
        '{"push":{"channel":"room:1","pub":{"data":{"test":1},"offset":123}}}'
    )
    assert codec.encode_reply(Reply()) == "{}"


def test_commands_stand_on_lines_and_pongs_are_empty():
    first, pong = codec.decode_commands(
        '{"id":1,"connect":{"token":"t","data":{"a": [1, 2.5]},"headers":{"x":"y"},'
        '"subs":{"ch":{"recover":true,"epoch":"e","offset":7}}},"unknown":3}\n \n{}\n'
    )
    assert first.id == 1
    assert first.connect is not None
    assert (first.connect.token, first.connect.data) == ("t", b'{"a":[1,2.5]}')
    assert first.connect.headers == {"x": "y"}
    assert first.connect.subs == {"ch": SubscribeRequest(recover=True, epoch="e", offset=7)}
    assert pong == Command()


def test_null_is_not_there():
    (command,) = codec.decode_commands('{"id":1,"publish":{"channel":"a","data":null},"rpc":null}')
    assert command.publish is not None
    assert command.publish.data == b""
    assert command.rpc is None


@pytest.mark.parametrize(
    "frame",
    [
        "", " \n ", "[]", "1", "null", "{", '{"id":"1"}', '{"id":true}', '{"id":-1}',
        '{"id":4294967296}', '{"id":1.0}', '{"subscribe":[]}', '{"subscribe":{"channel":5}}',
        '{"subscribe":{"recover":1}}', '{"history":{"limit":2147483648}}',
        '{"history":{"since":5}}', '{"connect":{"subs":[]}}', '{"connect":{"subs":{"a":1}}}',
        '{"connect":{"headers":{"a":1}}}', '{"publish":{"data":NaN}}',
        '{"publish":{"data":1e999}}', '{"id":' + "9" * 5000 + "}",
        '{"publish":{"data":' + "[" * 30_000 + "]" * 30_000 + "}}",
        '{"connect":{"subs":{' + ",".join(f'"{n}":{{}}' for n in range(1025)) + "}}}",
    ],
)  # fmt: skip
def test_what_is_broken_is_the_peers_fault(frame: str):
    with pytest.raises(RemoteProtocolError):
        list(codec.decode_commands(frame))


def test_a_flood_is_read_command_by_command():
    commands = codec.decode_commands("{}\n" * 20_000 + "broken")
    assert next(commands) == Command()


def test_a_payload_of_half_a_character_survives():
    (command,) = codec.decode_commands(r'{"publish":{"data":"\ud800 \u4e2d"}}')
    assert command.publish is not None
    assert command.publish.data == rb'"\ud800 \u4e2d"'


@given(JSON)
def test_any_value_goes_through_as_it_is(value: object):
    data = codec.json_payload(value)
    pub = wire.Publication(data, tags={"k\n": "v"})
    line = codec.encode_reply(Reply(push=Push("c\n", pub=pub)))
    assert "\n" not in line
    push = json.loads(line)["push"]
    assert (push["channel"], push["pub"]["tags"]) == ("c\n", {"k\n": "v"})
    assert push["pub"]["data"] == value


@given(st.binary())
def test_any_bytes_make_a_line_of_valid_json(data: bytes):
    line = codec.encode_lines([Reply(push=Push(message=wire.Message(data)))] * 2)
    assert len(line.split("\n")) == 2
    assert all(isinstance(json.loads(one), dict) for one in line.split("\n"))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'{"a":\r\n1}', '{"a":  1}'), (b"hello", '"hello"'), (b"Infinity", '"Infinity"'),
        ("中".encode(), '"中"'), (b"\xff", '"/w=="'), (b"[" * 9000, '"' + "[" * 9000 + '"'),
    ],
)  # fmt: skip
def test_what_is_no_json_becomes_a_string(data: bytes, text: str):
    assert codec.as_json(data) == text


def test_what_has_no_json_is_no_payload():
    for value in (float("inf"), {1, 2}):
        with pytest.raises((RemoteProtocolError, TypeError)):
            codec.json_payload(value)
    assert codec.payload_text(b'{"a":1}') == rb'"{\"a\":1}"'


def test_replies_have_lists_and_maps_only_where_there_is_something():
    result = wire.SubscribeResult(publications=[wire.Publication(b"1"), wire.Publication(b"2")])
    presence = wire.PresenceResult({"c": wire.ClientInfo("u", "c")})
    empty = wire.PresenceResult()
    lines = codec.encode_lines(
        [
            Reply(1, subscribe=result),
            Reply(2, presence=presence),
            Reply(3, presence=empty),
            Reply(4, publish=wire.PublishResult()),
            Reply(5, history=wire.HistoryResult()),
        ]
    )
    assert lines.split("\n") == [
        '{"id":1,"subscribe":{"publications":[{"data":1},{"data":2}]}}',
        '{"id":2,"presence":{"presence":{"c":{"user":"u","client":"c"}}}}',
        '{"id":3,"presence":{}}',
        '{"id":4,"publish":{}}',
        '{"id":5,"history":{}}',
    ]


def test_an_emulation_request_has_lines_of_commands_as_text():
    body = json.dumps({"session": "s", "node": "n", "data": '{"id":2}\n{}'}).encode()
    request = codec.decode_emulation(body)
    assert (request.session, request.node, request.data) == ("s", "n", b'{"id":2}\n{}')
    assert codec.decode_emulation(b"{}").data == b""
    for bad in (b"\xff", b"[]", b'{"data":{}}', b'{"session":1}'):
        with pytest.raises(RemoteProtocolError):
            codec.decode_emulation(bad)


def test_a_list_from_a_peer_is_bounded():
    from livetrio.wire.centrifuge.schema import MAX_ELEMENTS

    body = {"publications": [{"offset": 1}] * MAX_ELEMENTS}
    assert len(codec._message(wire.HistoryResult, body).publications) == MAX_ELEMENTS
    for bad in ({"publications": 5}, {"publications": [{}] * (MAX_ELEMENTS + 1)}):
        with pytest.raises(RemoteProtocolError):
            codec._message(wire.HistoryResult, bad)
