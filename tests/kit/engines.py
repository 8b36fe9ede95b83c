"""Both WebRTC engines behind the same signalling, and peers that publish to them and watch."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import trio

from kit.fake_engine import Stage, stage
from kit.gateway import transport
from kit.media import avc_frame, avc_track
from livetrio.control.serve import serve_app
from livetrio.net.beat import Beat
from livetrio.net.listen import Address, Listener, bind
from livetrio.net.scope import open_scope
from livetrio.packet import Codec, Kind, Packet, Track
from livetrio.webrtc.aio.descriptions import CODECS, cleaned
from livetrio.webrtc.aio.engine import AiortcEngine
from livetrio.webrtc.aio.packet_track import PacketTrack
from livetrio.webrtc.aio.peer import AioPeer, Seat, open_aio_peer
from livetrio.webrtc.gateway_engine import GatewayEngine
from livetrio.webrtc.player import Players
from livetrio.webrtc.turn import Turn
from livetrio.wire.opus import OpusHead
from livetrio.wire.tracks import track_from_record

__all__ = [
    "ENGINES", "OPUS", "SDP", "engine_stage", "publishing_peer", "sent", "served",
    "until", "watching_peer",
]  # fmt: skip

ENGINES = ("gateway", "aiortc")
SDP = {"Content-Type": "application/sdp"}
OPUS = track_from_record(Codec.OPUS, OpusHead(2).build())
_SILENCE = b"\xfc\xff\xfe"
"""An Opus packet of 20 ms."""


@asynccontextmanager
async def engine_stage(name: str, *, turn: Turn | None = None, **options) -> AsyncIterator[Stage]:
    """Signalling over a real engine of that name."""
    async with AsyncExitStack() as stack:
        beat = Beat()
        nursery = await stack.enter_async_context(trio.open_nursery())
        nursery.start_soon(beat.run)
        if name == "gateway":
            # UDP alone: a free port for both may be taken for TCP before it is bound
            opened = await stack.enter_async_context(transport(ice_tcp=False))
            engine = GatewayEngine(opened, Players(), beat)
        else:
            engine = AiortcEngine(beat, turn)
        options.setdefault("play_wait", 5)
        yield await stack.enter_async_context(stage(engine=engine, **options))
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def publishing_peer(
    on: Stage,
    path: str = "/live/movie/whip",
    *,
    kinds: Sequence[Kind] = (Kind.VIDEO, Kind.AUDIO),
    edit: Callable[[str], str] = str,
) -> AsyncIterator[AioPeer]:
    """An aiortc peer whose offer was answered, sending grey pictures and silence.

    edit: what the answer becomes on its way.
    """
    tracks = {
        Kind.VIDEO: PacketTrack(Kind.VIDEO, Codec.H264),
        Kind.AUDIO: PacketTrack(Kind.AUDIO, Codec.OPUS),
    }
    async with open_scope("test", "publisher"), open_aio_peer("publisher", []) as peer:
        seats = [Seat(kind, (tracks[kind].codec,), tracks[kind]) for kind in kinds]
        peer.created, peer.text = await _posted(on, path, await peer.offer(seats))
        await peer.accept(cleaned(edit(peer.text)))
        peer.scope.nursery.start_soon(_play, [tracks[kind] for kind in kinds])
        yield peer


@asynccontextmanager
async def watching_peer(on: Stage, path: str = "/live/movie/whep") -> AsyncIterator[AioPeer]:
    """An aiortc peer that was answered and receives."""
    async with open_scope("test", "viewer"), open_aio_peer("viewer", []) as peer:
        seats = [Seat(kind, CODECS[kind]) for kind in (Kind.VIDEO, Kind.AUDIO)]
        peer.created, text = await _posted(on, path, await peer.offer(seats))
        await peer.accept(cleaned(text))
        yield peer


@asynccontextmanager
async def served(app) -> AsyncIterator[int]:
    """The port of an application on a real socket."""
    async with open_scope("server", "test") as scope:
        listener = Listener("test", bind("test", Address("127.0.0.1", 0)))
        address = await scope.nursery.start(serve_app, app, listener)
        yield address.port


async def until(condition: Callable[[], bool]) -> None:
    """Wait for the network to make something true."""
    with trio.fail_after(20):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.01)


def sent(number: int, *, track: Track | None = None) -> list[Packet]:
    """A picture, 30 a second with a key frame each, and about as much silence."""
    track = track or _VIDEO
    time = number * 33_333
    picture = Packet(track, time, time, avc_frame(key=number % 30 == 0), key=number % 30 == 0)
    return [picture, Packet(OPUS, number * 20_000, number * 20_000, _SILENCE, key=True)]


_VIDEO = avc_track()


async def _play(tracks: Sequence[PacketTrack]) -> None:
    number = 0
    while True:
        for packet in sent(number):
            for track in tracks:
                if track.kind == packet.track.kind.value:
                    track.put(packet, packet.pts)
        number += 1
        await trio.sleep(0.01)


async def _posted(on: Stage, path: str, offer: str):
    created = await on.app.test_client().post(path, data=offer, headers=SDP)
    text = (await created.get_data()).decode()
    assert created.status_code == 201, text
    return created, text
