"""wire/avc.py and wire/avc_sps.py: records and parameter sets of x264, and broken ones."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.media import avc_config, avc_frame, avc_sps, escape

from livetrio.errors import LocalProtocolError, RemoteProtocolError
from livetrio.wire.avc import AvcConfig, has_idr
from livetrio.wire.avc_sps import AvcSps
from livetrio.wire.bits import BitWriter

# Recorded from FFmpeg with x264, 322x182.
HIGH = bytes.fromhex(
    "0164000dffe1001a6764000dacd941519e226c0440000003004000000c83c50a658001000668ebe3cb22c0fdf8f800"
)
BASELINE = bytes.fromhex(
    "0142c00dffe100186742c00dd901519e226c0440000003004000000c83c50a9201000568cb83cb20"
)
HIGH422 = bytes.fromhex(
    "017a000dffe1001b677a000db6cd941519e222f011000003000100000300320f14299601000668ebe3cb22c0fefafa00"
)
# With an HRD, a scaling matrix, an aspect ratio and colours.
EVERYTHING = bytes.fromhex(
    "0164000dffe100286764000dacd941519e226c05b810100a00000300020000030065c080061a800c35c98600f1429960"
    "01000668ebecb3002cfdf8f800"
)


def sps(
    *,
    profile=66,
    constraints=0,
    level=31,
    head=(),
    poc=(2,),
    poc_cycle=(),
    references=1,
    columns=4,
    rows=4,
    frames_only=True,
    crop=None,
    vui=None,
):
    """An SPS from its fields; `head` is chroma to scaling matrix as (kind, value, ...) calls."""
    bits = BitWriter()
    bits.write(profile << 16 | constraints << 8 | level, 24)
    bits.ue(0)
    for call in head:
        getattr(bits, call[0])(*call[1:])
    bits.ue(0)
    for value in poc:
        bits.ue(value)
    if poc_cycle:
        bits.write(0, 1)
        for value in (0, 0):
            bits.se(value)
        bits.ue(len(poc_cycle))
        for value in poc_cycle:
            bits.se(value)
    bits.ue(references)
    bits.write(0, 1)
    bits.ue(columns - 1)
    bits.ue(rows - 1)
    bits.write(int(frames_only), 1)
    if not frames_only:
        bits.write(1, 1)
    bits.write(1, 1)
    bits.write(int(crop is not None), 1)
    for edge in crop or ():
        bits.ue(edge)
    bits.write(int(vui is not None), 1)
    for call in vui or ():
        getattr(bits, call[0])(*call[1:])
    bits.trailing()
    return b"\x67" + escape(bits.getvalue())


@pytest.mark.parametrize(
    ("record", "name", "codec_string", "reorder", "depth"),
    [
        (HIGH, "High@1.3", "avc1.64000d", 2, 8),
        (BASELINE, "Constrained Baseline@1.3", "avc1.42c00d", 0, 8),
        (HIGH422, "High 4:2:2@1.3", "avc1.7a000d", 2, 10),
        (EVERYTHING, "High@1.3", "avc1.64000d", 2, 8),
    ],
)
def test_what_x264_announces_is_read(record, name, codec_string, reorder, depth):
    config = AvcConfig.parse(record)
    found = config.sps()
    assert (len(config.sps_list), len(config.pps_list), config.length_size) == (1, 1, 4)
    assert config.codec_string == codec_string
    assert (found.width, found.height, found.name) == (322, 182, name)
    assert (found.reorder, found.luma_depth) == (reorder, depth)


@pytest.mark.parametrize("record", [HIGH, BASELINE, HIGH422, EVERYTHING])
def test_a_record_is_rebuilt_byte_for_byte_from_its_parameter_sets(record):
    config = AvcConfig.parse(record)
    assert AvcConfig.build(config.sps_list, config.pps_list) == record


@given(st.integers(1, 400).map(lambda n: 2 * n), st.integers(1, 400).map(lambda n: 2 * n))
def test_any_picture_size_is_read_back(width, height):
    found = AvcSps.parse(avc_sps(width, height))
    assert (found.width, found.height) == (width, height)


@pytest.mark.parametrize("count", [0, 2, 31])
def test_records_with_any_number_of_sps_are_read(count):
    unit = avc_sps()
    body = b"".join(len(unit).to_bytes(2, "big") + unit for _ in range(count))
    record = b"\x01\x42\xc0\x1f\xff" + bytes((0xE0 | count,)) + body + b"\x00"
    config = AvcConfig.parse(record)
    assert len(config.sps_list) == count
    assert (config.sps() is None) == (count == 0)


@pytest.mark.parametrize("length_size", [1, 2, 3, 4])
def test_every_length_size_is_read(length_size):
    record = bytearray(avc_config())
    record[4] = 0xFC | length_size - 1
    assert AvcConfig.parse(bytes(record)).length_size == length_size


def test_a_record_cut_anywhere_before_its_last_pps_is_refused():
    for size in range(len(avc_config())):
        with pytest.raises(RemoteProtocolError):
            AvcConfig.parse(avc_config()[:size])


def test_a_record_of_another_version_is_refused():
    with pytest.raises(RemoteProtocolError, match="version 0"):
        AvcConfig.parse(b"\x00\x00\x00\x01\x67\x42")


def test_an_unreadable_sps_costs_only_what_it_would_have_said():
    record = b"\x01\x42\xc0\x1f\xff\xe1\x00\x02\x67\x42\x00"
    assert AvcConfig.parse(record).sps() is None


@pytest.mark.parametrize(
    ("sps_list", "pps_list"), [([], []), ([avc_sps()] * 32, []), ([avc_sps()], [b"\x68"] * 256)]
)
def test_building_a_record_with_impossible_counts_is_our_bug(sps_list, pps_list):
    with pytest.raises(LocalProtocolError, match="SPSs"):
        AvcConfig.build(sps_list, pps_list)


def test_building_a_record_with_a_huge_parameter_set_is_our_bug():
    with pytest.raises(LocalProtocolError, match="65535"):
        AvcConfig.build([avc_sps()], [bytes(65_536)])


def test_only_an_idr_slice_is_a_start():
    assert has_idr(avc_frame(key=True))
    assert not has_idr(avc_frame(key=False))
    recovery_point = bytes.fromhex("00000004 06060180 00000002 4188")
    assert not has_idr(recovery_point)
    with pytest.raises(RemoteProtocolError):
        has_idr(b"\x00\x00\x00\x09\x65")


SCALING = [("write", 0b1, 1)] + [("write", 1, 1), ("se", -8)] * 2 + [("write", 0, 1)] * 6
FULL_LIST = [("write", 0b1, 1), ("write", 1, 1)] + [("se", 1)] * 16 + [("write", 0, 1)] * 11


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"frames_only": False, "rows": 2}, (64, 64)),
        ({"frames_only": False, "rows": 2, "crop": (0, 0, 0, 2)}, (64, 56)),
        ({"crop": (1, 2, 3, 4)}, (58, 50)),
        ({"crop": (16, 16, 0, 0)}, (0, 0)),  # nothing left
        ({"crop": (2**31, 2**31, 0, 0)}, (0, 0)),
        ({"columns": 2**31}, (0, 0)),
        ({"columns": 1025}, (0, 0)),  # 16,400 pixels
        ({"poc": (1,), "poc_cycle": (1, -1)}, (64, 64)),
        ({"poc": (0, 4), "level": 255}, (64, 64)),
        (
            {"profile": 100, "head": [("ue", 1), ("ue", 0), ("ue", 0), ("write", 0, 1), *SCALING]},
            (64, 64),
        ),
        (
            {
                "profile": 244,
                "crop": (1, 0, 1, 0),
                "head": [
                    ("ue", 3),
                    ("write", 0, 1),
                    ("ue", 0),
                    ("ue", 0),
                    ("write", 0, 1),
                    *FULL_LIST,
                ],
            },
            (63, 63),
        ),
        (
            {
                "profile": 244,
                "crop": (1, 0, 1, 0),
                "head": [("ue", 3), ("write", 1, 1), ("ue", 0), ("ue", 0), ("write", 0, 2)],
            },
            (63, 63),
        ),
        (
            {
                "profile": 122,
                "crop": (1, 0, 1, 0),
                "head": [("ue", 2), ("ue", 0), ("ue", 0), ("write", 0, 2)],
            },
            (62, 63),
        ),
    ],
)
def test_the_picture_size_of_every_kind_of_sps(fields, expected):
    found = AvcSps.parse(sps(**fields))
    assert (found.width, found.height) == expected


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"poc": (3,)}, "pic_order_cnt_type"),
        ({"poc": (0, 13)}, "log2_max_pic_order_cnt"),
        ({"poc": (1,), "poc_cycle": (0,) * 256}, "num_ref_frames_in_pic_order_cnt_cycle"),
        ({"references": 2**32 - 2}, "max_num_ref_frames"),
        ({"profile": 100, "head": [("ue", 4)]}, "chroma format"),
        ({"profile": 100, "head": [("ue", 1), ("ue", 7), ("ue", 0)]}, "bit depth"),
        ({"profile": 100, "head": [("ue", 1), ("ue", 0), ("ue", 2**32 - 2)]}, "bit depth"),
    ],
)
def test_numbers_outside_the_standard_are_refused(fields, what):
    with pytest.raises(RemoteProtocolError, match=what):
        AvcSps.parse(sps(**fields))


@pytest.mark.parametrize("unit", [b"", b"\x68\xce", b"\x67", b"\x67\x42\xc0\x1f" + bytes(80)])
def test_what_is_no_sps_is_refused(unit):
    with pytest.raises(RemoteProtocolError):
        AvcSps.parse(unit)


HRD = [("write", 1, 1), ("ue", 0), ("write", 0, 8), ("ue", 9), ("ue", 9), ("write", 0, 21)]
NO_HRD = [("write", 0, 1)]
TIMING = [("write", 1, 1), ("write", 0, 64), ("write", 0, 1)]  # time_scale 0
RESTRICTION = [("write", 0, 1), ("write", 1, 1), ("write", 1, 1), *[("ue", 0)] * 4]


def vui(*, nal=NO_HRD, vcl=NO_HRD, tail=RESTRICTION, reorder=3):
    calls = [("write", 1, 1), ("write", 255, 8), ("write", 0, 32)]  # extended SAR
    calls += [("write", 1, 1), ("write", 0, 1)]  # overscan
    calls += [("write", 1, 1), ("write", 0, 4), ("write", 1, 1), ("write", 0, 24)]  # colours
    calls += [("write", 1, 1), ("ue", 0), ("ue", 5), *TIMING, *nal, *vcl]
    if HRD in (nal, vcl):
        calls += [("write", 0, 1)]
    return calls + tail + ([("ue", reorder), ("ue", 4)] if tail is RESTRICTION else [])


MAIN = {"profile": 77, "poc": (0, 4)}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({**MAIN, "vui": vui()}, 3),
        ({**MAIN, "vui": vui(nal=HRD)}, 3),
        ({**MAIN, "vui": vui(vcl=HRD, nal=HRD, reorder=0)}, 0),
        ({**MAIN, "vui": vui(reorder=17)}, None),
        ({**MAIN, "vui": vui(tail=[("write", 0, 2)])}, None),  # no bitstream_restriction
        ({**MAIN, "vui": [("write", 1, 1)]}, None),  # cut
        ({**MAIN, "vui": [("write", 0, 5), ("write", 1, 1), ("ue", 32)]}, None),  # 33 buffers
        (MAIN, None),
        ({**MAIN, "poc": (2,)}, 0),
        ({"profile": 66, "poc": (0, 4)}, 0),
        (
            {
                "profile": 100,
                "constraints": 0x10,
                "poc": (0, 4),
                "head": [("ue", 1), ("ue", 0), ("ue", 0), ("write", 0, 2)],
            },
            0,
        ),
    ],
)
def test_how_far_frames_are_reordered(fields, expected):
    assert AvcSps.parse(sps(**fields)).reorder == expected


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"profile": 66, "constraints": 0x10, "level": 11}, "Baseline@1b"),
        ({"profile": 77, "level": 11}, "Main@1.1"),
        ({"profile": 77, "level": 9}, "Main@1b"),
        ({"profile": 99, "level": 40}, "profile 99@4.0"),
    ],
)
def test_profiles_and_levels_have_their_names(fields, name):
    assert AvcSps.parse(sps(**fields)).name == name


@given(st.binary(max_size=60))
def test_garbage_raises_nothing_but_the_remote_protocol_error(data):
    for read in (
        AvcConfig.parse,
        lambda d: AvcSps.parse(b"\x67" + d),
        lambda d: AvcSps.parse(b"\x67\x64\x00\x1f" + d),
        has_idr,
    ):
        with contextlib.suppress(RemoteProtocolError):
            read(data)
