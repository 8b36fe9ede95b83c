"""Plain aiortc as a server: one RTCPeerConnection per viewer, already encoded frames passed on."""

from __future__ import annotations

import asyncio
import fractions
import json
import os
import time
from collections.abc import Iterable

import av
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)

from livetrio.packet import Kind, Packet
from rig import rtc_source

__all__ = ["main"]

_US = fractions.Fraction(1, 1_000_000)


class Track(MediaStreamTrack):
    """One viewer's copy of a track."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.queue: asyncio.Queue[av.Packet] = asyncio.Queue(100)

    async def recv(self) -> av.Packet:
        return await self.queue.get()


class Server:
    """All viewers, and the stream that is copied to each."""

    def __init__(self) -> None:
        self.tracks: list[Track] = []
        self.peers: list[RTCPeerConnection] = []
        self.playing = asyncio.Event()

    async def play(self) -> None:
        """Each packet when it is due."""
        await self.playing.wait()
        begun = time.monotonic()
        for packet in rtc_source.packets():
            await asyncio.sleep(max(0.0, begun + packet.dts / 1e6 - time.monotonic()))
            data = _annexb(packet) if packet.track.kind is Kind.VIDEO else packet.data
            for track in self._of(packet.track.kind.value):
                frame = av.Packet(data)
                frame.pts = frame.dts = packet.pts
                frame.time_base = _US
                if not track.queue.full():
                    track.queue.put_nowait(frame)

    async def answer(self, offer: str) -> str:
        """A new viewer."""
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.peers.append(peer)
        await peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        for kind in ("video", "audio"):
            track = Track(kind)
            self.tracks.append(track)
            peer.addTrack(track)
        await peer.setLocalDescription(await peer.createAnswer())
        return peer.localDescription.sdp

    def _of(self, kind: str) -> Iterable[Track]:
        return (track for track in self.tracks if track.kind == kind)


def _annexb(packet: Packet) -> bytes:
    return b"\0\0\0\1" + packet.data[4:]  # the source makes one unit a frame


async def _serve() -> None:
    server = Server()
    playing = asyncio.create_task(server.play())
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(0, "rb"))
    while line := await reader.readline():
        request = json.loads(line)
        answer: dict[str, object] = {}
        if request["do"] == "answer":
            answer = {"answers": [await server.answer(offer) for offer in request["offers"]]}
        elif request["do"] == "play":
            server.playing.set()
        os.write(1, json.dumps(answer).encode() + b"\n")
    playing.cancel()


def main() -> None:
    """Entry point of the process."""
    asyncio.run(_serve())


if __name__ == "__main__":
    main()
