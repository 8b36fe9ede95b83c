"""The far end of a WebRTC viewer without a network: gets runs, notices losses, reads frames."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio
import trio.testing

from kit.media import avc_track
from livetrio.media.edition import Edition
from livetrio.media.ring import Ring, RingLimits
from livetrio.net.fanout import Pacer
from livetrio.net.scope import Scope, open_scope
from livetrio.packet import Codec, Kind, Packet, StreamKey, Track
from livetrio.webrtc.negotiation_words import Agreed, Media, Remote, RtpCodec, SendTrack
from livetrio.webrtc.player import Player, Players
from livetrio.webrtc.run import Run
from livetrio.webrtc.selection import Selection
from livetrio.wire.nal import join_units
from livetrio.wire.rtp.depacketize import depacketizer
from livetrio.wire.rtp.header import RtpPacket, parse_rtp
from livetrio.wire.rtp.rtcp import parse_rtcp
from livetrio.wire.rtp.rtcp_feedback import Nack

__all__ = [
    "OPUS",
    "VIDEO",
    "FakeEdition",
    "FakeViewerPeer",
    "Watching",
    "agreed_for",
    "interleaved",
    "live",
    "numbers",
    "opus",
    "picture",
    "pictures",
    "staged",
    "watching",
]

VIDEO = avc_track()
OPUS = Track(Kind.AUDIO, Codec.OPUS, sample_rate=48_000, channels=2)
_FRAME = 33_333
"""Microseconds."""


def picture(number: int, *, key: bool = False, size: int = 3_000, track: Track = VIDEO) -> Packet:
    """The H.264 frame of that number, 30 a second; its bytes say which it is."""
    head = b"\x65\x88" if key else b"\x41\x9a"
    data = join_units([head + number.to_bytes(4, "big") + b"\xaa" * size])
    return Packet(track, number * _FRAME, number * _FRAME, data, key=key)


def pictures(first: int, count: int, *, gop: int = 30, **fields) -> list[Packet]:
    """Consecutive frames, a key frame at each multiple of `gop`."""
    return [picture(n, key=n % gop == 0, **fields) for n in range(first, first + count)]


def opus(number: int, track: Track = OPUS) -> Packet:
    """The Opus packet of that number, 20 ms each."""
    data = b"\xfc" + number.to_bytes(4, "big") + b"\xbb" * 120
    return Packet(track, number * 20_000, number * 20_000, data, key=True)


class FakeEdition(Edition):
    """An edition whose publisher may be asked for key frames; also stands for its stream."""

    def __init__(self, scope: Scope) -> None:
        key = StreamKey("live", "movie")
        super().__init__(key, scope, Ring(RingLimits()), Pacer(cap=0))
        self.asked: list[int] = []
        self.publication: object | None = None

    def request_key_frame(self, track_id: int = 0) -> None:
        self.asked.append(track_id)


class FakePublication:
    """One that takes wishes."""

    on_key_frame_request = print


@asynccontextmanager
async def staged(
    packets: Sequence[Packet] = (), *, browser: bool = False
) -> AsyncIterator[FakeEdition]:
    """An edition on the air.

    browser: its publisher can be asked for key frames.
    """
    async with open_scope("stream", "live/movie") as scope:
        edition = FakeEdition(scope)
        edition.publication = FakePublication() if browser else None
        edition.accept(packets)
        yield edition


def agreed_for(
    tracks: Sequence[SendTrack],
    *,
    extensions: dict[str, int] | None = None,
    video_type: int = 102,
) -> Agreed:
    """What a browser answers to what is announced: everything, H.264 as 102, Opus as 111."""
    medias = []
    for track in tracks:
        video = track.kind is Kind.VIDEO
        codec = RtpCodec(
            track.codec,
            video_type if video else 111,
            90_000 if video else 48_000,
            feedback=frozenset({"nack", "transport-cc"} if extensions else {"nack"}),
        )
        medias.append(
            Media(
                str(len(medias)),
                track.kind,
                True,
                (codec,),
                extensions=extensions or {},
                track=track,
            )
        )
    return Agreed(tuple(medias), Remote("u", "p", (("sha-256", "00"),)))


class FakeViewerPeer:
    """What `webrtc.peer.Peer` is to a player."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.connected = trio.Event()
        self.connected.set()
        self.on_rtcp: Callable[[bytes], None] = lambda compound: None
        self.runs: list[Run] = []
        self.times: list[float] = []
        """When each run came."""
        self.rtcp: list[bytes] = []
        self.lose: Callable[[int], bool] = lambda number: False
        """Whether the packet of that number (of all sent) is lost on the way."""
        self.sent = 0
        self.got: dict[tuple[int, int], bytes] = {}
        """Plaintext by (SSRC, index), as it arrived."""

    def send_run(self, run: Run) -> bool:
        self.runs.append(run)
        self.times.append(trio.current_time())
        for packet, index in zip(run.packets, run.indexes, strict=True):
            words = parse_rtp(packet)
            assert words.sequence == index & 0xFFFF
            # AES-GCM: another plaintext under the same index would give the key stream away.
            known = self.got.get((words.ssrc, index), packet)
            assert known == packet
            if not self.lose(self.sent):
                self.got[words.ssrc, index] = packet
            self.sent += 1
        return True

    def send_rtcp(self, compound: bytes) -> None:
        self.rtcp.append(compound)

    def words(self, kind: type) -> list:
        """The RTCP packets of one kind that came."""
        return [
            word for compound in self.rtcp for word in parse_rtcp(compound) if type(word) is kind
        ]

    def packets(self, payload_type: int) -> list[RtpPacket]:
        """What arrived of one payload type, in the order of its indexes."""
        found = [(index, parse_rtp(data)) for (_, index), data in self.got.items()]
        found = [pair for pair in found if pair[1].payload_type == payload_type]
        return [packet for _, packet in sorted(found, key=lambda pair: pair[0])]

    def missing(self, payload_type: int) -> list[int]:
        """Indexes between the first and the last that did not arrive."""
        packets = {
            index: data
            for (_, index), data in self.got.items()
            if parse_rtp(data).payload_type == payload_type
        }
        return [n for n in range(min(packets), max(packets)) if n not in packets] if packets else []

    def nack(self, payload_type: int) -> None:
        """Ask for all that is missing."""
        missing = self.missing(payload_type)
        if missing:
            ssrc = self.packets(payload_type)[0].ssrc
            self.on_rtcp(Nack(1, ssrc, [index & 0xFFFF for index in missing]).build())

    def frames(self) -> list[int]:
        """Numbers of the pictures that can be shown: complete ones, from a key frame on."""
        reader = depacketizer(Codec.H264, {})
        shown: list[int] = []
        payloads: list[bytes] = []
        last: int | None = None
        for packet in self.packets(102):
            if last is not None and packet.sequence != (last + 1) & 0xFFFF:
                break
            last = packet.sequence
            payloads.append(packet.payload)
            if packet.marker:
                frame = reader.frame(payloads)
                payloads = []
                assert frame is not None
                shown.append(int.from_bytes(frame.data[6:10], "big"))
        return shown

    def sounds(self) -> list[int]:
        """Numbers of the sound packets that arrived."""
        return [int.from_bytes(packet.payload[1:5], "big") for packet in self.packets(111)]


