"""The example: it hears, and answers with a tone and a caption."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import av
import trio
from kit.engines import until

from livetrio.media.registry import open_registry
from livetrio.net.scope import open_scope
from livetrio.packet import Kind, StreamKey
from livetrio.webrtc.participants import Participants
from livetrio.wire import amf0

EXAMPLE = Path(__file__).parents[3] / "examples" / "tone_bot.py"
ROOM, ANSWER = StreamKey("live", "room"), StreamKey("live", "answer")


def example():
    spec = importlib.util.spec_from_file_location("tone_bot", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_who_has_spoken_is_answered_with_a_tone_and_a_caption() -> None:
    tone_bot = example()
    captions, loudest = [], [0.0]
    async with (
        open_scope("node", "test"),
        open_registry(resume_window=0) as registry,
        trio.open_nursery() as nursery,
    ):
        participants = Participants(registry)

        async def read_captions(watching) -> None:
            async for packet in watching.packets():
                if packet.track.kind is Kind.DATA:
                    captions.append(amf0.decode(packet.data)[1]["text"])  # noqa: PERF401 - they are waited for

        async def hear(watching) -> None:
            async for frame in watching.frames(Kind.AUDIO):
                assert isinstance(frame, av.AudioFrame)
                loudest[0] = max(loudest[0], tone_bot.loudness(frame))

        nursery.start_soon(tone_bot.bot, participants, ROOM, ANSWER)
        async with participants.join(ANSWER) as watching:
            nursery.start_soon(read_captions, watching)
            nursery.start_soon(hear, watching)
            async with participants.publish(ROOM) as broadcast:
                await until(lambda: len(broadcast.stream.clients) == 2)
                for number in range(60):  # a word, and then silence
                    await broadcast.send(tone_bot.sound(number, tone=number < 15))
                await until(lambda: bool(captions))
                await until(lambda: loudest[0] > 0.1)
        nursery.cancel_scope.cancel()
    assert captions == ["Heard you: 1"]
