"""wire/flv/video.py, through the Demuxer every publisher has."""

import pytest
from kit.media import avc_config, avc_frame, avc_sps

from livetrio.packet import Codec, Kind
from livetrio.wire.flv import VIDEO, Demuxer
from livetrio.wire.nal import join_units

HEVC = bytes.fromhex(
    "0101600000009000000000003cf000fcfdf8f800000f03200001001840010c01ffff0160000003009000000300000300"
    "3c959809210001002a42010101600000030090000003000003003ca00a480b9c9596566924caf0168080000003008000"
    "000c8422000100074401c172b46240"
)
AV1 = bytes.fromhex("81000c000a0b000000043d06d4daf90040")
AV1_KEY = bytes.fromhex("1200 0a0b000000043d06d4daf90040 3202aabb")
AV1_INTER = bytes.fromhex("1200 3202aabb")
VP9 = bytes.fromhex("01000000000b820202020000")
VP9_KEY = bytes.fromhex("a2498342e008f005f60838")
VP9_INTER = bytes.fromhex("a6004092f0414000")
VP8 = bytes.fromhex("010000000000800202020000")
VP8_KEY = bytes.fromhex("3059009d012a4201b6000007")
IDR = avc_frame(key=True)
INTER = avc_frame(key=False, number=1)
HEVC_IDR = join_units([b"\x26\x01\xaa"])
START = b"\x17\x00\x00\x00\x00" + avc_config()


class Publisher:
    """Feeds a Demuxer and remembers the time."""

    def __init__(self, *bodies):
        self.demuxer = Demuxer()
        for body in bodies:
            assert self.send(body)

    def send(self, body, ms=0):
        return self.demuxer.feed(VIDEO, ms, body)

    def track(self, track_id=0):
        return self.demuxer.tracks[Kind.VIDEO, track_id]

    def refuses(self, body, why):
        before = self.demuxer.dropped
        assert self.send(body) == []
        assert self.demuxer.dropped == before + 1
        assert why in self.demuxer.last_reason
        return True


def test_a_sequence_header_announces_the_track():
    publisher = Publisher()
    (packet,) = publisher.send(START, 40)
    assert packet.config
    assert not packet.key
    assert (packet.dts, packet.pts, packet.data) == (40_000, 40_000, avc_config())
    assert packet.track is publisher.track()
    assert (packet.track.width, packet.track.height) == (64, 64)


@pytest.mark.parametrize(
    ("head", "key", "offset"),
    [
        ("1701000000", True, 0),
        ("2701000050", False, 80_000),
        ("27010000c8", False, 200_000),
        ("2701ffffec", False, -20_000),  # negative composition time
        ("27017fffff", False, 8_388_607_000),
        ("2701800000", False, -8_388_608_000),
        ("3701000000", False, 0),  # disposable
        ("4701000000", True, 0),  # generated key frame
    ],
)
def test_h264_frames_keep_bytes_times_and_kind(head, key, offset):
    publisher = Publisher(START)
    (packet,) = publisher.send(bytes.fromhex(head) + IDR, 1000)
    assert (packet.data, packet.key, packet.config) == (IDR, key, False)
    assert (packet.dts, packet.pts) == (1_000_000, 1_000_000 + offset)
    assert packet.track is publisher.track()


def test_a_repeated_sequence_header_yields_nothing():
    publisher = Publisher(START)
    track = publisher.track()
    for _ in range(50):
        assert publisher.send(START) == []
        assert publisher.send(b"\x17\x01\x00\x00\x00" + IDR)
    assert publisher.track() is track
    assert publisher.demuxer.dropped == 0


def test_a_resolution_change_is_a_new_track():
    publisher = Publisher(START)
    first = publisher.track()
    (packet,) = publisher.send(b"\x17\x00\x00\x00\x00" + avc_config(1280, 720))
    assert packet.config
    assert packet.track is not first
    assert (packet.track.width, packet.track.height) == (1280, 720)


