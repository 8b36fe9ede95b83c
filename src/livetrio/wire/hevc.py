"""HEVC: its decoder configuration record and the unit types that matter to a server.

Source: ISO/IEC 14496-15 section 8.3.3.1 (HEVCDecoderConfigurationRecord) and annex E (codec
strings), ITU-T H.265 table 7-1.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from livetrio.errors import LocalProtocolError, RemoteProtocolError
from livetrio.wire.hevc_sps import HevcSps
from livetrio.wire.nal import nal_units
from livetrio.wire.reader import ByteReader

__all__ = ["HevcConfig", "HevcNal", "has_irap", "nal_type"]


class HevcNal(enum.IntEnum):
    """nal_unit_type (H.265 table 7-1), those a server meets by name."""

    BLA_W_LP = 16
    IDR_W_RADL = 19
    IDR_N_LP = 20
    CRA = 21
    LAST_IRAP = 23
    VPS = 32
    SPS = 33
    PPS = 34
    AUD = 35
    PREFIX_SEI = 39
    SUFFIX_SEI = 40


def nal_type(unit: bytes | memoryview) -> int:
    """nal_unit_type of a unit, which has at least one byte."""
    return unit[0] >> 1 & 0x3F


@dataclass(frozen=True, slots=True)
class HevcConfig:
    """What an HEVCDecoderConfigurationRecord says; parameter sets may be missing ("hev1")."""

    vps_list: tuple[bytes, ...]
    """Video parameter sets, each a whole NAL unit."""
    sps_list: tuple[bytes, ...]
    pps_list: tuple[bytes, ...]
    length_size: int
    """Bytes of the length before each NAL unit of a frame: 1 to 4 (3 is illegal, but readable)."""
    profile_tier_level: bytes
    """The twelve bytes from profile space to level, as in the SPS."""

    @classmethod
    def parse(cls, record: bytes) -> HevcConfig:
        """Read a record; arrays of other units (SEI) are passed over.

        Versions 0 and 1 are read alike: encoders of the years before the standard wrote 0.

        Raises:
            RemoteProtocolError: it is cut, or of another version.
        """
        reader = ByteReader(record)
        version = reader.u8("HEVC configuration")
        if version > 1:
            raise RemoteProtocolError(f"HEVC configuration of version {version}")
        profile_tier_level = reader.take(12, "HEVC configuration")
        reader.take(8, "HEVC configuration")  # segmentation to frame rate: the SPS is truth
        length_size = (reader.u8("HEVC configuration") & 3) + 1
        found: dict[int, list[bytes]] = {HevcNal.VPS: [], HevcNal.SPS: [], HevcNal.PPS: []}
        for _ in range(reader.u8("HEVC configuration")):
            units = found.get(reader.u8("HEVC array") & 0x3F, [])
            for _ in range(reader.u16("HEVC array")):
                units.append(reader.take(reader.u16("HEVC array"), "HEVC parameter set"))
        vps_list, sps_list, pps_list = map(tuple, found.values())
        return cls(vps_list, sps_list, pps_list, length_size, profile_tier_level)

    @staticmethod
    def build(
        vps_list: Sequence[bytes],
        sps_list: Sequence[bytes],
        pps_list: Sequence[bytes],
        length_size: int = 4,
    ) -> bytes:
        """Write the record for parameter sets that came in band (MPEG-TS, RTP).

        Raises:
            LocalProtocolError: no SPS, or a parameter set over 65,535 bytes.
            RemoteProtocolError: the first SPS cannot be read.
        """
        if not sps_list:
            raise LocalProtocolError("an HEVC configuration needs an SPS")
        sps = HevcSps.parse(sps_list[0])
        layers = sps.sub_layers << 3 | sps.temporal_nesting << 2 | length_size - 1
        parts = [
            b"\x01",
            sps.profile_tier_level,
            # min_spatial_segmentation 0 and parallelismType 0 say "unknown", with reserved ones.
            b"\xf0\x00\xfc",
            bytes((0xFC | sps.chroma, 0xF8 | sps.luma_depth - 8, 0xF8 | sps.chroma_depth - 8)),
            b"\x00\x00",  # average frame rate: unspecified
            bytes((layers, 3)),
        ]
        lists = ((HevcNal.VPS, vps_list), (HevcNal.SPS, sps_list), (HevcNal.PPS, pps_list))
        for kind, units in lists:
            parts += (bytes((0x80 | kind,)), len(units).to_bytes(2, "big"))  # array_completeness
            for unit in units:
                if len(unit) > 0xFFFF:
                    raise LocalProtocolError("a parameter set is longer than 65535 bytes")
                parts += (len(unit).to_bytes(2, "big"), unit)
        return b"".join(parts)

    def sps(self) -> HevcSps | None:
        """The first SPS, read; None where there is none or it makes no sense."""
        if not self.sps_list:
            return None
        try:
            return HevcSps.parse(self.sps_list[0])
        except RemoteProtocolError:
            return None  # the decoder may know better; here it costs only the picture's size

    @property
    def codec_string(self) -> str:
        """The RFC 6381 name by ISO/IEC 14496-15 annex E.3, e.g. "hvc1.1.6.L93.90"."""
        record = self.profile_tier_level
        space = ("", "A", "B", "C")[record[0] >> 6]
        compatibility = int(f"{int.from_bytes(record[1:5], 'big'):032b}"[::-1], 2)
        tier = "H" if record[0] & 0x20 else "L"
        constraints = "".join(f".{byte:x}" for byte in record[5:11].rstrip(b"\x00"))
        return f"hvc1.{space}{record[0] & 0x1F}.{compatibility:x}.{tier}{record[11]}{constraints}"


def has_irap(data: bytes, length_size: int = 4) -> bool:
    """Whether a frame holds a random access picture (IDR, CRA, BLA).

    Raises:
        RemoteProtocolError: the units' lengths do not add up.
    """
    first, last = HevcNal.BLA_W_LP, HevcNal.LAST_IRAP
    return any(first <= nal_type(unit) <= last for unit in nal_units(data, length_size))
