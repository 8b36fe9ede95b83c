"""What a sample becomes in a transport stream: Annex B access units, ADTS frames.

The reverse of what this house keeps everywhere else; TS is one of the two that must convert.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from livetrio.packet import Codec, Track
from livetrio.wire.aac import AacConfig, adts_header
from livetrio.wire.avc import AvcConfig, AvcNal
from livetrio.wire.hevc import HevcConfig, HevcNal, nal_type
from livetrio.wire.nal import nal_units
from livetrio.wire.segment import Sample

__all__ = ["Converter", "converter"]

Converter = Callable[[Sample], bytes]

_START: Final = b"\x00\x00\x00\x01"
_AVC_AUD: Final = _START + bytes((AvcNal.AUD, 0xF0))
"""Any slice type may follow; Apple's players want a delimiter before each access unit."""
_HEVC_AUD: Final = _START + bytes((HevcNal.AUD << 1, 1, 0x50))
_AVC_SETS: Final = frozenset({AvcNal.SPS, AvcNal.PPS})
_HEVC_SETS: Final = frozenset({HevcNal.VPS, HevcNal.SPS, HevcNal.PPS})


def converter(track: Track) -> Converter:
    """How the samples of a track are written.

    Raises:
        RemoteProtocolError: the track's configuration record cannot be read.
        LocalProtocolError (by the converter): the sound is of a kind ADTS has no field for.
    """
    match track.codec:
        case Codec.H264:
            return _avc(AvcConfig.parse(track.config))
        case Codec.HEVC:
            return _hevc(HevcConfig.parse(track.config))
        case Codec.AAC:
            return _aac(AacConfig.parse(track.config))
        case _:
            return lambda sample: sample.data


def _avc(config: AvcConfig) -> Converter:
    sets = b"".join(_START + unit for unit in (*config.sps_list, *config.pps_list))
    size = config.length_size

    def convert(sample: Sample) -> bytes:
        parts: list[bytes | memoryview] = [_AVC_AUD]
        units = [u for u in nal_units(sample.data, size) if u[0] & 0x1F != AvcNal.AUD]
        if sample.key and not any(unit[0] & 0x1F in _AVC_SETS for unit in units):
            parts.append(sets)
        for unit in units:
            parts += (_START, unit)
        return b"".join(parts)

    return convert


def _hevc(config: HevcConfig) -> Converter:
    lists = (*config.vps_list, *config.sps_list, *config.pps_list)
    sets = b"".join(_START + unit for unit in lists)
    size = config.length_size

    def convert(sample: Sample) -> bytes:
        parts: list[bytes | memoryview] = [_HEVC_AUD]
        units = [u for u in nal_units(sample.data, size) if nal_type(u) != HevcNal.AUD]
        if sample.key and not any(nal_type(unit) in _HEVC_SETS for unit in units):
            parts.append(sets)
        for unit in units:
            parts += (_START, unit)
        return b"".join(parts)

    return convert


def _aac(config: AacConfig) -> Converter:
    def convert(sample: Sample) -> bytes:
        return adts_header(config, len(sample.data)) + sample.data

    return convert