def test_a_codec_switch_is_a_new_track_and_the_old_codecs_frames_are_over():
    publisher = Publisher(START)
    (packet,) = publisher.send(b"\x90hvc1" + HEVC)
    assert packet.track.codec is Codec.HEVC
    (packet,) = publisher.send(b"\x93hvc1" + HEVC_IDR)
    assert packet.track is publisher.track()
    assert publisher.refuses(b"\x17\x01\x00\x00\x00" + IDR, "h264 frame before its configuration")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("", "an empty video tag"),
        ("17", "a h264 tag of 1 bytes"),
        ("1700", "a h264 tag of 2 bytes"),
        ("170100", "a h264 tag of 3 bytes"),
        ("17010000", "a h264 tag of 4 bytes"),
        ("1701000000", "an empty h264 frame"),
        ("1700000000", "AVC configuration"),
        ("1700000000 0142c01fffe10018674240", "SPS: 24 bytes announced, 3 left"),
        ("0701000000 0000000165", "video frame type 0"),
        ("6701000000 0000000165", "video frame type 6"),
        ("1f", "video codec id 15"),
        ("10", "video codec id 0"),
        ("12", "an empty h263 frame"),
        ("1701000000 00000005 65", "do not add up"),  # longer than the frame
        ("1701000000 00000000", "do not add up"),  # an empty access unit
        ("1701000000 00000002 6588 00", "do not add up"),
        ("1701000000 000001", "do not add up"),  # Annex B without a unit
        ("90", "a FourCC is cut"),
        ("90 61626364 01", "video FourCC b'abcd'"),
        ("9e 61766331 01", "video packet type 14"),
        ("98 61766331 01", "video packet type 8"),
        ("81 61766331 000000 0000000165", "video frame type 0"),
        ("91 61766331 0000", "an empty h264 frame"),
        ("93 68766331 0000000165", "hevc frame before its configuration"),
        ("9061763031 ff", "AV1 configuration"),
        ("97 " + "00 00 07 " * 100, "ModEx"),
    ],
)
def test_tags_that_cannot_be_used_are_dropped_with_the_reason(body, why):
    assert Publisher(START).refuses(bytes.fromhex(body), why)


def test_a_frame_before_its_configuration_is_dropped():
    assert Publisher().refuses(b"\x17\x01\x00\x00\x00" + IDR, "h264 frame before its configuration")


@pytest.mark.parametrize(
    "body",
    [
        "5700",  # seek command
        "1702000000",  # end of sequence
        "1705000000",
        "d1 61766331 00",  # command, enhanced
        "92 61766331",  # end of sequence
        "d4 61766331 020009636f6c6f72496e666f 05",  # colorInfo
        "95 61763031 80",  # MPEG-2 TS sequence start
        "90 61763031",  # FFmpeg, before it has AV1's record
    ],
)
def test_what_is_no_picture_is_passed_over_in_silence(body):
    publisher = Publisher(START)
    assert publisher.send(bytes.fromhex(body)) == []
    assert publisher.demuxer.dropped == 0


@pytest.mark.parametrize("start", ["00000001", "000001"])
def test_annex_b_where_lengths_belong_is_put_right(start):
    publisher = Publisher(START)
    stream = bytes.fromhex(start) + avc_sps() + bytes.fromhex(start) + IDR[4:]
    (packet,) = publisher.send(b"\x17\x01\x00\x00\x00" + stream)
    assert packet.data == join_units([avc_sps(), IDR[4:]])


def test_a_unit_of_one_byte_is_not_taken_for_annex_b():
    publisher = Publisher(START)
    data = bytes.fromhex("00000001 09 00000002 6588")
    (packet,) = publisher.send(b"\x17\x01\x00\x00\x00" + data)
    assert packet.data == data


