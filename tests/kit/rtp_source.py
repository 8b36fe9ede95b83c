"""A browser's media without its transport: RTP as it would come out of SRTP, and a peer to take it.

The payloads are made by hand from the RFCs, apart from the program's own packetisers, so that
the two can be held against each other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio
import trio.testing

from livetrio.media.client import Client
from livetrio.media.registry import open_registry
from livetrio.media.stream import Publication
from livetrio.net.beat import Beat
from livetrio.net.scope import Scope, open_scope
from livetrio.packet import Codec, Kind, Packet, StreamKey
from livetrio.webrtc.negotiation_words import Agreed, Media, Remote, RtpCodec
from livetrio.webrtc.publisher import Publisher
from livetrio.webrtc.receive_track import ReceivePolicy
from livetrio.wire.bits import BitWriter
from livetrio.wire.nal import nal_units
from livetrio.wire.rtp import extensions as ext
from livetrio.wire.rtp.header import build_rtp_header
from livetrio.wire.rtp.rtcp import parse_rtcp

from .media import avc_config, avc_frame, avc_sps

__all__ = [
    "EXTENSIONS",
    "FakePeer",
    "Rig",
    "RtpSource",
    "agreed",
    "audio_media",
    "av1_payloads",
    "av1_sequence_header",
    "avc_units",
    "h264_payloads",
    "publishing",
    "stap_a",
    "video_media",
    "vp8_frame",
    "vp8_payloads",
    "vp9_frame",
    "vp9_payloads",
]

EXTENSIONS = {
    ext.MID: 1,
    ext.RID: 2,
    ext.REPAIRED_RID: 3,
    ext.AUDIO_LEVEL: 4,
    ext.TRANSPORT_CC: 5,
}
PAYLOAD_TYPES = {Codec.VP8: 96, Codec.VP9: 98, Codec.H264: 102, Codec.AV1: 45, Codec.OPUS: 111}
FEEDBACK = frozenset({"nack", "nack pli", "ccm fir", "transport-cc", "goog-remb"})
MTU = 1_100


def avc_units(*, key: bool, number: int = 0, width: int = 64, height: int = 64) -> list[bytes]:
    """The NAL units of a frame as an encoder sends it: parameter sets before each IDR."""
    frame = avc_frame(key=key, number=number, width=width, height=height)
    units = [bytes(unit) for unit in nal_units(frame)]
    if not key:
        return units
    record = avc_config(width, height)
    sps = avc_sps(width, height)
    pps = record[8 + len(sps) + 3 :]
    return [sps, pps, *units]


def stap_a(units: Sequence[bytes]) -> bytes:
    """An aggregation packet (RFC 6184 section 5.7.1)."""
    return b"\x78" + b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)


def fu_a(unit: bytes, size: int = MTU) -> list[bytes]:
    """A unit in fragments (RFC 6184 section 5.8)."""
    head, body = unit[0], unit[1:]
    cuts = [body[at : at + size] for at in range(0, len(body), size)]
    return [
        bytes((head & 0xE0 | 28, head & 0x1F | 0x80 * (i == 0) | 0x40 * (i == len(cuts) - 1))) + cut
        for i, cut in enumerate(cuts)
    ]


def h264_payloads(units: Sequence[bytes], mtu: int = MTU) -> list[bytes]:
    """As Chromium does: parameter sets in a STAP-A, long units in FU-As."""
    sets = [unit for unit in units if unit[0] & 0x1F in {7, 8}]
    payloads = [stap_a(sets)] if sets else []
    for unit in units:
        if unit[0] & 0x1F not in {7, 8}:
            payloads += [unit] if len(unit) <= mtu else fu_a(unit, mtu - 2)
    return payloads


def vp8_frame(*, key: bool, width: int = 64, height: int = 48, size: int = 100) -> bytes:
    """A frame header (RFC 6386 section 9.1) and filling."""
    if not key:
        return b"\x11" + bytes(size)
    shape = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    return b"\x10\x00\x00\x9d\x01\x2a" + shape + bytes(size)


def vp8_payloads(frame: bytes, picture: int = 0, mtu: int = MTU) -> list[bytes]:
    """With 15-bit picture ids, as libwebrtc."""
    cuts = [frame[at : at + mtu] for at in range(0, len(frame), mtu)]
    number = (0x8000 | picture & 0x7FFF).to_bytes(2, "big")
    return [bytes((0x90 if i == 0 else 0x80, 0x80)) + number + cut for i, cut in enumerate(cuts)]


def vp9_frame(
    *, key: bool, width: int = 64, height: int = 48, profile: int = 0, size: int = 100
) -> bytes:
    """An uncompressed header as far as the frame size, and filling."""
    bits = BitWriter()
    bits.write(2, 2)
    bits.write(profile & 1, 1)
    bits.write(profile >> 1, 1)
    bits.write(0, 1 if profile == 3 else 0)
    bits.write(0, 1)  # show_existing_frame
    bits.write(0 if key else 1, 1)
    bits.write(0b10, 2)
    if key:
        bits.write(0x498342, 24)
        bits.write(0, 1 if profile >= 2 else 0)
        bits.write(1, 3)
        bits.write(0, 1 + 3 * (profile & 1))
        bits.write(width - 1, 16)
        bits.write(height - 1, 16)
    return bits.getvalue() + b"\x01" * size


def vp9_payloads(
    frame: bytes, picture: int = 0, *, layer: int | None = None, mtu: int = MTU
) -> list[bytes]:
    """In non-flexible mode; `layer`: with layer indices, of that spatial layer."""
    cuts = [frame[at : at + mtu] for at in range(0, len(frame), mtu)]
    number = (0x8000 | picture & 0x7FFF).to_bytes(2, "big")
    indices = b"" if layer is None else bytes((layer << 1, picture & 0xFF))
    payloads = []
    for i, cut in enumerate(cuts):
        flags = 0x80 | 0x08 * (i == 0) | 0x04 * (i == len(cuts) - 1) | 0x20 * (layer is not None)
        payloads.append(bytes((flags,)) + number + indices + cut)
    return payloads


def av1_sequence_header(width: int = 64, height: int = 48) -> bytes:
    """A sequence header OBU without its size field."""
    bits = BitWriter()
    bits.write(0, 3)  # profile
    bits.write(0, 2)
    bits.write(0, 2)  # no timing info, no initial display delay
    bits.write(0, 5)  # one operating point
    bits.write(0, 12)
    bits.write(4, 5)  # level 3.0
    bits.write(15, 4)
    bits.write(15, 4)
    bits.write(width - 1, 16)
    bits.write(height - 1, 16)
    bits.write(0, 1)  # no frame ids
    bits.write(0, 3)
    bits.write(0, 4)
    bits.write(0, 1)  # no order hint
    bits.write(1, 1)
    bits.write(1, 1)
    bits.write(0, 3)
    bits.write(0, 3)  # 8 bits, colour, no description
    bits.write(0, 3)
    bits.write(0, 1)  # no film grain
    bits.trailing()
    return b"\x08" + bits.getvalue()


def av1_payloads(units: Sequence[bytes], mtu: int = MTU, *, new: bool = False) -> list[bytes]:
    """OBUs without size fields, one element per packet and fragment (W = 1)."""
    payloads = []
    for unit in units:
        cuts = [unit[at : at + mtu] for at in range(0, len(unit), mtu)]
        for i, cut in enumerate(cuts):
            flags = 0x10 | 0x80 * (i > 0) | 0x40 * (i < len(cuts) - 1)
            payloads.append(bytes((flags | 0x08 * (new and not payloads),)) + cut)
    return payloads


def codec(name: Codec, payload_type: int | None = None, **fields) -> RtpCodec:
    """An agreed codec as Chromium would have it."""
    audio = name is Codec.OPUS
    return RtpCodec(
        name,
        payload_type or PAYLOAD_TYPES[name],
        48_000 if audio else 90_000,
        2 if audio else 0,
        feedback=fields.pop("feedback", frozenset({"transport-cc"}) if audio else FEEDBACK),
        **fields,
    )


def video_media(*names: Codec, mid: str = "1", **fields) -> Media:
    codecs = tuple(codec(name) for name in names or (Codec.H264,))
    fields.setdefault("extensions", EXTENSIONS)
    return Media(mid, Kind.VIDEO, False, codecs, **fields)


def audio_media(mid: str = "0", **fields) -> Media:
    fields.setdefault("extensions", EXTENSIONS)
    return Media(mid, Kind.AUDIO, False, (codec(Codec.OPUS),), **fields)


def agreed(*medias: Media) -> Agreed:
    return Agreed(medias or (audio_media(), video_media()), Remote("u", "p", (("sha-256", "00"),)))


class RtpSource:
    """One SSRC that sends."""

    def __init__(
        self,
        ssrc: int,
        payload_type: int,
        *,
        mid: str = "",
        rid: str = "",
        sequence: int = 65_530,
        timestamp: int = 0xFFFF_F000,
    ) -> None:
        """Sequence numbers and timestamps start where they soon wrap."""
        self.ssrc = ssrc
        self.payload_type = payload_type
        self.sequence = sequence
        self.timestamp = timestamp
        self.elements = []
        if mid:
            self.elements.append((EXTENSIONS[ext.MID], mid.encode()))
        if rid:
            self.elements.append((EXTENSIONS[ext.RID], rid.encode()))

    def packet(self, payload: bytes, *, marker: bool = False, extra=()) -> bytes:
        """The next packet, of the present timestamp."""
        header = build_rtp_header(
            self.payload_type,
            self.sequence,
            self.timestamp,
            self.ssrc,
            marker=marker,
            extension=ext.build_extensions([*self.elements, *extra]),
        )
        self.sequence += 1
        return header + payload

    def frame(self, payloads: Sequence[bytes], ticks: int = 3_000) -> list[bytes]:
        """A frame's packets; the timestamp then moves on."""
        last = len(payloads) - 1
        packets = [self.packet(p, marker=i == last) for i, p in enumerate(payloads)]
        self.timestamp = (self.timestamp + ticks) & 0xFFFF_FFFF
        return packets


