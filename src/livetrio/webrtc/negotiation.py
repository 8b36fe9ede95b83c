"""Offer and answer: what a publisher may send us, and what a viewer can be sent.

One transport carries everything (BUNDLE, rtcp-mux); m-lines we have no use for are rejected
or left inactive one by one, and whatever would need a second transport refuses the offer.

Source: RFC 9429 (JSEP), RFC 9725 (WHIP), draft-ietf-wish-whep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from livetrio.errors import RemoteProtocolError
from livetrio.packet import Kind
from livetrio.webrtc.negotiation_codecs import receive_codecs, send_codec
from livetrio.webrtc.negotiation_words import (
    DEFAULT,
    Agreed,
    Local,
    Media,
    NotAcceptable,
    Policy,
    Remote,
    RtpCodec,
    SendTrack,
)
from livetrio.webrtc.negotiation_write import answer, offer_play
from livetrio.wire.sdp.attributes import directions, extmaps, repair_ssrcs, send_rids, ssrcs
from livetrio.wire.sdp.session import MediaDescription, SessionDescription, parse_sdp
from livetrio.wire.sdp.transport import bundle, candidates, fingerprints, ice_credentials

__all__ = [
    "Agreed",
    "Local",
    "Media",
    "NotAcceptable",
    "Policy",
    "Remote",
    "RtpCodec",
    "SendTrack",
    "agree_answer",
    "agree_play",
    "agree_publish",
    "answer",
    "offer_play",
]

_PROTOCOLS: Final = frozenset(
    {"UDP/TLS/RTP/SAVPF", "TCP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "RTP/SAVPF", "RTP/SAVP"}
)
"""RFC 9429 section 5.1.2: all of them mean RTP over DTLS-SRTP here."""
_KINDS: Final = {"audio": Kind.AUDIO, "video": Kind.VIDEO}


def agree_publish(offer: str, policy: Policy = DEFAULT) -> Agreed:
    """What we take of what a publisher offers (WHIP). All of it if possible.

    Raises:
        RemoteProtocolError: the offer cannot be read.
        NotAcceptable: it can, but nothing in it is sent in a codec we take, or it needs more
            than one transport.
    """
    session = parse_sdp(offer)
    ids = _extension_ids(session, policy.receive_extensions)

    def media(line: MediaDescription, kind: Kind) -> Media:
        wanted = policy.video if kind is Kind.VIDEO else policy.audio
        codecs, ignored = receive_codecs(line, wanted)
        repair = repair_ssrcs(line)
        return Media(
            line.mid,
            kind,
            False,
            codecs,
            bool(codecs) and directions(line, session)[0],
            _agreed_extensions(line, session, ids),
            send_rids(line),
            tuple(ssrc for ssrc in ssrcs(line) if ssrc not in repair),
            ignored,
            offered=line,
        )

    wanted = ", ".join(codec.value for codec in (*policy.video, *policy.audio))
    return _agree(session, media, f"nothing in the offer is sent in a codec we take: {wanted}")


def agree_play(offer: str, tracks: Sequence[SendTrack], policy: Policy = DEFAULT) -> Agreed:
    """Which of our tracks go into which m-line of a viewer's offer (WHEP).

    The tracks of a kind are given to the m-lines of that kind in order; m-lines beyond them
    are answered inactive, tracks beyond the m-lines stay unsent.

    Raises:
        RemoteProtocolError: the offer cannot be read.
        NotAcceptable: it can, but a track has no codec in its m-line's list, or no m-line wants
            any of the tracks, or the offer needs more than one transport.
    """
    session = parse_sdp(offer)
    ids = _extension_ids(session, policy.send_extensions)
    waiting = {kind: [track for track in tracks if track.kind is kind] for kind in Kind}

    def media(line: MediaDescription, kind: Kind) -> Media:
        wants = directions(line, session)[1]
        track = waiting[kind].pop(0) if wants and waiting[kind] else None
        if track is None:
            codecs, ignored = receive_codecs(line, (*policy.video, *policy.audio))
        else:
            codecs, ignored = send_codec(line, track)
        extensions = _agreed_extensions(line, session, ids)
        return Media(
            line.mid, kind, True, codecs, track is not None, extensions,
            ignored=ignored, track=track, offered=line,
        )  # fmt: skip

    names = ", ".join(f"{track.kind.value} ({track.codec.value})" for track in tracks)
    return _agree(session, media, f"the offer asks for none of {names or '()'}")


def agree_answer(offer: str, reply: str, tracks: Sequence[SendTrack]) -> Agreed:
    """What a viewer took of our own offer (the server-offer form of WHEP).

    Args:
        offer: what `offer_play` made.
        reply: the viewer's answer.
        tracks: those `offer_play` was given.

    Raises:
        RemoteProtocolError: the answer cannot be read, or does not fit the offer.
        NotAcceptable: it takes nothing.
    """
    ours = parse_sdp(offer)
    session = parse_sdp(reply)
    if [line.media for line in session.media] != [line.media for line in ours.media]:
        raise RemoteProtocolError("SDP: the answer's m-lines are not those of the offer")
    by_line = {
        id(line): (own, track)
        for line, own, track in zip(session.media, ours.media, tracks, strict=True)
    }

    def media(line: MediaDescription, kind: Kind) -> Media:
        own, track = by_line[id(line)]
        if line.mid != own.mid:
            raise RemoteProtocolError("SDP: the answer has another mid than the offer")
        extensions = {
            uri: number
            for number, uri in extmaps(line, session).items()
            if extmaps(own, ours).get(number) == uri
        }
        codecs, ignored = send_codec(line, track, offered=own)
        active = directions(line, session)[1]
        return Media(
            line.mid, kind, True, codecs, active, extensions,
            ignored=ignored, track=track if active else None, offered=line,
        )  # fmt: skip

    return _agree(session, media, "the answer takes none of the tracks", answering=True)


def _agree(
    session: SessionDescription,
    agree_media: Callable[[MediaDescription, Kind], Media],
    nothing: str,
    *,
    answering: bool = False,
) -> Agreed:
    """Everything the three have in common: which m-lines live, and the transport below them."""
    if not session.media:
        raise RemoteProtocolError("SDP: no m-line")
    grouped = bundle(session)
    medias = []
    for line in session.media:
        kind = _KINDS.get(line.media, Kind.DATA)
        dead = line.port == 0 and not line.has("bundle-only")
        if dead or kind is Kind.DATA or line.protocol not in _PROTOCOLS:
            medias.append(Media(line.mid, kind, False, (), False, offered=line))
            continue
        if not line.has("rtcp-mux"):
            raise NotAcceptable("an m-line without rtcp-mux: one transport carries everything")
        medias.append(agree_media(line, kind))
    live = [media for media in medias if media.codecs]
    if not any(media.active for media in live):
        raise NotAcceptable(nothing)
    if len(live) > 1 and not {media.mid for media in live} <= set(grouped):
        raise NotAcceptable("m-lines outside of a BUNDLE: one transport carries everything")
    _check_payload_types(live)
    tagged = [line for mid in grouped for line in session.media if line.mid == mid]
    lines = [*tagged, *(media.offered for media in live)]
    remote = _remote(session, lines, answering=answering)
    mids = {media.mid for media in live}
    return Agreed(
        tuple(medias),
        remote,
        tuple(mid for mid in grouped if mid in mids),
        session.has("extmap-allow-mixed"),
    )


def _remote(
    session: SessionDescription, lines: Sequence[MediaDescription], *, answering: bool
) -> Remote:
    """The peer's end; the first m-line of the BUNDLE speaks for all (RFC 9143 section 7.1)."""
    if session.has("ice-lite"):
        raise NotAcceptable("both ends are ICE-lite: nobody would begin")
    credentials = ice_credentials(*lines, session)
    if credentials is None:
        raise RemoteProtocolError("SDP: no ice-ufrag")
    prints = fingerprints(*lines, session)
    if not prints:
        raise RemoteProtocolError("SDP: no fingerprint of a hash function we trust")
    setup = next((value for part in (*lines, session) if (value := part.value("setup"))), "")
    if setup not in ({"active", "passive"} if answering else {"actpass", "active", "passive"}):
        raise NotAcceptable(f"a=setup:{setup[:20]}: somebody has to begin the DTLS handshake")
    options = " ".join(value for part in (*lines, session) for value in part.values("ice-options"))
    unique = list({id(line): line for line in lines}.values())
    return Remote(
        *credentials,
        prints,
        "passive" if setup == "passive" else "active",
        candidates(*unique, session),
        frozenset(options.replace(",", " ").split()),  # libdatachannel writes commas
    )


