"""Frames into RTP payloads: what our depacketisers and aiortc's read back, in equal slices."""

from __future__ import annotations

import pytest
from aiortc.codecs.h264 import H264PayloadDescriptor
from aiortc.codecs.vpx import VpxPayloadDescriptor
from hypothesis import given
from hypothesis import strategies as st
from kit.media import avc_config, avc_frame, avc_sps
from kit.rtp_source import av1_sequence_header, vp8_frame, vp9_frame

from livetrio.errors import LocalProtocolError, RemoteProtocolError
from livetrio.packet import Codec
from livetrio.wire.av1 import Av1Config, leb128
from livetrio.wire.av1_sequence import Av1Sequence
from livetrio.wire.avc import AvcConfig
from livetrio.wire.nal import join_units
from livetrio.wire.rtp.depacketize import depacketizer
from livetrio.wire.rtp.packetize import PACKETIZED, ROOM, packetizer
from livetrio.wire.rtp.packetize.av1 import Av1Packetizer
from livetrio.wire.rtp.packetize.h264 import H264Packetizer
from livetrio.wire.rtp.packetize.packetizer import slices
from livetrio.wire.rtp.packetize.vp8 import Vp8Packetizer
from livetrio.wire.rtp.packetize.vp9 import Vp9Packetizer

IDR = b"\x65\x88" + bytes(range(256)) * 20
SLICE = b"\x41\x9a" + bytes(range(256)) * 3
AUD, FILLER, SEI = b"\x09\xf0", b"\x0c\xff\x80", b"\x06\x05\x01\x00\x80"


def h264(room: int = ROOM) -> H264Packetizer:
    result = H264Packetizer(room)
    result.configure(avc_config())
    return result


def kinds(payloads: list[bytes]) -> list[int]:
    return [payload[0] & 0x1F for payload in payloads]


def sized(unit: bytes) -> bytes:
    """An OBU with a header of one byte, with its size."""
    return bytes((unit[0] | 2,)) + leb128(len(unit) - 1) + unit[1:]


def av1_record() -> bytes:
    header = av1_sequence_header()[1:]
    return Av1Config.build(Av1Sequence.parse(header), header)