@dataclass(eq=False)
class FakePeer:
    """What a publisher needs of a `Peer`: media are put in, feedback is kept."""

    scope: Scope
    connected: trio.Event = field(default_factory=trio.Event)
    sent: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.on_rtp = lambda data, arrival: None
        self.on_rtcp = lambda data: None

    def send_rtcp(self, compound: bytes) -> None:
        self.sent.append(compound)

    def receive(self, packets: Sequence[bytes]) -> None:
        """RTP comes in, now."""
        for packet in packets:
            self.on_rtp(packet, trio.current_time())

    def words(self, kind: type | None = None) -> list:
        """The RTCP sent so far, of one kind; forgets it."""
        words = [word for compound in self.sent for word in parse_rtcp(compound)]
        self.sent.clear()
        return [word for word in words if kind is None or isinstance(word, kind)]


@dataclass(eq=False)
class Rig:
    """A publisher at work."""

    peer: FakePeer
    publisher: Publisher
    publication: Publication
    _read: int = 0

    def packets(self) -> list[Packet]:
        """What came into the stream since the last call."""
        ring = self.publication.stream.ring
        packets = ring.read(self._read)
        self._read = ring.head
        return packets

    def frames(self, kind: Kind = Kind.VIDEO) -> Iterator[Packet]:
        """The same without configurations, of one kind."""
        return (p for p in self.packets() if p.track.kind is kind and not p.config)


@asynccontextmanager
async def publishing(*medias: Media, policy: ReceivePolicy | None = None) -> AsyncIterator[Rig]:
    """A connected peer that publishes into a stream of its own. Use it with `autojump_clock`."""
    beat = Beat()
    async with open_registry() as registry, open_scope("peer", "fake") as scope:
        scope.nursery.start_soon(beat.run)
        client = Client("publisher", "whip", scope)
        key = StreamKey("live", "camera")
        async with registry.publish(key, client, takeover=False) as publication:
            peer = FakePeer(scope)
            peer.connected.set()

            publisher = Publisher(peer, agreed(*medias), publication, beat=beat, policy=policy)
            scope.nursery.start_soon(publisher.run)
            await trio.testing.wait_all_tasks_blocked()
            yield Rig(peer, publisher, publication)
