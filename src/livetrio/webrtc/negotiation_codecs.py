"""Codecs of an m-line against ours: all we can receive, or the one a track can be sent as.

Source: RFC 6184 section 8 (H.264), RFC 7741 (VP8), RFC 9628 (VP9), RFC 7587 (Opus), the AV1 RTP
specification section 7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from livetrio.packet import Codec, Kind
from livetrio.webrtc.negotiation_words import NotAcceptable, RtpCodec, SendTrack
from livetrio.wire.sdp.attributes import RtpMap, feedback, fmtps, payload_types, rtpmaps
from livetrio.wire.sdp.session import MediaDescription

__all__ = ["CLOCK_RATES", "FEEDBACK", "NAMES", "receive_codecs", "send_codec"]

NAMES: Final = {
    "h264": Codec.H264,
    "vp8": Codec.VP8,
    "vp9": Codec.VP9,
    "av1": Codec.AV1,
    "opus": Codec.OPUS,
}
"""By encoding name in lower case."""
CLOCK_RATES: Final = {
    Codec.H264: 90_000,
    Codec.VP8: 90_000,
    Codec.VP9: 90_000,
    Codec.AV1: 90_000,
    Codec.OPUS: 48_000,
}
FEEDBACK: Final = {
    Kind.VIDEO: frozenset({"nack", "nack pli", "ccm fir", "transport-cc", "goog-remb"}),
    Kind.AUDIO: frozenset({"nack", "transport-cc"}),
}
"""What we understand; of it a peer gets what it offers."""

_HELPERS: Final = frozenset({"rtx", "red", "ulpfec", "flexfec-03", "cn", "telephone-event"})
"""Payload types that are no codec of their own."""

_BASELINE, _MAIN, _EXTENDED, _HIGH = 66, 77, 88, 100
_COVERS: Final = (_BASELINE, _MAIN, _HIGH)
"""Each decodes those before it: real decoders of Main do the error resilience of Baseline that
the standard lets them leave out, and browsers decode all three whatever they list."""
_DEFAULT_LEVEL_ID: Final = "420010"  # Baseline 1.0, RFC 6184 section 8.1


def receive_codecs(
    line: MediaDescription, wanted: Sequence[Codec]
) -> tuple[tuple[RtpCodec, ...], frozenset[int]]:
    """(what we take, the preferred first; the payload types we do not).

    The order is that of `wanted`, in one codec the peer's; H.264 in packetization mode 1
    before mode 0, in which a unit must fit into a packet.
    """
    offered = _offered(line)
    taken = [codec for codec in offered if codec.codec in wanted]
    taken.sort(key=lambda c: (wanted.index(c.codec), _mode(c) == 0 and c.codec is Codec.H264))
    return tuple(taken), _others(line, taken)


def send_codec(
    line: MediaDescription, track: SendTrack, *, offered: MediaDescription | None = None
) -> tuple[tuple[RtpCodec, ...], frozenset[int]]:
    """(the one payload type for a track; the others of the m-line).

    Args:
        line: the peer's.
        track: ours.
        offered: our own m-line, if the peer's is the answer to it.

    Raises:
        NotAcceptable: none fits; the reason names what is offered and what is there.
    """
    known = None if offered is None else set(offered.formats)
    fitting = [
        (fit, codec)
        for codec in _offered(line)
        if codec.codec is track.codec
        and (known is None or str(codec.payload_type) in known)
        and (fit := _fit(codec, track)) is not None
    ]
    if not fitting:
        names = dict.fromkeys(
            _label(rtpmap.name, fmtps(line).get(number, {}))
            for number, rtpmap in rtpmaps(line).items()
            if rtpmap.name not in _HELPERS
        )
        raise NotAcceptable(
            f"the {track.kind.value} is {_label(track.codec.value, track.fmtp)}, "
            f"the offer can only take {', '.join(names) or 'nothing'}"
        )
    best = min(fitting, key=lambda pair: pair[0])[1]
    return (best,), _others(line, (best,))


def _offered(line: MediaDescription) -> list[RtpCodec]:
    """All payload types of codecs we know, in the peer's order."""
    parameters = fmtps(line)
    reports = feedback(line)
    maps = rtpmaps(line)
    kind = Kind.AUDIO if line.media == "audio" else Kind.VIDEO
    rtx = _retransmissions(maps, parameters)
    found = []
    for number, rtpmap in maps.items():
        codec = NAMES.get(rtpmap.name)
        if codec is None or CLOCK_RATES[codec] != rtpmap.clock_rate:
            continue
        if (codec is Codec.OPUS) != (kind is Kind.AUDIO):
            continue
        fmtp = parameters.get(number, {})
        found.append(
            RtpCodec(
                codec,
                number,
                rtpmap.clock_rate,
                rtpmap.channels if kind is Kind.AUDIO else 0,
                fmtp,
                FEEDBACK[kind] & (reports.get(str(number), set()) | reports.get("*", set())),
                rtx.get(number),
            )
        )
    return found


