"""A companion with a seat in a voice room: it repeats what was said once everybody is quiet.

    python examples/echo_companion.py

runs a whole livetrio with the room live/talk and the companion; open the room page it prints.
"""

from __future__ import annotations

import secrets

import trio
from av import AudioFrame

from livetrio.app import Running, serve
from livetrio.config import AppConfig, Config, ImConfig, ImTokenConfig
from livetrio.packet import StreamKey
from livetrio.webrtc.participants import Participants, Sitting
from livetrio.webrtc.rooms.actions import Caller

ROOM = StreamKey("live", "talk")
BEFORE, MOST = 15, 750  # frames of 20 ms: from before a word is noticed; repeated at most


async def echo(sitting: Sitting) -> None:
    """Hear the room, and answer it, until cancelled."""
    said, spoken = [], ()
    async with trio.open_nursery() as nursery, sitting.hear() as frames:
        async for frame in frames:
            said = [*said, frame][-(MOST if spoken else BEFORE) :]
            if spoken and not sitting.speaking:
                nursery.start_soon(say, sitting, said)
                said = []
            spoken = sitting.speaking


async def say(sitting: Sitting, frames: list[AudioFrame]) -> None:
    """Play what was heard; whoever speaks meanwhile is not talked over."""
    for frame in frames:
        if sitting.speaking:
            return
        await sitting.play(frame)


async def main() -> None:
    """A livetrio with guests, a room, and the companion on its first seat."""
    im = ImConfig(token=ImTokenConfig(secret=secrets.token_hex(32)), guests=True)
    async with trio.open_nursery() as nursery:
        config = Config(apps={ROOM.app: AppConfig(name=ROOM.app, auth="none")}, im=im)
        running: Running = await nursery.start(serve, config)
        rooms, host = running.rooms, Caller("echo", "Echo", frozenset({"host"}))
        await rooms.create(ROOM, host, rooms.options("voice"))
        print(f"http://localhost:{running.addresses['web'].port}/room?room={ROOM}")
        async with Participants(running.registry).sit(rooms, ROOM, user="echo") as sitting:
            await echo(sitting)


if __name__ == "__main__":
    trio.run(main)
