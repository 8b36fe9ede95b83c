"""The HEVC sequence parameter set: picture size, profile, and how far frames are reordered.

Source: ITU-T H.265 sections 7.3.2.2.1 (SPS) and 7.3.3 (profile, tier and level).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from livetrio.errors import RemoteProtocolError
from livetrio.wire.bits import BitReader
from livetrio.wire.nal import unescape

__all__ = ["HevcSps", "profile_name"]

_MAX_DIMENSION: Final = 16_384
"""Pixels; level 6.2 ends at 16,888 and no live encoder comes near. Larger is not a picture."""
_PROFILES: Final = {1: "Main", 2: "Main 10", 3: "Main Still Picture", 4: "Range Extensions"}


@dataclass(frozen=True, slots=True)
class HevcSps:
    """What a server needs of an SPS."""

    profile_tier_level: bytes
    """The twelve bytes from general_profile_space to general_level_idc."""
    width: int
    """Pixels after the conformance window; 0 when the numbers make no picture."""
    height: int
    reorder: int
    """sps_max_num_reorder_pics of the highest sub-layer; 0 means no B-frames."""
    chroma: int
    """chroma_format_idc: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4."""
    luma_depth: int
    chroma_depth: int
    sub_layers: int
    temporal_nesting: bool

    @classmethod
    def parse(cls, unit: bytes | memoryview) -> HevcSps:
        """Read an SPS NAL unit (its two header bytes included).

        Raises:
            RemoteProtocolError: it is not an SPS, is cut, or holds values outside the standard.
        """
        if len(unit) < 2 or unit[0] >> 1 & 0x3F != 33:
            raise RemoteProtocolError("HEVC: not an SPS")
        payload = unescape(unit[2:])
        bits = BitReader(payload)
        bits.skip(4)  # sps_video_parameter_set_id
        sub_layers = bits.read(3) + 1
        temporal_nesting = bits.flag()
        profile_tier_level = payload[1:13]
        bits.skip(96)
        _skip_sub_layers(bits, sub_layers)
        _check(bits.ue() <= 15, "SPS id")
        chroma = bits.ue()
        _check(chroma <= 3, "chroma format")
        separate = chroma == 3 and bits.flag()
        width, height = bits.ue(), bits.ue()
        if bits.flag():
            unit_x = 2 if chroma in (1, 2) and not separate else 1
            unit_y = 2 if chroma == 1 and not separate else 1
            width -= (bits.ue() + bits.ue()) * unit_x
            height -= (bits.ue() + bits.ue()) * unit_y
        if not (0 < width <= _MAX_DIMENSION and 0 < height <= _MAX_DIMENSION):
            width = height = 0
        luma_depth, chroma_depth = bits.ue() + 8, bits.ue() + 8
        _check(max(luma_depth, chroma_depth) <= 16, "bit depth")
        _check(bits.ue() <= 12, "log2_max_pic_order_cnt")
        reorder = 0
        # Without the flag one entry stands for all sub-layers; with it the last is the highest.
        for _ in range(sub_layers if bits.flag() else 1):
            bits.ue()
            reorder = bits.ue()
            bits.ue()
        _check(reorder <= 16, "max_num_reorder_pics")
        return cls(
            profile_tier_level,
            width,
            height,
            reorder,
            chroma,
            luma_depth,
            chroma_depth,
            sub_layers,
            temporal_nesting,
        )


def profile_name(profile_tier_level: bytes) -> str:
    """Profile and level for people, e.g. "Main 10@4.1"."""
    profile = profile_tier_level[0] & 0x1F
    level = profile_tier_level[11] / 30
    return f"{_PROFILES.get(profile, f'profile {profile}')}@{level:.1f}"


def _check(fine: bool, what: str) -> None:
    if not fine:
        raise RemoteProtocolError(f"HEVC SPS: {what} is out of range")


def _skip_sub_layers(bits: BitReader, sub_layers: int) -> None:
    """The sub-layers' own profiles and levels: all but the highest may have them."""
    if sub_layers == 1:
        return
    present = [(bits.flag(), bits.flag()) for _ in range(sub_layers - 1)]
    bits.skip(2 * (9 - sub_layers))
    for profile, level in present:
        bits.skip(88 * profile + 8 * level)
