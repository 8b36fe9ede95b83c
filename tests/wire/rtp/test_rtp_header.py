"""wire/rtp/header.py and extensions.py."""

import contextlib

import pytest
from aiortc.rtp import RtpPacket as AiortcPacket
from hypothesis import given
from hypothesis import strategies as st

from livetrio.errors import LocalProtocolError, RemoteProtocolError
from livetrio.wire.rtp import extensions as ext
from livetrio.wire.rtp.header import (
    RtpPacket,
    build_rtp_header,
    is_rtcp,
    parse_rtp,
    unwrap,
    unwrap_timestamp,
)

PLAIN = bytes.fromhex("80e000010000000200000003")
EXTENDED = bytes.fromhex("90e000010000000200000003")


def with_extension(profile: int, block: bytes) -> RtpPacket:
    head = profile.to_bytes(2) + (len(block) // 4).to_bytes(2)
    return parse_rtp(EXTENDED + head + block + b"payload")


def test_the_fixed_header_is_read():
    packet = parse_rtp(memoryview(PLAIN + b"frame"))
    assert (packet.marker, packet.payload_type, packet.sequence) == (True, 96, 1)
    assert (packet.timestamp, packet.ssrc, packet.payload) == (2, 3, b"frame")
    assert (packet.profile, packet.extension) == (0, b"")
    assert type(packet.payload) is bytes


def test_csrcs_are_stepped_over():
    assert parse_rtp(b"\x82" + PLAIN[1:] + bytes(8) + b"x").payload == b"x"


def test_csrcs_stand_before_the_extension():
    data = b"\x91" + PLAIN[1:] + b"csrc" + bytes.fromhex("bede0001") + b"\x10a\0\0" + b"x"
    packet = parse_rtp(data)
    assert (packet.payload, ext.extension(packet, 1)) == (b"x", b"a")


def test_padding_is_taken_off():
    assert parse_rtp(b"\xa0" + PLAIN[1:] + b"frame\0\0\3").payload == b"frame"


def test_a_packet_of_padding_alone_is_a_probe():
    assert parse_rtp(b"\xa0" + PLAIN[1:] + b"\0" * 254 + b"\xff").payload == b""


def test_an_empty_payload_is_no_fault_of_the_header():
    assert parse_rtp(PLAIN).payload == b""


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(PLAIN[:11], id="cut"),
        pytest.param(b"\x00" + PLAIN[1:], id="version 0"),
        pytest.param(b"\x40" + PLAIN[1:], id="version 1"),
        pytest.param(b"\xc0" + PLAIN[1:], id="version 3"),
        pytest.param(b"\x8f" + PLAIN[1:] + bytes(59), id="15 CSRCs that are not there"),
        pytest.param(EXTENDED + b"\xbe\xde\x00", id="half an extension preamble"),
        pytest.param(EXTENDED + b"\xbe\xde\x00\x02" + bytes(7), id="extension cut"),
        pytest.param(EXTENDED + b"\xbe\xde\xff\xff" + bytes(99), id="extension of 256 KiB"),
        pytest.param(b"\xa0" + PLAIN[1:], id="padding without a payload"),
        pytest.param(b"\xa0" + PLAIN[1:] + b"x\0", id="padding 0"),
        pytest.param(b"\xa0" + PLAIN[1:] + b"\3\3", id="padding over the payload"),
        pytest.param(b"\xa0" + PLAIN[1:] + b"x" * 99 + b"\xff", id="padding 255"),
        pytest.param(b"\xb0" + PLAIN[1:] + b"\xbe\xde\x00\x01\0\0\0\1", id="padding in extension"),
    ],
)
def test_hostile_packets_are_refused(data):
    with pytest.raises(RemoteProtocolError, match=r"^RTP: "):
        parse_rtp(data)


@given(st.binary(max_size=80) | st.binary(max_size=60).map(lambda tail: b"\xbf\x60" + tail))
def test_no_bytes_break_the_reader(data):
    with contextlib.suppress(RemoteProtocolError):
        packet = parse_rtp(data)
        for id in (0, 1, 14, 15, 200):
            ext.extension(packet, id)
        ext.extensions(packet)


@given(
    st.integers(0, 127),
    st.integers(0, 1 << 20),
    st.integers(0, 1 << 36),
    st.integers(0, 0xFFFF_FFFF),
    st.booleans(),
    st.dictionaries(st.integers(1, 14), st.binary(min_size=1, max_size=16), max_size=5)
    | st.dictionaries(st.integers(1, 255), st.binary(max_size=255), max_size=3),
)
def test_what_is_built_is_read_again_by_us_and_by_aiortc(pt, sequence, ts, ssrc, marker, elements):
    data = build_rtp_header(
        pt, sequence, ts, ssrc, marker=marker, extension=ext.build_extensions(elements.items())
    )
    packet = parse_rtp(data + b"frame")
    theirs = AiortcPacket.parse(data + b"frame")
    assert packet.payload == theirs.payload == b"frame"
    assert packet.marker == marker == bool(theirs.marker)
    assert packet.payload_type == pt == theirs.payload_type
    assert packet.sequence == sequence & 0xFFFF == theirs.sequence_number
    assert packet.timestamp == ts & 0xFFFF_FFFF == theirs.timestamp
    assert packet.ssrc == ssrc == theirs.ssrc
    assert ext.extensions(packet) == elements
    assert all(ext.extension(packet, id) == value for id, value in elements.items())


