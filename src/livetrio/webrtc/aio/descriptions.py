"""Descriptions: what aiortc may be shown of a peer's SDP, and what was agreed in the end.

aiortc believes what it reads. So everything is read by our own parser first, under its limits,
and written again without what a hostile or careless peer could make aiortc do: resolve names,
send checks to addresses that are none of its business, open data channels.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from aiortc import InvalidAccessError, InvalidStateError
from aiortc.exceptions import InternalError, OperationError

from livetrio.errors import Refused, RemoteProtocolError
from livetrio.net.dial import AddressPolicy
from livetrio.packet import Codec, Kind
from livetrio.webrtc.negotiation_codecs import receive_codecs
from livetrio.webrtc.negotiation_words import Agreed, Media, NotAcceptable, Policy, Remote
from livetrio.wire.sdp.attributes import directions, extmaps, repair_ssrcs, ssrcs
from livetrio.wire.sdp.session import MediaDescription, SessionDescription, parse_sdp
from livetrio.wire.sdp.transport import bundle

__all__ = ["CODECS", "POLICY", "candidate_allowed", "cleaned", "reading", "received", "restored"]

POLICY: Final = Policy(video=(Codec.H264, Codec.VP8), send_extensions=frozenset())
"""What aiortc can packetise and depacketise."""
CODECS: Final = {Kind.VIDEO: POLICY.video, Kind.AUDIO: POLICY.audio}
_MAX_CANDIDATES: Final = 32
"""Of a description: each is paired with each of ours, and checked."""
_TRANSPORT: Final = ("ice-ufrag", "ice-pwd", "fingerprint", "setup")
_DROPPED: Final = frozenset(
    {*_TRANSPORT, "candidate", "end-of-candidates", "rid", "simulcast", "bundle-only"}
)
_KINDS: Final = {"audio": Kind.AUDIO, "video": Kind.VIDEO}

_FAULTS: Final = (
    ArithmeticError, AssertionError, AttributeError, InternalError, InvalidAccessError,
    InvalidStateError, LookupError, TypeError, ValueError,
)  # fmt: skip
"""How aiortc says that it cannot make sense of a description."""


@contextmanager
def reading(what: str) -> Iterator[None]:
    """What aiortc raises while it reads a description becomes the peer's error.

    Raises:
        NotAcceptable: no codec in common.
        RemoteProtocolError: everything else that it stumbles over.
    """
    try:
        yield
    except OperationError as error:
        raise NotAcceptable(f"{what}: nothing in it that this engine can carry") from error
    except _FAULTS as error:
        raise RemoteProtocolError(f"SDP: {what} cannot be used: {error}") from error


def cleaned(text: str, addresses: AddressPolicy = AddressPolicy.ANY) -> str:
    """A peer's offer or answer as aiortc may see it.

    Candidates of TCP, with host names (mDNS ones too) or outside of the policy are left out: a
    peer that is behind one of them is found by the checks that it sends itself. So are the
    words of simulcast, which aiortc cannot read, and the m-lines of data channels.

    Raises:
        RemoteProtocolError: it cannot be read.
    """
    session = parse_sdp(text)
    sections = (session, *session.media)
    values = [value for section in sections for value in section.values("candidate")]
    allowed = [value for value in dict.fromkeys(values) if candidate_allowed(value, addresses)]
    complete = any(section.has("end-of-candidates") for section in sections)
    shared = _transport(session)
    left = {line.mid for line in session.media if not _is_live(line)}
    session.media = [line for line in session.media if _is_live(line)]
    session.attributes = [
        (name, " ".join(word for word in value.split() if word not in left))
        if name == "group"
        else (name, value)
        for name, value in session.attributes
    ]
    for section in sections:
        section.attributes = [pair for pair in section.attributes if pair[0] not in _DROPPED]
    for line in session.media:
        # On each m-line: aiortc does not look at the first for what they share (RFC 9143 7.1),
        # and of the candidates it takes those of the last.
        line.port = line.port or 9  # bundle-only (RFC 9143 section 6)
        line.attributes += shared
        for value in allowed[:_MAX_CANDIDATES]:
            line.add("candidate", value)
        if complete and allowed:
            line.add("end-of-candidates")
    return session.build()


def _transport(session: SessionDescription) -> list[tuple[str, str]]:
    """The attributes of the one transport: of the bundle's first m-line, or of the session."""
    grouped = bundle(session)
    tagged = [line for mid in grouped for line in session.media if line.mid == mid]
    found: list[tuple[str, str]] = []
    for name in _TRANSPORT:
        values = (list(part.values(name)) for part in (*tagged, *session.media, session))
        found += [(name, value) for value in next(filter(None, values), [])]
    return found


def restored(answer: str, offer: str) -> str:
    """aiortc's answer to a cleaned offer as an answer to the offer itself: the m-lines that it
    was not shown are in it, rejected."""
    session, theirs = parse_sdp(answer), parse_sdp(offer)
    lines = iter(session.media)
    session.media = [next(lines) if _is_live(line) else _rejected(line) for line in theirs.media]
    return session.build()


def _is_live(line: MediaDescription) -> bool:
    return line.media in _KINDS and (line.port != 0 or line.has("bundle-only"))


def _rejected(line: MediaDescription) -> MediaDescription:
    rejected = MediaDescription([], line.media, 0, line.protocol, list(line.formats))
    if line.mid:
        rejected.add("mid", line.mid)
    return rejected


def candidate_allowed(value: str, addresses: AddressPolicy = AddressPolicy.ANY) -> bool:
    """May checks be sent to this candidate?

    Args:
        value: of a=candidate (RFC 8839 section 5.1).
        addresses: where media may go.
    """
    words = value.split()
    if len(words) < 8 or words[1] != "1" or words[2].lower() != "udp" or words[6] != "typ":
        return False
    try:
        address = ipaddress.ip_address(words[4])
        addresses.check(str(address))
    except (ValueError, Refused):
        return False
    return not address.is_multicast and words[5].isdigit() and 0 < int(words[5]) < 65_536


def received(answer: str, remote: str) -> Agreed:
    """What a peer sends us, for `Publisher`.

    Args:
        answer: of the two descriptions the one that answers: it says which codecs are left.
        remote: the peer's, with its SSRCs.

    Raises:
        RemoteProtocolError: one cannot be read, or they do not belong together.
    """
    agreed, theirs = parse_sdp(answer), parse_sdp(remote)
    if len(agreed.media) != len(theirs.media):
        raise RemoteProtocolError("SDP: the answer's m-lines are not those of the offer")
    medias = []
    for line, source in zip(agreed.media, theirs.media, strict=True):
        kind = _KINDS.get(line.media, Kind.DATA)
        codecs, ignored = receive_codecs(line, (*POLICY.video, *POLICY.audio))
        known = {
            uri: number
            for number, uri in extmaps(line, agreed).items()
            if uri in POLICY.receive_extensions and number < 15
        }
        repair = repair_ssrcs(source)
        media = Media(
            line.mid,
            kind,
            False,
            codecs if kind is not Kind.DATA else (),
            bool(codecs) and directions(source, theirs)[0] and line.port != 0,
            known,
            ssrcs=tuple(ssrc for ssrc in ssrcs(source) if ssrc not in repair),
            ignored=ignored,
            offered=source,
        )
        medias.append(media if media.active else replace(media, codecs=()))
    return Agreed(tuple(medias), Remote("", "", ()))
