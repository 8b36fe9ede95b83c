"""H.264 out of RTP: what encoders send, and what none should."""

import base64
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.media import avc_config
from kit.rtp_source import avc_units, fu_a, h264_payloads, stap_a

from livetrio.errors import RemoteProtocolError
from livetrio.wire.avc import AvcConfig
from livetrio.wire.nal import join_units, nal_units
from livetrio.wire.rtp.depacketize import Frame
from livetrio.wire.rtp.depacketize.h264 import H264Depacketizer

SPS, PPS, IDR = avc_units(key=True)
(SLICE,) = avc_units(key=False, number=1)
AUD = b"\x09\xf0"
SEI = b"\x06\x05\x01\x00\x80"
FILLER = b"\x0c\xff\x80"


def frame(*payloads: bytes, into: H264Depacketizer | None = None) -> Frame | None:
    return (into or H264Depacketizer()).frame(payloads)


def test_a_key_frame_is_its_idr_slice_and_a_record_of_its_parameter_sets():
    result = frame(stap_a([SPS, PPS]), IDR)
    assert result is not None
    assert result.key
    assert result.data == join_units([IDR])
    assert result.record == avc_config(64, 64)


def test_parameter_sets_may_come_as_packets_of_their_own():
    result = frame(SPS, PPS, IDR)
    assert result is not None
    assert result.record == avc_config(64, 64)


def test_a_later_frame_has_neither_key_nor_record():
    depacketizer = H264Depacketizer()
    frame(SPS, PPS, IDR, into=depacketizer)
    result = frame(SLICE, into=depacketizer)
    assert result is not None
    assert (result.key, result.record, result.data) == (False, b"", join_units([SLICE]))


def test_a_repeated_configuration_is_no_new_one_and_another_picture_size_is():
    depacketizer = H264Depacketizer()
    frame(SPS, PPS, IDR, into=depacketizer)
    same = frame(SPS, PPS, IDR, into=depacketizer)
    other = frame(*avc_units(key=True, width=128, height=96), into=depacketizer)
    assert same is not None
    assert same.record == b""
    assert other is not None
    assert other.record == avc_config(128, 96)


def test_a_new_pps_alone_is_a_new_configuration():
    depacketizer = H264Depacketizer()
    frame(SPS, PPS, IDR, into=depacketizer)
    second = b"\x68" + bytes((0x50,)) + PPS[2:]  # pic_parameter_set_id 1
    result = frame(second, IDR, into=depacketizer)
    assert result is not None
    assert AvcConfig.parse(result.record).pps_list == (PPS, second)


def test_a_new_sps_without_pps_keeps_those_known():
    depacketizer = H264Depacketizer()
    frame(SPS, PPS, IDR, into=depacketizer)
    sps, _, idr = avc_units(key=True, width=128, height=96)
    result = frame(sps, idr, into=depacketizer)
    assert result is not None
    assert AvcConfig.parse(result.record).pps_list == (PPS,)


def test_fragments_make_the_unit_they_were():
    unit = b"\x65" + bytes(range(256)) * 20
    depacketizer = H264Depacketizer()
    result = frame(stap_a([SPS, PPS]), *fu_a(unit, 100), into=depacketizer)
    assert result is not None
    assert result.key
    assert result.data == join_units([unit])


def test_delimiters_and_filler_go_and_supplements_stay():
    result = frame(stap_a([AUD, SPS, PPS, SEI]), IDR, FILLER)
    assert result is not None
    assert [bytes(unit) for unit in nal_units(result.data)] == [SEI, IDR]


def test_parameter_sets_alone_are_no_frame_but_remembered():
    depacketizer = H264Depacketizer()
    assert frame(stap_a([SPS, PPS]), into=depacketizer) is None
    assert frame(SEI, into=depacketizer) is None
    result = frame(IDR, into=depacketizer)
    assert result is not None
    assert result.record == avc_config(64, 64)


def test_parameter_sets_of_the_session_description_serve_until_others_come():
    text = ",".join(base64.b64encode(unit).decode() for unit in (SPS, PPS))
    result = frame(IDR, into=H264Depacketizer(text))
    assert result is not None
    assert result.record == avc_config(64, 64)


@pytest.mark.parametrize("text", ["", "!,é", "Z0Lg", "Z0I=,aA==", ","])
def test_unreadable_parameter_sets_of_the_session_description_are_left(text):
    with pytest.raises(RemoteProtocolError, match="before its parameter sets"):
        frame(IDR, into=H264Depacketizer(text))


