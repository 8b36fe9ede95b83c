"""What the attributes of an m-line say about its media: codecs, extensions, layers, sources.

Source: RFC 8866 section 6, RFC 4585 section 4.2 (rtcp-fb), RFC 8285 section 5 (extmap),
RFC 8851 and 8853 (rid, simulcast), RFC 5576 (ssrc, ssrc-group).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from livetrio.errors import RemoteProtocolError
from livetrio.wire.sdp.session import MediaDescription, Section, decimal, is_token

__all__ = [
    "MAX_RIDS",
    "MAX_SSRCS",
    "Direction",
    "RtpMap",
    "directions",
    "extmaps",
    "feedback",
    "fmtp_text",
    "fmtps",
    "payload_types",
    "repair_ssrcs",
    "rtpmaps",
    "send_rids",
    "ssrcs",
]

MAX_RIDS: Final = 16
"""Simulcast layers of an m-line; browsers send up to four."""
MAX_SSRCS: Final = 64
"""Sources of an m-line: layers, their repair, and some more."""
_MAX_RATE: Final = 1_000_000

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
_DIRECTIONS: Final[tuple[Direction, ...]] = ("sendrecv", "sendonly", "recvonly", "inactive")


@dataclass(frozen=True, slots=True)
class RtpMap:
    """What a payload type stands for."""

    name: str
    """Encoding name in lower case."""
    clock_rate: int
    channels: int
    """1 where nothing is said."""


def directions(media: MediaDescription, session: Section) -> tuple[bool, bool]:
    """(the peer sends, the peer receives): the m-line's word, the session's, or both."""
    for section in (media, session):
        for direction in _DIRECTIONS:
            if section.has(direction):
                return direction.startswith("send"), direction in {"sendrecv", "recvonly"}
    return True, True


def rtpmaps(media: MediaDescription) -> dict[int, RtpMap]:
    """By payload type, in the order of the m-line: the peer's preference.

    Raises:
        RemoteProtocolError: a number that is none, or a payload type explained twice.
    """
    found: dict[int, RtpMap] = {}
    for value in media.values("rtpmap"):
        word, _, encoding = value.partition(" ")
        number = decimal(word, 127, "payload type")
        name, _, rate = encoding.strip().partition("/")
        clock, _, channels = rate.partition("/")
        if number in found or not is_token(name):
            raise RemoteProtocolError(f"SDP: the rtpmap of {number} is none, or the second")
        found[number] = RtpMap(
            name.lower(),
            decimal(clock, _MAX_RATE, "clock rate"),
            decimal(channels or "1", 255, "channel count"),
        )
    return {number: found[number] for number in payload_types(media) if number in found}


def payload_types(media: MediaDescription) -> list[int]:
    """Those of an RTP m-line, in its order.

    Raises:
        RemoteProtocolError: a format is no number from 0 to 127.
    """
    return [decimal(word, 127, "payload type") for word in media.formats]


def fmtps(media: MediaDescription) -> dict[int, dict[str, str]]:
    """Format parameters by payload type, names in lower case; a bare word has the value "".

    Raises:
        RemoteProtocolError: a payload type that is no number.
    """
    found: dict[int, dict[str, str]] = {}
    for value in media.values("fmtp"):
        word, _, text = value.partition(" ")
        parameters = found.setdefault(decimal(word, 127, "payload type"), {})
        for part in text.split(";"):
            name, _, setting = part.partition("=")
            if name.strip():
                parameters[name.strip().lower()] = setting.strip()
    return found


def fmtp_text(parameters: dict[str, str]) -> str:
    """What stands behind the payload type of an fmtp line."""
    return ";".join(f"{name}={value}" if value else name for name, value in parameters.items())


def feedback(media: MediaDescription) -> dict[str, set[str]]:
    """RTCP feedback ("nack pli", "transport-cc", ...) by payload type as text, or "*" for all."""
    found: dict[str, set[str]] = {}
    for value in media.values("rtcp-fb"):
        number, _, words = value.partition(" ")
        found.setdefault(number, set()).add(" ".join(words.split()))
    return found


def extmaps(media: MediaDescription, session: Section) -> dict[int, str]:
    """URIs of header extensions by id; the session's hold for every m-line.

    Raises:
        RemoteProtocolError: an id outside 1 to 14, 16 to 255 and the 4096 to 4351 that stand
            for "give me another", or one id for two URIs.
    """
    found: dict[int, str] = {}
    for value in (*session.values("extmap"), *media.values("extmap")):
        words = value.split()
        number, _, _direction = words[0].partition("/") if words else ("", "", "")
        id = decimal(number, 4_351, "extension id")
        if id in {0, 15} or 255 < id < 4_096 or len(words) < 2:
            raise RemoteProtocolError(f"SDP: an extmap of id {id}")
        if found.setdefault(id, words[1]) != words[1]:
            raise RemoteProtocolError(f"SDP: extension id {id} stands for two URIs")
    return found


def send_rids(media: MediaDescription) -> tuple[str, ...]:
    """Names of the simulcast layers the peer would send, in the order it lists them.

    Of alternatives ("a,b") the first counts; a paused layer ("~c") is one like the others.
    Layers without their a=rid line are none; lines without a=simulcast say nothing.

    Raises:
        RemoteProtocolError: more than MAX_RIDS layers, a name that is none or comes twice.
    """
    words = (media.value("simulcast") or "").split()
    if "send" not in words[:-1]:
        return ()
    layers = words[words.index("send") + 1].split(";")
    known = {tuple(value.split()[:2]) for value in media.values("rid")}
    if len(layers) > MAX_RIDS or len(known) > 2 * MAX_RIDS:
        raise RemoteProtocolError(f"SDP: more than {MAX_RIDS} simulcast layers")
    names = [layer.partition(",")[0].lstrip("~") for layer in layers]
    if len(set(names)) < len(names) or not all(_is_rid(name) for name in names):
        raise RemoteProtocolError("SDP: a simulcast layer whose name is none, or comes twice")
    return tuple(name for name in names if (name, "send") in known)


def _is_rid(name: str) -> bool:
    return len(name) <= 255 and name.isascii() and name.replace("-", "").replace("_", "").isalnum()


def ssrcs(media: MediaDescription) -> tuple[int, ...]:
    """Every announced source, in order.

    Raises:
        RemoteProtocolError: more than MAX_SSRCS, or no numbers.
    """
    found = {
        decimal(value.partition(" ")[0], 0xFFFF_FFFF, "SSRC"): None
        for value in media.values("ssrc")
    }
    if len(found) > MAX_SSRCS:
        raise RemoteProtocolError(f"SDP: {len(found)} sources in an m-line")
    return tuple(found)


def repair_ssrcs(media: MediaDescription) -> frozenset[int]:
    """The sources that only repair others: retransmission (FID) and FEC (FEC-FR).

    Raises:
        RemoteProtocolError: no numbers.
    """
    found: set[int] = set()
    for value in media.values("ssrc-group"):
        words = value.split()[: 2 + MAX_SSRCS]
        if words and words[0] in {"FID", "FEC-FR", "FEC"}:
            found.update(decimal(word, 0xFFFF_FFFF, "SSRC") for word in words[2:])
    return frozenset(found)
