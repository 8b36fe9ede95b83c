"""livetrio's WebRTC gateway as a process: the real transport, negotiation and players.

The stream comes from inside, so that the CPU counted is that of watching. An instrument of
Trio's notes the longest time one task has held the loop.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import AsyncExitStack

import trio

from livetrio.config import Address, WebrtcConfig
from livetrio.media.client import Client
from livetrio.media.registry import open_registry
from livetrio.media.stream import Publication, Stream
from livetrio.net.beat import Beat
from livetrio.net.fanout import Pacer
from livetrio.net.listen import Caps
from livetrio.net.scope import open_scope
from livetrio.packet import Packet, StreamKey
from livetrio.webrtc.candidates import bind_sockets
from livetrio.webrtc.certificate import make_certificate
from livetrio.webrtc.gateway_engine import GatewayEngine
from livetrio.webrtc.player import Players
from livetrio.webrtc.selection import Selection
from livetrio.webrtc.transport import open_transport
from rig import rtc_source
from rig.worker import Answer

__all__ = ["main"]

KEY = StreamKey("live", "bench")


class Holds(trio.abc.Instrument):
    """The longest step of any task, in CPU seconds: what else runs on the machine is no hold."""

    def __init__(self) -> None:
        self._begun = time.thread_time()
        self.reset()

    def reset(self) -> None:
        """From now on."""
        self.longest = 0.0
        self.who = ""

    def before_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002
        self._begun = time.thread_time()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        held = time.thread_time() - self._begun
        if held > self.longest:
            self.longest, self.who = held, task.name


class Gateway:
    """The server, and what the benchmark may ask of it."""

    def __init__(self, engine: GatewayEngine, players: Players, stream: Stream) -> None:
        self.holds = Holds()
        self.playing = trio.Event()
        self._engine = engine
        self._players = players
        self._stream = stream

    async def publish(self, publication: Publication) -> None:
        """Each packet when it is due; before `play` only the first picture and sound."""
        source = rtc_source.packets()
        first: list[Packet] = [next(source), next(source)]
        publication.publish(first)
        await self.playing.wait()
        begun = trio.current_time()
        for packet in source:
            await trio.sleep_until(begun + packet.dts / 1e6)
            publication.publish([packet])

    async def serve(self) -> None:
        """Answer requests until stdin ends."""
        async with trio.open_nursery() as nursery:
            pending = b""
            while data := await _read():
                pending += data
                while b"\n" in pending:
                    line, _, pending = pending.partition(b"\n")
                    request = json.loads(line)
                    answer = await self._handle(request.pop("do"), request, nursery)
                    os.write(1, json.dumps(answer).encode() + b"\n")
            nursery.cancel_scope.cancel()

    async def _handle(self, do: str, request: Answer, nursery: trio.Nursery) -> Answer:
        match do:
            case "answer":
                return {"answers": [await nursery.start(self._watch, o) for o in request["offers"]]}
            case "play":
                self.playing.set()
                return {}
            case "begin":
                self.holds.reset()
                return {}
            case _:
                return {
                    "longest_hold": self.holds.longest,
                    "held_by": self.holds.who,
                    "packets": sum(feed.packets for feed in self._players.feeds),
                }

    async def _watch(self, offer: str, *, task_status: trio.TaskStatus[str]) -> None:
        async with (
            open_scope("session", "viewer"),
            self._engine.send(
                offer, self._stream, self._stream, Selection(), name="viewer", ip=""
            ) as sending,
        ):
            task_status.started(sending.description)
            await sending.run()


async def _read() -> bytes:
    await trio.lowlevel.wait_readable(0)
    return os.read(0, 1 << 24)


async def _main() -> None:
    beat = Beat()
    config = WebrtcConfig(
        address=Address("127.0.0.1", 0), max_peers=20_000, max_peers_per_ip=20_000, ice_tcp=False
    )
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        nursery = await enter(trio.open_nursery())
        nursery.start_soon(beat.run)
        registry = await enter(open_registry(pacer=Pacer(beat=beat)))
        scope = await enter(open_scope("connection", "publisher"))
        client = Client("publisher", "bench", scope)
        publication = await enter(registry.publish(KEY, client, takeover=False))
        sockets = stack.enter_context(bind_sockets(config.address, ice_tcp=False))
        transport = await enter(
            open_transport(config, sockets, make_certificate(), caps=Caps(100, 100))
        )
        players = Players()
        engine = GatewayEngine(transport, players, beat)
        gateway = Gateway(engine, players, publication.stream)
        trio.lowlevel.add_instrument(gateway.holds)
        nursery.start_soon(gateway.publish, publication)
        await gateway.serve()
        nursery.cancel_scope.cancel()


def main() -> None:
    """Entry point of the process."""
    trio.run(_main)


if __name__ == "__main__":
    sys.exit(main())