@given(st.integers(0, 20_000), st.integers(1, 1_200))
def test_slices_are_few_and_equal_but_for_a_shorter_last(size: int, room: int):
    cut = list(slices(size, room))
    sizes = [end - start for start, end in cut]
    assert sum(sizes) == size
    assert len(sizes) == -(-size // room)
    assert all(0 < each <= room for each in sizes)
    assert len(set(sizes[:-1])) <= 1
    assert not sizes or sizes[-1] <= sizes[0]


def test_parameter_sets_go_before_each_idr_in_one_small_packet():
    payloads = h264().packetize(join_units([IDR]), key=True)
    assert kinds(payloads) == [24, *[28] * 5]
    assert avc_sps() in payloads[0]
    assert len({len(payload) for payload in payloads[1:-1]}) == 1


def test_a_frame_that_brings_its_sps_is_not_given_another():
    frame = join_units([avc_sps(128, 128), b"\x68\xce\x38\x80", IDR])
    payloads = h264().packetize(frame, key=True)
    assert avc_sps() not in b"".join(payloads)
    assert avc_sps(128, 128) in payloads[0]


def test_a_small_frame_is_a_single_nal_unit():
    assert h264().packetize(join_units([SLICE[:100]]), key=False) == [SLICE[:100]]


def test_delimiters_and_filler_stay_behind_and_sei_goes_along():
    payloads = h264().packetize(join_units([AUD, SEI, SLICE, FILLER]), key=False)
    assert kinds(payloads) == [24]
    frame = depacketizer(Codec.H264, {})
    frame.frame(h264().packetize(avc_frame(key=True), key=True))
    read = frame.frame(payloads)
    assert read is not None
    assert read.data == join_units([SEI, SLICE])
    assert h264().packetize(join_units([AUD]), key=False) == []


def test_small_units_are_aggregated_as_far_as_they_fit():
    payloads = h264(100).packetize(join_units([SLICE[:40]] * 5), key=False)
    assert kinds(payloads) == [24, 24, 1]
    assert max(map(len, payloads)) <= 100


def test_the_length_size_is_that_of_the_record():
    record = bytearray(avc_config())
    record[4] = 0xFC | 1
    packets = H264Packetizer()
    packets.configure(bytes(record))
    assert packets.packetize(join_units([SLICE], 2), key=False) == [SLICE]


def test_h264_that_is_none_is_refused():
    with pytest.raises(RemoteProtocolError):
        h264().packetize(b"\x00\x00\x00\x09abc", key=False)
    with pytest.raises(RemoteProtocolError):
        h264().configure(b"\x00")


@given(st.lists(st.binary(min_size=1, max_size=400), min_size=1, max_size=12), st.integers(60, 300))
def test_h264_comes_back_from_our_depacketiser_and_from_aiortcs(bodies: list[bytes], room: int):
    units = [b"\x65\x80", *(b"\x41" + body for body in bodies)]
    frame = join_units(units)
    payloads = h264(room).packetize(frame, key=True)
    assert max(map(len, payloads)) <= room
    read = depacketizer(Codec.H264, {}).frame(payloads)
    assert read is not None
    assert read.data == frame
    assert read.key
    assert AvcConfig.parse(read.record).sps_list == (avc_sps(),)
    annexb = b"".join(H264PayloadDescriptor.parse(payload)[1] for payload in payloads)
    sets = AvcConfig.parse(avc_config())
    expected = [*sets.sps_list, *sets.pps_list, *units]
    assert annexb == b"".join(b"\x00\x00\x00\x01" + unit for unit in expected)


@given(st.integers(0, 5_000), st.integers(20, 1_200))
def test_vp8_comes_back_from_our_depacketiser_and_from_aiortcs(size: int, room: int):
    frame = vp8_frame(key=True, size=size)
    packets = Vp8Packetizer(room)
    packets.configure(b"")
    for picture in range(2):
        payloads = packets.packetize(frame, key=True)
        assert max(map(len, payloads)) <= room
        read = depacketizer(Codec.VP8, {}).frame(payloads)
        assert read is not None
        assert read.data == frame
        parsed = [VpxPayloadDescriptor.parse(payload) for payload in payloads]
        assert b"".join(rest for _, rest in parsed) == frame
        assert [descriptor.partition_start for descriptor, _ in parsed] == [
            1,
            *[0] * (len(parsed) - 1),
        ]
        assert {descriptor.picture_id for descriptor, _ in parsed} == {picture}


@given(st.booleans(), st.integers(20, 1_200))
def test_vp9_comes_back_from_our_depacketiser(key: bool, room: int):
    frame = vp9_frame(key=key) + bytes(3_000)
    packets = Vp9Packetizer(room)
    packets.configure(b"")
    payloads = packets.packetize(frame, key=key)
    assert max(map(len, payloads)) <= room
    read = depacketizer(Codec.VP9, {}).frame(payloads)
    assert read is not None
    assert read.data == frame
    assert read.key is key
    assert bool(payloads[0][0] & 0x40) is not key  # P: predicted from other pictures
    assert [bool(payload[0] & 4) for payload in payloads] == [*[False] * (len(payloads) - 1), True]


@given(st.lists(st.integers(0, 700), min_size=1, max_size=9), st.integers(16, 1_200))
def test_av1_comes_back_from_our_depacketiser(sizes: list[int], room: int):
    units = [av1_sequence_header(), b"\x30\x10", *(b"\x20" + bytes(size) for size in sizes)]
    payloads = Av1Packetizer(room).packetize(b"".join(map(sized, units)), key=True)
    assert max(map(len, payloads)) <= room
    assert [bool(payload[0] & 8) for payload in payloads] == [True, *[False] * (len(payloads) - 1)]
    read = depacketizer(Codec.AV1, {}).frame(payloads)
    assert read is not None
    assert read.data == b"".join(map(sized, units))


def test_av1_drops_delimiters_and_gives_a_bare_key_frame_its_sequence_header():
    packets = Av1Packetizer()
    packets.configure(av1_record())
    frame = b"\x30\x10" + bytes(3_000)
    payloads = packets.packetize(b"\x12\x00" + sized(frame), key=True)
    assert len({len(payload) for payload in payloads[:-1]}) == 1
    read = depacketizer(Codec.AV1, {}).frame(payloads)
    assert read is not None
    assert read.key
    assert read.data == sized(av1_sequence_header()) + sized(frame)
    packets.configure(b"")
    assert packets.packetize(b"\x12\x00", key=True) == []


def test_an_opus_packet_is_a_payload():
    opus = packetizer(Codec.OPUS)
    opus.configure(b"OpusHead")
    assert opus.packetize(b"\xfcsound", key=True) == [b"\xfcsound"]
    assert opus.packetize(b"", key=True) == []
    longest = b"\xfc" + bytes(1_274)
    assert opus.packetize(longest, key=True) == [longest]


def test_an_opus_packet_that_no_datagram_holds_is_refused():
    with pytest.raises(RemoteProtocolError, match=r"Opus: a packet of 1276 bytes"):
        packetizer(Codec.OPUS).packetize(b"\xff" + bytes(1_275), key=True)


def test_each_codec_that_rtp_carries_has_its_packetiser_and_no_other():
    assert {type(packetizer(codec)).__name__ for codec in PACKETIZED} == {
        "H264Packetizer",
        "Vp8Packetizer",
        "Vp9Packetizer",
        "Av1Packetizer",
        "OpusPacketizer",
    }
    with pytest.raises(LocalProtocolError):
        packetizer(Codec.AAC)


def test_empty_frames_make_no_packets():
    for codec in PACKETIZED - {Codec.H264}:
        assert packetizer(codec).packetize(b"", key=False) == []
