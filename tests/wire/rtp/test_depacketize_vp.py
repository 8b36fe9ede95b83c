"""VP8 and VP9 out of RTP: descriptors of every length, and cut ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.rtp_source import vp8_frame, vp8_payloads, vp9_frame, vp9_payloads

from livetrio.errors import RemoteProtocolError
from livetrio.packet import Codec
from livetrio.wire.rtp.depacketize.vp8 import Vp8Depacketizer
from livetrio.wire.rtp.depacketize.vp9 import Vp9Depacketizer
from livetrio.wire.tracks import track_from_record
from livetrio.wire.vp import VpConfig

KEY8 = vp8_frame(key=True)
KEY9 = vp9_frame(key=True)
INTER9 = vp9_frame(key=False)


def test_a_vp8_key_frame_tells_its_size_and_brings_a_record():
    result = Vp8Depacketizer().frame(vp8_payloads(vp8_frame(key=True, width=640, height=360)))
    assert result is not None
    assert (result.key, result.width, result.height) == (True, 640, 360)
    assert track_from_record(Codec.VP8, result.record).profile == "Profile 0@2.1"


def test_the_record_comes_again_only_with_another_size():
    vp8, vp9 = Vp8Depacketizer(), Vp9Depacketizer()
    for size, is_new in ((640, True), (640, False), (320, True)):
        first = vp8.frame(vp8_payloads(vp8_frame(key=True, width=size)))
        second = vp9.frame(vp9_payloads(vp9_frame(key=True, width=size)))
        assert first is not None
        assert bool(first.record) is is_new
        assert second is not None
        assert bool(second.record) is is_new


def test_fragments_join_and_a_later_frame_is_no_key():
    data = vp8_frame(key=False, size=5000)
    result = Vp8Depacketizer().frame(vp8_payloads(data, mtu=500))
    assert result is not None
    assert (result.data, result.key, result.record) == (data, False, b"")


@pytest.mark.parametrize(
    "descriptor",
    [
        "10",
        "9000",
        "908005",
        "90808005",
        "904000",
        "902000",
        "901000",
        "90f0" + "8005" + "00" + "00",
        "90e0" + "05" + "00" + "00",
    ],
)
def test_every_form_of_the_vp8_descriptor_is_taken_off(descriptor):
    result = Vp8Depacketizer().frame([bytes.fromhex(descriptor) + KEY8])
    assert result is not None
    assert result.data == KEY8


@pytest.mark.parametrize(
    "payload", ["10", "90", "9000", "9080", "908005", "90f080050000", "90ff", "90c080"]
)
def test_a_vp8_packet_that_ends_within_its_descriptor_is_refused(payload):
    with pytest.raises(RemoteProtocolError, match="within its descriptor"):
        Vp8Depacketizer().frame([bytes.fromhex(payload)])


@pytest.mark.parametrize("payload", ["00" + "11", "11" + "11", "80" + "80" + "05" + "11"])
def test_a_vp8_frame_begins_with_its_first_partition(payload):
    vp8 = Vp8Depacketizer()
    assert not vp8.begins(bytes.fromhex(payload))
    with pytest.raises(RemoteProtocolError, match="without its start"):
        vp8.frame([bytes.fromhex(payload)])
    assert vp8.begins(vp8_payloads(KEY8)[0])


def test_a_vp8_key_frame_without_its_start_code_is_refused():
    with pytest.raises(RemoteProtocolError, match="start code"):
        Vp8Depacketizer().frame([b"\x10\x10\x00\x00"])


def test_what_aiortc_packetises_as_vp8_comes_out_as_it_was():
    vpx = pytest.importorskip("aiortc.codecs.vpx")
    data = vp8_frame(key=True, size=4000)
    payloads = vpx.Vp8Encoder._packetize(data, 0x1234)
    result = Vp8Depacketizer().frame(payloads)
    assert result is not None
    assert result.data == data


def test_a_vp9_key_frame_tells_its_size_and_brings_a_record():
    result = Vp9Depacketizer().frame(
        vp9_payloads(vp9_frame(key=True, width=1280, height=720, size=3000), mtu=500)
    )
    assert result is not None
    assert (result.key, result.width, result.height) == (True, 1280, 720)
    assert VpConfig.parse(result.record) == VpConfig(0, 31, 8, 1)


@pytest.mark.parametrize(("profile", "depth", "chroma"), [(1, 8, 3), (2, 10, 1), (3, 10, 3)])
def test_the_other_vp9_profiles_have_more_colour_or_more_bits(profile, depth, chroma):
    result = Vp9Depacketizer().frame(vp9_payloads(vp9_frame(key=True, profile=profile)))
    assert result is not None
    config = VpConfig.parse(result.record)
    assert (config.profile, config.bit_depth, config.chroma) == (profile, depth, chroma)


def test_a_later_vp9_frame_is_no_key():
    result = Vp9Depacketizer().frame(vp9_payloads(INTER9, mtu=30))
    assert result is not None
    assert (result.data, result.key) == (INTER9, False)


def test_of_spatial_layers_the_base_is_taken():
    vp9 = Vp9Depacketizer()
    base, high = vp9_payloads(KEY9, layer=0, mtu=40), vp9_payloads(INTER9, layer=1, mtu=40)
    result = vp9.frame([*base, *high])
    assert result is not None
    assert result.data == KEY9
    assert vp9.frame(high) is None
    assert vp9.begins(base[0])
    assert not vp9.begins(high[0])
    assert not vp9.begins(base[1])
    assert not vp9.begins(b"\x88")


@pytest.mark.parametrize(
    "descriptor",
    [
        "0c",
        "8c05",
        "8c8005",
        "2c0007",  # layer indices with TL0PICIDX
        "3c00",  # flexible: without it
        "7c00" + "02",  # one reference
        "7c00" + "030502",  # three
        "4c",  # an inter picture in non-flexible mode has no P_DIFF
        "0e" + "00",  # a scalability structure of one layer
        "0e" + "30" + "0040003000800060",  # two, with sizes
        "0e" + "08" + "02" + "04" + "01" + "08" + "0102",  # a picture group of two
        "0e" + "08" + "00",
    ],
)
def test_every_form_of_the_vp9_descriptor_is_taken_off(descriptor):
    result = Vp9Depacketizer().frame([bytes.fromhex(descriptor) + KEY9])
    assert result is not None
    assert result.data == KEY9


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("0c", "within its descriptor"),
        ("8c", "within its descriptor"),
        ("8c80", "within its descriptor"),
        ("2c00", "within its descriptor"),
        ("7c00", "within its descriptor"),
        ("0e", "within its descriptor"),
        ("0e30004000", "within its descriptor"),
        ("0e08ff", "within its descriptor"),
        ("5c03050700", "three references"),
        ("08a0", "without its end"),
        ("04a0", "without its start"),
    ],
)
def test_a_broken_vp9_packet_is_refused(payload, reason):
    with pytest.raises(RemoteProtocolError, match=reason):
        Vp9Depacketizer().frame([bytes.fromhex(payload)])


def test_two_vp9_frames_of_one_time_are_refused():
    payloads = vp9_payloads(INTER9)
    with pytest.raises(RemoteProtocolError, match="or with two"):
        Vp9Depacketizer().frame([*payloads, *payloads])
    middle = vp9_payloads(INTER9, mtu=40)
    with pytest.raises(RemoteProtocolError, match="or with two"):
        Vp9Depacketizer().frame([middle[0], middle[0]])


@given(st.lists(st.binary(min_size=1, max_size=30), min_size=1, max_size=5))
def test_garbage_raises_nothing_but_a_protocol_error(payloads):
    for depacketizer in (Vp8Depacketizer(), Vp9Depacketizer()):
        depacketizer.begins(payloads[0])
        try:
            result = depacketizer.frame(payloads)
        except RemoteProtocolError:
            continue
        assert result is None or result.data


@given(st.integers(1, 3000), st.integers(0, 0xFFFF), st.integers(12, 1200))
def test_any_frame_survives_any_packet_size(size, picture, mtu):
    frame8, frame9 = vp8_frame(key=True, size=size), vp9_frame(key=True, size=size)
    result8 = Vp8Depacketizer().frame(vp8_payloads(frame8, picture, mtu))
    result9 = Vp9Depacketizer().frame(vp9_payloads(frame9, picture, mtu=mtu))
    assert result8 is not None
    assert result8.data == frame8
    assert result9 is not None
    assert result9.data == frame9
