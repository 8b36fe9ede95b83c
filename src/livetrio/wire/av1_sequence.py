"""The AV1 sequence header: frame size, profile, level.

Source: AV1 Bitstream & Decoding Process Specification section 5.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from livetrio.errors import RemoteProtocolError
from livetrio.wire.bits import BitReader

__all__ = ["Av1Sequence"]

_SELECT: Final = 2
"""SELECT_SCREEN_CONTENT_TOOLS and SELECT_INTEGER_MV."""
_SRGB: Final = (1, 13, 0)
"""BT.709 primaries, sRGB transfer, identity matrix: then chroma is 4:4:4 without saying so."""


@dataclass(frozen=True, slots=True)
class Av1Sequence:
    """What a server needs of a sequence header."""

    profile: int
    level: int
    """seq_level_idx of operating point 0."""
    tier: int
    width: int
    """Pixels: the largest frame of the sequence."""
    height: int
    bit_depth: int
    chroma_flags: int
    """Monochrome, two subsampling bits and two of sample position, where the configuration
    record has them."""

    @classmethod
    def parse(cls, payload: bytes | memoryview) -> Av1Sequence:
        """Read the payload of a sequence header OBU.

        Raises:
            RemoteProtocolError: it is cut.
        """
        bits = BitReader(payload)
        profile = bits.read(3)
        if profile > 2:
            raise RemoteProtocolError(f"AV1 sequence header of profile {profile}")
        bits.skip(1)  # still_picture
        reduced = bits.flag()
        if reduced:
            level, tier = bits.read(5), 0
        else:
            level, tier = _operating_point(bits)
        width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
        width, height = bits.read(width_bits) + 1, bits.read(height_bits) + 1
        _skip_tools(bits, reduced)
        bit_depth, chroma_flags = _color_config(bits, profile)
        return cls(profile, level, tier, width, height, bit_depth, chroma_flags)


def _operating_point(bits: BitReader) -> tuple[int, int]:
    """Pass timing and the operating points; level and tier of the first."""
    decoder_model = False
    delay_bits = 0
    if bits.flag():  # timing_info_present_flag
        bits.skip(64)
        if bits.flag():  # equal_picture_interval
            bits.ue()  # uvlc() is the unsigned Exp-Golomb code
        decoder_model = bits.flag()
        if decoder_model:
            delay_bits = bits.read(5) + 1
            bits.skip(42)
    initial_delay = bits.flag()
    level = tier = 0
    for index in range(bits.read(5) + 1):
        bits.skip(12)
        point_level = bits.read(5)
        point_tier = bits.read(1) if point_level > 7 else 0
        if decoder_model and bits.flag():
            bits.skip(2 * delay_bits + 1)
        if initial_delay and bits.flag():
            bits.skip(4)
        if index == 0:
            level, tier = point_level, point_tier
    return level, tier


def _skip_tools(bits: BitReader, reduced: bool) -> None:
    """Everything between the frame size and color_config."""
    if not reduced and bits.flag():  # frame_id_numbers_present_flag
        bits.skip(7)
    bits.skip(3)  # superblock size, filter intra, intra edge filter
    if not reduced:
        bits.skip(4)  # interintra, masked compound, warped motion, dual filter
        order_hint = bits.flag()
        if order_hint:
            bits.skip(2)
        screen_content = _SELECT if bits.flag() else bits.read(1)
        if screen_content and not bits.flag():  # seq_choose_integer_mv
            bits.skip(1)
        if order_hint:
            bits.skip(3)
    bits.skip(3)  # superres, cdef, restoration


def _color_config(bits: BitReader, profile: int) -> tuple[int, int]:
    """Bit depth, and monochrome and chroma format as the configuration record writes them."""
    high = bits.flag()
    bit_depth = 8 + 2 * high
    if profile == 2 and high and bits.flag():
        bit_depth = 12
    mono = profile != 1 and bits.flag()
    color = (2, 2, 2)
    if bits.flag():
        color = (bits.read(8), bits.read(8), bits.read(8))
    if mono:
        return bit_depth, 0x1C
    if color == _SRGB:
        return bit_depth, 0
    bits.skip(1)  # color_range
    if profile == 0:
        x = y = 1
    elif profile == 1:
        x = y = 0
    elif bit_depth == 12:
        x = bits.read(1)
        y = bits.read(1) if x else 0
    else:
        x, y = 1, 0
    position = bits.read(2) if x and y else 0
    return bit_depth, x << 3 | y << 2 | position
