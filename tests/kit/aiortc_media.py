"""Whole aiortc peer connections as somebody else's WHIP publisher and WHEP player."""

from __future__ import annotations

import asyncio
import math
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fractions import Fraction

import av
import httpx
import trio
import trio_asyncio
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)

from kit.programs import eventually

__all__ = ["Received", "aiortc_player", "aiortc_publisher"]

_RATE = 48_000
_CHUNK = 960
_FRAMES = 15
_SDP = {"Content-Type": "application/sdp"}


class _Picture(MediaStreamTrack):
    """A grey picture that grows lighter, 15 times a second."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self._number = 0

    async def recv(self) -> av.VideoFrame:
        await asyncio.sleep(1 / _FRAMES)
        frame = av.VideoFrame(128, 96, "yuv420p")
        for plane, value in zip(frame.planes, (self._number * 8 % 256, 128, 128), strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        frame.pts, frame.time_base = self._number * 90_000 // _FRAMES, Fraction(1, 90_000)
        self._number += 1
        return frame


class _Tone(MediaStreamTrack):
    """440 Hz, 20 ms at a time."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._number = 0

    async def recv(self) -> av.AudioFrame:
        await asyncio.sleep(_CHUNK / _RATE)
        begin = self._number * _CHUNK
        step = 2 * math.pi * 440 / _RATE
        wave = array("h", (int(8_000 * math.sin(at * step)) for at in range(begin, begin + _CHUNK)))
        frame = av.AudioFrame("s16", "mono", _CHUNK)
        frame.planes[0].update(wave.tobytes())
        frame.sample_rate, frame.pts = _RATE, begin
        frame.time_base = Fraction(1, _RATE)
        self._number += 1
        return frame


@dataclass
class Received:
    """What a player has decoded so far."""

    pictures: int = 0
    shades: set[int] = field(default_factory=set)
    """Values of their first pixels."""
    samples: int = 0
    loudest: int = 0


async def _negotiated(pc: RTCPeerConnection, url: str) -> None:
    """Offer (complete: aiortc trickles nothing), POST, take the answer in."""
    offer = trio_asyncio.aio_as_trio(pc.createOffer)
    await trio_asyncio.aio_as_trio(pc.setLocalDescription)(await offer())
    async with httpx.AsyncClient(timeout=30) as http:
        answer = await http.post(url, content=pc.localDescription.sdp, headers=_SDP)
    assert answer.status_code == 201, answer.text
    await trio_asyncio.aio_as_trio(pc.setRemoteDescription)(
        RTCSessionDescription(answer.text, "answer")
    )
    await eventually(lambda: pc.connectionState == "connected")


@asynccontextmanager
async def _connection() -> AsyncIterator[RTCPeerConnection]:
    # explicit: without a configuration it asks somebody's STUN server
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        yield pc
    finally:
        with trio.move_on_after(5, shield=True):
            await trio_asyncio.aio_as_trio(pc.close)()


@asynccontextmanager
async def aiortc_publisher(url: str) -> AsyncIterator[None]:
    """Publish a picture and a tone in the block, below `trio_asyncio.open_loop`."""
    async with _connection() as pc:
        pc.addTrack(_Picture())
        pc.addTrack(_Tone())
        await _negotiated(pc, url)
        yield


@asynccontextmanager
async def aiortc_player(url: str) -> AsyncIterator[Received]:
    """Watch in the block, below `trio_asyncio.open_loop`."""
    received = Received()
    readers: list[asyncio.Task[None]] = []

    async def read(track: MediaStreamTrack) -> None:
        while True:
            frame = await track.recv()
            if isinstance(frame, av.VideoFrame):
                received.pictures += 1
                received.shades.add(bytes(frame.planes[0])[0])
            else:
                received.samples += frame.samples
                wave = array("h", bytes(frame.planes[0]))
                received.loudest = max(received.loudest, *wave)

    async with _connection() as pc:
        pc.addTransceiver("video", direction="recvonly")
        pc.addTransceiver("audio", direction="recvonly")
        pc.on("track", lambda track: readers.append(asyncio.ensure_future(read(track))))
        await _negotiated(pc, url)
        try:
            yield received
        finally:
            for reader in readers:
                reader.cancel()
