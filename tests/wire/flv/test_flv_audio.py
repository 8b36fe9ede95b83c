"""wire/flv/audio.py, through the Demuxer every publisher has."""

import pytest
from kit.media import aac_config, aac_frame

from livetrio.packet import Codec, Kind
from livetrio.wire.flv import AUDIO, Demuxer

OPUS = bytes.fromhex("4f707573486561640102380180bb0000000000")
STREAMINFO = bytes.fromhex("10001000000000000000" + "0bb80370" + "00" * 20)
AC3 = bytes.fromhex("0b77fe95144043e106f46370")
EAC3 = bytes.fromhex("0b77017f3487c0002084")
MP3 = bytes.fromhex("fffb5400") + bytes(20)
START = b"\xaf\x00" + aac_config()


def started(*bodies):
    demuxer = Demuxer()
    for body in bodies:
        demuxer.feed(AUDIO, 0, body)
    return demuxer


def refuses(demuxer, body, why):
    before = demuxer.dropped
    assert demuxer.feed(AUDIO, 0, body) == []
    assert demuxer.dropped == before + 1
    assert why in demuxer.last_reason
    return True


def test_aac_is_announced_once_and_every_frame_is_a_place_to_start():
    demuxer = Demuxer()
    (config,) = demuxer.feed(AUDIO, 0, START)
    assert (config.config, config.key, config.data) == (True, False, aac_config())
    assert (config.track.sample_rate, config.track.channels) == (48_000, 2)
    assert demuxer.feed(AUDIO, 0, START) == []
    (packet,) = demuxer.feed(AUDIO, 21, b"\xaf\x01" + aac_frame())
    assert (packet.data, packet.key, packet.config) == (aac_frame(), True, False)
    assert (packet.dts, packet.pts) == (21_000, 21_000)
    assert packet.track is config.track


def test_another_config_is_another_track():
    demuxer = started(START)
    (config,) = demuxer.feed(AUDIO, 0, b"\xaf\x00" + aac_config(44_100, 1))
    assert (config.config, config.track.sample_rate) == (True, 44_100)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("", "an empty audio tag"),
        ("af", "an aac tag of 1 byte"),
        ("af00", "bits wanted"),
        ("af0011", "bits wanted"),
        ("af001790", "bits wanted"),  # index 15: the frequency written out, and cut
        ("af001690", "reserved sampling frequency index 13"),
        ("af01", "an empty aac frame"),
        ("af02", "AAC packet type 2"),
        ("f0aa", "sound format 15"),
        ("c0aa", "sound format 12"),
        ("72", "an empty g711a frame"),
        ("90", "a FourCC is cut"),
        ("90 61626364 aa", "audio FourCC b'abcd'"),
        ("93 4f707573 aa", "audio packet type 3"),
        ("91 4f707573 aa", "opus frame before its configuration"),
        ("90 4f707573 aa", "not an identification header"),
        ("91 61632d33 aabb", "sync word"),
        ("91 2e6d7033 aabb", "MP3"),
        ("95 05 4f707573 00", "multitrack inside multitrack"),
    ],
)
def test_tags_that_cannot_be_used_are_dropped_with_the_reason(body, why):
    assert refuses(started(START), bytes.fromhex(body), why)


def test_raw_aac_before_its_config_is_dropped():
    assert refuses(Demuxer(), b"\xaf\x01" + aac_frame(), "aac frame before its configuration")


def test_a_config_without_channels_is_read():
    demuxer = started(b"\xaf\x00\x11\xc8")  # channelConfiguration 9, reserved
    assert demuxer.tracks[Kind.AUDIO, 0].channels == 0


@pytest.mark.parametrize(
    "body",
    [
        "92 4f707573",  # end of sequence
        "94 4f707573 010200000003",  # multichannel config
        "90 4f707573",
        "90 4f707573 4f70757354616773 00",  # OpusTags
        "90 61632d33",  # FFmpeg: AC-3 has no record
        "90 61632d33 1060",
    ],
)
def test_what_is_no_sound_is_passed_over_in_silence(body):
    demuxer = started(START)
    assert demuxer.feed(AUDIO, 0, bytes.fromhex(body)) == []
    assert demuxer.dropped == 0


