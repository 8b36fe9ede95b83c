"""The examples with a seat: one repeats what was said, one plays music and gives way to people."""

from __future__ import annotations

import importlib.util
import math
import struct
from contextlib import asynccontextmanager
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest
import trio
from kit.engines import until
from kit.rooms import KEY, rooms, user

from livetrio.media.registry import open_registry
from livetrio.net.scope import open_scope
from livetrio.packet import StreamKey
from livetrio.webrtc.participants import Participants

EXAMPLES = Path(__file__).parents[3] / "examples"


def example(name: str):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tone(number: int, pitch: int):
    """A fiftieth of a second."""
    times = range(number * 960, (number + 1) * 960)
    wave = [int(8_000 * math.sin(2 * math.pi * pitch * n / 48_000)) for n in times]
    frame = av.AudioFrame("s16", "mono", 960)
    frame.planes[0].update(struct.pack("960h", *wave))
    frame.sample_rate, frame.pts, frame.time_base = 48_000, number * 960, Fraction(1, 48_000)
    return frame


def pitch_of(frame) -> float:
    """By its zero crossings; 0 for silence."""
    (mono,) = av.AudioResampler("s16", "mono").resample(frame)
    samples = struct.unpack(f"{mono.samples}h", bytes(mono.planes[0])[: 2 * mono.samples])
    if max(samples) < 1_000:
        return 0.0
    crossings = sum(a < 0 <= b for a, b in pairwise(samples))
    return crossings * mono.sample_rate / mono.samples


@asynccontextmanager
async def stage():
    async with (
        open_scope("node", "test"),
        open_registry(resume_window=0) as registry,
        rooms() as opened,
        trio.open_nursery() as nursery,
    ):
        await opened.create(KEY, user("anna"), opened.options("voice"))
        with opened.find(KEY).attended("anna"):
            yield opened, Participants(registry), nursery
        nursery.cancel_scope.cancel()


async def test_the_echo_companion_repeats_what_was_said_when_it_is_quiet() -> None:
    echo_companion = example("echo_companion")
    heard: list[float] = []
    async with stage() as (opened, participants, nursery):

        async def ears() -> None:
            async with participants.join(StreamKey("live", "talk/2")) as watching:
                async for frame in watching.frames():
                    heard.append(pitch_of(frame))  # noqa: PERF401 - they are waited for

        async with participants.sit(opened, KEY, user="echo") as sitting:
            nursery.start_soon(ears)
            nursery.start_soon(echo_companion.echo, sitting)
            async with participants.publish(sitting.mix_minus) as mix:
                await until(lambda: len(mix.stream.clients) == 2)
                for number in range(25):  # a word of anna's
                    opened.find(KEY).heard(1, -20.0)
                    await mix.send(tone(number, 1_000))
                    await trio.sleep(0.02)
                assert heard == []  # nobody is talked over
                for number in range(25, 200):
                    await mix.send(tone(number, 0))
                    await trio.sleep(0.02)
                    if sum(900 < pitch < 1_100 for pitch in heard) > 10:
                        break
        assert sum(900 < pitch < 1_100 for pitch in heard) > 10


async def test_the_music_bot_plays_its_files_in_a_loop_and_pauses_while_somebody_speaks(
    tmp_path,
) -> None:
    music_bot = example("music_bot")
    songs = []
    for pitch in (500, 2_000):
        songs.append(str(tmp_path / f"{pitch}.wav"))
        with av.open(songs[-1], "w") as file:
            stream = file.add_stream("pcm_s16le", rate=48_000, layout="mono")
            for number in range(20):
                file.mux(stream.encode(tone(number, pitch)))
    heard: list[float] = []
    async with stage() as (opened, participants, nursery):

        async def ears() -> None:
            async with participants.join(StreamKey("live", "talk/2")) as watching:
                async for frame in watching.frames():
                    heard.append(pitch_of(frame))  # noqa: PERF401 - they are waited for

        async with participants.sit(opened, KEY, user="dj") as sitting:
            nursery.start_soon(ears)
            nursery.start_soon(music_bot.perform, sitting, songs)

            def changes() -> int:
                high = [pitch > 1_500 for pitch in heard if pitch]
                return sum(a is not b for a, b in pairwise(high))

            await until(lambda: changes() >= 2)  # low, high, low again
            for _ in range(10):
                opened.find(KEY).heard(1, -20.0)
                await trio.sleep(0.02)
            await until(lambda: sitting.speaking == (1,))
            await trio.sleep(0.1)
            paused = len(heard)
            while sitting.speaking:
                assert len(heard) <= paused + 2
                await trio.sleep(0.05)
            await until(lambda: len(heard) > paused + 5)


@pytest.mark.parametrize("name", ["echo_companion", "music_bot"])
def test_an_example_fits_on_a_page(name) -> None:
    assert len((EXAMPLES / f"{name}.py").read_text(encoding="utf-8").splitlines()) < 60
