"""A viewer's SDP: an offer to livetrio and aiortc, an answer to Janus; and who the server is."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Far", "Near", "answer", "far_end", "offer"]


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


def _description(near: Near, medias: list[tuple[str, tuple[str, ...]]], setup: str) -> str:
    lines = ["v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0"]
    lines.append("a=group:BUNDLE " + " ".join(mid for mid, _ in medias))
    for mid, media in medias:
        lines += [
            media[0],
            "c=IN IP4 0.0.0.0",
            f"a=mid:{mid}",
            "a=recvonly",
            "a=rtcp-mux",
            f"a=ice-ufrag:{near.ufrag}",
            f"a=ice-pwd:{near.pwd}",
            f"a=fingerprint:sha-256 {near.fingerprint}",
            f"a=setup:{setup}",
            *media[1:],
        ]
    return "\r\n".join([*lines, ""])


def offer(near: Near) -> str:
    """Ask for H.264 and Opus."""
    return _description(near, [("0", _VIDEO), ("1", _AUDIO)], "active")


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