@pytest.mark.parametrize("length_size", [1, 2, 3])
def test_shorter_lengths_are_checked_as_the_record_says(length_size):
    record = bytearray(avc_config())
    record[4] = 0xFC | length_size - 1
    publisher = Publisher(b"\x17\x00\x00\x00\x00" + bytes(record))
    data = join_units([b"\x65\x88", b"\x65\x99"], length_size)
    (packet,) = publisher.send(b"\x17\x01\x00\x00\x00" + data)
    assert packet.data == data
    assert publisher.refuses(b"\x17\x01\x00\x00\x00" + data[:-1], "do not add up")


@pytest.mark.parametrize(
    "record",
    [
        b"\x01\x42\xc0\x1f\xff\xe0\x00",  # no SPS at all
        b"\x01\x42\xc0\x1f\xff\xe1\x00\x02\x67\x42\x00",  # an SPS that is cut
        b"\x01\x42\xc0\x1f\xff\xe1\x00\x0d\x67\x42\xc0\x1f" + bytes(9) + b"\x00",  # giant code
    ],
)
def test_a_record_without_a_readable_sps_is_a_track_of_unknown_size(record):
    publisher = Publisher(b"\x17\x00\x00\x00\x00" + record)
    assert (publisher.track().width, publisher.track().height) == (0, 0)
    assert publisher.send(b"\x17\x01\x00\x00\x00" + IDR)


@pytest.mark.parametrize("number", [2, 3, 4, 5, 6])
def test_codecs_that_only_flv_has_pass_with_their_bytes(number):
    publisher = Publisher()
    (first,) = publisher.send(bytes((0x10 | number,)) + b"\x00frame")
    (second,) = publisher.send(bytes((0x20 | number,)) + b"\x01frame", 40)
    assert (first.data, first.key, first.config) == (b"\x00frame", True, False)
    assert (second.data, second.key, second.dts) == (b"\x01frame", False, 40_000)
    assert second.track is first.track
    assert first.track.config == b""


def test_a_switch_between_codecs_without_a_record_is_a_new_track():
    publisher = Publisher(b"\x12frame", b"\x14frame")
    assert publisher.track().codec is Codec.VP6


@pytest.mark.parametrize(
    ("number", "codec", "record", "frame"),
    [(12, Codec.HEVC, HEVC, HEVC_IDR), (13, Codec.AV1, AV1, AV1_KEY)],
)
def test_the_codec_ids_of_before_enhanced_rtmp_are_read(number, codec, record, frame):
    publisher = Publisher(bytes((0x10 | number, 0, 0, 0, 0)) + record)
    (packet,) = publisher.send(bytes((0x10 | number, 1, 0, 0, 0)) + frame)
    assert (packet.track.codec, packet.data, packet.key) == (codec, frame, True)


@pytest.mark.parametrize(
    ("fourcc", "record", "frame"), [(b"avc1", avc_config(), IDR), (b"hvc1", HEVC, HEVC_IDR)]
)
def test_enhanced_frames_with_and_without_composition_time(fourcc, record, frame):
    publisher = Publisher(b"\x90" + fourcc + record)
    (packet,) = publisher.send(b"\x91" + fourcc + b"\x00\x00\x28" + frame, 40)
    assert (packet.data, packet.key, packet.dts, packet.pts) == (frame, True, 40_000, 80_000)
    (packet,) = publisher.send(b"\xa3" + fourcc + frame, 80)
    assert (packet.data, packet.key, packet.dts, packet.pts) == (frame, False, 80_000, 80_000)


@pytest.mark.parametrize(
    ("fourcc", "record", "key", "inter", "size"),
    [
        (b"av01", AV1, AV1_KEY, AV1_INTER, (322, 182)),
        (b"vp09", VP9, VP9_KEY, VP9_INTER, (144, 96)),
        (b"vp08", VP8, VP8_KEY, b"\x31", (322, 182)),
    ],
)
def test_enhanced_frames_without_reordering(fourcc, record, key, inter, size):
    publisher = Publisher(b"\x90" + fourcc + record)
    *_, packet = publisher.send(b"\x91" + fourcc + key)
    assert (packet.data, packet.key) == (key, True)
    assert (packet.track.width, packet.track.height) == size
    (packet,) = publisher.send(b"\xa1" + fourcc + inter, 40)
    assert (packet.data, packet.key, packet.pts) == (inter, False, 40_000)
    assert packet.track is publisher.track()