def test_rtcp_is_told_from_rtp_by_its_second_byte():
    assert not is_rtcp(PLAIN)
    assert is_rtcp(bytes.fromhex("80c80006"))
    assert is_rtcp(bytes.fromhex("81cf0006"))
    assert not is_rtcp(b"\x80")


@pytest.mark.parametrize(
    ("number", "last", "extended"),
    [
        (5, 4, 5),
        (0, 0xFFFF, 0x10000),
        (0xFFFF, 0x10000, 0xFFFF),
        (3, 0x2FFFE, 0x30003),
        (0xFFFE, 0x30003, 0x2FFFE),
        (0xFFFF, 0, -1),
    ],
)
def test_sequence_numbers_go_on_through_their_wrap(number, last, extended):
    assert unwrap(number, last) == extended


def test_timestamps_go_on_through_their_wrap():
    assert unwrap_timestamp(10, 0xFFFF_FFF0) == 0x1_0000_000A
    assert unwrap_timestamp(0xFFFF_FFF0, 0x1_0000_000A) == 0xFFFF_FFF0


@given(st.integers(0, 1 << 40), st.integers(-0x8000, 0x7FFF))
def test_any_number_near_the_last_is_found_again(last, distance):
    assert unwrap((last + distance) & 0xFFFF, last) == last + distance


def test_one_byte_elements_are_found_between_padding():
    packet = with_extension(ext.ONE_BYTE, b"\0\x10a\0\x31bc\0")
    assert ext.extension(packet, 1) == b"a"
    assert ext.extension(packet, 3) == b"bc"
    assert ext.extension(packet, 2) is None
    assert ext.extensions(packet) == {1: b"a", 3: b"bc"}


def test_two_byte_elements_may_be_empty_and_long():
    packet = with_extension(ext.TWO_BYTE | 5, b"\x01\x00\x00\xc8\x03abc")
    assert ext.extension(packet, 1) == b""
    assert ext.extension(packet, 200) == b"abc"
    assert ext.extension(packet, 7) is None


@pytest.mark.parametrize(
    ("profile", "block"),
    [
        pytest.param(ext.ONE_BYTE, b"\x10a\xf0x", id="id 15 ends the search"),
        pytest.param(ext.ONE_BYTE, b"\x10a\x01x", id="id 0 with a length does, too"),
        pytest.param(ext.ONE_BYTE, b"\x10a\x2fx", id="an element that is cut"),
        pytest.param(ext.TWO_BYTE, b"\x01\x01a\x02", id="a two-byte element without length"),
        pytest.param(ext.TWO_BYTE, b"\x01\x01a\0\x02\x05bc", id="a two-byte element cut"),
    ],
)
def test_what_follows_a_broken_element_is_not_looked_at(profile, block):
    packet = with_extension(profile, block)
    assert ext.extension(packet, 1) == b"a"
    assert ext.extension(packet, 2) is None
    assert ext.extension(packet, 15) is None
    assert ext.extensions(packet) == {1: b"a"}
    assert packet.payload == b"payload"


def test_an_extension_of_another_profile_has_no_elements():
    packet = with_extension(0x1234, b"\x10a\0\0")
    assert ext.extension(packet, 1) is None
    assert ext.extensions(packet) == {}


def test_a_packet_without_extension_has_no_elements():
    assert ext.extension(parse_rtp(PLAIN), 1) is None
    assert ext.build_extensions([]) == b""


def test_of_two_elements_with_one_id_the_first_counts():
    packet = with_extension(ext.ONE_BYTE, b"\x10a\x10b")
    assert ext.extension(packet, 1) == b"a"
    assert ext.extensions(packet) == {1: b"a"}


@pytest.mark.parametrize("element", [(0, b"a"), (256, b"a"), (1, bytes(256))])
def test_elements_nobody_could_read_are_not_built(element):
    with pytest.raises(LocalProtocolError):
        ext.build_extensions([element])


def test_the_short_form_is_used_where_it_can_say_it():
    assert ext.build_extensions([(1, b"abc")]).hex() == "bede0001" + "12616263"
    assert ext.build_extensions([(1, b"")]).hex() == "10000001" + "01000000"
    assert ext.build_extensions([(15, b"a")]).hex() == "10000001" + "0f016100"


def test_audio_levels_are_read_and_written():
    assert ext.audio_level(ext.build_audio_level(30, voice=True)) == (30, True)
    assert ext.audio_level(ext.build_audio_level(127)) == (127, False)
    assert ext.audio_level(b"") is None


def test_transport_sequence_numbers_are_read_and_written():
    assert ext.transport_sequence(ext.build_transport_sequence(0x12345)) == 0x2345
    assert ext.transport_sequence(b"\1\2\3\4") == 0x102
    assert ext.transport_sequence(b"\1") is None


@given(st.integers(0, 63_999_000))
def test_sending_times_keep_four_microseconds(us):
    value = ext.abs_send_time_us(ext.build_abs_send_time(us))
    assert value is not None
    assert 0 <= us - value <= 4


def test_sending_times_wrap_after_64_seconds():
    assert ext.build_abs_send_time(64_000_000) == b"\0\0\0"
    assert ext.abs_send_time_us(b"\0\0") is None


def test_names_that_are_no_text_match_nothing():
    assert ext.text(b"hi") == "hi"
    assert ext.text(b"\xff") == "\N{REPLACEMENT CHARACTER}"
