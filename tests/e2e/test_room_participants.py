"""Bots on the seats of a real server's room: they hear each other through the real mix."""

from __future__ import annotations

import importlib.util
import math
import struct
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import pytest
import trio
from kit.engines import until
from kit.node import Traces, node, node_config

from livetrio.app import Running, serve
from livetrio.packet import StreamKey
from livetrio.webrtc.participants import Participants
from livetrio.webrtc.rooms.actions import Action, Caller, Command

pytestmark = pytest.mark.e2e

EXAMPLES = Path(__file__).parents[2] / "examples"
ROOM = StreamKey("live", "bots")
BACK_END = Caller("back-end", "", frozenset({"admin"}))


def example(name: str):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tone(number: int, pitch: int):
    """A fiftieth of a second."""
    times = range(number * 960, (number + 1) * 960)
    wave = [int(12_000 * math.sin(2 * math.pi * pitch * n / 48_000)) for n in times]
    frame = av.AudioFrame("s16", "mono", 960)
    frame.planes[0].update(struct.pack("960h", *wave))
    frame.sample_rate = 48_000
    return frame


def pitch_of(frame) -> float:
    """By its zero crossings; 0 for silence."""
    (mono,) = av.AudioResampler("s16", "mono").resample(frame)
    samples = struct.unpack(f"{mono.samples}h", bytes(mono.planes[0])[: 2 * mono.samples])
    if max(samples) < 1_000:
        return 0.0
    return sum(a < 0 <= b for a, b in pairwise(samples)) * mono.sample_rate / mono.samples


@asynccontextmanager
async def room(**changes):
    async with node(**changes) as running, trio.open_nursery() as nursery:
        rooms = running.rooms
        host = Caller("host", "Host", frozenset({"host"}))
        await rooms.create(ROOM, host, rooms.options("voice"))
        yield rooms, Participants(running.registry), nursery
        nursery.cancel_scope.cancel()


async def speak(sitting, pitch: int) -> None:
    for number in range(100_000):
        await sitting.play(tone(number, pitch))


async def ears(sitting, heard: list[float]) -> None:
    async with sitting.hear() as frames:
        async for frame in frames:
            heard.append(round(pitch_of(frame), -2))  # noqa: PERF401 - they are waited for


async def test_two_bots_hear_each_other_and_not_themselves() -> None:
    low: list[float] = []
    high: list[float] = []
    async with (
        room() as (rooms, participants, nursery),
        participants.sit(rooms, ROOM, user="low") as first,
        participants.sit(rooms, ROOM, user="high") as second,
    ):
        nursery.start_soon(speak, first, 500)
        nursery.start_soon(speak, second, 2_000)
        nursery.start_soon(ears, first, low)
        nursery.start_soon(ears, second, high)
        await until(lambda: low.count(2_000) > 40 and high.count(500) > 40)
        assert low.count(500) == high.count(2_000) == 0
        # Nothing says how loud these are: the server listens itself.
        await until(lambda: first.speaking == (second.seat,))
        rooms.command(ROOM, Command(action=Action.KICK, by=BACK_END, seat=second.seat))
        await until(lambda: second.reason == "kicked")
        before = len(low)
        await until(lambda: low[before:].count(0) > 20)
        nursery.cancel_scope.cancel()


async def test_the_echo_companion_answers_in_a_real_room() -> None:
    echo_companion = example("echo_companion")
    heard: list[float] = []
    async with (
        room() as (rooms, participants, nursery),
        participants.sit(rooms, ROOM, user="echo") as companion,
        participants.sit(rooms, ROOM, user="guest") as guest,
    ):
        nursery.start_soon(echo_companion.echo, companion)
        nursery.start_soon(ears, guest, heard)
        await until(lambda: heard.count(0) > 10)
        spoken = 0
        while guest.seat not in companion.speaking or spoken < 100:
            await guest.play(tone(spoken, 1_000))
            spoken += 1
        assert heard.count(1_000) == 0
        await until(lambda: heard.count(1_000) > 30)


async def test_the_end_of_a_room_full_of_bots_leaves_nothing() -> None:
    await trio.to_thread.run_sync(lambda: None)
    async with node() as running, trio.open_nursery() as nursery:
        registry, rooms = running.registry, running.rooms
        before = Traces.now()
        host = Caller("host", "Host", frozenset({"host"}))
        await rooms.create(ROOM, host, rooms.options("voice"))
        participants = Participants(registry)
        sittings = []

        async def bot(number: int) -> None:
            async with participants.sit(rooms, ROOM, user=f"bot {number}") as sitting:
                sittings.append(sitting)
                async with trio.open_nursery() as both:
                    both.start_soon(speak, sitting, 300 * (number + 1))
                    both.start_soon(ears, sitting, [])

        for number in range(3):
            nursery.start_soon(bot, number)
        await until(lambda: sum("~" in key.name for key in registry.streams) == 3)
        with trio.fail_after(5):
            await rooms.end(ROOM, BACK_END, "enough")
        await until(lambda: not registry.streams and Traces.now() == before)
        assert [sitting.reason for sitting in sittings] == ["the room has ended: enough"] * 3


@pytest.mark.parametrize(
    ("name", "key", "who"), [("echo_companion", "talk", "echo"), ("music_bot", "music", "dj")]
)
async def test_an_example_is_a_whole_program(name, key, who, tmp_path, monkeypatch, capsys) -> None:
    module = example(name)
    places = node_config(tmp_path)
    started: list[Running] = []

    async def serve_on_free_ports(config, *, task_status) -> None:
        config = replace(config, listen=places.listen, webrtc=places.webrtc, store=places.store)
        async with trio.open_nursery() as server:
            started.append(await server.start(serve, config))
            task_status.started(started[0])

    monkeypatch.setattr(module, "serve", serve_on_free_ports)
    song = tmp_path / "song.wav"
    with av.open(song, "w") as file:
        stream = file.add_stream("pcm_s16le", rate=48_000, layout="mono")
        for number in range(50):
            file.mux(stream.encode(tone(number, 800)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(module.main, *([[str(song)]] if name == "music_bot" else []))
        await until(lambda: "/room?room=" in capsys.readouterr().out)
        live = started[0].rooms.find(StreamKey("live", key))
        seat = live.room.state.seats[1]
        await until(lambda: seat.present and live.key.name in str(started[0].registry.streams))
        assert seat.user == who
        nursery.cancel_scope.cancel()