def test_a_size_that_only_key_frames_tell_is_announced_before_the_first_and_when_it_changes():
    publisher = Publisher(b"\x90vp08" + VP8)
    assert publisher.track().width == 0
    config, _ = publisher.send(b"\x91vp08" + VP8_KEY)
    assert (config.config, config.data, config.track.width) == (True, VP8, 322)
    assert len(publisher.send(b"\x91vp08" + VP8_KEY)) == 1
    assert publisher.send(b"\x90vp08" + VP8) == []  # the record has not changed
    config, _ = publisher.send(b"\x91vp08" + VP8_KEY[:6] + b"\x80\x07" + VP8_KEY[8:])
    assert (config.config, config.track.width) == (True, 1920)


def test_an_av1_key_frame_without_a_sequence_header_changes_nothing():
    publisher = Publisher(b"\x90av01" + AV1)
    (packet,) = publisher.send(b"\x91av01" + AV1_INTER)
    assert packet.key


def test_a_vp9_frame_made_of_skipped_frames_tells_nothing():
    publisher = Publisher(b"\x90vp09" + VP9)
    (packet,) = publisher.send(b"\x91vp09" + bytes.fromhex("c000c0"))
    assert packet.track.width == 0


@pytest.mark.parametrize(
    ("fourcc", "record", "frame", "why"),
    [
        (b"av01", AV1, "3205aa", "OBU ends behind"),
        (b"av01", AV1, "32ffffffffffffffff01", "leb128"),
        (b"av01", AV1, "0a0160", "profile 3"),
        (b"vp09", VP9, "aabb c1 01 02 c1", "superframe"),
        (b"vp09", VP9, "00", "frame marker"),
        (b"vp08", VP8, "30", "start code"),
        (b"vp08", VP8, "", "empty vp8 frame"),
    ],
)
def test_frames_whose_inner_lengths_lie_are_dropped(fourcc, record, frame, why):
    publisher = Publisher(b"\x90" + fourcc + record)
    assert publisher.refuses(b"\x91" + fourcc + bytes.fromhex(frame), why)


def test_a_time_offset_refines_the_tags_millisecond():
    publisher = Publisher(b"\x90hvc1" + HEVC)
    body = bytes.fromhex("97 02 07a120 03") + b"hvc1" + HEVC_IDR
    (packet,) = publisher.send(body, 40)
    assert (packet.dts, packet.pts) == (40_500, 40_500)


def test_many_tracks_of_many_codecs_in_one_tag():
    publisher = Publisher()

    def tracks(packet_type, *parts):
        body = bytes((0x96, 0x20 | packet_type))
        for fourcc, track_id, data in parts:
            body += fourcc + bytes((track_id,)) + len(data).to_bytes(3, "big") + data
        return body

    packets = publisher.send(tracks(0, (b"avc1", 0, avc_config()), (b"hvc1", 5, HEVC)))
    assert [(p.track.id, p.track.codec) for p in packets] == [(0, Codec.H264), (5, Codec.HEVC)]
    time = b"\x00\x00\x14"
    packets = publisher.send(tracks(1, (b"avc1", 0, time + IDR), (b"hvc1", 5, bytes(3) + HEVC_IDR)))
    assert [(p.track.id, p.data, p.pts) for p in packets] == [(0, IDR, 20_000), (5, HEVC_IDR, 0)]
    # a track that cannot be used does not cost the others
    packets = publisher.send(tracks(1, (b"avc1", 0, time + IDR), (b"hvc1", 6, HEVC_IDR)))
    assert [p.track.id for p in packets] == [0]
    assert publisher.demuxer.dropped == 1