@pytest.mark.parametrize(
    ("sound", "codec", "rate", "channels"),
    [
        (0x0F, Codec.PCM, 44_100, 2),
        (0x16, Codec.ADPCM, 11_025, 1),
        (0x2A, Codec.MP3, 22_050, 1),  # frames cut between tags: the byte's word
        (0x32, Codec.PCM_LE, 5_512, 1),
        (0x46, Codec.NELLYMOSER_16K, 16_000, 1),
        (0x56, Codec.NELLYMOSER_8K, 8_000, 1),
        (0x6A, Codec.NELLYMOSER, 22_050, 1),
        (0x72, Codec.G711A, 8_000, 1),
        (0x8F, Codec.G711U, 8_000, 2),
        (0xB6, Codec.SPEEX, 16_000, 1),
        (0xE2, Codec.MP3_8K, 8_000, 1),
    ],
)
def test_codecs_that_only_flv_has_pass_with_their_format_byte(sound, codec, rate, channels):
    demuxer = Demuxer()
    (first,) = demuxer.feed(AUDIO, 0, bytes((sound,)) + b"frame")
    (second,) = demuxer.feed(AUDIO, 20, bytes((sound,)) + b"other")
    assert (first.config, first.key, first.data) == (False, True, b"frame")
    assert second.track is first.track
    track = first.track
    assert (track.codec, track.sample_rate, track.channels) == (codec, rate, channels)
    assert track.config == bytes((sound,))


def test_mp3_frames_know_better_than_the_format_byte():
    demuxer = started(b"\x2e" + MP3)
    track = demuxer.tracks[Kind.AUDIO, 0]
    assert (track.sample_rate, track.channels) == (48_000, 2)


@pytest.mark.parametrize("sound", [b"\x82", b"\x73"])  # another codec, the same in stereo
def test_another_format_byte_is_another_track(sound):
    demuxer = started(b"\x72frame")
    first = demuxer.tracks[Kind.AUDIO, 0]
    (packet,) = demuxer.feed(AUDIO, 0, sound + b"frame")
    assert packet.track is not first
    assert packet.track.config == sound


@pytest.mark.parametrize(
    ("fourcc", "record", "codec"),
    [
        (b"mp4a", aac_config(), Codec.AAC),
        (b"Opus", OPUS, Codec.OPUS),
        (b"fLaC", STREAMINFO, Codec.FLAC),
    ],
)
def test_enhanced_audio_with_a_record(fourcc, record, codec):
    demuxer = Demuxer()
    (config,) = demuxer.feed(AUDIO, 0, b"\x90" + fourcc + record)
    assert (config.config, config.data, config.track.codec) == (True, record, codec)
    assert (config.track.sample_rate, config.track.channels) == (48_000, 2)
    assert demuxer.feed(AUDIO, 0, b"\x90" + fourcc + record) == []
    (packet,) = demuxer.feed(AUDIO, 20, b"\x91" + fourcc + b"frame")
    assert (packet.data, packet.key, packet.dts) == (b"frame", True, 20_000)
    assert refuses(demuxer, b"\x91" + fourcc, f"an empty {codec.value} frame")


def test_the_same_streaminfo_behind_its_header_is_no_news():
    demuxer = started(b"\x90fLaC" + STREAMINFO)
    assert demuxer.feed(AUDIO, 0, b"\x90fLaCfLaC\x80\x00\x00\x22" + STREAMINFO) == []
    assert demuxer.dropped == 0
    other = STREAMINFO[:12] + b"\x01" + STREAMINFO[13:]
    assert demuxer.feed(AUDIO, 0, b"\x90fLaC" + other)


@pytest.mark.parametrize(
    ("fourcc", "frame", "codec", "config"),
    [
        (b"ac-3", AC3, Codec.AC3, b""),
        (b"ec-3", EAC3, Codec.EAC3, b""),
        (b".mp3", MP3, Codec.MP3, b"\x2f"),
    ],
)
def test_enhanced_audio_whose_frames_describe_it(fourcc, frame, codec, config):
    demuxer = Demuxer()
    (first,) = demuxer.feed(AUDIO, 0, b"\x91" + fourcc + frame)
    (second,) = demuxer.feed(AUDIO, 20, b"\x91" + fourcc + frame)
    assert (first.config, first.data, second.track) == (False, frame, first.track)
    track = first.track
    assert (track.codec, track.sample_rate, track.channels) == (codec, 48_000, 2)
    assert track.config == config


def test_tracks_of_one_codec_in_one_tag():
    demuxer = Demuxer()
    two = b"\x95\x10Opus" + b"".join(bytes((i, 0, 0, 19)) + OPUS for i in (0, 4))
    assert [p.track.id for p in demuxer.feed(AUDIO, 0, two)] == [0, 4]
    three = b"\x95\x11Opus" + b"".join(bytes((i, 0, 0, 1, 0xFC)) for i in (0, 3, 4))
    assert [p.track.id for p in demuxer.feed(AUDIO, 0, three)] == [0, 4]
    assert demuxer.dropped == 1
    (packet,) = demuxer.feed(AUDIO, 7, bytes.fromhex("97 02 03d090 05 01") + b"Opus\x04\xfc")
    assert (packet.track.id, packet.dts) == (4, 7_250)
    assert set(demuxer.tracks) == {(Kind.AUDIO, 0), (Kind.AUDIO, 4)}
