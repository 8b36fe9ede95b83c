"""What an offer and an answer agree on: medias, codecs, the peer's transport and ours.

A browser's SDP says everything in ten places; here each thing is said once, from our side.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from livetrio.errors import RefusalCode, Refused
from livetrio.packet import Codec, Kind
from livetrio.wire.rtp import extensions as ext
from livetrio.wire.sdp.session import MediaDescription

__all__ = [
    "Agreed",
    "Local",
    "Media",
    "Policy",
    "Remote",
    "RtpCodec",
    "SendTrack",
    "NotAcceptable",
]


class NotAcceptable(Refused):
    """The offer can be read, and there is nothing in it that we can do (HTTP 406 or 422)."""

    def __init__(self, reason: str) -> None:
        super().__init__(RefusalCode.BAD_REQUEST, reason)


@dataclass(frozen=True, slots=True)
class Policy:
    """What we are ready to agree to."""

    video: tuple[Codec, ...] = (Codec.H264, Codec.VP8, Codec.VP9, Codec.AV1)
    """Codecs we take from a publisher, the preferred first: H.264 reaches every player of
    every protocol, so a browser that can encode it is asked to."""
    audio: tuple[Codec, ...] = (Codec.OPUS,)
    receive_extensions: frozenset[str] = frozenset(
        {
            ext.MID,
            ext.RID,
            ext.REPAIRED_RID,
            ext.AUDIO_LEVEL,
            ext.ABS_SEND_TIME,
            ext.TRANSPORT_CC,
        }
    )
    """URIs of header extensions we understand in what a publisher sends."""
    send_extensions: frozenset[str] = frozenset({ext.MID, ext.ABS_SEND_TIME, ext.TRANSPORT_CC})
    """URIs of header extensions we can put into what a viewer gets."""
    start_bitrate: int = 0
    """bit/s a Chromium publisher begins with instead of 300,000; 0 leaves it alone."""


DEFAULT: Final = Policy()


@dataclass(frozen=True, slots=True)
class RtpCodec:
    """One payload type and what it stands for."""

    codec: Codec
    payload_type: int
    clock_rate: int
    """Hertz of its RTP timestamps."""
    channels: int = 0
    """Of audio; 0 for video."""
    fmtp: Mapping[str, str] = field(default_factory=dict)
    """Format parameters as they stand in the answer, names in lower case."""
    feedback: frozenset[str] = frozenset()
    """RTCP feedback both ends know: "nack", "nack pli", "ccm fir", "transport-cc", "goog-remb"."""
    rtx: int | None = None
    """Payload type the peer offered for resending this one (RFC 4588). It is never answered,
    because resending the packet itself serves both ways; FFmpeg uses it nevertheless."""


@dataclass(frozen=True, slots=True)
class SendTrack:
    """A track we send: what a WHEP answer or offer announces."""

    kind: Kind
    codec: Codec
    ssrc: int
    cname: str
    msid: str
    """"stream track": tracks with the same first word are played in sync."""
    fmtp: Mapping[str, str] = field(default_factory=dict)
    """What the stream is: "profile-level-id" of H.264, "profile-id" of VP9, "profile" of AV1."""
    channels: int = 2
    """Of audio."""


@dataclass(frozen=True, slots=True)
class Media:
    """One m-line."""

    mid: str
    kind: Kind
    sending: bool
    """From our side: True for a viewer (WHEP), False for a publisher (WHIP) and where the
    m-line is rejected."""
    codecs: tuple[RtpCodec, ...]
    """Agreed, best first: the first is the one to send. Empty: the m-line is rejected."""
    active: bool = True
    """False where nothing flows: an m-line is rejected, or kept for later (a=inactive)."""
    extensions: Mapping[str, int] = field(default_factory=dict)
    """Agreed header extensions: URI to id, 1 to 14. The ids are the same for all medias."""
    rids: tuple[str, ...] = ()
    """Simulcast layers the peer sends, in its own order (by custom the best last or first:
    look at the pictures, not at the order)."""
    ssrcs: tuple[int, ...] = ()
    """Announced by the peer (a=ssrc) for media, not for repair; often empty with rids."""
    ignored: frozenset[int] = frozenset()
    """Offered payload types that were not agreed (RED, ULPFEC, RTX, ...): drop them silently."""
    track: SendTrack | None = None
    """What we send here; None in a publisher's media and where nothing flows."""
    offered: MediaDescription = field(default_factory=MediaDescription, repr=False)
    """The m-line as it came, for the writer of the answer."""

    def codec(self, payload_type: int) -> RtpCodec | None:
        """The agreed codec of that payload type."""
        return next((c for c in self.codecs if c.payload_type == payload_type), None)


@dataclass(frozen=True, slots=True)
class Remote:
    """The peer's end of the one transport."""

    ufrag: str
    pwd: str = field(repr=False)
    fingerprints: tuple[tuple[str, str], ...]
    """(hash function in lower case, upper-case hex with colons), at least one: its certificate
    must match one of them."""
    setup: Literal["active", "passive"] = "active"
    """The peer's DTLS role. "active": it sends the ClientHello. "passive" means that *we* must:
    FFmpeg's WHIP muxer offers nothing else."""
    candidates: tuple[str, ...] = ()
    """Values of a=candidate; an ICE-lite end need not look at them."""
    ice_options: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Local:
    """Our end of the one transport."""

    ufrag: str
    pwd: str = field(repr=False)
    fingerprint: tuple[str, str]
    """("sha-256", hex with colons)."""
    candidates: tuple[str, ...]
    """Values of a=candidate, e.g. "1 1 udp 2130706431 192.0.2.1 8189 typ host"."""
    session_id: int = field(default_factory=lambda: secrets.randbits(62))
    """Of the o= line."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """The outcome of one negotiation."""

    media: tuple[Media, ...]
    """One for each m-line, in its order."""
    remote: Remote
    bundle: tuple[str, ...] = ()
    """Mids of the m-lines that are not rejected, if the peer groups its m-lines."""
    mixed_extensions: bool = False
    """The peer lets one-byte and two-byte header extensions alternate (RFC 8285)."""

    @property
    def active(self) -> tuple[Media, ...]:
        """The medias in which something flows."""
        return tuple(media for media in self.media if media.active)
