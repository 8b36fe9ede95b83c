"""Fragments of SDP a client sends after its offer: trickled candidates, an ICE restart.

Source: RFC 8840 section 9 (application/trickle-ice-sdpfrag), RFC 9725 section 4.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from livetrio.errors import RemoteProtocolError
from livetrio.wire.sdp.session import (
    MediaDescription,
    Section,
    lines_of,
    parse_media,
    split_attribute,
)
from livetrio.wire.sdp.transport import candidates, ice_credentials

__all__ = ["Fragment", "build_fragment", "parse_fragment"]


@dataclass(frozen=True, slots=True)
class Fragment:
    """What a fragment says about the one transport of a bundle."""

    ufrag: str
    """Of the ICE generation it belongs to: another than before asks for a restart. "" if the
    client left it out."""
    pwd: str
    candidates: tuple[str, ...]
    """Values of a=candidate, of whichever m-line."""
    mids: tuple[str, ...]
    """Of its m-lines, for the answer to a restart."""
    end: bool
    """No more candidates will come."""


def parse_fragment(text: str) -> Fragment:
    """Read a fragment.

    Raises:
        RemoteProtocolError: it is none, or too large, or its credentials are none.
    """
    session = Section()
    section = session
    media: list[MediaDescription] = []
    for kind, value in lines_of(text):
        if kind == "m":
            section = parse_media(value)
            media.append(section)
        elif kind == "a":
            section.attributes.append(split_attribute(value))
        else:
            raise RemoteProtocolError(f"SDP: a {kind}= line in a fragment")
    ufrag, pwd = ice_credentials(session, *media) or ("", "")
    return Fragment(
        ufrag,
        pwd,
        candidates(session, *media),
        tuple(part.mid for part in media),
        any(part.has("end-of-candidates") for part in (session, *media)),
    )


def build_fragment(ufrag: str, pwd: str, values: Sequence[str], mid: str = "0") -> str:
    """The answer to an ICE restart: our new credentials and all our candidates.

    Args:
        ufrag: ours.
        pwd: ours.
        values: of a=candidate.
        mid: the first m-line of the bundle, as in the client's fragment.
    """
    lines = [
        "a=ice-lite",
        "m=audio 9 UDP/TLS/RTP/SAVPF 0",
        f"a=mid:{mid}",
        f"a=ice-ufrag:{ufrag}",
        f"a=ice-pwd:{pwd}",
        *(f"a=candidate:{value}" for value in values),
        "a=end-of-candidates",
    ]
    return "".join(f"{line}\r\n" for line in lines)