def _retransmissions(
    maps: Mapping[int, RtpMap], parameters: Mapping[int, Mapping[str, str]]
) -> dict[int, int]:
    """Payload types of retransmissions by the payload type they resend."""
    by_text = {str(number): number for number in maps}
    found = {}
    for number, rtpmap in maps.items():
        resent = by_text.get(parameters.get(number, {}).get("apt", ""))
        if rtpmap.name == "rtx" and resent is not None:
            found[resent] = number
    return found


def _others(line: MediaDescription, taken: Sequence[RtpCodec]) -> frozenset[int]:
    return frozenset(payload_types(line)) - {codec.payload_type for codec in taken}


def _mode(codec: RtpCodec) -> int:
    return 1 if codec.fmtp.get("packetization-mode") == "1" else 0


def _fit(codec: RtpCodec, track: SendTrack) -> tuple[int, ...] | None:
    """How far an offered payload type is from the track, smaller is nearer; None: it is not it."""
    match codec.codec:
        case Codec.H264:
            return _fit_h264(codec, track)
        case Codec.VP9:
            same = codec.fmtp.get("profile-id", "0") == track.fmtp.get("profile-id", "0")
        case Codec.AV1:
            same = codec.fmtp.get("profile", "0") == track.fmtp.get("profile", "0")
        case _:
            same = True
    return (0,) if same else None


def _fit_h264(codec: RtpCodec, track: SendTrack) -> tuple[int, ...] | None:
    """The same profile; else the smallest that covers it; else the largest that does not.

    The last is no mistake: whoever offers H.264 as Constrained Baseline alone (Firefox,
    Safari at times) decodes Main and High, and would otherwise see nothing of OBS's streams.
    High 10 and the 4:2:2 and 4:4:4 profiles are taken at their word.
    """
    if _mode(codec) == 0:  # FU-A does not exist there, and key frames need it
        return None
    theirs, compatible, level = _profile(codec.fmtp)
    ours, own_compatible, own_level = _profile(track.fmtp)
    if theirs not in _COVERS or ours not in _COVERS:
        return (0, 0, 0) if theirs == ours else None
    distance = _COVERS.index(theirs) - _COVERS.index(ours)
    rank = distance if distance >= 0 else 10 - distance
    constrained = (compatible ^ own_compatible) & 0x40 and theirs == _BASELINE
    return rank, int(bool(constrained)), int(level < own_level)


def _profile(fmtp: Mapping[str, str]) -> tuple[int, int, int]:
    """(profile_idc, constraint flags, level_idc); Extended counts as Main."""
    text = fmtp.get("profile-level-id", _DEFAULT_LEVEL_ID)
    try:
        profile, flags, level = bytes.fromhex(text)
    except ValueError:  # no hex digits, or more or fewer than six
        profile, flags, level = bytes.fromhex(_DEFAULT_LEVEL_ID)
    return _MAIN if profile == _EXTENDED else profile, flags, level


def _label(name: str, fmtp: Mapping[str, str]) -> str:
    """A codec for people, with what decides whether it fits."""
    for key in ("profile-level-id", "profile-id", "profile"):
        if key in fmtp and name.lower() in NAMES:
            return f"{name.lower()} ({key}={fmtp[key][:20]})"
    return name.lower()[:20]
