"""wire/hevc.py and wire/hevc_sps.py: records and parameter sets of x265, and broken ones."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.media import escape

from livetrio.errors import LocalProtocolError, RemoteProtocolError
from livetrio.wire.bits import BitWriter
from livetrio.wire.hevc import HevcConfig, has_irap, nal_type
from livetrio.wire.hevc_sps import HevcSps, profile_name
from livetrio.wire.nal import join_units

# Recorded from FFmpeg with x265, 322x182: 8 bits with B-frames, 10 bits without, level 4.1 High.
MAIN = bytes.fromhex(
    "0101600000009000000000003cf000fcfdf8f800000f03200001001840010c01ffff0160000003009000000300000300"
    "3c959809210001002a42010101600000030090000003000003003ca00a480b9c9596566924caf0168080000003008000"
    "000c8422000100074401c172b46240"
)
MAIN10 = bytes.fromhex(
    "0122200000009000000000007bf000fcfdfafa00000f03200001001840010c01ffff2220000003009000000300000300"
    "7b928090210001002a42010122200000030090000003000003007ba00a480b9c94d964a924caf0168080000003008000"
    "000c8422000100074401c172b46240"
)


def sps(
    *,
    sub_layers=1,
    present=(),
    chroma=1,
    separate=0,
    width=64,
    height=64,
    window=None,
    luma=0,
    poc=4,
    ordering=((4, 2, 0),),
    each=0,
    sps_id=0,
):
    """An SPS from its fields; `present` is (profile, level) per sub-layer below the highest."""
    bits = BitWriter()
    bits.write(0, 4)
    bits.write(sub_layers - 1, 3)
    bits.write(1, 1)
    bits.write(1 << 88 | 93, 96)  # profile, tier, level: what they are is not asked
    for profile, level in present:
        bits.write(profile << 1 | level, 2)
    if sub_layers > 1:
        bits.write(0, 2 * (9 - sub_layers))
    for profile, level in present:
        bits.write(0, 88 * profile + 8 * level)
    bits.ue(sps_id)
    bits.ue(chroma)
    if chroma == 3:
        bits.write(separate, 1)
    bits.ue(width)
    bits.ue(height)
    bits.write(int(window is not None), 1)
    for edge in window or ():
        bits.ue(edge)
    bits.ue(luma)
    bits.ue(0)
    bits.ue(poc)
    bits.write(each, 1)
    for entry in ordering:
        for value in entry:
            bits.ue(value)
    bits.trailing()
    return b"\x42\x01" + escape(bits.getvalue())


@pytest.mark.parametrize(
    ("record", "codec_string", "name", "reorder", "depth"),
    [
        (MAIN, "hvc1.1.6.L60.90", "Main@2.0", 2, 8),
        (MAIN10, "hvc1.2.4.H123.90", "Main 10@4.1", 0, 10),
    ],
)
def test_what_x265_announces_is_read(record, codec_string, name, reorder, depth):
    config = HevcConfig.parse(record)
    found = config.sps()
    assert [len(x) for x in (config.vps_list, config.sps_list, config.pps_list)] == [1, 1, 1]
    assert (config.length_size, config.codec_string) == (4, codec_string)
    assert profile_name(config.profile_tier_level) == name
    assert (found.width, found.height) == (322, 182)
    assert (found.reorder, found.luma_depth, found.chroma) == (reorder, depth, 1)


@pytest.mark.parametrize("record", [MAIN, MAIN10])
def test_a_record_rebuilt_from_its_parameter_sets_says_the_same(record):
    config = HevcConfig.parse(record)
    rebuilt = HevcConfig.build(config.vps_list, config.sps_list, config.pps_list)
    assert HevcConfig.parse(rebuilt) == config
    assert rebuilt[13:23] == record[13:23]  # what the SPS is not the only one to say


def test_codec_string_of_a_profile_space_without_constraints():
    config = HevcConfig((), (), (), 4, bytes((0x41,)) + bytes(10) + bytes((93,)))
    assert config.codec_string == "hvc1.A1.0.L93"


def test_a_record_cut_anywhere_is_refused():
    for size in range(len(MAIN)):
        with pytest.raises(RemoteProtocolError):
            HevcConfig.parse(MAIN[:size])


def test_arrays_that_announce_more_units_than_there_are_are_refused():
    with pytest.raises(RemoteProtocolError, match="HEVC array"):
        HevcConfig.parse(MAIN[:22] + b"\x01\x20\xff\xff" + b"\x00\x01\x40" * 9)


def test_a_record_of_another_version_is_refused():
    with pytest.raises(RemoteProtocolError, match="version 2"):
        HevcConfig.parse(b"\x02" + MAIN[1:])


@pytest.mark.parametrize("arrays", ["00", "01 27 0001 0002 4e01", "01 21 0001 0003 420101"])
def test_a_record_without_a_readable_sps_is_read(arrays):
    config = HevcConfig.parse(MAIN[:22] + bytes.fromhex(arrays))
    assert config.sps() is None
    assert config.vps_list == config.pps_list == ()


def test_building_a_record_without_an_sps_is_our_bug():
    with pytest.raises(LocalProtocolError, match="needs an SPS"):
        HevcConfig.build([], [], [])


def test_building_a_record_with_a_huge_parameter_set_is_our_bug():
    with pytest.raises(LocalProtocolError, match="65535"):
        HevcConfig.build([bytes(65_536)], [sps()], [])


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, (64, 64, 2)),
        ({"window": (1, 0, 0, 1)}, (62, 62, 2)),
        ({"chroma": 0, "window": (1, 0, 0, 1)}, (63, 63, 2)),
        ({"chroma": 2, "window": (1, 0, 0, 1)}, (62, 63, 2)),
        ({"chroma": 3, "window": (1, 0, 0, 1)}, (63, 63, 2)),
        ({"chroma": 3, "separate": 1, "window": (1, 0, 0, 1)}, (63, 63, 2)),
        ({"window": (33, 0, 0, 0)}, (0, 0, 2)),
        ({"width": 0}, (0, 0, 2)),
        ({"height": 2**32 - 2}, (0, 0, 2)),
        ({"sub_layers": 3, "present": ((1, 1), (0, 1))}, (64, 64, 2)),
        (
            {
                "sub_layers": 2,
                "present": ((0, 0),),
                "each": 1,
                "ordering": ((1, 0, 0), (5, 3, 0)),
            },
            (64, 64, 3),
        ),
    ],
)
def test_size_and_reordering_of_every_kind_of_sps(fields, expected):
    found = HevcSps.parse(sps(**fields))
    assert (found.width, found.height, found.reorder) == expected


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"sps_id": 16}, "SPS id"),
        ({"chroma": 4}, "chroma format"),
        ({"luma": 9}, "bit depth"),
        ({"poc": 13}, "log2_max_pic_order_cnt"),
        ({"ordering": ((1, 17, 0),)}, "max_num_reorder_pics"),
    ],
)
def test_numbers_outside_the_standard_are_refused(fields, what):
    with pytest.raises(RemoteProtocolError, match=what):
        HevcSps.parse(sps(**fields))


@pytest.mark.parametrize("unit", [b"", b"\x42", b"\x40\x01\x0c", b"\x42\x01", b"\x42\x01\x01\x01"])
def test_what_is_no_sps_is_refused(unit):
    with pytest.raises(RemoteProtocolError):
        HevcSps.parse(unit)


@pytest.mark.parametrize(
    ("unit", "expected"), [("2601", True), ("2a01", True), ("2001", True), ("0201", False)]
)
def test_random_access_pictures_are_starts(unit, expected):
    suffix_sei = b"\x50\x01"
    assert has_irap(join_units([suffix_sei, bytes.fromhex(unit)])) == expected
    assert nal_type(suffix_sei) == 40


@given(st.binary(max_size=80))
def test_garbage_raises_nothing_but_the_remote_protocol_error(data):
    for read in (
        HevcConfig.parse,
        lambda d: HevcConfig.parse(MAIN[:22] + d),
        lambda d: HevcSps.parse(b"\x42\x01" + d),
        lambda d: HevcSps.parse(sps()[:16] + d),
        has_irap,
    ):
        with contextlib.suppress(RemoteProtocolError):
            read(data)
