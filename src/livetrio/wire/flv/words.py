"""The numbers and names FLV and enhanced RTMP use for tags, codecs and kinds of packet.

Source: Adobe's Video File Format Specification 10.1, annex E.4; Veovera's Enhanced RTMP v2,
sections "Enhanced Audio" and "Enhanced Video". Plain integers, not enums: some are compared for
every packet, and an enum's member costs three times as much to reach.
"""

from __future__ import annotations

from typing import Final

from livetrio.packet import Codec

__all__ = [
    "AUDIO",
    "AUDIO_CODECS",
    "AUDIO_FOURCC",
    "AVC_FRAME",
    "AVC_SEQUENCE_END",
    "AVC_SEQUENCE_HEADER",
    "EX_AUDIO",
    "EX_VIDEO",
    "MAX_BODY",
    "SCRIPT",
    "SOUND_FORMATS",
    "VIDEO",
    "VIDEO_CODECS",
    "VIDEO_FOURCC",
    "VIDEO_IDS",
    "AudioPacketType",
    "FrameType",
    "MultitrackType",
    "VideoPacketType",
    "sound_byte",
]

AUDIO: Final = 8
VIDEO: Final = 9
SCRIPT: Final = 18
"""TagType, and RTMP's message type ids."""

MAX_BODY: Final = 0xFF_FFFF
"""Bytes; a tag's size has 24 bits."""

EX_VIDEO: Final = 0x80
"""IsExVideoHeader, in the first byte of a video tag's body."""
EX_AUDIO: Final = 9
"""SoundFormat that announces an ExAudioTagHeader."""

AVC_SEQUENCE_HEADER: Final = 0
AVC_FRAME: Final = 1
AVC_SEQUENCE_END: Final = 2
"""AVCPacketType; AACPacketType shares the first two."""


class FrameType:
    """VideoFrameType."""

    KEY: Final = 1
    INTER: Final = 2
    DISPOSABLE: Final = 3
    GENERATED_KEY: Final = 4
    COMMAND: Final = 5


class VideoPacketType:
    """VideoPacketType of an ExVideoTagHeader."""

    SEQUENCE_START: Final = 0
    CODED_FRAMES: Final = 1
    SEQUENCE_END: Final = 2
    CODED_FRAMES_X: Final = 3
    METADATA: Final = 4
    MPEG2TS_SEQUENCE_START: Final = 5
    MULTITRACK: Final = 6
    MOD_EX: Final = 7


class AudioPacketType:
    """AudioPacketType of an ExAudioTagHeader."""

    SEQUENCE_START: Final = 0
    CODED_FRAMES: Final = 1
    SEQUENCE_END: Final = 2
    MULTICHANNEL_CONFIG: Final = 4
    MULTITRACK: Final = 5
    MOD_EX: Final = 7


class MultitrackType:
    """AvMultitrackType."""

    ONE_TRACK: Final = 0
    MANY_TRACKS: Final = 1
    MANY_TRACKS_MANY_CODECS: Final = 2


VIDEO_CODECS: Final = {
    2: Codec.H263,
    3: Codec.SCREEN,
    4: Codec.VP6,
    5: Codec.VP6A,
    6: Codec.SCREEN2,
    7: Codec.H264,
    12: Codec.HEVC,  # never standardised; what Chinese encoders sent before enhanced RTMP
    13: Codec.AV1,
}
"""VideoCodecId."""

VIDEO_IDS: Final[dict[Codec, int]] = {
    codec: number for number, codec in VIDEO_CODECS.items() if number < 7
}
"""VideoCodecId of what only legacy tags carry, without a configuration record."""

AUDIO_CODECS: Final = {
    0: Codec.PCM,
    1: Codec.ADPCM,
    2: Codec.MP3,
    3: Codec.PCM_LE,
    4: Codec.NELLYMOSER_16K,
    5: Codec.NELLYMOSER_8K,
    6: Codec.NELLYMOSER,
    7: Codec.G711A,
    8: Codec.G711U,
    10: Codec.AAC,
    11: Codec.SPEEX,
    14: Codec.MP3_8K,
}
"""SoundFormat; 15, "device-specific sound", cannot be known to any player and is not here."""

SOUND_FORMATS: Final = {codec: number for number, codec in AUDIO_CODECS.items()}

VIDEO_FOURCC: Final = {
    b"avc1": Codec.H264,
    b"hvc1": Codec.HEVC,
    b"av01": Codec.AV1,
    b"vp08": Codec.VP8,
    b"vp09": Codec.VP9,
}
AUDIO_FOURCC: Final = {
    b"mp4a": Codec.AAC,
    b"Opus": Codec.OPUS,
    b"fLaC": Codec.FLAC,
    b"ac-3": Codec.AC3,
    b"ec-3": Codec.EAC3,
    b".mp3": Codec.MP3,
}


def sound_byte(codec: Codec, sample_rate: int, channels: int) -> bytes:
    """The format byte a legacy audio tag begins with, for audio that came from elsewhere.

    The rate field has four values: the nearest of its kind is taken, as encoders do (48 kHz MP3
    says 44 kHz); decoders of compressed formats read the frames instead.
    """
    rate = 3 if sample_rate >= 32_000 else 2 if sample_rate >= 16_000 else 1
    return bytes((SOUND_FORMATS[codec] << 4 | rate << 2 | 2 | (channels > 1),))
