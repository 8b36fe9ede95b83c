"""Centrifugo's Protobuf, against Google's implementation with the same messages."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import centrifuge.protocol.client_pb2 as sdk
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from livetrio.errors import RemoteProtocolError
from livetrio.wire.centrifuge import commands, replies
from livetrio.wire.centrifuge import protobuf_codec as codec
from livetrio.wire.centrifuge.commands import Command, ConnectRequest, HistoryRequest
from livetrio.wire.centrifuge.replies import Error, Push, Reply, SubscribeResult
from livetrio.wire.centrifuge.schema import Kind, Shape, Spec, specs

CLASSES = {
    name: type_
    for module in (commands, replies)
    for name, type_ in inspect.getmembers(module, inspect.isclass)
    if name in module.__all__
}
TYPES = {
    Kind.TEXT: "STRING", Kind.PAYLOAD: "BYTES", Kind.FLAG: "BOOL",
    Kind.MESSAGE: "MESSAGE",
}  # fmt: skip
PACKAGE = "livetrio.test"


def _google() -> dict[str, Any]:
    """Our schema as classes of Google's."""
    file = descriptor_pb2.FileDescriptorProto(name="ours.proto", package=PACKAGE, syntax="proto3")
    for name, type_ in CLASSES.items():
        message = file.message_type.add(name=name)
        for spec in specs(type_):
            _declare(message, spec, name)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))
        for name in CLASSES
    }


def _type(spec: Spec) -> int:
    name = TYPES.get(spec.kind) or f"{'U' if spec.kind is Kind.NUMBER else ''}INT{spec.bits}"
    return getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{name}")


def _declare(message: Any, spec: Spec, parent: str) -> None:
    many = spec.shape is not Shape.ONE
    field = message.field.add(name=spec.name, number=spec.number, label=3 if many else 1)
    field.type = _type(spec)
    if spec.shape is Shape.TABLE:
        entry = message.nested_type.add(name=f"{spec.name.title()}Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, label=1, type=9)
        value = entry.field.add(name="value", number=2, label=1, type=_type(spec))
        if spec.type is not None:
            value.type_name = f".{PACKAGE}.{spec.type.__name__}"
        field.type = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = f".{PACKAGE}.{parent}.{entry.name}"
    elif spec.type is not None:
        field.type_name = f".{PACKAGE}.{spec.type.__name__}"


GOOGLE = _google()
TEXT = st.text(max_size=20)


@st.composite
def values(draw: st.DrawFn, type_: type[Any]) -> Any:
    """Any message of a type."""
    fields = {}
    for spec in specs(type_):
        one = _one(spec)
        if spec.shape is Shape.LIST:
            one = st.lists(one, max_size=3)
        elif spec.shape is Shape.TABLE:
            one = st.dictionaries(TEXT, one, max_size=3)
        elif spec.kind is Kind.MESSAGE:
            one = st.none() | one
        fields[spec.name] = draw(one)
    return type_(**fields)


def _one(spec: Spec) -> st.SearchStrategy[Any]:
    match spec.kind:
        case Kind.TEXT:
            return TEXT
        case Kind.PAYLOAD:
            return st.binary(max_size=20)
        case Kind.FLAG:
            return st.booleans()
        case Kind.NUMBER:
            return st.integers(0, (1 << spec.bits) - 1)
        case Kind.INTEGER:
            return st.integers(-(1 << spec.bits - 1), (1 << spec.bits - 1) - 1)
        case Kind.MESSAGE:
            assert spec.type is not None
            return values(spec.type)


def _same(ours: Any, google: Any) -> None:
    for spec in specs(type(ours)):
        mine, theirs = getattr(ours, spec.name), getattr(google, spec.name)
        if spec.shape is Shape.LIST:
            assert len(mine) == len(theirs)
            pairs = list(zip(mine, theirs, strict=True))
        elif spec.shape is Shape.TABLE:
            assert set(mine) == set(theirs)
            pairs = [(mine[key], theirs[key]) for key in mine]
        elif spec.kind is Kind.MESSAGE:
            assert (mine is not None) == google.HasField(spec.name)
            pairs = [] if mine is None else [(mine, theirs)]
        else:
            pairs = [(mine, theirs)]
        for one, other in pairs:
            if spec.kind is Kind.MESSAGE:
                _same(one, other)
            else:
                assert one == other, spec.name


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_number_and_type_is_the_sdks(name: str):
    theirs = getattr(sdk, name.replace("Rpc", "RPC")).DESCRIPTOR.fields_by_name
    ours = GOOGLE[name].DESCRIPTOR.fields_by_name
    newer = {"SubscribeRequest": {"type"}, "PublishRequest": {"type"}}.get(name, set())
    assert newer == set(ours) - set(theirs)
    for field in set(ours) & set(theirs):
        assert ours[field].number == theirs[field].number
        if field != "tf":  # only looked at, never read
            assert ours[field].type == theirs[field].type


@given(st.data(), st.sampled_from(["Command", "Reply", "EmulationRequest", "Push"]))
def test_google_reads_what_we_write_and_we_read_what_google_writes(data: Any, name: str):
    ours = data.draw(values(CLASSES[name]))
    google = GOOGLE[name]()
    google.ParseFromString(codec.encode_message(ours))
    _same(ours, google)
    assert codec.decode_message(CLASSES[name], google.SerializeToString()) == ours


@given(st.binary(max_size=200))
def test_any_bytes_are_read_as_google_reads_them_or_refused(data: bytes):
    try:
        ours = codec.decode_message(Command, data)
    except RemoteProtocolError:
        return
    google = GOOGLE["Command"]()
    try:
        google.ParseFromString(data)
    except DecodeError:
        pytest.fail(f"Google refuses {data!r}")
    _same(ours, google)


def test_commands_and_replies_are_delimited():
    data = codec.encode_delimited([Reply(), Reply(300, error=Error(100, "x" * 200, True))])
    assert data[:1] == b"\x00"
    assert data[1:3] == (len(data) - 3).to_bytes(1, "little").replace(
        bytes([len(data) - 3]), bytes([(len(data) - 3) & 0x7F | 0x80, (len(data) - 3) >> 7])
    )
    frame = b"\x00\x02\x08\x05"
    assert list(codec.decode_commands(frame)) == [Command(), Command(5)]


def test_a_push_is_small():
    pub = replies.Publication(b'{"test":1}', offset=123)
    assert len(codec.encode_delimited([Reply(push=Push("room:1", pub=pub))])) <= 28


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x80", b"\xff" * 11, b"\x05\x08", b"\x02\x0b\x0c", b"\x02\x08\x80",
        b"\x03\x2a\x05a", b"\x05\x2a\x03\x0a\x01\xff", b"\x02\x00\x01", b"\x01\x09",
        b"\x09\x09" + b"\0" * 7, b"\x7f", b"\xff\xff\xff\xff\x0f",
    ],
)  # fmt: skip
def test_what_is_broken_is_the_peers_fault(data: bytes):
    with pytest.raises(RemoteProtocolError):
        list(codec.decode_commands(data))


