"""Which of FFmpeg's decoders reads what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from livetrio.packet import Codec, Track

__all__ = ["AUDIO_DECODERS", "VIDEO_DECODERS", "pcm_decoder"]

AUDIO_DECODERS: Final[Mapping[Codec, str]] = {
    Codec.AAC: "aac",
    Codec.OPUS: "libopus",
    Codec.FLAC: "flac",
    Codec.AC3: "ac3",
    Codec.EAC3: "eac3",
    Codec.MP3: "mp3float",
    Codec.MP3_8K: "mp3float",
    Codec.ADPCM: "adpcm_swf",
    Codec.G711A: "pcm_alaw",
    Codec.G711U: "pcm_mulaw",
    Codec.SPEEX: "speex",
    Codec.NELLYMOSER: "nellymoser",
    Codec.NELLYMOSER_16K: "nellymoser",
    Codec.NELLYMOSER_8K: "nellymoser",
}
VIDEO_DECODERS: Final[Mapping[Codec, str]] = {
    Codec.H264: "h264",
    Codec.HEVC: "hevc",
    Codec.AV1: "libdav1d",
    Codec.VP8: "vp8",
    Codec.VP9: "vp9",
    Codec.H263: "flv",
    Codec.SCREEN: "flashsv",
    Codec.SCREEN2: "flashsv2",
    Codec.VP6: "vp6f",
    Codec.VP6A: "vp6a",
}

_SIXTEEN_BITS: Final = 2
"""SoundSize in the format byte of legacy FLV tags, which is the config of such tracks."""


def pcm_decoder(track: Track) -> str | None:
    """For uncompressed sound, whose format byte tells the size of a sample; else None.

    "Platform endian" PCM was written by Flash on little-endian machines.
    """
    if track.codec not in (Codec.PCM, Codec.PCM_LE):
        return None
    return "pcm_s16le" if track.config and track.config[0] & _SIXTEEN_BITS else "pcm_u8"
