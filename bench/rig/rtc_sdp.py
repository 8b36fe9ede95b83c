"""A client's SDP: what viewers and publishers offer, a viewer's answer; and who the server is."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = [
    "AUDIO_TYPE", "LEVEL_ID", "TRANSPORT_ID", "VIDEO_TYPE", "Far", "Near", "answer", "far_end",
    "offer", "publish_offer",
]  # fmt: skip


class Near(NamedTuple):
    """A viewer's end of its transport."""

    ufrag: str
    pwd: str
    fingerprint: str
    """SHA-256, hex with colons."""


class Far(NamedTuple):
    """The server's end."""

    ufrag: str
    pwd: str
    host: str
    port: int


VIDEO_TYPE, AUDIO_TYPE = 102, 111
"""Payload types, H.264 and Opus."""
LEVEL_ID, TRANSPORT_ID = 1, 3
"""Header extensions of what is published: RFC 6464, transport-wide sequence numbers."""

_VIDEO = (
    "m=video 9 UDP/TLS/RTP/SAVPF 102",
    "a=rtpmap:102 H264/90000",
    "a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
    "a=rtcp-fb:102 nack",
    "a=rtcp-fb:102 nack pli",
    "a=rtcp-fb:102 goog-remb",
)
_AUDIO = (
    "m=audio 9 UDP/TLS/RTP/SAVPF 111",
    "a=rtpmap:111 opus/48000/2",
    "a=fmtp:111 minptime=10;useinbandfec=1",
)


_TRANSPORT = (
    f"a=extmap:{TRANSPORT_ID} "
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
)


def _description(
    near: Near, medias: list[tuple[str, tuple[str, ...]]], setup: str, direction: str = "recvonly"
) -> str:
    lines = ["v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0"]
    lines.append("a=group:BUNDLE " + " ".join(mid for mid, _ in medias))
    for mid, media in medias:
        lines += [
            media[0],
            "c=IN IP4 0.0.0.0",
            f"a=mid:{mid}",
            f"a={direction}",
            "a=rtcp-mux",
            f"a=ice-ufrag:{near.ufrag}",
            f"a=ice-pwd:{near.pwd}",
            f"a=fingerprint:sha-256 {near.fingerprint}",
            f"a=setup:{setup}",
            *media[1:],
        ]
    return "\r\n".join([*lines, ""])


def offer(near: Near, video: int = 1, audio: int = 1) -> str:
    """Ask for H.264 and Opus, so many of each."""
    kinds = [_VIDEO] * video + [_AUDIO] * audio
    return _description(near, [(str(mid), lines) for mid, lines in enumerate(kinds)], "active")


def publish_offer(near: Near, video: int, audio: int) -> str:
    """Give H.264 and Opus from these SSRCs (0: no video), as a browser would."""
    sound = (
        *_AUDIO,
        "a=rtcp-fb:111 transport-cc",
        f"a=extmap:{LEVEL_ID} urn:ietf:params:rtp-hdrext:ssrc-audio-level",
        _TRANSPORT,
        f"a=ssrc:{audio} cname:bench",
    )
    picture = (
        *_VIDEO,
        "a=rtcp-fb:102 transport-cc",
        _TRANSPORT,
        f"a=ssrc:{video} cname:bench",
    )
    medias = [("0", sound), ("1", picture)] if video else [("0", sound)]
    return _description(near, medias, "active", "sendonly")


def answer(near: Near, to: str) -> str:
    """Accept what is offered, in its order and under its payload types 102 and 111."""
    kinds = re.findall(r"^m=(\w+)", to, re.MULTILINE)
    mids = re.findall(r"^a=mid:(\S+)", to, re.MULTILINE)
    medias = [
        (mid, _VIDEO if kind == "video" else _AUDIO) for kind, mid in zip(kinds, mids, strict=True)
    ]
    return _description(near, medias, "active")


def far_end(sdp: str) -> Far:
    """Whom to send checks to: the first UDP candidate of IPv4."""
    ufrag = re.search(r"^a=ice-ufrag:(\S+)", sdp, re.MULTILINE)
    pwd = re.search(r"^a=ice-pwd:(\S+)", sdp, re.MULTILINE)
    place = re.search(r"^a=candidate:\S+ 1 udp \d+ (\d+\.\d+\.\d+\.\d+) (\d+)", sdp, re.M | re.I)
    if ufrag is None or pwd is None or place is None:
        raise ValueError(f"no way to the server in:\n{sdp}")
    return Far(ufrag[1], pwd[1], place[1], int(place[2]))
