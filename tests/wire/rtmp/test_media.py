"""wire/rtmp/media.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetrio.errors import RemoteProtocolError
from livetrio.wire import amf0, amf3
from livetrio.wire.amf import EcmaArray
from livetrio.wire.rtmp.chunks import ChunkReader, Message
from livetrio.wire.rtmp.media import encode_media, script_body, split_aggregate

METADATA = amf0.encode("onMetaData", EcmaArray(width=1280.0))


def tag(type_id: int, time: int, body: bytes, back: int | None = None) -> bytes:
    """An FLV tag as it stands in an aggregate message."""
    size = len(body) + 11 if back is None else back
    return (
        bytes((type_id,))
        + len(body).to_bytes(3, "big")
        + (time & 0xFFFFFF).to_bytes(3, "big")
        + bytes((time >> 24,))
        + bytes(3)
        + body
        + size.to_bytes(4, "big")
    )


def aggregate(body: bytes, timestamp: int = 0) -> Message:
    return Message(22, timestamp, 1, body)


@pytest.mark.parametrize(("type_id", "csid"), [(8, 4), (9, 6), (18, 6)])
def test_media_goes_out_on_livegos_chunk_streams(type_id, csid):
    data = encode_media(type_id, 40, b"body")
    assert data[0] == csid
    assert list(ChunkReader().feed(data)) == [Message(type_id, 40, 1, b"body")]


def test_media_can_be_meant_for_another_stream_and_chunk_size():
    data = encode_media(9, 2**32 + 40, bytes(300), stream_id=3, chunk_size=128)
    assert list(ChunkReader().feed(data)) == [Message(9, 40, 3, bytes(300))]


def test_a_frame_of_60000_bytes_is_one_chunk():
    assert len(encode_media(9, 0, bytes(60_000))) == 12 + 60_000
    assert len(encode_media(9, 0, bytes(60_001))) == 12 + 60_001 + 1


def test_set_data_frame_is_taken_off_metadata():
    assert script_body(18, amf0.encode("@setDataFrame") + METADATA) == METADATA
    assert script_body(18, METADATA) == METADATA
    assert script_body(18, b"") == b""


def test_amf3_data_becomes_amf0():
    plain = b"\0" + amf0.encode("@setDataFrame") + METADATA
    assert script_body(15, plain) == METADATA
    switched = b"\0" + amf0.encode("onMetaData") + b"\x11" + amf3.encode(EcmaArray(width=1280))
    assert script_body(15, switched) == METADATA


@given(st.binary(max_size=100))
def test_amf3_garbage_raises_only_the_remote_protocol_error(body):
    try:
        script_body(15, body)
    except RemoteProtocolError:
        return


def test_amf3_data_that_is_too_long_is_an_error():
    with pytest.raises(RemoteProtocolError, match="AMF3 data of 1048577 bytes"):
        script_body(15, bytes(1024 * 1024 + 1))


def test_an_aggregate_is_split_and_its_timestamps_rebased():
    body = tag(8, 1000, b"a") + tag(9, 1010, b"v") + tag(18, 1020, b"d")
    assert split_aggregate(aggregate(body, 5000)) == [
        Message(8, 5000, 1, b"a"),
        Message(9, 5010, 1, b"v"),
        Message(18, 5020, 1, b"d"),
    ]


def test_timestamps_in_an_aggregate_have_32_bits_and_wrap():
    body = tag(8, 0xFFFFFFFF, b"a") + tag(8, 1, b"b")
    assert [m.timestamp for m in split_aggregate(aggregate(body, 0xFFFFFFFF))] == [0xFFFFFFFF, 1]


@pytest.mark.parametrize("back", [0, 1, 0xFFFFFFFF])
def test_a_wrong_back_pointer_is_of_no_importance(back):
    body = tag(8, 0, b"a", back) + tag(8, 1, b"b", back)
    assert [m.body for m in split_aggregate(aggregate(body))] == [b"a", b"b"]


def test_the_last_back_pointer_may_be_missing_and_an_aggregate_empty():
    assert [m.body for m in split_aggregate(aggregate(tag(8, 0, b"a")[:-4]))] == [b"a"]
    assert split_aggregate(aggregate(b"")) == []


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (tag(8, 0, b"a")[:5], "header is cut"),
        (tag(8, 0, b"abc")[:-5], "longer than the message"),
        (b"\x08\xff\xff\xff" + bytes(8), "longer than the message"),
        (tag(22, 0, tag(8, 0, b"a")), "tag of type 22"),
        (tag(20, 0, b""), "tag of type 20"),
    ],
)
def test_a_broken_or_nested_aggregate_is_an_error(body, fault):
    with pytest.raises(RemoteProtocolError, match=fault):
        split_aggregate(aggregate(body))


@given(st.binary(max_size=100), st.integers(0, 2**32 - 1))
def test_aggregate_garbage_raises_only_the_remote_protocol_error(body, timestamp):
    try:
        split_aggregate(aggregate(body, timestamp))
    except RemoteProtocolError:
        return
