"""wire/aac.py."""

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from livetrio.errors import LocalProtocolError, RemoteProtocolError
from livetrio.wire.aac import SAMPLE_RATES, AacConfig, adts_header
from livetrio.wire.bits import BitWriter


def record(*fields):
    bits = BitWriter()
    for value, count in fields:
        bits.write(value, count)
    return bits.getvalue()


GENERAL = (0, 3)
PROGRAM = [(0, 10), (1, 4), (1, 4), (1, 4), (1, 2), (0, 3), (0, 4)]
MIXDOWNS = [(1, 1), (0, 4), (1, 1), (0, 4), (1, 1), (0, 3)]
ELEMENTS = [(1, 1), (0, 4), (1, 1), (0, 4), (0, 1), (0, 4), (0, 4)]


@pytest.mark.parametrize(
    ("data", "rate", "channels", "name", "codec_string"),
    [
        ("1190", 48000, 2, "LC", "mp4a.40.2"),
        ("119056e500", 48000, 2, "LC", "mp4a.40.2"),  # FFmpeg: "no SBR" said aloud
        ("1208", 44100, 1, "LC", "mp4a.40.2"),
        ("13889860", 22050, 1, "LC", "mp4a.40.2"),
        ("131056e598", 48000, 2, "HE-AAC", "mp4a.40.5"),  # fdk, backward compatible
        ("2b118800", 48000, 2, "HE-AAC", "mp4a.40.5"),  # hierarchical
        ("eb098800", 48000, 2, "HE-AACv2", "mp4a.40.29"),
        ("130856e59d4880", 48000, 2, "HE-AACv2", "mp4a.40.29"),
        ("0990", 48000, 2, "Main", "mp4a.40.1"),
        ("f8e64000", 48000, 2, "ELD", "mp4a.40.39"),  # escape object type
        ("3190", 48000, 2, "object type 6", "mp4a.40.6"),
    ],
)
def test_records_of_real_encoders_are_read(data, rate, channels, name, codec_string):
    config = AacConfig.parse(bytes.fromhex(data))
    assert (config.sample_rate, config.channels, config.name) == (rate, channels, name)
    assert config.codec_string == codec_string


@pytest.mark.parametrize(
    ("fields", "rate", "channels"),
    [
        ([(2, 5), (15, 4), (12345, 24), (1, 4), GENERAL], 12345, 1),  # frequency written out
        ([(2, 5), (3, 4), (7, 4), GENERAL], 48000, 8),
        ([(2, 5), (3, 4), (11, 4), GENERAL], 48000, 7),
        ([(2, 5), (3, 4), (9, 4), GENERAL], 48000, 0),  # reserved
        ([(2, 5), (3, 4), (2, 4), (0, 1), (1, 1), (0, 14), (0, 1)], 48000, 2),  # core coder
        # program_config_element: a pair and a single in front, one at the side, one LFE
        ([(2, 5), (3, 4), (0, 4), GENERAL, *PROGRAM, (0, 3), *ELEMENTS], 48000, 6),
        ([(2, 5), (3, 4), (0, 4), GENERAL, *PROGRAM, *MIXDOWNS, *ELEMENTS], 48000, 6),
        # SBR over BSAC: one more channel configuration
        ([(5, 5), (6, 4), (2, 4), (3, 4), (22, 5), (2, 4), GENERAL], 48000, 2),
        # backward compatible SBR, its frequency left out or written out
        ([(2, 5), (6, 4), (2, 4), GENERAL, (0x2B7, 11), (5, 5), (1, 1), (3, 4)], 48000, 2),
        (
            [(2, 5), (6, 4), (2, 4), GENERAL, (0x2B7, 11), (5, 5), (1, 1), (15, 4), (47000, 24)],
            47000,
            2,
        ),
        # an extension of another kind, and another tail
        ([(2, 5), (6, 4), (2, 4), GENERAL, (0x2B7, 11), (22, 5), (1, 1)], 24000, 2),
        ([(2, 5), (6, 4), (2, 4), GENERAL, (0x2B6, 11), (5, 5), (1, 1)], 24000, 2),
    ],
)
def test_every_form_of_record_is_read(fields, rate, channels):
    config = AacConfig.parse(record(*fields))
    assert (config.sample_rate, config.channels) == (rate, channels)