@pytest.mark.parametrize(
    ("payloads", "reason"),
    [
        ([IDR], "before its parameter sets"),
        ([SPS, IDR], "before its parameter sets"),
        ([b"\x7c\x85"], "without a fragment"),
        ([b"\x7c"], "without a fragment"),
        ([b"\x7c\x05\x00"], "without its start"),
        ([b"\x7c\x45\x00"], "without its start"),
        ([b"\x7c\x85\x00"], "without its end"),
        ([b"\x7c\x85\x00", b"\x7c\x85\x00"], "starts where it must not"),
        ([b"\x7c\xc5\x00"], "starts where it must not"),
        ([b"\x7c\x85\x00", SLICE], "without its end"),
        ([b"\x78\x00"], "do not add up"),
        ([b"\x78\x00\x00"], "do not add up"),
        ([b"\x78\x00\x05\x65"], "do not add up"),
        ([b"\x78\xff\xff\x65"], "do not add up"),
        ([stap_a([stap_a([SPS])])], "inside of a STAP-A"),
        ([stap_a([b"\x7c\x85\x00"])], "inside of a STAP-A"),
        ([stap_a([b"\x00"])], "inside of a STAP-A"),
        ([b"\x79\x00\x01\x65"], "type 25"),
        ([b"\x7d\x85\x00\x00\x00"], "type 29"),
        ([b"\x7e"], "type 30"),
        ([b"\x00"], "type 0"),
        ([b"\x67", b"\x68"], "bits wanted"),
        ([SPS, b"\x68"], "bits wanted"),
        ([SPS, b"\x68\x00\x80\x40"], "a PPS of number"),
        ([b"\x67" + bytes(5000)], "over 4096"),
    ],
)
def test_what_is_no_h264_is_refused(payloads, reason):
    with pytest.raises(RemoteProtocolError, match=reason):
        frame(*payloads)


def test_an_unusable_sps_leaves_the_known_one():
    depacketizer = H264Depacketizer()
    frame(SPS, PPS, IDR, into=depacketizer)
    with pytest.raises(RemoteProtocolError):
        frame(b"\x67\xff", IDR, into=depacketizer)
    assert frame(IDR, into=depacketizer) is not None


@pytest.mark.parametrize(
    ("payload", "begins"),
    [
        (stap_a([SPS, PPS]), True),
        (SPS, True),
        (AUD, True),
        (SEI, True),
        (IDR, True),
        (SLICE, True),
        (b"\x41\x40", False),  # first_mb_in_slice is not 0
        (fu_a(b"\x65" + b"\x88" * 300, 100)[0], True),
        (fu_a(b"\x65" + b"\x48" * 300, 100)[0], False),
        (fu_a(b"\x65" + b"\x88" * 300, 100)[1], False),
        (b"\x7c\x85", False),
        (b"\x78\x00\x01\x67", False),
        (b"\x67", False),
        (FILLER, False),
    ],
)
def test_only_the_first_packet_of_a_picture_begins_one(payload, begins):
    assert H264Depacketizer().begins(payload) is begins


def test_what_aiortc_packetises_comes_out_as_it_was():
    h264 = pytest.importorskip("aiortc.codecs.h264")
    units = [SPS, PPS, b"\x65" + b"\x88" * 3000]
    payloads = h264.H264Encoder._packetize(iter(units))
    result = frame(*payloads)
    assert result is not None
    assert result.data == join_units(units[2:])


def test_a_real_encoders_stream_decodes_to_the_pictures_that_were_encoded():
    av = pytest.importorskip("av")
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 128, 96, "yuv420p"
    encoder.time_base = Fraction(1, 30)
    encoder.options = {"tune": "zerolatency", "preset": "ultrafast", "aud": "1"}
    depacketizer = H264Depacketizer()
    decoder = av.CodecContext.create("h264", "r")
    shown = 0
    for number in range(5):
        picture = av.VideoFrame(128, 96, "yuv420p")
        picture.pts = number
        for packet in encoder.encode(picture):
            units = [u for u in bytes(packet).split(b"\x00\x00\x01") if u.strip(b"\x00")]
            result = depacketizer.frame(h264_payloads([u.rstrip(b"\x00") for u in units], 200))
            assert result is not None
            if result.record:
                decoder.extradata = result.record
            assert result.key is (number == 0)
            shown += len(decoder.decode(av.Packet(result.data)))
    assert shown + len(decoder.decode(None)) == 5


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=6))
def test_garbage_raises_nothing_but_a_protocol_error(payloads):
    depacketizer = H264Depacketizer()
    for payload in payloads:
        depacketizer.begins(payload)
    for use in (payloads, [SPS, PPS, *payloads]):
        try:
            result = depacketizer.frame(use)
        except RemoteProtocolError:
            continue
        if result is not None:
            assert list(nal_units(result.data))


@given(st.lists(st.binary(min_size=1, max_size=5000), min_size=1, max_size=4), st.integers(10, 900))
def test_any_units_survive_any_packet_size(bodies, mtu):
    units = [b"\x65" + body for body in bodies]
    result = frame(*h264_payloads([SPS, PPS, *units], mtu))
    assert result is not None
    assert result.data == join_units(units)
