"""AAC: AudioSpecificConfig both ways, and the ADTS header MPEG-TS puts before each frame.

Source: ISO/IEC 14496-3 sections 1.6.2 (AudioSpecificConfig), 4.4.1 (GASpecificConfig and
program_config_element), 1.A.2 (ADTS).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from livetrio.errors import LocalProtocolError, RemoteProtocolError
from livetrio.wire.bits import BitReader, BitWriter

__all__ = ["SAMPLE_RATES", "AacConfig", "adts_header"]

SAMPLE_RATES: Final = (
    *(96000, 88200, 64000, 48000, 44100, 32000, 24000),
    *(22050, 16000, 12000, 11025, 8000, 7350),
)
"""Hertz by samplingFrequencyIndex; 13 and 14 are reserved, 15 means "written out"."""

_EXPLICIT_RATE: Final = 15
_CHANNELS: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 8, 11: 7, 12: 8, 14: 8}
_CHANNEL_CONFIG: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 8: 7, 7: 11}
_SBR: Final = 5
_PS: Final = 29
_ESCAPE: Final = 31
_ER_BSAC: Final = 22
_GENERAL_AUDIO: Final = frozenset({1, 2, 3, 4, 6, 7, 17, 19, 20, 21, 22, 23})
_SYNC_SBR: Final = 0x2B7
_SYNC_PS: Final = 0x548
_MAX_ADTS: Final = 0x1FFF
_NAMES: Final = {1: "Main", 2: "LC", 3: "SSR", 4: "LTP", 23: "LD", 39: "ELD", 42: "USAC"}


@dataclass(frozen=True, slots=True)
class AacConfig:
    """What an AudioSpecificConfig says."""

    object_type: int
    """Of the core: 2 is AAC LC, under HE-AAC too."""
    core_rate: int
    """Hertz of the core coder; HE-AAC plays at twice that."""
    channels: int
    """As played; 0 where a reserved channelConfiguration hides it."""
    channel_config: int
    """channelConfiguration as written; 0 means that a program_config_element lists channels."""
    sample_rate: int
    """Hertz as played."""
    sbr: bool = False
    """HE-AAC is signalled, in either explicit form. The implicit form shows in no record."""
    ps: bool = False
    """HE-AAC v2 is signalled: mono coded, stereo played."""
    frame_length: int = 1024
    """Samples per frame of the core, 1024 or 960."""

    @classmethod
    def parse(cls, record: bytes) -> AacConfig:
        """Read a record; bytes behind what is understood are ignored.

        Raises:
            RemoteProtocolError: it is cut, or its sampling frequency is a reserved one.
        """
        bits = BitReader(record)
        object_type = _object_type(bits)
        core_rate = sample_rate = _rate(bits)
        channel_config = bits.read(4)
        sbr = object_type in (_SBR, _PS)
        ps = object_type == _PS
        if sbr:  # hierarchical signalling: the extension first, then the core
            sample_rate = _rate(bits)
            object_type = _object_type(bits)
            if object_type == _ER_BSAC:
                bits.skip(4)
        channels = _CHANNELS.get(channel_config, 0)
        frame_length = 1024
        if object_type in _GENERAL_AUDIO:
            frame_length = 960 if bits.flag() else 1024
            if bits.flag():  # dependsOnCoreCoder
                bits.skip(14)
            bits.skip(1)  # extensionFlag
            if channel_config == 0:
                channels = _program_channels(bits)
            if not sbr:
                extension = _sync_extension(bits, core_rate)
                if extension is not None:
                    sbr, (sample_rate, ps) = True, extension
        if ps and channels == 1:
            channels = 2
        return cls(
            object_type, core_rate, channels, channel_config, sample_rate, sbr, ps, frame_length
        )

    @staticmethod
    def build(sample_rate: int, channels: int, *, object_type: int = 2) -> bytes:
        """Write the record of plain AAC: two bytes, five if the frequency is not in the table.

        Raises:
            LocalProtocolError: AAC has no such channel layout or object type.
        """
        if channels not in _CHANNEL_CONFIG or not 0 < object_type < _ESCAPE:
            raise LocalProtocolError(f"AAC object type {object_type} with {channels} channels")
        bits = BitWriter()
        bits.write(object_type, 5)
        if sample_rate in SAMPLE_RATES:
            bits.write(SAMPLE_RATES.index(sample_rate), 4)
        else:
            bits.write(_EXPLICIT_RATE, 4)
            bits.write(sample_rate, 24)
        bits.write(_CHANNEL_CONFIG[channels], 4)
        bits.write(0, 3)  # 1024 samples, no core coder, no extension
        return bits.getvalue()

    @property
    def name(self) -> str:
        """Profile for people: "LC", "HE-AAC", "HE-AACv2" ..."""
        if self.ps:
            return "HE-AACv2"
        if self.sbr:
            return "HE-AAC"
        return _NAMES.get(self.object_type, f"object type {self.object_type}")

    @property
    def codec_string(self) -> str:
        """The RFC 6381 name, e.g. "mp4a.40.2"."""
        return f"mp4a.40.{_PS if self.ps else _SBR if self.sbr else self.object_type}"


def adts_header(config: AacConfig, size: int) -> bytes:
    """The 7 bytes that go before a raw frame of `size` bytes in an ADTS stream.

    Raises:
        LocalProtocolError: ADTS has no field for that frame: object type over 4, channel
            configuration over 7, a sampling frequency not in the table, over 8184 bytes.
    """
    length = size + 7
    in_fields = config.object_type <= 4 and config.channel_config <= 7 and length <= _MAX_ADTS
    if not in_fields or config.core_rate not in SAMPLE_RATES:
        raise LocalProtocolError(f"no ADTS header for {size} bytes of {config}")
    bits = BitWriter()
    bits.write(0xFFF1, 16)  # sync word, MPEG-4, layer 0, no checksum
    bits.write(config.object_type - 1, 2)
    bits.write(SAMPLE_RATES.index(config.core_rate), 4)
    bits.write(0, 1)
    bits.write(config.channel_config, 3)
    bits.write(0, 4)
    bits.write(length, 13)
    bits.write(0x7FF, 11)  # buffer fullness: variable bit rate
    bits.write(0, 2)  # one raw_data_block
    return bits.getvalue()


def _object_type(bits: BitReader) -> int:
    value = bits.read(5)
    return 32 + bits.read(6) if value == _ESCAPE else value


def _rate(bits: BitReader) -> int:
    index = bits.read(4)
    if index == _EXPLICIT_RATE:
        rate = bits.read(24)
        if not rate:
            raise RemoteProtocolError("AAC: a sampling frequency of 0 Hz")
        return rate
    if index >= len(SAMPLE_RATES):
        raise RemoteProtocolError(f"AAC: reserved sampling frequency index {index}")
    return SAMPLE_RATES[index]


def _sync_extension(bits: BitReader, core_rate: int) -> tuple[int, bool] | None:
    """Backward compatible signalling of HE-AAC behind the core's config: rate and PS."""
    if bits.left < 16 or bits.read(11) != _SYNC_SBR or bits.read(5) != _SBR:
        return None
    if not bits.left or not bits.flag():
        return None
    sample_rate = _rate(bits) if bits.left >= 4 else 2 * core_rate
    ps = bits.left >= 12 and bits.read(11) == _SYNC_PS and bits.flag()
    return sample_rate, ps


def _program_channels(bits: BitReader) -> int:
    """Channels listed by a program_config_element (section 4.4.1.1)."""
    bits.skip(10)
    elements = [bits.read(4) for _ in range(3)]  # front, side, back
    low_frequency = bits.read(2)
    bits.skip(7)  # data and coupling elements, which are no channels
    for size in (4, 4, 3):  # mono, stereo and matrix mixdown
        if bits.flag():
            bits.skip(size)
    channels = low_frequency
    for _ in range(sum(elements)):
        channels += 2 if bits.flag() else 1
        bits.skip(4)
    return channels
