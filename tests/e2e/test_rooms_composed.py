"""The composed streams of rooms by real programs: what players see and hear, what OBS gets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from kit.ffmpeg import publishing, record
from kit.obs import obs_publishing
from kit.programs import find, run
from kit.room_media import NEAR, PEOPLE, RoomSite, room_server, visitors
from kit.spectrum import last_picture, pitches

pytestmark = pytest.mark.e2e

TONES = {user: pitch for user, (_, pitch) in PEOPLE.items()}
AUDIBLE, SILENT = -35, -50
"""dB of full scale: a seat's tone is sent at -18."""
BACKGROUND = "#204060"
CORNERS = {
    "anna": (0.0, 0.0), "bob": (0.5, 0.0), "carl": (0.0, 0.5), "": (0.5, 0.5),
}  # fmt: skip
"""Where each is to be seen; nobody: the background."""


async def a_clip(folder: Path, user: str) -> Path:
    """Four seconds of somebody's colour and tone, H.264 and AAC, a key frame each second."""
    colour, pitch = PEOPLE[user]
    path = folder / f"{user}.flv"
    argv = [find("ffmpeg"), "-loglevel", "error", "-nostdin"]
    for source in (f"color={colour}:s=320x180:r=25:d=4", f"sine=f={pitch}:r=48000:d=4"):
        argv += ["-f", "lavfi", "-i", source]
    argv += ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p"]
    await run(*argv, "-c:a", "aac", str(path))
    return path


@asynccontextmanager
async def party(folder: Path, *users: str) -> AsyncIterator[RoomSite]:
    """These are on the air from seats of a room, as OBS would be: by RTMP, with their keys."""
    async with room_server(folder) as site, AsyncExitStack() as stack:
        room = await site.room(users[0])
        for seat, user in enumerate(users, start=1):
            if seat > 1:
                await site.do("POST", f"{room}/seats/{seat}/take", user)
            key = (await site.key(user))["key"]
            clip = await a_clip(folder, user)
            await stack.enter_async_context(publishing(clip, site.server.rtmp(key), loop=True))
        yield site


def is_of(pixel: npt.NDArray[np.uint8], colour: str) -> bool:
    """Is it about that colour?"""
    exact = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return bool((np.abs(pixel.astype(int) - exact) < NEAR).all())


async def test_players_of_the_composed_stream_by_any_protocol_hear_all_tones_and_see_all_pictures(
    tmp_path: Path,
) -> None:
    users = ("anna", "bob", "carl")
    async with party(tmp_path, *users) as site, visitors(site, "dora") as (dora,):
        places = {str(n): [*CORNERS[user], 0.5, 0.5] for n, user in enumerate(users, start=1)}
        layout = {"layout": "custom", "rectangles": places, "background": BACKGROUND}
        await site.do("PUT", "/v1/rooms/live/talk/layout", "anna", layout)
        server = site.server
        await dora.arrive()
        await dora.play("live/talk")
        sight = await dora.until(lambda sight: sight.voices == set(users), what="everybody")
        assert sight.slots["stream"]["frames"] > 0
        addresses = {"flv": server.flv, "rtmp": server.rtmp, "hls": server.hls}
        for kind, address in addresses.items():
            kept = tmp_path / f"{kind}.{'ts' if kind == 'hls' else 'flv'}"
            file = await record(address("talk"), kept, seconds=5, deadline=60)
            heard = await pitches(file, TONES.values())
            assert {u for u, tone in TONES.items() if heard[tone] > AUDIBLE} == set(users), (
                kind,
                heard,
            )
            assert heard[TONES["dora"]] < SILENT
            picture = await last_picture(file)
            for user, (x, y) in CORNERS.items():
                middle = picture[int(16 * y) + 3, int(16 * x) + 3]
                colour = PEOPLE[user][0] if user else BACKGROUND
                assert is_of(middle, colour), (kind, user, middle)


async def test_obs_hosts_with_its_seats_key_and_its_mix_minus_has_the_guest_and_not_itself(
    tmp_path: Path,
) -> None:
    clip = await a_clip(tmp_path, "anna")
    async with room_server(tmp_path) as site, visitors(site, "bob") as (bob,):
        await site.room("anna")
        told = await site.key("anna")
        assert told["server"] == site.server.rtmp("").rstrip("/").replace("127.0.0.1", "localhost")
        # (Qt's OBS would ask for ::1 first, where this test's server does not listen)
        service = told["server"].replace("localhost", "127.0.0.1")
        async with obs_publishing(service, told["key"], clip):
            await bob.join(2)
            await bob.meets("anna")  # B-frames and AAC on the way in
            minus = told["mix_minus"].replace("?", ".flv?")
            url = f"http://127.0.0.1:{site.server.httpflv_port}{minus}"
            file = await record(url, tmp_path / "minus.flv", seconds=6, deadline=90)
            heard = await pitches(file, TONES.values())
            assert heard[TONES["bob"]] > AUDIBLE
            assert heard[TONES["anna"]] < SILENT
            picture = await last_picture(file)
            assert is_of(picture[6, 6], PEOPLE["bob"][0])
            assert not any(is_of(pixel, PEOPLE["anna"][0]) for pixel in picture.reshape(-1, 3))
            everything = await record(
                site.server.flv("talk"), tmp_path / "all.flv", seconds=5, deadline=90
            )
            heard = await pitches(everything, TONES.values())
            assert {u for u, tone in TONES.items() if heard[tone] > AUDIBLE} == {"anna", "bob"}