def numbers(seed: int = 1):
    """Random bits that are the same each time."""
    return random.Random(seed).getrandbits


@dataclass
class Watching:
    peer: FakeViewerPeer
    player: Player

    @property
    def viewer(self):
        assert self.player.viewer is not None
        return self.player.viewer


@asynccontextmanager
async def watching(
    players: Players,
    edition: FakeEdition,
    selection: Selection = Selection(),  # noqa: B008 - frozen
    *,
    extensions: dict[str, int] | None = None,
) -> AsyncIterator[Watching]:
    """A connected viewer; whoever is ended by the stream leaves quietly."""
    async with open_scope("peer", "viewer") as scope:
        peer = FakeViewerPeer(scope)
        with players.player(edition, edition, selection) as player:
            agreed = agreed_for(player.tracks, extensions=extensions)
            scope.nursery.start_soon(player.run, peer, agreed)
            await trio.testing.wait_all_tasks_blocked()
            yield Watching(peer, player)
            scope.cancel("enough")


async def live(edition: FakeEdition, packets: list[Packet]) -> None:
    """Publish at the pace of the packets' times."""
    for packet, following in zip(packets, [*packets[1:], packets[-1]], strict=True):
        edition.accept([packet])
        await trio.sleep(max(0.0, (following.dts - packet.dts) / 1e6))
    await trio.testing.wait_all_tasks_blocked()


def interleaved(first: int, seconds: float, **fields) -> list[Packet]:
    """Pictures and sound from picture `first` on."""
    count = round(seconds * 30)
    begin = first * 33_333
    sounds = [opus(n) for n in range(begin // 20_000, round(begin / 20_000 + seconds * 50))]
    return sorted(pictures(first, count, **fields) + sounds, key=lambda p: p.dts)
