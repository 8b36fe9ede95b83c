"""wire/flv/file.py: FLV as a stream of bytes."""

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.media import sample_packets

from livetrio.errors import RemoteProtocolError
from livetrio.packet import Kind
from livetrio.wire.flv import FileReader, file_header, tag

SENT = list(sample_packets(0.4))
TAGS = [tag(packet) for packet in SENT]
FILE = file_header(audio=True, video=True) + b"".join(TAGS)


def seen(packets):
    return [(p.track.codec, p.dts // 1000, p.data, p.key, p.config) for p in packets]


def read(*pieces):
    reader = FileReader()
    found = []
    for piece in pieces:
        found += reader.feed(piece)
    return found, reader


def test_a_file_is_read():
    found, reader = read(FILE, b"")
    assert seen(found) == seen(SENT)
    assert reader.wrong_pointers == 0
    assert set(reader.demuxer.tracks) == {(Kind.VIDEO, 0), (Kind.AUDIO, 0), (Kind.DATA, 0)}


def test_a_file_is_read_byte_by_byte():
    found, _ = read(*(FILE[i : i + 1] for i in range(len(FILE))))
    assert seen(found) == seen(SENT)


@given(st.lists(st.integers(0, len(FILE))))
def test_any_split_of_the_bytes_gives_the_same_packets(cuts):
    edges = [0, *sorted(cuts), len(FILE)]
    found, _ = read(*(FILE[a:b] for a, b in itertools.pairwise(edges)))
    assert seen(found) == seen(SENT)


def test_a_tag_is_out_as_soon_as_its_last_byte_is_in():
    found, _ = read(file_header(audio=True, video=True) + TAGS[0][:-4])
    assert seen(found) == seen(SENT[:1])


def test_a_file_cut_in_its_last_tag_gives_all_before_it():
    found, _ = read(FILE[:-6], b"")
    assert seen(found) == seen(SENT[:-1])


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"GET / HTTP", "not an FLV file"),
        (b"F", None),
        (b"FLX", "begins with b'FLX'"),
        (b"FLV\x02\x05\x00\x00\x00\x09", "not an FLV file"),
        (b"FLV\x01\x05\x00\x00\x00\x08", "file header of 8 bytes"),
        (b"FLV\x01\x05\xff\xff\xff\xff", "file header of 4294967295 bytes"),
    ],
)
def test_a_bad_file_header_is_refused_as_soon_as_it_shows(data, why):
    if why is None:
        assert read(data)[0] == []
        return
    with pytest.raises(RemoteProtocolError, match=why):
        read(data)


def test_a_longer_file_header_is_passed_over():
    head = b"FLV\x01\x05\x00\x00\x00\x0c"
    found, _ = read(head, b"\x00" * 2, b"\x00" + bytes(4) + b"".join(TAGS))
    assert seen(found) == seen(SENT)


def test_wrong_pointers_are_counted_and_otherwise_ignored():
    zeroed = [data[:-4] + bytes(4) for data in TAGS]
    found, reader = read(file_header(audio=True, video=True) + b"".join(zeroed))
    assert seen(found) == seen(SENT)
    assert reader.wrong_pointers == len(TAGS) - 1  # the one behind the last tag is not needed


@pytest.mark.parametrize("lie", [-3, 5])
def test_a_tag_size_that_lies_is_noticed_at_the_next_tag(lie):
    first = TAGS[0]
    size = len(first) - 15 + lie
    wrong = first[:1] + size.to_bytes(3, "big") + first[4:]
    with pytest.raises(RemoteProtocolError, match="sizes before it lie"):
        read(file_header(audio=True, video=True) + wrong + b"".join(TAGS[1:]))


def test_a_tag_of_16_mib_is_waited_for_and_no_longer():
    reader = FileReader()
    head = b"\x12\xff\xff\xff" + bytes(7)
    reader.feed(file_header(audio=True, video=True) + head)
    for _ in range(16):
        assert reader.feed(bytes(1 << 20)) == []
    assert reader.demuxer.dropped == 1  # script data of that size
    assert reader.feed(bytes(3) + TAGS[1])


def test_an_encrypted_file_is_refused():
    wrong = bytes((TAGS[0][0] | 0x20,)) + TAGS[0][1:]
    with pytest.raises(RemoteProtocolError, match="encrypted"):
        read(file_header(audio=True, video=True) + wrong)


@given(st.binary(max_size=80), st.integers(0, len(FILE)))
def test_garbage_raises_nothing_but_the_remote_protocol_error(data, cut):
    for whole in (data, FILE[:cut] + data, FILE[:13] + data + FILE[13:]):
        with contextlib.suppress(RemoteProtocolError):
            read(whole)
