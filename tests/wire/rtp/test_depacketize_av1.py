"""AV1 and Opus out of RTP, and which class serves a codec."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.rtp_source import av1_payloads, av1_sequence_header

from livetrio.errors import LocalProtocolError, RemoteProtocolError
from livetrio.packet import Codec
from livetrio.wire.av1 import ObuType, leb128, obus
from livetrio.wire.opus import OpusHead
from livetrio.wire.rtp.depacketize import depacketizer
from livetrio.wire.rtp.depacketize.av1 import Av1Depacketizer
from livetrio.wire.rtp.depacketize.opus import OpusDepacketizer
from livetrio.wire.tracks import track_from_record

SEQUENCE = av1_sequence_header()
KEY = b"\x30" + b"\x10" + bytes(200)  # OBU_FRAME: shown key frame
INTER = b"\x30" + b"\x30" + bytes(200)
DELIMITER = b"\x10"


def sized(unit: bytes) -> bytes:
    """A unit of one header byte, with its size."""
    return bytes((unit[0] | 2,)) + leb128(len(unit) - 1) + unit[1:]


def test_a_key_frame_has_sizes_and_a_record_and_no_delimiter():
    result = Av1Depacketizer().frame(av1_payloads([DELIMITER, SEQUENCE, KEY], 50, new=True))
    assert result is not None
    assert result.key
    assert result.data == sized(SEQUENCE) + sized(KEY)
    assert [unit.type for unit in obus(result.data)] == [ObuType.SEQUENCE_HEADER, ObuType.FRAME]
    track = track_from_record(Codec.AV1, result.record)
    assert (track.width, track.height, track.profile) == (64, 48, "Main@3.0")


def test_a_repeated_sequence_header_is_no_new_configuration_and_another_is():
    av1 = Av1Depacketizer()
    for width, is_new in ((64, True), (64, False), (128, True)):
        result = av1.frame(av1_payloads([av1_sequence_header(width), KEY]))
        assert result is not None
        assert bool(result.record) is is_new


def test_only_a_key_frame_with_its_sequence_header_is_a_start():
    av1 = Av1Depacketizer()
    for units, key in (([INTER], False), ([KEY], False), ([SEQUENCE, INTER], False)):
        result = av1.frame(av1_payloads(units))
        assert result is not None
        assert result.key is key
    repeated = av1.frame(av1_payloads([SEQUENCE, b"\x18\x80"]))  # show_existing_frame
    assert repeated is not None
    assert not repeated.key
    empty = av1.frame(av1_payloads([SEQUENCE, b"\x18"]))
    assert empty is not None
    assert not empty.key


def test_units_without_a_picture_are_no_frame():
    assert Av1Depacketizer().frame(av1_payloads([DELIMITER, SEQUENCE])) is None
    assert Av1Depacketizer().frame(av1_payloads([b"\x78\x00"])) is None


@pytest.mark.parametrize(
    "payload",
    [
        b"\x00" + leb128(len(SEQUENCE)) + SEQUENCE + leb128(len(KEY)) + KEY,  # W = 0
        b"\x20" + leb128(len(SEQUENCE)) + SEQUENCE + KEY,  # W = 2
        b"\x20" + leb128(len(sized(SEQUENCE))) + sized(SEQUENCE) + sized(KEY),
        b"\x30" + b"\x01\x10" + leb128(len(SEQUENCE)) + SEQUENCE + KEY,  # W = 3
    ],
)
def test_all_ways_to_put_elements_into_a_packet_mean_the_same(payload):
    result = Av1Depacketizer().frame([payload])
    assert result is not None
    assert result.data == sized(SEQUENCE) + sized(KEY)


def test_a_packet_may_end_one_unit_and_begin_the_next():
    cut = 100
    first = b"\x60" + leb128(len(SEQUENCE)) + SEQUENCE + KEY[:cut]
    second = b"\x90" + KEY[cut:]
    result = Av1Depacketizer().frame([first, second])
    assert result is not None
    assert result.data == sized(SEQUENCE) + sized(KEY)


def test_an_extension_header_is_kept():
    result = Av1Depacketizer().frame([b"\x10" + b"\x34\x20" + KEY[1:]])
    assert result is not None
    (unit,) = obus(result.data)
    assert (unit.header, bytes(unit.payload)) == (b"\x36\x20", KEY[1:])


@pytest.mark.parametrize(
    ("payloads", "reason"),
    [
        ([b"\x10"], "fewer elements"),
        ([b"\x00"], "fewer elements"),
        ([b"\x20\x01\x10"], "fewer elements"),
        ([b"\x30\x01\x10\x01\x10"], "fewer elements"),
        ([b"\x00\x05\x10"], "do not add up"),
        ([b"\x00\x00"], "do not add up"),
        ([b"\x00\x80"], "leb128"),
        ([b"\x90" + KEY], "without its start"),
        ([b"\x50" + KEY], "without its end"),
        ([b"\x50" + KEY, b"\x10" + KEY], "without its end"),
        ([b"\x10\xb0\x10"], "forbidden bit"),
        ([b"\x10\x34"], "within its header"),
        ([b"\x10\x32\x05\x10"], "not that of its element"),
        ([b"\x20\x01\x08" + KEY], "bits wanted"),
        ([b"\x00" + b"\x01\x10" * 5000], "more than 4096 elements"),
    ],
)
def test_what_is_no_av1_is_refused(payloads, reason):
    with pytest.raises(RemoteProtocolError, match=reason):
        Av1Depacketizer().frame(payloads)


def test_a_packet_that_continues_begins_nothing():
    first, second = av1_payloads([KEY], 150)
    assert Av1Depacketizer().begins(first)
    assert not Av1Depacketizer().begins(second)


@given(st.lists(st.binary(min_size=1, max_size=30), min_size=1, max_size=5))
def test_garbage_raises_nothing_but_a_protocol_error(payloads):
    for served in (Av1Depacketizer(), OpusDepacketizer()):
        served.begins(payloads[0])
        try:
            result = served.frame(payloads)
        except RemoteProtocolError:
            continue
        assert result is None or result.data


@given(st.lists(st.binary(min_size=1, max_size=2000), min_size=1, max_size=4), st.integers(1, 900))
def test_any_units_survive_any_packet_size(bodies, mtu):
    units = [b"\x30" + body for body in bodies]
    result = Av1Depacketizer().frame(av1_payloads([SEQUENCE, *units], mtu))
    assert result is not None
    assert result.data == b"".join(map(sized, [SEQUENCE, *units]))


def test_opus_packets_pass_and_the_first_brings_the_record():
    opus = OpusDepacketizer()
    first, silence = opus.frame([b"\xfc\x01\x02"]), opus.frame([b"\xf8"])
    assert first is not None
    assert silence is not None
    assert (first.key, first.data, OpusHead.parse(first.record).channels) == (
        True,
        b"\xfc\x01\x02",
        2,
    )
    assert (silence.data, silence.record) == (b"\xf8", b"")
    assert opus.begins(b"\x00")


@pytest.mark.parametrize(
    ("payloads", "reason"),
    [([b"\xff"], "0 microseconds"), ([b"\xff\x3f"], "microseconds"), ([b"\xfc"] * 2, "2 packets")],
)
def test_what_is_no_opus_is_refused(payloads, reason):
    with pytest.raises(RemoteProtocolError, match=reason):
        OpusDepacketizer().frame(payloads)


@pytest.mark.parametrize(
    "codec", [Codec.H264, Codec.VP8, Codec.VP9, Codec.AV1, Codec.OPUS], ids=lambda c: c.value
)
def test_each_codec_that_is_agreed_to_has_a_depacketiser(codec):
    assert codec.value in type(depacketizer(codec, {})).__name__.lower()


def test_a_codec_that_must_not_be_agreed_to_is_our_mistake():
    with pytest.raises(LocalProtocolError):
        depacketizer(Codec.HEVC, {})
