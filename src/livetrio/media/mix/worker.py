"""The mixing worker: `python -m livetrio.media.mix.worker OPTIONS BEGAN`, coded parts in, one out.

A process of its own, as that of `media/transcode`, and for the same reasons. Two threads: this
one reads the pipe and mixes sound every 20 ms; the other decodes, composes and encodes pictures.
So a picture that takes long never holds the sound up; FFmpeg lets go of the interpreter's lock.

Media time is `time.monotonic()` since BEGAN (seconds, of the server's clock, which is the same):
a successor goes on where this one ended.
"""

from __future__ import annotations

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
from livetrio.media.mix.report import WorkerReport, report_message
from livetrio.media.mix.seat_audio import BLOCK, RATE
from livetrio.media.mix.sound_desk import SoundDesk
from livetrio.media.transcode.pipe import Message, Unpacker, Word, pack
from livetrio.packet import US_PER_SECOND, Kind

__all__ = ["main"]

_NICENESS: Final = 5
"""Of the picture thread, below the server itself and the sound: a late picture is left out and
the one before stays; late sound is a hole. On Linux it is the calling thread's alone."""
_READ: Final = 256 << 10
_LATE: Final = 10
"""Blocks of sound (20 ms) that are made up for; if it is later than that it leaves some out."""
_DIED: Final = 1
"""Exit status of a worker whose picture thread met a bug: its successor begins anew."""
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
        self._pictures: PictureDesk | None = None  # once its thread has made it
        self._options = options
        self._began = began
        self._sink = sink
        self._inbox = Inbox()
        self._times: dict[int, int | None] = {}  # replaced, never changed
        self._late = self._left_out = 0  # blocks

    def run(self, source: int) -> None:
        """Serve until the input, a file's number, ends."""
        if self._options.video:
            threading.Thread(target=self._compose, name="pictures", daemon=True).start()
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
        if self._options.video:
            self._inbox.put(message)

    def _mix(self, block: int) -> int:
        """Mix one block; the number of the next."""
        late = int(self._now() * RATE / BLOCK) - block
        if late > _LATE:
            self._left_out += late
            block += late
        elif late > 0:
            self._late += 1
        self._sink.send(self._sound.mix(block * BLOCK))
        self._times = self._sound.times()
        if block % _REPORT_EVERY == 0:
            self._sink.send([self._report()])
        return block + 1

    def _report(self) -> Message:
        faults = sum(self._sound.faults.values())
        if self._pictures is not None:
            faults += sum(self._pictures.faults.values())
        return report_message(
            WorkerReport(
                faults=faults,
                late=self._late,
                left_out=self._left_out * BLOCK * 1000 // RATE,
                overflows=self._inbox.overflows,
                **self._sound.wear._asdict(),
            )
        )

    def _compose(self) -> None:
        """The picture thread. FFmpeg's threads, which it makes, are as patient as it is."""
        os.nice(_NICENESS)
        desk = self._pictures = PictureDesk(self._options)
        self._sink.send([desk.configuration()])
        self._paint(desk)

    def _paint(self, desk: PictureDesk) -> None:
        """Pictures, for ever."""
        fps = self._options.fps
        number = math.ceil(self._now() * fps)
        while True:
            wait = number / fps - self._now()
            if wait <= 0:
                pts = number * US_PER_SECOND // fps
                self._sink.send(desk.compose(pts, self._times))
                # What is late is left out: the next one is as good.
                number = max(number + 1, math.ceil(self._now() * fps))
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


def _give_up(found: threading.ExceptHookArgs) -> None:
    """A thread met a bug: without pictures the sound alone would seem to be well."""
    sys.excepthook(found.exc_type, found.exc_value or found.exc_type(), found.exc_traceback)
    os._exit(_DIED)


def main() -> None:
    """Run as a program."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's, which ends us
    threading.excepthook = _give_up
    options = options_from_json(sys.argv[1])
    worker = _Worker(options, float(sys.argv[2]), _Sink(sys.stdout.buffer))
    worker.run(sys.stdin.fileno())
    os._exit(0)  # nothing to tidy up, and Python would complain of a broken pipe


if __name__ == "__main__":
    main()