def _check_payload_types(medias: Iterable[Media]) -> None:
    """In a BUNDLE a payload type means the same everywhere (RFC 9143 section 10.1.1)."""
    meaning: dict[int, RtpCodec] = {}
    for media in medias:
        for codec in media.codecs:
            known = meaning.setdefault(codec.payload_type, codec)
            if (known.codec, known.clock_rate) != (codec.codec, codec.clock_rate):
                raise RemoteProtocolError(
                    f"SDP: payload type {codec.payload_type} has two meanings in the BUNDLE"
                )


def _extension_ids(session: SessionDescription, known: frozenset[str]) -> dict[str, int]:
    """The ids we agree to, by URI. Those above 14 are not: they need the two-byte form.

    Raises:
        RemoteProtocolError: an id has two meanings in the BUNDLE.
    """
    meaning: dict[int, str] = {}
    ids: dict[str, int] = {}
    for line in session.media:
        for number, uri in extmaps(line, session).items():
            if meaning.setdefault(number, uri) != uri:
                raise RemoteProtocolError(f"SDP: extension id {number} stands for two URIs")
            if uri in known and number < 15:
                ids.setdefault(uri, number)
    return ids


def _agreed_extensions(
    line: MediaDescription, session: SessionDescription, ids: dict[str, int]
) -> dict[str, int]:
    """The m-line's share of them; the same URI under a second id is left out."""
    return {uri: number for number, uri in extmaps(line, session).items() if ids.get(uri) == number}
