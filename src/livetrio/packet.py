"""The words every protocol speaks: a coded frame, the track it belongs to, the stream's key.

Payloads are what FLV, RTMP and MP4 carry unchanged: length-prefixed NAL units, low-overhead
OBUs, raw AAC, raw Opus. Only MPEG-TS and RTP have to convert. Times are integer microseconds,
as in WebCodecs (`EncodedVideoChunk.timestamp`): fine enough for a 48 kHz or 90 kHz clock to
survive the round trip, and free of floats.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Codec", "Kind", "Packet", "StreamKey", "Track", "US_PER_MS", "US_PER_SECOND"]

US_PER_MS = 1_000
US_PER_SECOND = 1_000_000


class Kind(enum.Enum):
    """What a track is made of."""

    VIDEO = "video"
    AUDIO = "audio"
    DATA = "data"

    __hash__ = object.__hash__  # enum's own runs Python code, and every packet looks up its kind


class Codec(enum.Enum):
    """A coded format, by the name shown to users (lower case, as in RFC 6381 prose and SDP)."""

    H264 = "h264"
    HEVC = "hevc"
    AV1 = "av1"
    VP8 = "vp8"
    VP9 = "vp9"
    H263 = "h263"  # Sorenson Spark
    SCREEN = "screen"
    SCREEN2 = "screen2"
    VP6 = "vp6"
    VP6A = "vp6a"
    AAC = "aac"
    OPUS = "opus"
    FLAC = "flac"
    AC3 = "ac3"
    EAC3 = "eac3"
    MP3 = "mp3"
    MP3_8K = "mp3-8k"
    PCM = "pcm"
    PCM_LE = "pcm-le"
    ADPCM = "adpcm"
    G711A = "g711a"
    G711U = "g711u"
    SPEEX = "speex"
    NELLYMOSER = "nellymoser"
    NELLYMOSER_16K = "nellymoser-16k"
    NELLYMOSER_8K = "nellymoser-8k"
    SCRIPT = "script"  # AMF0 values, as in an FLV script tag

    __hash__ = object.__hash__


class StreamKey(NamedTuple):
    """A stream's identity. vhost and query never change it."""

    app: str
    name: str

    def __str__(self) -> str:
        return f"{self.app}/{self.name}"


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One elementary stream in one configuration; a new configuration is a new Track.

    Compared by identity: "has the configuration changed" is `packet.track is not last_track`.
    """

    kind: Kind
    codec: Codec
    id: int = 0
    """0 to 255, unique per kind; legacy RTMP and FLV know only the lowest."""
    config: bytes = b""
    """Decoder configuration: AVC/HEVC/AV1/VP9 configuration record, AudioSpecificConfig,
    OpusHead, FLAC STREAMINFO; for codecs that only legacy FLV carries as audio, the one
    format byte of their tags. Empty where the codec has none."""
    width: int = 0
    """Pixels; 0 while unknown."""
    height: int = 0
    sample_rate: int = 0
    """Hertz; 0 while unknown."""
    channels: int = 0
    profile: str = ""
    """Human name or RFC 6381 string, e.g. "High@3.1", "avc1.64001f"; empty while unknown."""


@dataclass(slots=True, eq=False)
class Packet:
    """One coded frame, or (config=True) the announcement of its track.

    Not frozen, for speed (creation costs 100 ns against 400); nobody changes one after
    `Stream.publish` saw it.
    """

    track: Track
    dts: int
    """Decoding time, microseconds."""
    pts: int
    """Presentation time, microseconds."""
    data: bytes
    """The payload; for config=True the configuration record (`track.config`), or the script
    tag's AMF0 bytes ("onMetaData" and its value, without "@setDataFrame")."""
    key: bool = False
    """A decoder can start here. Always true of audio (config packets: never)."""
    config: bool = False
    """What newcomers must be given before anything else of this track."""
