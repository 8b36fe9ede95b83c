"""Offers of real clients, and ends of a transport to answer them with.

Chromium's, aiortc's and FFmpeg's were recorded; Firefox's, Safari's, OBS's (libdatachannel),
GStreamer's and Pion's are written in their forms.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from livetrio.packet import Codec, Kind
from livetrio.webrtc.negotiation import Agreed, Local, Media, Policy, SendTrack, answer
from livetrio.wire.sdp.session import SessionDescription, parse_sdp

__all__ = ["H264", "LOCAL", "OPUS", "PLAY", "PUBLISH", "answered", "edited", "offer", "part"]

_FOLDER: Final = Path(__file__).parent / "offers"

PUBLISH: Final = (
    "chromium-publish",
    "chromium-simulcast",
    "firefox-publish",
    "obs",
    "ffmpeg",
    "gstreamer",
    "aiortc-publish",
)
"""Names of offers to send something."""
PLAY: Final = ("chromium-play", "safari-play", "pion-play", "aiortc-play")
"""Names of offers to receive H.264 and Opus."""

LOCAL: Final = Local(
    "serv",
    "serverserverserverserver",
    ("sha-256", ":".join(["5A"] * 32)),
    (
        "1 1 udp 2130706431 192.0.2.1 8189 typ host",
        "2 1 tcp 1671430143 192.0.2.1 8189 typ host tcptype passive",
    ),
    session_id=42,
)
H264: Final = SendTrack(
    Kind.VIDEO, Codec.H264, 0x1111, "cname", "stream video", {"profile-level-id": "64001f"}
)
OPUS: Final = SendTrack(Kind.AUDIO, Codec.OPUS, 0x2222, "cname", "stream audio")


def offer(name: str) -> str:
    """An offer as it came over the wire, with CR LF."""
    return (_FOLDER / f"{name}.sdp").read_text("utf-8").replace("\n", "\r\n")


def edited(name: str, *edits: tuple[str, str]) -> str:
    """An offer with every occurrence of each text replaced; each must occur."""
    text = offer(name)
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return text


def answered(agreed: Agreed, policy: Policy | None = None) -> SessionDescription:
    """Our answer, read."""
    return parse_sdp(answer(agreed, LOCAL, policy or Policy()))


def part(agreed: Agreed, kind: Kind) -> Media:
    """The first media of a kind."""
    return next(media for media in agreed.media if media.kind is kind)
