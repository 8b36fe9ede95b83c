"""The mixing worker: `python -m livetrio.media.mix.worker OPTIONS BEGAN`, coded parts in, one out.

A process of its own, as that of `media/transcode`, and for the same reasons. Two threads: this
one reads the pipe and mixes sound every 20 ms; the other decodes, composes and encodes pictures.
So a picture that takes long never holds the sound up; FFmpeg lets go of the interpreter's lock.

Media time is `time.monotonic()` since BEGAN (seconds, of the server's clock, which is the same):
a successor goes on where this one ended.
"""

from __future__ import annotations

import json
import math
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final

from livetrio.media.mix.inbox import Inbox
from livetrio.media.mix.lanes import part_of, scene_of
from livetrio.media.mix.options import MixOptions, options_from_json
from livetrio.media.mix.picture_desk import PictureDesk
from livetrio.media.mix.seat_audio import BLOCK, RATE
from livetrio.media.mix.sound_desk import SoundDesk
from livetrio.media.transcode.pipe import Message, Unpacker, Word, pack
from livetrio.packet import US_PER_SECOND, Kind

__all__ = ["main"]

_NICENESS: Final = 5
"""Below the server itself: a late picture harms one audience, a late server all."""
_READ: Final = 256 << 10
_LATE: Final = 10
"""Blocks of sound (20 ms) that are made up for; if it is later than that it leaves some out."""
_REPORT_EVERY: Final = 50
"""Blocks: one second."""


class _Sink:
    """The pipe to the server, for two threads."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, messages: Iterable[Message]) -> None:
        """Write them at once; a server that is gone ends the process."""
        data = b"".join(map(pack, messages))
        if not data:
            return
        with self._lock:
            try:
                self._stream.write(data)
                self._stream.flush()
            except BrokenPipeError:
                os._exit(0)


class _Worker:
    """Both threads and what they share."""

    def __init__(self, options: MixOptions, began: float, sink: _Sink) -> None:
        self._sound = SoundDesk(options.audio_bitrate)
        self._pictures = PictureDesk(options) if options.video else None
        self._fps = options.fps
        self._began = began
        self._sink = sink
        self._inbox = Inbox()
        self._times: dict[int, int | None] = {}  # replaced, never changed
        self._left_out = 0  # blocks

    def run(self, source: int) -> None:
        """Serve until the input, a file's number, ends."""
        if self._pictures is not None:
            self._sink.send([self._pictures.configuration()])
            threading.Thread(target=self._paint, args=(self._pictures,), daemon=True).start()
        self._sink.send(self._sound.configurations())
        unpacker = Unpacker()
        block = math.ceil(self._now() * RATE / BLOCK)
        # Sound is needed when a block is mixed and no earlier, pictures wait for theirs: looking
        # into the pipe at these times alone saves hundreds of wake-ups a second.
        while True:
            time.sleep(max(block * BLOCK / RATE - self._now(), 0))
            for data in _waiting(source):
                if not data:
                    return
                for message in unpacker.feed(data):
                    self._sort(message)
            block = self._mix(block)

    def _now(self) -> float:
        """Media time, seconds."""
        return time.monotonic() - self._began

    def _sort(self, message: Message) -> None:
        if message.word is Word.SCENE:
            self._sound.show(*scene_of(message))
        elif message.word is not Word.WANT_KEY and part_of(message.lane)[1] is Kind.AUDIO:
            self._sound.feed(message)
            return
        if self._pictures is not None:
            self._inbox.put(message)

    def _mix(self, block: int) -> int:
        """Mix one block; the number of the next."""
        late = int(self._now() * RATE / BLOCK) - block
        if late > _LATE:
            self._left_out += late
            block += late
        self._sink.send(self._sound.mix(block * BLOCK))
        self._times = self._sound.times()
        if block % _REPORT_EVERY == 0:
            self._sink.send([self._report()])
        return block + 1

    def _report(self) -> Message:
        faults = dict(self._sound.faults)
        if self._pictures is not None:
            for number, count in self._pictures.faults.items():
                faults[number] = faults.get(number, 0) + count
        value = {
            "faults": faults,
            "left_out": self._left_out * BLOCK * 1000 // RATE,
            "overflows": self._inbox.overflows,
        }
        return Message(Word.REPORT, data=json.dumps(value).encode())

    def _paint(self, desk: PictureDesk) -> None:
        """The picture thread."""
        number = math.ceil(self._now() * self._fps)
        while True:
            wait = number / self._fps - self._now()
            if wait <= 0:
                pts = number * US_PER_SECOND // self._fps
                self._sink.send(desk.compose(pts, self._times))
                # What is late is left out: the next one is as good.
                number = max(number + 1, math.ceil(self._now() * self._fps))
                wait = 0
            message, lost = self._inbox.take(wait)
            if lost:
                desk.lose()
            if message is None:
                continue
            if message.word is Word.SCENE:
                desk.show(*scene_of(message))
            else:
                desk.feed(message)


def _waiting(source: int) -> Iterator[bytes]:
    """All that a pipe holds; b"" is its end."""
    while select.select([source], [], [], 0)[0]:
        yield (data := os.read(source, _READ))
        if not data:
            return


def main() -> None:
    """Run as a program."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's, which ends us
    os.nice(_NICENESS)
    options = options_from_json(sys.argv[1])
    worker = _Worker(options, float(sys.argv[2]), _Sink(sys.stdout.buffer))
    worker.run(sys.stdin.fileno())
    os._exit(0)  # nothing to tidy up, and Python would complain of a broken pipe


if __name__ == "__main__":
    main()
