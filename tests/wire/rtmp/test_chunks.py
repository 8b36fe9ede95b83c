"""wire/rtmp/chunks.py and wire/rtmp/chunk_writer.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.rtmp import fed_three_ways, noise

from livetrio.errors import RemoteProtocolError
from livetrio.wire.rtmp.chunk_writer import encode_message
from livetrio.wire.rtmp.chunks import ChunkReader, Message

messages = st.builds(
    Message,
    type_id=st.sampled_from([4, 8, 9, 18, 20, 200]),
    timestamp=st.integers(0, 2**32 - 1) | st.sampled_from([0xFFFFFE, 0xFFFFFF, 0x1000000]),
    stream_id=st.integers(0, 2**32 - 1),
    body=st.binary(max_size=400),
)
csids = st.sampled_from([2, 3, 63, 64, 319, 320, 65_599])


def header(kind: int, csid: int, *fields: bytes) -> bytes:
    """A chunk header with a one-byte basic header."""
    return bytes((kind << 6 | csid,)) + b"".join(fields)


def type0(
    csid: int, time: int, length: int, type_id: int = 9, stream_id: int = 1, more: bytes = b""
) -> bytes:
    return header(
        0,
        csid,
        time.to_bytes(3, "big"),
        length.to_bytes(3, "big"),
        bytes((type_id,)),
        stream_id.to_bytes(4, "little"),
        more,
    )


def type1(csid: int, delta: int, length: int, type_id: int = 9, more: bytes = b"") -> bytes:
    return header(
        1, csid, delta.to_bytes(3, "big"), length.to_bytes(3, "big"), bytes((type_id,)), more
    )


def type2(csid: int, delta: int, more: bytes = b"") -> bytes:
    return header(2, csid, delta.to_bytes(3, "big"), more)


def type3(csid: int, more: bytes = b"") -> bytes:
    return header(3, csid, more)


def set_chunk_size(size: int) -> bytes:
    return type0(2, 0, 4, 1, 0) + size.to_bytes(4, "big")


def read(data: bytes, **limits: int) -> list[Message]:
    return fed_three_ways(lambda: ChunkReader(**limits), data)


# -- round trips ---------------------------------------------------------------------------------


@given(st.lists(st.tuples(messages, csids), max_size=5), st.sampled_from([1, 7, 128, 60_000]))
def test_what_was_written_is_read_again(sent, chunk_size):
    data = set_chunk_size(chunk_size)
    for message, csid in sent:
        data += encode_message(
            message.type_id, message.timestamp, message.stream_id, csid, message.body, chunk_size
        )
    reader = ChunkReader()
    assert list(reader.feed(data)) == [message for message, _ in sent]
    assert reader.idle


@given(st.lists(messages, max_size=4), st.data())
def test_any_split_gives_the_same_messages(sent, draw):
    data = b"".join(
        encode_message(m.type_id, m.timestamp, 1, 3 + i, m.body, 128) for i, m in enumerate(sent)
    )
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=8)))
    reader = ChunkReader()
    got = []
    for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True):
        got += reader.feed(data[start:stop])
    assert got == list(ChunkReader().feed(data))
    assert len(got) == len(sent)


@given(st.binary(max_size=300))
def test_garbage_raises_only_the_remote_protocol_error(data):
    try:
        list(ChunkReader().feed(data))
    except RemoteProtocolError:
        return


def test_a_message_is_one_type_0_chunk_and_type_3_chunks():
    body = noise(300)
    data = encode_message(9, 0x010203, 1, 6, body, 128)
    assert data == (
        b"\x06\x01\x02\x03\x00\x01\x2c\x09\x01\x00\x00\x00"
        + body[:128] + b"\xc6" + body[128:256] + b"\xc6" + body[256:]
    )  # fmt: skip


def test_a_message_of_exactly_one_chunk_has_no_second():
    assert encode_message(8, 0, 1, 4, bytes(128), 128).count(b"\xc4") == 0


@pytest.mark.parametrize(
    ("csid", "basic", "basic3"),
    [
        (2, "02", "c2"),
        (63, "3f", "ff"),
        (64, "00 00", "c0 00"),
        (319, "00 ff", "c0 ff"),
        (320, "01 00 01", "c1 00 01"),
        (65_599, "01 ff ff", "c1 ff ff"),
    ],
)
def test_the_three_forms_of_the_basic_header(csid, basic, basic3):
    data = encode_message(9, 0, 1, csid, b"ab", 1)
    assert data.startswith(bytes.fromhex(basic))
    assert data.endswith(b"a" + bytes.fromhex(basic3) + b"b")
    assert read(set_chunk_size(1) + data) == [Message(9, 0, 1, b"ab")]


@pytest.mark.parametrize("timestamp", [0xFFFFFE, 0xFFFFFF, 0x1000000, 0xFFFFFFFF])
def test_extended_timestamps_are_written_and_repeated(timestamp):
    data = encode_message(9, timestamp, 1, 6, b"abc", 1)
    extended = timestamp.to_bytes(4, "big") if timestamp >= 0xFFFFFF else b""
    assert data.count(b"\xc6" + extended) == 2
    assert read(set_chunk_size(1) + data) == [Message(9, timestamp, 1, b"abc")]


@pytest.mark.parametrize(("timestamp", "wrapped"), [(2**32, 0), (2**32 + 5, 5), (-1, 2**32 - 1)])
def test_timestamps_are_written_modulo_2_to_the_32(timestamp, wrapped):
    assert read(encode_message(9, timestamp, 1, 6, b"a", 128)) == [Message(9, wrapped, 1, b"a")]


# -- timestamps ------------------------------------------------------------------------------------


def test_deltas_add_up_over_all_header_types():
    data = (
        type0(4, 1000, 1, 8) + b"a"
        + type1(4, 20, 2, 8) + b"bb"
        + type2(4, 30) + b"cc"
        + type3(4) + b"dd"
        + type3(4) + b"ee"
    )  # fmt: skip
    assert read(data) == [
        Message(8, 1000, 1, b"a"),
        Message(8, 1020, 1, b"bb"),
        Message(8, 1050, 1, b"cc"),
        Message(8, 1080, 1, b"dd"),
        Message(8, 1110, 1, b"ee"),
    ]


def test_after_a_type_0_the_delta_of_a_type_3_is_its_timestamp():
    assert [m.timestamp for m in read(type0(4, 23, 1) + b"a" + type3(4) + b"b")] == [23, 46]


def test_timestamps_wrap_at_2_to_the_32():
    data = type0(4, 0xFFFFFF, 1, more=b"\xff\xff\xff\xf0") + b"a" + type2(4, 0x20) + b"b"
    assert [m.timestamp for m in read(data)] == [0xFFFFFFF0, 0x10]


def test_timestamps_may_go_backward_and_jump():
    data = type0(4, 5000, 1) + b"a" + type0(4, 10, 1) + b"b" + type2(4, 7_200_000) + b"c"
    assert [m.timestamp for m in read(data)] == [5000, 10, 7_200_010]


def test_an_extended_delta_is_a_delta():
    data = type0(4, 10, 1) + b"a" + type2(4, 0xFFFFFF, b"\x01\0\0\0") + b"b"
    assert [m.timestamp for m in read(data)] == [10, 0x0100000A]


@pytest.mark.parametrize("repeated", [True, False])
@pytest.mark.parametrize("time", [b"\x00\xff\xff\xff", b"\x12\x34\x56\x78"])
def test_extended_timestamps_are_understood_repeated_or_not(repeated, time):
    again = time if repeated else b""
    body = noise(300)
    data = (
        type0(6, 0xFFFFFF, 300, more=time) + body[:128]
        + type3(6, again) + body[128:256]
        + type3(6, again) + body[256:]
        + type2(6, 40) + body[:128] + type3(6) + body[128:256] + type3(6) + body[256:]
    )  # fmt: skip
    first = int.from_bytes(time, "big")
    assert read(data) == [Message(9, first, 1, body), Message(9, first + 40, 1, body)]


# -- chunk streams ---------------------------------------------------------------------------------


def test_messages_of_many_chunk_streams_may_interleave():
    video, audio, data = noise(300), noise(200), noise(10)
    stream = (
        type0(6, 1, 300) + video[:128]
        + type0(4, 2, 200, 8) + audio[:128]
        + type3(6) + video[128:256]
        + type0(5, 3, 10, 18) + data
        + type3(4) + audio[128:]
        + type3(6) + video[256:]
    )  # fmt: skip
    assert read(stream) == [
        Message(18, 3, 1, data),
        Message(8, 2, 1, audio),
        Message(9, 1, 1, video),
    ]


def test_type_1_may_open_a_chunk_stream():
    assert read(type1(2, 5, 6, 4) + bytes(6)) == [Message(4, 5, 0, bytes(6))]


@pytest.mark.parametrize(("data", "kind"), [(type2(9, 0), 2), (type3(9), 3)])
def test_types_2_and_3_may_not_open_a_chunk_stream(data, kind):
    with pytest.raises(RemoteProtocolError, match=f"type {kind} opens chunk stream 9"):
        read(data)


@pytest.mark.parametrize(
    ("data", "csid"), [(b"\xc0\x00", 64), (b"\xc1\x00\x00", 64), (b"\xc1\xff\xff", 65_599)]
)
def test_an_error_names_the_chunk_stream_in_each_form_of_its_number(data, csid):
    with pytest.raises(RemoteProtocolError, match=f"chunk stream {csid}$"):
        read(data)


def test_the_table_of_chunk_streams_is_bounded():
    opened = b"".join(encode_message(9, 0, 1, csid, b"", 128) for csid in range(2, 66))
    reader = ChunkReader()
    assert len(list(reader.feed(opened))) == 64
    assert len(list(reader.feed(opened))) == 64
    with pytest.raises(RemoteProtocolError, match="more than 64 chunk streams"):
        list(reader.feed(encode_message(9, 0, 1, 65_599, b"", 128)))


@pytest.mark.parametrize("type_id", range(256))
def test_messages_of_length_0_are_messages_or_clear_errors(type_id):
    if type_id in (1, 2):
        with pytest.raises(RemoteProtocolError, match="of 0 bytes instead of 4"):
            read(type0(3, 0, 0, type_id))
    else:
        assert read(type0(3, 0, 0, type_id) + type3(3)) == [Message(type_id, 0, 1, b"")] * 2


@pytest.mark.parametrize("new", [type0(6, 9, 2, 8), type1(6, 9, 2, 8)], ids=["type 0", "type 1"])
def test_a_new_header_in_mid_message_gives_that_message_up(new):
    reader = ChunkReader(max_pending=300)
    data = (type0(6, 0, 300) + noise(128)) * 20 + new + b"ab"
    (message,) = reader.feed(data)
    assert (message.type_id, message.body) == (8, b"ab")
    assert reader.idle


# -- what the layer itself is told ---------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 127, 300, 0x7FFFFFFF])
def test_set_chunk_size_acts_before_the_next_chunk(size):
    body = noise(300)
    reader = ChunkReader()
    data = set_chunk_size(size) + encode_message(9, 0, 1, 6, body, size)
    assert list(reader.feed(data)) == [Message(9, 0, 1, body)]
    assert reader.chunk_size == min(size, 0xFFFFFF)


def test_set_chunk_size_acts_in_the_middle_of_a_message():
    body = noise(300)
    data = type0(6, 0, 300) + body[:128] + set_chunk_size(1000) + type3(6) + body[128:]
    assert read(data) == [Message(9, 0, 1, body)]


@pytest.mark.parametrize("size", [0, 0x80000000, 0xFFFFFFFF])
def test_an_impossible_chunk_size_is_an_error(size):
    with pytest.raises(RemoteProtocolError, match=f"SetChunkSize to {size}"):
        read(set_chunk_size(size))


@pytest.mark.parametrize(("type_id", "name"), [(1, "SetChunkSize"), (2, "Abort")])
@pytest.mark.parametrize("length", [0, 1, 3])
def test_a_control_message_that_is_too_short_is_an_error(type_id, name, length):
    with pytest.raises(RemoteProtocolError, match=f"{name} of {length} bytes"):
        read(type0(2, 0, length, type_id, 0) + bytes(length))


def abort(csid: int) -> bytes:
    return type0(2, 0, 4, 2, 0) + csid.to_bytes(4, "big")


def test_abort_drops_the_message_in_progress():
    data = type0(6, 5, 300) + noise(128) + abort(6) + type0(6, 7, 2) + b"ab"
    assert read(data, max_pending=200) == [Message(9, 7, 1, b"ab")]


def test_after_an_abort_type_3_begins_the_next_message():
    data = type0(6, 5, 200) + noise(128) + abort(6) + type3(6) + noise(128) + type3(6) + noise(72)
    assert read(data) == [Message(9, 10, 1, noise(128) + noise(72))]


@pytest.mark.parametrize("csid", [6, 7, 0xFFFFFFFF])
def test_abort_of_an_idle_or_unknown_chunk_stream_does_nothing(csid):
    data = type0(6, 5, 1) + b"a" + abort(csid) + type0(6, 6, 1) + b"b"
    assert [m.body for m in read(data)] == [b"a", b"b"]


# -- limits ---------------------------------------------------------------------------------------


def test_a_message_longer_than_allowed_is_an_error_at_its_header():
    with pytest.raises(RemoteProtocolError, match="message of 1001 bytes, more than 1000"):
        read(type0(6, 0, 1001), max_message=1000)


def test_an_announced_length_allocates_nothing():
    reader = ChunkReader()
    opened = b"".join(
        encode_message(9, 0, 1, csid, b"x" * 129, 128)[:-2].replace(
            b"\x00\x00\x81", b"\xff\xff\xff", 1
        )
        for csid in range(2, 64)
    )
    assert list(reader.feed(opened)) == []
    assert reader.pending == 62 * 128


def test_the_bytes_of_unfinished_messages_are_bounded_together():
    reader = ChunkReader(max_pending=1000)
    data = b"".join(type0(csid, 0, 0xFFFFFF) + bytes(128) for csid in range(3, 60))
    with pytest.raises(RemoteProtocolError, match="more than 1000 bytes of unfinished"):
        list(reader.feed(data))
    assert reader.pending <= 1128


def test_finished_and_abandoned_messages_do_not_count_as_unfinished():
    reader = ChunkReader(max_pending=400)
    for _ in range(10):
        assert len(list(reader.feed(encode_message(9, 0, 1, 6, bytes(400), 128)))) == 1
        assert list(reader.feed(type0(6, 0, 400) + bytes(128))) == []
        assert list(reader.feed(abort(6))) == []
    assert reader.pending == 0


def test_the_limit_may_change_between_two_messages_of_one_feed():
    reader = ChunkReader(max_message=10)
    data = encode_message(20, 0, 0, 3, b"go", 128) + encode_message(9, 0, 1, 6, bytes(99), 128)
    seen = []
    for message in reader.feed(data):
        reader.max_message = 99
        seen.append(message.type_id)
    assert seen == [20, 9]


def test_idle_means_between_two_messages():
    reader = ChunkReader()
    assert reader.idle
    for piece, idle in (
        (type0(6, 0, 300)[:5], False),
        (type0(6, 0, 300)[5:], False),
        (noise(128), False),
        (type3(6) + noise(128), False),
        (type3(6) + noise(44), True),
    ):
        list(reader.feed(piece))
        assert reader.idle is idle


def test_a_megabyte_in_one_feed_and_in_single_bytes_is_the_same():
    body = noise(20_000)
    data = b"".join(encode_message(9, i, 1, 6, body, 128) for i in range(3))
    assert [m.body for m in read(data)] == [body] * 3
    assert len(list(ChunkReader().feed(data * 17))) == 51
