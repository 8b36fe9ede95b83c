"""A bot that listens to a stream and answers whoever has spoken there with a tone and a caption.

    python examples/tone_bot.py live/room live/answer

runs a whole livetrio with the bot inside. Publish `live/room` (from a browser at /publish, from
OBS or ffmpeg), say something, and watch `live/answer`: a picture that lights up, a tone, and a
caption as timed data.
"""

from __future__ import annotations

import math
import sys
from array import array
from fractions import Fraction

import av
import trio

from livetrio.app import Running, serve
from livetrio.config import AppConfig, Config
from livetrio.errors import Refused
from livetrio.packet import Kind, StreamKey
from livetrio.webrtc.participants import Broadcast, Participants

RATE, FPS = 48_000, 25
SAMPLES = RATE // FPS
LOUD = 0.02
"""Of full scale; quieter is silence."""
PAUSE = 0.6
"""Seconds of silence after which somebody has finished speaking."""
ANSWER = 1.0
"""Seconds that the tone lasts."""


class Ears:
    """Tells when a speaker has finished."""

    def __init__(self) -> None:
        self.finished = trio.Event()
        self._spoke = False
        self._quiet = 0.0

    def hear(self, frame: av.AudioFrame) -> None:
        """One frame of the stream's sound."""
        duration = frame.samples / frame.sample_rate
        if loudness(frame) > LOUD:
            self._spoke, self._quiet = True, 0.0
        elif self._spoke:
            self._quiet += duration
        if self._spoke and self._quiet >= PAUSE:
            self._spoke = False
            self.finished.set()
            self.finished = trio.Event()


def loudness(frame: av.AudioFrame) -> float:
    """Root mean square, 0 to 1, of the first channel."""
    samples = array("f")
    samples.frombytes(bytes(av.AudioResampler("fltp", "mono").resample(frame)[0].planes[0]))
    return math.sqrt(sum(value * value for value in samples) / len(samples)) if samples else 0.0


async def listen(participants: Participants, key: StreamKey, ears: Ears) -> None:
    """Hear a stream whenever it is there."""
    while True:
        try:
            async with participants.join(key, name="tone bot", wait=60) as watching:
                async for frame in watching.frames(Kind.AUDIO):
                    if isinstance(frame, av.AudioFrame):
                        ears.hear(frame)
        except Refused:
            continue  # nobody has published it yet


async def speak(broadcast: Broadcast, ears: Ears) -> None:
    """Send a picture and silence, and for a while after each answer light and a tone."""
    answers = 0
    sounding = 0
    finished = ears.finished
    begun = trio.current_time()
    for number in range(sys.maxsize):
        if finished.is_set():
            answers, sounding, finished = answers + 1, int(ANSWER * FPS), ears.finished
            broadcast.caption(f"Heard you: {answers}")
        await broadcast.send(picture(number, lit=sounding > 0))
        await broadcast.send(sound(number, tone=sounding > 0))
        sounding -= 1
        await trio.sleep_until(begun + (number + 1) / FPS)


def picture(number: int, *, lit: bool) -> av.VideoFrame:
    """A dark or a light field with a bar that moves, to see that it is alive."""
    frame = av.VideoFrame(320, 180, "yuv420p")
    luma, blue, red = frame.planes
    line = bytearray([180 if lit else 40]) * luma.line_size
    at = number * 4 % 300
    line[at : at + 20] = bytes([235]) * 20
    luma.update(bytes(line) * frame.height)
    for plane in (blue, red):
        plane.update(b"\x80" * plane.buffer_size)
    frame.pts, frame.time_base = number, Fraction(1, FPS)
    return frame


def sound(number: int, *, tone: bool) -> av.AudioFrame:
    """A 25th of a second of 440 Hz, or of silence."""
    first = number * SAMPLES
    strength = 8_000 if tone else 0
    wave = array(
        "h",
        (
            int(strength * math.sin(2 * math.pi * 440 * n / RATE))
            for n in range(first, first + SAMPLES)
        ),
    )
    frame = av.AudioFrame("s16", "mono", SAMPLES)
    frame.planes[0].update(wave.tobytes())
    frame.sample_rate, frame.pts, frame.time_base = RATE, first, Fraction(1, RATE)
    return frame


async def bot(participants: Participants, heard: StreamKey, answered: StreamKey) -> None:
    """Run the bot until it is cancelled."""
    ears = Ears()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen, participants, heard, ears)
        async with participants.publish(answered, name="tone bot") as broadcast:
            await speak(broadcast, ears)


async def main(heard: StreamKey, answered: StreamKey) -> None:
    """A livetrio with open streams, and the bot in it."""
    config = Config(
        apps={app: AppConfig(name=app, auth="none") for app in {heard.app, answered.app}}
    )
    async with trio.open_nursery() as nursery:
        running: Running = await nursery.start(serve, config)
        await bot(Participants(running.registry), heard, answered)


if __name__ == "__main__":
    names = sys.argv[1:3] if len(sys.argv) > 2 else ["live/room", "live/answer"]
    trio.run(main, *(StreamKey(*name.split("/", 1)) for name in names))
