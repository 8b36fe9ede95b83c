"""The H.264 sequence parameter set: picture size, profile, and how far frames are reordered.

Source: ITU-T H.264 sections 7.3.2.1.1 (syntax), E.1.1 (VUI), A.3 (levels).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from livetrio.errors import RemoteProtocolError
from livetrio.wire.bits import BitReader
from livetrio.wire.nal import unescape

__all__ = ["MAX_DIMENSION", "AvcSps"]

MAX_DIMENSION: Final = 16_384
"""Pixels; level 6.2 ends at 16,880 and no live encoder comes near. Larger is not a picture."""

_CHROMA_PROFILES: Final = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})
"""profile_idc whose SPS names chroma format and bit depth (section 7.3.2.1.1)."""
_INTRA_ONLY_CONSTRAINT: Final = 0x10
"""constraint_set3_flag, which with these profiles means that every picture is intra coded."""
_PROFILES: Final = {
    66: "Baseline",
    77: "Main",
    88: "Extended",
    100: "High",
    110: "High 10",
    122: "High 4:2:2",
    244: "High 4:4:4",
}
_EXTENDED_SAR: Final = 255


@dataclass(frozen=True, slots=True)
class AvcSps:
    """What a server needs of an SPS."""

    profile: int
    constraints: int
    level: int
    width: int
    """Pixels after cropping; 0 when the numbers make no picture."""
    height: int
    reorder: int | None
    """Most frames that come before, in decoding order, one they follow on the screen: 0 means
    no B-frames (browsers play it by WebRTC as it is), None that the SPS does not say."""
    chroma: int = 1
    """chroma_format_idc: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4."""
    luma_depth: int = 8
    chroma_depth: int = 8

    @classmethod
    def parse(cls, unit: bytes | memoryview) -> AvcSps:
        """Read an SPS NAL unit (its header byte included).

        Raises:
            RemoteProtocolError: it is not an SPS, is cut, or holds values outside the standard.
        """
        if not unit or unit[0] & 0x1F != 7:
            raise RemoteProtocolError("H.264: not an SPS")
        bits = BitReader(unescape(unit[1:]))
        profile, constraints, level = bits.read(8), bits.read(8), bits.read(8)
        _check(bits.ue() <= 31, "SPS id")
        chroma, luma_depth, chroma_depth, separate = 1, 8, 8, False
        if profile in _CHROMA_PROFILES:
            chroma = bits.ue()
            _check(chroma <= 3, "chroma format")
            separate = chroma == 3 and bits.flag()
            luma_depth, chroma_depth = bits.ue() + 8, bits.ue() + 8
            _check(max(luma_depth, chroma_depth) <= 14, "bit depth")
            bits.skip(1)  # qpprime_y_zero_transform_bypass_flag
            if bits.flag():
                _skip_scaling_matrix(bits, 12 if chroma == 3 else 8)
        _check(bits.ue() <= 12, "log2_max_frame_num")
        poc_type = _skip_picture_order(bits)
        _check(bits.ue() <= 16, "max_num_ref_frames")
        bits.skip(1)  # gaps_in_frame_num_value_allowed_flag
        width, height = (bits.ue() + 1) * 16, (bits.ue() + 1) * 16
        frame_mbs_only = bits.flag()
        if not frame_mbs_only:
            height *= 2
            bits.skip(1)  # mb_adaptive_frame_field_flag
        bits.skip(1)  # direct_8x8_inference_flag
        if bits.flag():
            # Cropping counts in chroma samples, and in pairs of lines when fields are possible.
            unit_x = 2 if chroma in (1, 2) and not separate else 1
            unit_y = (2 if chroma == 1 and not separate else 1) * (1 if frame_mbs_only else 2)
            width -= (bits.ue() + bits.ue()) * unit_x
            height -= (bits.ue() + bits.ue()) * unit_y
        if not (0 < width <= MAX_DIMENSION and 0 < height <= MAX_DIMENSION):
            width = height = 0
        reorder = _reorder(bits) if bits.flag() else None
        if reorder is None and _never_reorders(profile, constraints, poc_type):
            reorder = 0
        return cls(
            profile, constraints, level, width, height, reorder, chroma, luma_depth, chroma_depth
        )

    @property
    def has_chroma_info(self) -> bool:
        """Whether the configuration record repeats chroma format and bit depth."""
        return self.profile in (100, 110, 122, 144, 244)

    @property
    def name(self) -> str:
        """Profile and level for people, e.g. "High@3.1"."""
        profile = _PROFILES.get(self.profile, f"profile {self.profile}")
        if self.profile == 66 and self.constraints & 0x40:
            profile = "Constrained Baseline"
        # Level 1b is 11 with constraint_set3_flag in the old profiles, 9 in the others (A.3.2).
        old = self.profile in (66, 77, 88) and self.constraints & _INTRA_ONLY_CONSTRAINT
        if self.level == 9 or (self.level == 11 and old):
            return f"{profile}@1b"
        return f"{profile}@{self.level // 10}.{self.level % 10}"


def _check(fine: bool, what: str) -> None:
    if not fine:
        raise RemoteProtocolError(f"H.264 SPS: {what} is out of range")


def _skip_scaling_matrix(bits: BitReader, lists: int) -> None:
    """scaling_list() of section 7.3.2.1.1.1; bounded by its own sizes, 16 or 64 entries."""
    for index in range(lists):
        if not bits.flag():
            continue
        last = following = 8
        for _ in range(16 if index < 6 else 64):
            if following:
                following = (last + bits.se()) & 0xFF
            last = following or last


def _skip_picture_order(bits: BitReader) -> int:
    poc_type = bits.ue()
    _check(poc_type <= 2, "pic_order_cnt_type")
    if poc_type == 0:
        _check(bits.ue() <= 12, "log2_max_pic_order_cnt")
    elif poc_type == 1:
        bits.skip(1)  # delta_pic_order_always_zero_flag
        bits.se()
        bits.se()
        cycle = bits.ue()
        _check(cycle <= 255, "num_ref_frames_in_pic_order_cnt_cycle")
        for _ in range(cycle):
            bits.se()
    return poc_type


def _never_reorders(profile: int, constraints: int, poc_type: int) -> bool:
    """Output order is decoding order by definition: POC type 2, Baseline, or intra only."""
    intra_only = profile in (44, 86, 100, 110, 122, 244) and constraints & _INTRA_ONLY_CONSTRAINT
    return poc_type == 2 or profile == 66 or bool(intra_only)


def _reorder(bits: BitReader) -> int | None:
    """max_num_reorder_frames of the VUI (section E.1.1); None when absent or unreadable.

    A broken VUI does not spoil the SPS: many decoders never read it.
    """
    try:
        if bits.flag() and bits.read(8) == _EXTENDED_SAR:
            bits.skip(32)
        if bits.flag():  # overscan_info_present_flag
            bits.skip(1)
        if bits.flag():  # video_signal_type_present_flag
            bits.skip(4)
            if bits.flag():
                bits.skip(24)
        if bits.flag():  # chroma_loc_info_present_flag
            bits.ue()
            bits.ue()
        if bits.flag():  # timing_info_present_flag: its scale may be 0 and is not divided by
            bits.skip(65)
        nal_hrd = bits.flag()
        if nal_hrd:
            _skip_hrd(bits)
        vcl_hrd = bits.flag()
        if vcl_hrd:
            _skip_hrd(bits)
        if nal_hrd or vcl_hrd:
            bits.skip(1)  # low_delay_hrd_flag
        bits.skip(1)  # pic_struct_present_flag
        if not bits.flag():  # bitstream_restriction_flag
            return None
        bits.skip(1)
        for _ in range(4):
            bits.ue()
        reorder = bits.ue()
    except RemoteProtocolError:
        return None
    return reorder if reorder <= 16 else None


def _skip_hrd(bits: BitReader) -> None:
    count = bits.ue() + 1
    _check(count <= 32, "cpb_cnt")
    bits.skip(8)
    for _ in range(count):
        bits.ue()
        bits.ue()
        bits.skip(1)
    bits.skip(20)
