"""VP8 and VP9: the configuration record, key frames and their size, VP9 superframes.

Source: VP Codec ISO Media File Format Binding (vpcC); RFC 6386 section 9.1; VP9 Bitstream &
Decoding Process Specification sections 6.2, 7.2 and annex B.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from livetrio.errors import RemoteProtocolError
from livetrio.wire.bits import BitReader

__all__ = ["KeyFrame", "VpConfig", "level_of", "superframe", "vp8_key_frame", "vp9_key_frame"]

_BOX_VERSION: Final = b"\x01\x00\x00\x00"
"""Version and flags of the vpcC box: FFmpeg writes them before the record, others do not."""
_VP8_START: Final = b"\x9d\x01\x2a"
_VP9_SYNC: Final = 0x498342
_RGB: Final = 7
_SUPERFRAME: Final = 0xC0
_LEVELS: Final = (
    (36_864, 10),
    (73_728, 11),
    (122_880, 20),
    (245_760, 21),
    (552_960, 30),
    (983_040, 31),
    (2_228_224, 40),
    (8_912_896, 50),
)
"""Luma samples of a picture and ten times the lowest level that allows them (VP9 annex A)."""


class KeyFrame(NamedTuple):
    """What the header of a key frame says: a decoder can start here."""

    profile: int
    width: int
    """Pixels."""
    height: int


@dataclass(frozen=True, slots=True)
class VpConfig:
    """What a VPCodecConfigurationRecord says; the frame size is not in it."""

    profile: int
    level: int
    """Ten times the level's number; 0 where unknown."""
    bit_depth: int
    chroma: int
    """0 4:2:0 vertical, 1 4:2:0 colocated, 2 4:2:2, 3 4:4:4."""

    @classmethod
    def parse(cls, record: bytes) -> VpConfig:
        """Read a record, with or without the box's version and flags before it.

        Raises:
            RemoteProtocolError: it is cut.
        """
        body = record.removeprefix(_BOX_VERSION)
        if len(body) < 8:
            raise RemoteProtocolError(f"VP configuration of {len(record)} bytes")
        return cls(body[0], body[1], body[2] >> 4, body[2] >> 1 & 7)

    def build(self) -> bytes:
        """Write the record, with version and flags; colours unspecified (2)."""
        depth = self.bit_depth << 4 | self.chroma << 1
        return _BOX_VERSION + bytes((self.profile, self.level, depth, 2, 2, 2, 0, 0))

    @property
    def name(self) -> str:
        """Profile and level for people, e.g. "Profile 0@3.1"."""
        return f"Profile {self.profile}@{self.level // 10}.{self.level % 10}"

    @property
    def codec_string(self) -> str:
        """The RFC 6381 name of VP9 (ISOBMFF binding), e.g. "vp09.00.31.08"."""
        return f"vp09.{self.profile:02}.{self.level:02}.{self.bit_depth:02}"


def level_of(width: int, height: int) -> int:
    """Ten times the lowest VP9 level for pictures of that size, at 30 frames per second.

    For records of streams that came without one: RTP does not say the level.
    """
    size = width * height
    return next((level for samples, level in _LEVELS if size <= samples), 60)


def vp8_key_frame(frame: bytes | memoryview) -> KeyFrame | None:
    """Profile and size from a VP8 key frame; None for any other frame.

    Raises:
        RemoteProtocolError: the frame is empty, or a key frame's header is broken.
    """
    if not frame:
        raise RemoteProtocolError("VP8: an empty frame")
    if frame[0] & 1:
        return None
    if len(frame) < 10 or frame[3:6] != _VP8_START:
        raise RemoteProtocolError("VP8: a key frame without its start code")
    width = int.from_bytes(frame[6:8], "little") & 0x3FFF
    height = int.from_bytes(frame[8:10], "little") & 0x3FFF
    return KeyFrame(frame[0] >> 1 & 7, width, height)


def vp9_key_frame(frame: bytes | memoryview) -> KeyFrame | None:
    """Profile and size from a VP9 key frame; None for any other frame.

    Of a superframe the first frame is read, which is the one that must be a key frame.

    Raises:
        RemoteProtocolError: the uncompressed header is cut, or not one of VP9.
    """
    bits = BitReader(frame)
    if bits.read(2) != 2:
        raise RemoteProtocolError("VP9: wrong frame marker")
    profile = bits.read(1) | bits.read(1) << 1
    if profile == 3 and bits.flag():
        raise RemoteProtocolError("VP9: reserved profile")
    # show_existing_frame repeats a picture; frame_type is 0 for a key frame.
    if bits.flag() or bits.flag():
        return None
    bits.skip(2)  # show_frame, error_resilient_mode
    if bits.read(24) != _VP9_SYNC:
        raise RemoteProtocolError("VP9: a key frame without its sync code")
    if profile >= 2:
        bits.skip(1)  # ten_or_twelve_bit
    rgb = bits.read(3) == _RGB
    bits.skip((not rgb) + (profile & 1) * (1 if rgb else 3))
    return KeyFrame(profile, bits.read(16) + 1, bits.read(16) + 1)


def superframe(data: bytes) -> list[memoryview]:
    """The frames of a VP9 superframe, or `data` itself as one frame (annex B).

    A last byte that looks like an index marker without its twin is part of a plain frame.

    Raises:
        RemoteProtocolError: the index announces more than there is.
    """
    view = memoryview(data)
    last = data[-1] if data else 0
    if last & 0xE0 != _SUPERFRAME:
        return [view]
    count, width = (last & 7) + 1, (last >> 3 & 3) + 1
    index = len(data) - 2 - count * width
    if index < 0 or data[index] != last:
        return [view]
    frames = []
    pos = 0
    for entry in range(index + 1, len(data) - 1, width):
        size = int.from_bytes(data[entry : entry + width], "little")
        if pos + size > index:
            raise RemoteProtocolError("VP9: a superframe's index announces more than there is")
        if size:
            frames.append(view[pos : pos + size])
        pos += size
    return frames
