"""wire/flv/mux.py: the bytes players get, and that the Demuxer reads them back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.media import aac_config, aac_frame, aac_track, avc_config, avc_frame, avc_track, metadata

from livetrio.packet import Codec, Kind, Packet, Track
from livetrio.wire.flv import (
    AUDIO,
    HEADER_SIZE,
    SCRIPT,
    VIDEO,
    Demuxer,
    file_header,
    tag,
    tag_body,
)
from livetrio.wire.tracks import has_record, track_from_record

RECORDS = {
    Codec.H264: avc_config(),
    Codec.HEVC: b"\x01\x01\x60" + bytes(9) + b"\x5d\xf0\x00\xfc\xfd\xf8\xf8\x00\x00\x0f\x00",
    Codec.AV1: bytes.fromhex("81000c000a0b000000043d06d4daf90040"),
    Codec.VP8: bytes.fromhex("010000000000800202020000"),
    Codec.VP9: bytes.fromhex("01000000000b820202020000"),
    Codec.AAC: aac_config(),
    Codec.OPUS: bytes.fromhex("4f707573486561640102380180bb0000000000"),
    Codec.FLAC: bytes.fromhex("10001000000000000000" + "0bb80370" + "00" * 20),
}
FRAMES = {
    Codec.H264: avc_frame(key=True),
    Codec.HEVC: b"\x00\x00\x00\x03\x26\x01\xaa",
    Codec.AV1: bytes.fromhex("12003202aabb"),
    Codec.VP8: b"\x31inter",
    Codec.VP9: bytes.fromhex("a6004092f0414000"),
    Codec.AC3: bytes.fromhex("0b77fe95144043e106f46370"),
    Codec.EAC3: bytes.fromhex("0b77017f3487c0002084"),
    Codec.MP3: bytes.fromhex("fffb5400") + bytes(20),
}
LEGACY_VIDEO = [Codec.H263, Codec.SCREEN, Codec.SCREEN2, Codec.VP6, Codec.VP6A]
VIDEO_CODECS = [Codec.H264, Codec.HEVC, Codec.AV1, Codec.VP8, Codec.VP9, *LEGACY_VIDEO]
REORDERED = (Codec.H264, Codec.HEVC)


def track_of(codec, track_id=0):
    if has_record(codec):
        return track_from_record(codec, RECORDS[codec], track_id)
    kind = Kind.VIDEO if codec in VIDEO_CODECS else Kind.AUDIO
    return Track(kind, codec, track_id, sample_rate=48_000, channels=2)


def body_of(codec, *, multitrack=False, track_id=0, config=False, cts=0, key=False):
    track = track_of(codec, track_id)
    data = track.config if config else b"frame"
    packet = Packet(track, 40_000, 40_000 + cts, data, key, config)
    found = tag_body(packet, multitrack=multitrack)
    return None if found is None else found[1][: len(found[1]) - len(data)].hex()


@pytest.mark.parametrize(
    ("audio", "video", "flags"), [(True, True, "05"), (True, False, "04"), (False, True, "01")]
)
def test_the_file_header_says_what_is_to_come(audio, video, flags):
    header = file_header(audio=audio, video=video)
    assert header.hex() == f"464c5601{flags}0000000900000000"


def test_a_whole_tag_byte_by_byte():
    packet = Packet(aac_track(), 0x0123_4567 * 1000, 0x0123_4567 * 1000, b"\xaa\xbb", key=True)
    assert tag(packet).hex() == "08 000004 234567 01 000000 af01aabb 0000000f".replace(" ", "")


@pytest.mark.parametrize(
    ("dts", "expected"),
    [
        (0, "00000000"),
        (999, "00000000"),
        (0x0100_0000 * 1000, "00000001"),  # the fourth byte comes last
        (2**32 * 1000 + 7_999, "00000700"),
        (-1, "ffffffff"),
    ],
)
def test_times_wrap_at_32_bits_of_milliseconds(dts, expected):
    assert tag(Packet(aac_track(), dts, dts, b"\xaa", key=True))[4:8].hex() == expected


@pytest.mark.parametrize(
    ("codec", "fields", "expected"),
    [
        (Codec.H264, {"config": True}, "1700000000"),
        (Codec.H264, {"key": True}, "1701000000"),
        (Codec.H264, {"cts": 80_000}, "2701000050"),
        (Codec.H264, {"cts": -20_000}, "2701ffffec"),
        (Codec.H264, {"cts": 10**12}, "27017fffff"),
        (Codec.H264, {"cts": -(10**12)}, "2701800000"),
        (Codec.HEVC, {"config": True}, "9068766331"),
        (Codec.HEVC, {"key": True}, "9368766331"),
        (Codec.HEVC, {"cts": 80_000}, "a168766331000050"),
        (Codec.AV1, {"key": True}, "9161763031"),
        (Codec.VP9, {}, "a176703039"),
        (Codec.VP8, {"config": True}, "9076703038"),
        (Codec.H263, {"key": True}, "12"),
        (Codec.VP6, {}, "24"),
        (Codec.SCREEN2, {"config": True}, None),
        (Codec.AAC, {"config": True}, "af00"),
        (Codec.AAC, {}, "af01"),
        (Codec.OPUS, {"config": True}, "904f707573"),
        (Codec.OPUS, {}, "914f707573"),
        (Codec.FLAC, {}, "91664c6143"),
        (Codec.AC3, {}, "9161632d33"),
        (Codec.AC3, {"config": True}, None),
        (Codec.EAC3, {}, "9165632d33"),
        (Codec.MP3, {}, "2f"),  # from elsewhere: the byte is made
        (Codec.G711A, {"config": True}, None),
    ],
)
def test_what_goes_before_the_payload(codec, fields, expected):
    assert body_of(codec, **fields) == expected
    assert body_of(codec, multitrack=True, **fields) == expected  # the first track stays plain


@pytest.mark.parametrize(
    ("codec", "fields", "expected"),
    [
        (Codec.H264, {"config": True}, "96006176633103"),
        (Codec.H264, {"key": True}, "96036176633103"),
        (Codec.H264, {"cts": 80_000}, "a6016176633103000050"),
        (Codec.VP9, {}, "a6017670303903"),
        (Codec.H263, {}, None),
        (Codec.AAC, {"config": True}, "95006d70346103"),
        (Codec.AAC, {}, "95016d70346103"),
        (Codec.MP3, {}, "95012e6d703303"),
        (Codec.SPEEX, {}, None),
    ],
)
def test_further_tracks_go_only_to_those_who_read_multitrack(codec, fields, expected):
    assert body_of(codec, track_id=3, **fields) is None
    assert body_of(codec, track_id=3, multitrack=True, **fields) == expected


@pytest.mark.parametrize(
    ("rate", "channels", "expected"),
    [(48_000, 2, 0x2F), (44_100, 1, 0x2E), (22_050, 2, 0x2B), (11_025, 1, 0x26), (0, 0, 0x26)],
)
def test_the_format_byte_of_audio_that_did_not_come_from_flv(rate, channels, expected):
    track = Track(Kind.AUDIO, Codec.MP3, sample_rate=rate, channels=channels)
    assert tag_body(Packet(track, 0, 0, b"", key=True)) == (AUDIO, bytes((expected,)))


def test_a_presentation_time_between_milliseconds_stays_right_to_the_millisecond():
    packet = Packet(avc_track(), 33_900, 67_100, b"")
    _, body = tag_body(packet)
    assert 33 + int.from_bytes(body[2:5], "big") == 67


def test_script_data_goes_out_as_it_is():
    track = Track(Kind.DATA, Codec.SCRIPT, config=metadata())
    packet = Packet(track, 0, 0, metadata(), config=True)
    assert tag_body(packet) == (SCRIPT, metadata())


@pytest.mark.parametrize("extra", [0, 1])
def test_a_body_that_passes_16_mib_is_not_sent(extra):
    packet = Packet(aac_track(), 0, 0, bytes(0xFF_FFFF - 2 + extra), key=True)
    assert (tag_body(packet) is None) == bool(extra)
    assert (tag(packet) == b"") == bool(extra)


def test_nothing_is_sent_of_a_further_track():
    assert tag(Packet(avc_track(track_id=1), 0, 0, b"frame")) == b""


def packets(codecs, ids):
    """Packets of any of these codecs, with the times FLV can say."""
    ms = st.integers(0, 2**32 - 1)

    @st.composite
    def build(draw):
        codec = draw(st.sampled_from(codecs))
        time = draw(ms) * 1000
        video = codec in VIDEO_CODECS
        offset = draw(st.integers(-(2**23), 2**23 - 1)) * 1000 if codec in REORDERED else 0
        key = draw(st.booleans()) if video else True
        track = track_of(codec, draw(ids) if codec not in LEGACY_VIDEO else 0)
        return Packet(track, time, time + offset, FRAMES.get(codec, b"frame"), key)

    return build()


def same(a, b):
    return (a.dts, a.pts, a.data, a.key, a.config) == (b.dts, b.pts, b.data, b.key, b.config) and (
        a.track.kind,
        a.track.codec,
        a.track.id,
    ) == (b.track.kind, b.track.codec, b.track.id)


ENHANCED = [Codec.HEVC, Codec.AV1, Codec.OPUS, Codec.FLAC, Codec.AC3, Codec.EAC3]


@given(
    packets([Codec.H264, Codec.AAC, Codec.MP3, *LEGACY_VIDEO, *ENHANCED], st.sampled_from([0, 9]))
)
def test_what_is_sent_is_read_back_equal(packet):
    # VP8 and VP9 key frames announce their size: test_flv_video has them.
    demuxer = Demuxer()
    if has_record(packet.track.codec):
        config = Packet(packet.track, 0, 0, packet.track.config, config=True)
        (back,) = demuxer.feed(*fed(config))
        assert same(back, config)
        assert back.track.config == packet.track.config
    (back,) = demuxer.feed(*fed(packet))
    assert same(back, packet)


def fed(packet):
    """A Demuxer's arguments, by way of a whole tag."""
    data = tag(packet, multitrack=True)
    tag_type, body = tag_body(packet, multitrack=True)
    assert data[0] == tag_type
    assert data[HEADER_SIZE:-4] == body
    assert int.from_bytes(data[-4:], "big") == HEADER_SIZE + len(body)
    return tag_type, int.from_bytes(data[4:7], "big") | data[7] << 24, body


@pytest.mark.parametrize(
    "sound", [0x0F, 0x16, 0x2A, 0x32, 0x46, 0x56, 0x6A, 0x72, 0x8F, 0xB6, 0xE2]
)
def test_legacy_audio_tags_come_out_as_they_went_in(sound):
    body = bytes((sound,)) + b"frame"
    (packet,) = Demuxer().feed(AUDIO, 0, body)
    assert tag_body(packet) == (AUDIO, body)


@pytest.mark.parametrize("head", ["12", "23", "14", "25", "16"])
def test_legacy_video_tags_come_out_as_they_went_in(head):
    body = bytes.fromhex(head) + b"frame"
    (packet,) = Demuxer().feed(VIDEO, 0, body)
    assert tag_body(packet) == (VIDEO, body)


def test_aac_from_an_encoder_with_other_flags_says_what_the_standard_wants():
    demuxer = Demuxer()
    demuxer.feed(AUDIO, 0, b"\xae\x00" + aac_config())
    (packet,) = demuxer.feed(AUDIO, 0, b"\xae\x01" + aac_frame())
    assert tag_body(packet) == (AUDIO, b"\xaf\x01" + aac_frame())