def test_unknown_fields_of_every_type_are_skipped_and_groups_refused():
    unknown = (
        b"\xf8\x01\x05" + b"\xf9\x01" + b"\0" * 8 + b"\xfa\x01\x02hi" + b"\xfd\x01" + b"\0" * 4
    )
    assert codec.decode_message(Command, unknown + b"\x08\x07") == Command(7)
    wrong_type = b"\x0a\x01a"  # id as bytes
    assert codec.decode_message(Command, wrong_type) == Command()
    with pytest.raises(RemoteProtocolError):
        codec.decode_message(Command, b"\xfb\x01\xfc\x01")


def test_a_message_that_comes_twice_is_merged_and_a_map_entry_may_be_half():
    data = b"\x22\x03\x0a\x01t" + b"\x22\x05\x22\x03abc"
    assert codec.decode_message(Command, data).connect == ConnectRequest("t", name="abc")
    entry = b"\x1a\x00" + b"\x1a\x05\x18\x01\x0a\x01k" + b"\x32\x00"
    assert codec.decode_message(ConnectRequest, entry).subs.keys() == {"", "k"}
    assert codec.decode_message(ConnectRequest, entry).headers == {"": ""}


def test_negative_numbers_take_ten_bytes_and_come_back():
    data = codec.encode_message(HistoryRequest(limit=-1))
    assert len(data) == 11
    assert codec.decode_message(HistoryRequest, data).limit == -1


@pytest.mark.parametrize(
    ("type_", "data"),
    [(ConnectRequest, b"".join(b"\x1a\x05\x0a\x03%03x" % n for n in range(1025))),
     (SubscribeResult, b"\x3a\x00" * 1025)],
)  # fmt: skip
def test_a_bomb_of_many_elements_is_refused(type_: type[Any], data: bytes):
    with pytest.raises(RemoteProtocolError, match="over 1024"):
        codec.decode_message(type_, data)


def test_half_a_character_does_not_stop_the_writer():
    assert codec.decode_message(Error, codec.encode_message(Error(1, "\ud800"))).message == "?"


def test_an_emulation_request_holds_delimited_commands():
    request = commands.EmulationRequest("n", "s", b"\x00")
    assert codec.decode_emulation(codec.encode_message(request)) == request
    assert dataclasses.asdict(request) == {"node": "n", "session": "s", "data": b"\x00"}
