"""A music bot with a seat in a voice room: plays files in a loop, and pauses while people speak.

    python examples/music_bot.py song.mp3 another.flac

runs a whole livetrio with the room live/music and the bot in it; open the room page it prints.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator, Sequence
from itertools import cycle

import av
import trio

from livetrio.app import Running, serve
from livetrio.config import AppConfig, Config, ImConfig, ImTokenConfig
from livetrio.packet import StreamKey
from livetrio.webrtc.participants import Participants, Sitting
from livetrio.webrtc.rooms.actions import Caller

ROOM = StreamKey("live", "music")


def sound_of(paths: Sequence[str]) -> Iterator[av.AudioFrame]:
    """One file after the other, in a loop, decoded as it is asked for."""
    for path in cycle(paths):
        with av.open(path) as file:
            yield from file.decode(audio=0)


async def perform(sitting: Sitting, paths: Sequence[str]) -> None:
    """Play until cancelled."""
    frames = sound_of(paths)
    while True:
        if sitting.speaking or sitting.muted:
            await trio.sleep(0.1)
        else:
            await sitting.play(await trio.to_thread.run_sync(next, frames))


async def main(paths: Sequence[str]) -> None:
    """A livetrio with guests, a room, and the bot on its first seat."""
    im = ImConfig(token=ImTokenConfig(secret=secrets.token_hex(32)), guests=True)
    async with trio.open_nursery() as nursery:
        config = Config(apps={ROOM.app: AppConfig(name=ROOM.app, auth="none")}, im=im)
        running: Running = await nursery.start(serve, config)
        rooms, host = running.rooms, Caller("dj", "DJ", frozenset({"host"}))
        await rooms.create(ROOM, host, rooms.options("voice", title="Music"))
        print(f"http://localhost:{running.addresses['web'].port}/room?room={ROOM}")
        async with Participants(running.registry).sit(rooms, ROOM, user="dj", name="DJ") as sitting:
            await perform(sitting, paths)


if __name__ == "__main__":
    trio.run(main, sys.argv[1:])
