"""Our own descriptions: the answer to an offer, and the offer of the server-offer form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from livetrio.packet import Codec, Kind
from livetrio.webrtc.negotiation_codecs import CLOCK_RATES, FEEDBACK
from livetrio.webrtc.negotiation_words import (
    DEFAULT,
    Agreed,
    Local,
    Media,
    Policy,
    RtpCodec,
    SendTrack,
)
from livetrio.wire.sdp.attributes import fmtp_text
from livetrio.wire.sdp.session import MediaDescription, SessionDescription

__all__ = ["answer", "offer_play"]

_OFFER_IDS: Final = 1
"""The first header-extension id of our own offers."""
_NAMES: Final = {
    Codec.H264: "H264",
    Codec.VP8: "VP8",
    Codec.VP9: "VP9",
    Codec.AV1: "AV1",
    Codec.OPUS: "opus",
}
_FIRST_TYPE: Final = 96
"""Dynamic payload types are 96 to 127."""
_CONSTRAINED_BASELINE: Final = "42e01f"


def answer(agreed: Agreed, local: Local, policy: Policy = DEFAULT) -> str:
    """The answer to what `agree_publish` or `agree_play` agreed on.

    Every candidate is in it: an ICE-lite server has nothing to trickle.
    """
    session = _session(local, agreed.bundle)
    if agreed.mixed_extensions:
        session.add("extmap-allow-mixed")
    first = True
    for media in agreed.media:
        offered = media.offered
        if not media.codecs:
            rejected = MediaDescription([], offered.media, 0, offered.protocol, offered.formats)
            if media.mid:
                rejected.add("mid", media.mid)
            session.media.append(rejected)
            continue
        line = MediaDescription([], offered.media, 9, offered.protocol)
        setup = "active" if agreed.remote.setup == "passive" else "passive"
        _write_transport(line, local, setup, with_candidates=first)
        first = False
        if offered.has("rtcp-rsize"):
            line.add("rtcp-rsize")
        if media.mid:
            line.add("mid", media.mid)
        for uri, number in media.extensions.items():
            line.add("extmap", f"{number} {uri}")
        line.add(_direction(media))
        if media.track is not None:
            line.add("msid", media.track.msid)
        for codec in media.codecs:
            _write_codec(line, codec, dict(_parameters(media, codec, policy)))
        if media.active and media.rids:
            for rid in media.rids:
                line.add("rid", f"{rid} recv")
            line.add("simulcast", f"recv {';'.join(media.rids)}")
        _write_source(line, media.track)
        session.media.append(line)
    return session.build()


def offer_play(local: Local, tracks: Sequence[SendTrack], policy: Policy = DEFAULT) -> str:
    """An offer of our tracks to a viewer that sent none; its answer goes to `agree_answer`."""
    session = _session(local, [str(index) for index in range(len(tracks))])
    types: dict[tuple[Codec, str], int] = {}  # the same in all m-lines: there are only 32
    for index, track in enumerate(tracks):
        line = MediaDescription([], track.kind.value, 9)
        _write_transport(line, local, "actpass", with_candidates=index == 0)
        line.add("rtcp-rsize")
        line.add("mid", str(index))
        for id, uri in enumerate(sorted(policy.send_extensions), _OFFER_IDS):
            line.add("extmap", f"{id} {uri}")
        line.add("sendonly")
        line.add("msid", track.msid)
        for fmtp in _forms(track):
            channels = 2 if track.codec is Codec.OPUS else 0
            rate, known = CLOCK_RATES[track.codec], FEEDBACK[track.kind]
            form = track.codec, fmtp_text(fmtp)
            number = types.setdefault(form, _FIRST_TYPE + len(types))
            _write_codec(line, RtpCodec(track.codec, number, rate, channels, fmtp, known), fmtp)
        _write_source(line, track)
        session.media.append(line)
    return session.build()


def _session(local: Local, mids: Sequence[str]) -> SessionDescription:
    session = SessionDescription(origin=f"- {local.session_id} 1 IN IP4 0.0.0.0")
    session.add("ice-lite")
    if mids:
        session.add("group", " ".join(("BUNDLE", *mids)))
    session.add("msid-semantic", "WMS *")
    return session


def _write_transport(
    line: MediaDescription, local: Local, setup: str, *, with_candidates: bool
) -> None:
    """What every m-line of the bundle repeats, because not every peer reads the first alone."""
    line.add("rtcp-mux")
    line.add("ice-ufrag", local.ufrag)
    line.add("ice-pwd", local.pwd)
    line.add("ice-options", "trickle")  # we take fragments; ours are all here
    line.add("fingerprint", " ".join(local.fingerprint))
    line.add("setup", setup)
    if with_candidates:
        for value in local.candidates:
            line.add("candidate", value)
        line.add("end-of-candidates")


def _write_codec(line: MediaDescription, codec: RtpCodec, fmtp: dict[str, str]) -> None:
    number = codec.payload_type
    channels = f"/{codec.channels}" if codec.channels > 1 else ""
    line.formats.append(str(number))
    line.add("rtpmap", f"{number} {_NAMES[codec.codec]}/{codec.clock_rate}{channels}")
    for word in sorted(codec.feedback):
        line.add("rtcp-fb", f"{number} {word}")
    if fmtp:
        line.add("fmtp", f"{number} {fmtp_text(fmtp)}")


def _write_source(line: MediaDescription, track: SendTrack | None) -> None:
    if track is not None:
        line.add("ssrc", f"{track.ssrc} cname:{track.cname}")
        line.add("ssrc", f"{track.ssrc} msid:{track.msid}")


def _direction(media: Media) -> str:
    if not media.active:
        return "inactive"
    return "sendonly" if media.sending else "recvonly"


def _parameters(media: Media, codec: RtpCodec, policy: Policy) -> Iterator[tuple[str, str]]:
    """The format parameters of an answer, from those of the offer."""
    match codec.codec:
        case Codec.OPUS:
            yield "minptime", codec.fmtp.get("minptime", "10")
            yield "useinbandfec", "1"
            # As a receiver: please send stereo. As a sender: what is coming is stereo; viewers
            # that are to hear it say stereo=1 in their own description.
            if media.track is None:
                yield "stereo", "1"
            elif media.track.channels > 1:
                yield "stereo", "1"
                yield "sprop-stereo", "1"
        case Codec.H264:
            yield from codec.fmtp.items()
        case _:
            yield from codec.fmtp.items()
    if policy.start_bitrate and not media.sending and media.kind is Kind.VIDEO:
        yield "x-google-start-bitrate", str(policy.start_bitrate // 1_000)


def _forms(track: SendTrack) -> list[dict[str, str]]:
    """The format parameters we offer a track under, each as a payload type of its own."""
    match track.codec:
        case Codec.OPUS:
            stereo = {"stereo": "1", "sprop-stereo": "1"} if track.channels > 1 else {}
            return [{"minptime": "10", "useinbandfec": "1", **stereo}]
        case Codec.H264:
            common = {"level-asymmetry-allowed": "1", "packetization-mode": "1"}
            own = track.fmtp.get("profile-level-id", _CONSTRAINED_BASELINE)
            return [
                {**common, "profile-level-id": profile}
                for profile in dict.fromkeys((own, _CONSTRAINED_BASELINE))
            ]
        case _:
            return [dict(track.fmtp)]