def test_an_sbr_extension_that_ends_after_its_flag_means_twice_the_core_rate():
    core = ((2, 5), (6, 4), (2, 4), (0, 1), (1, 1), (0, 14), (0, 1))
    data = record(*core, (0x2B7, 11), (5, 5), (1, 1))  # one bit is left: no frequency
    assert AacConfig.parse(data).sample_rate == 48_000


def test_an_extension_without_its_flag_is_none():
    data = record((2, 5), (15, 4), (24000, 24), (2, 4), (0, 3), (0x2B7, 11), (5, 5))
    assert len(data) == 7
    assert not AacConfig.parse(data).sbr


def test_frames_of_960_samples_are_told():
    assert AacConfig.parse(record((2, 5), (3, 4), (2, 4), (1, 1), (0, 2))).frame_length == 960
    assert AacConfig.parse(record((2, 5), (3, 4), (2, 4), (0, 3))).frame_length == 1024


@pytest.mark.parametrize("data", ["", "11", "f8", "1780", "178000", "2b11"])
def test_a_record_that_is_cut_is_refused(data):
    with pytest.raises(RemoteProtocolError, match="bits wanted"):
        AacConfig.parse(bytes.fromhex(data))


@pytest.mark.parametrize("index", [13, 14])
def test_reserved_sampling_frequencies_are_refused(index):
    with pytest.raises(RemoteProtocolError, match=f"index {index}"):
        AacConfig.parse(record((2, 5), (index, 4), (2, 4), GENERAL))


def test_a_sampling_frequency_of_zero_is_refused():
    with pytest.raises(RemoteProtocolError, match="0 Hz"):
        AacConfig.parse(record((2, 5), (15, 4), (0, 24), (2, 4), GENERAL))


@example(12345, 2, 2)
@given(st.sampled_from([*SAMPLE_RATES, 12345]), st.integers(1, 8), st.integers(1, 4))
def test_a_record_reads_back_as_it_was_built(rate, channels, object_type):
    config = AacConfig.parse(AacConfig.build(rate, channels, object_type=object_type))
    assert (config.sample_rate, config.channels) == (rate, channels)
    assert (config.object_type, config.sbr, config.ps) == (object_type, False, False)


@pytest.mark.parametrize(("channels", "object_type"), [(0, 2), (9, 2), (2, 0), (2, 31)])
def test_building_a_record_for_impossible_audio_is_our_bug(channels, object_type):
    with pytest.raises(LocalProtocolError):
        AacConfig.build(48000, channels, object_type=object_type)


def test_adts_header_as_ffmpeg_writes_it():
    config = AacConfig.parse(bytes.fromhex("1190"))
    assert adts_header(config, 249).hex() == "fff14c80201ffc"


@pytest.mark.parametrize(
    ("data", "size"),
    [("1190", 8185), ("f8e64000", 10), ("3190", 10), ("1780181c8888", 10), ("11d8", 10)],
)
def test_adts_for_what_it_cannot_carry_is_our_bug(data, size):
    with pytest.raises(LocalProtocolError, match="no ADTS header"):
        adts_header(AacConfig.parse(bytes.fromhex(data)), size)


@given(st.binary(max_size=40))
def test_garbage_raises_nothing_but_the_remote_protocol_error(data):
    with contextlib.suppress(RemoteProtocolError):
        AacConfig.parse(data)
    with contextlib.suppress(RemoteProtocolError):
        AacConfig.parse(b"\x11\x80" + data)
