"""H.264: its decoder configuration record and the unit types that matter to a server.

Source: ISO/IEC 14496-15 section 5.3.3 (AVCDecoderConfigurationRecord), ITU-T H.264 section 7.4.1.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from livetrio.errors import LocalProtocolError, RemoteProtocolError
from livetrio.wire.avc_sps import AvcSps
from livetrio.wire.nal import nal_units
from livetrio.wire.reader import ByteReader

__all__ = ["AvcConfig", "AvcNal", "has_idr"]


class AvcNal(enum.IntEnum):
    """nal_unit_type (H.264 table 7-1), those a server meets by name."""

    SLICE = 1
    IDR = 5
    SEI = 6
    SPS = 7
    PPS = 8
    AUD = 9
    END_OF_SEQUENCE = 10
    FILLER = 12
    SPS_EXTENSION = 13


@dataclass(frozen=True, slots=True)
class AvcConfig:
    """What an AVCDecoderConfigurationRecord says.

    A record without any SPS is legal here: some encoders announce the stream first and put the
    parameter sets into the key frames (sample entry "avc3"). Its `sps()` is then None.
    """

    sps_list: tuple[bytes, ...]
    """Sequence parameter sets, each a whole NAL unit."""
    pps_list: tuple[bytes, ...]
    length_size: int
    """Bytes of the length before each NAL unit of a frame: 1 to 4 (3 is illegal, but readable)."""
    profile: int
    compatibility: int
    level: int
    """Ten times the level's number."""

    @classmethod
    def parse(cls, record: bytes) -> AvcConfig:
        """Read a record; what may follow the PPSs (chroma format, SPS extensions) is ignored.

        Raises:
            RemoteProtocolError: it is cut, or of an unknown version.
        """
        reader = ByteReader(record)
        version = reader.u8("AVC configuration")
        if version != 1:
            raise RemoteProtocolError(f"AVC configuration of version {version}")
        profile, compatibility, level = reader.take(3, "AVC configuration")
        length_size = (reader.u8("AVC configuration") & 3) + 1
        sps_list = _parameter_sets(reader, reader.u8("AVC configuration") & 0x1F, "SPS")
        pps_list = _parameter_sets(reader, reader.u8("AVC configuration"), "PPS")
        return cls(sps_list, pps_list, length_size, profile, compatibility, level)

    @staticmethod
    def build(sps_list: Sequence[bytes], pps_list: Sequence[bytes], length_size: int = 4) -> bytes:
        """Write the record for parameter sets that came in band (MPEG-TS, RTP).

        Raises:
            LocalProtocolError: no SPS, more than 31 SPSs or 255 PPSs, or one over 65,535 bytes.
            RemoteProtocolError: the first SPS cannot be read.
        """
        if not 0 < len(sps_list) <= 31 or len(pps_list) > 255:
            raise LocalProtocolError(f"{len(sps_list)} SPSs and {len(pps_list)} PPSs")
        if max(map(len, (*sps_list, *pps_list))) > 0xFFFF:
            raise LocalProtocolError("a parameter set is longer than 65535 bytes")
        first = AvcSps.parse(sps_list[0])
        parts = [bytes((1,)), sps_list[0][1:4], bytes((0xFC | length_size - 1,))]
        parts.append(bytes((0xE0 | len(sps_list),)))
        for unit in sps_list:
            parts += (len(unit).to_bytes(2, "big"), unit)
        parts.append(bytes((len(pps_list),)))
        for unit in pps_list:
            parts += (len(unit).to_bytes(2, "big"), unit)
        if first.has_chroma_info:  # these profiles repeat chroma and depth behind the PPSs
            chroma, luma_depth, chroma_depth = first.chroma, first.luma_depth, first.chroma_depth
            depths = (0xF8 | luma_depth - 8, 0xF8 | chroma_depth - 8)
            parts.append(bytes((0xFC | chroma, *depths, 0)))
        return b"".join(parts)

    def sps(self) -> AvcSps | None:
        """The first SPS, read; None where there is none or it makes no sense."""
        if not self.sps_list:
            return None
        try:
            return AvcSps.parse(self.sps_list[0])
        except RemoteProtocolError:
            return None  # the decoder may know better; here it costs only the picture's size

    @property
    def codec_string(self) -> str:
        """The RFC 6381 name, e.g. "avc1.64001f"."""
        return f"avc1.{self.profile:02x}{self.compatibility:02x}{self.level:02x}"


def has_idr(data: bytes, length_size: int = 4) -> bool:
    """Whether a frame holds an IDR slice, so that any decoder can start with it.

    A recovery point (open GOP, intra refresh) is no start: a decoder that begins there shows
    broken pictures first.

    Raises:
        RemoteProtocolError: the units' lengths do not add up.
    """
    return any(unit[0] & 0x1F == AvcNal.IDR for unit in nal_units(data, length_size))


def _parameter_sets(reader: ByteReader, count: int, what: str) -> tuple[bytes, ...]:
    return tuple(reader.take(reader.u16(what), what) for _ in range(count))
