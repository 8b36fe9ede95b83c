"""Recorder: follows one stream into files. The disk never holds the stream up.

Reads the ring with a cursor of its own and writes in worker threads, a batch at a time. A disk
that is slow makes the cursor jump, one that refuses makes it pause and try again with a new
file; both are logged and counted, and nobody else notices.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import trio

from livetrio.delivery.record_file import RecordFile, create_file
from livetrio.delivery.record_formats import Piece, RecordFormat, Tape, TapeFile, make_tape
from livetrio.delivery.record_path import DEFAULT_TEMPLATE, record_path
from livetrio.delivery.recording import Recording
from livetrio.errors import LocalProtocolError, RemoteProtocolError
from livetrio.logs import get_logger
from livetrio.media.edition import Edition
from livetrio.media.ring import Cursor, EndOfStream
from livetrio.packet import US_PER_SECOND, Kind, Packet

__all__ = ["RecordOptions", "Recorder", "RecorderCounts"]

log = get_logger(__name__)

T = TypeVar("T")

_HANGS: Final = 10.0
"""Seconds a disk may take for one batch."""
_NOTE_EVERY: Final = 5.0
"""Seconds between two notes of how long a recording is by now, for after a crash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordOptions:
    """Where recordings go and how they are split. Times in seconds."""

    folder: Path = Path("data/recordings")
    template: str = DEFAULT_TEMPLATE
    split_time: float = 0.0
    """A new file at the first key frame after that; 0: never."""
    split_size: int = 0
    """Bytes; likewise."""
    keep_time: float = 0.0
    """Recordings older than that are deleted; 0: none is."""
    keep_size: int = 0
    """Bytes of all; the oldest are deleted beyond. 0: none is."""
    pace: float = 0.5
    """Between two writes."""
    retry: float = 5.0
    """Until a disk that has refused is tried again."""


@dataclass(slots=True)
class RecorderCounts:
    """What happened, over all recorders; they never fall."""

    files: int = 0
    bytes: int = 0
    failures: int = 0
    """Times a disk refused."""
    jumps: int = 0
    """Times a disk was so slow that media were lost."""


@dataclass(slots=True, eq=False)
class _OpenFile:
    """A file that is being written, and where in the stream it stands."""

    file: RecordFile
    tape_file: TapeFile
    began: int
    """Time of its first frame, microseconds."""
    planned: int
    """Bytes, with those that are on their way to the disk."""
    noted: float = 0.0

    @property
    def recording(self) -> Recording:
        return self.file.recording


class Recorder:
    """One stream's recording; `run` it in the stream's scope."""

    def __init__(
        self,
        edition: Edition,
        format_: RecordFormat,
        options: RecordOptions,
        *,
        threads: trio.CapacityLimiter,
        counts: RecorderCounts,
        begun: Callable[[Recording], None],
        done: Callable[[Recording], None],
    ) -> None:
        """begun, done: told of each file."""
        self.format: RecordFormat = format_
        self._edition = edition
        self._options = options
        self._threads = threads
        self._counts = counts
        self._begun = begun
        self._done = done
        self._open: _OpenFile | None = None
        self.newest: Recording | None = None
        """The file that was begun last, open or not."""

    @property
    def recording(self) -> Recording | None:
        """The file of this moment."""
        return self._open.recording if self._open is not None else None

    async def run(self) -> None:
        """Record until the stream ends or the task is cancelled; either way finish the file."""
        cursor = self._edition.ring.cursor()
        try:
            while True:
                try:
                    await self._follow(cursor)
                except (OSError, RemoteProtocolError, LocalProtocolError) as error:
                    self._counts.failures += 1
                    about = {"stream": str(self._edition.key), "format": self.format}
                    log.warning("recording failed, to be tried again", **about, reason=str(error))
                    await self._abandon()
                    await trio.sleep(self._options.retry)
        except EndOfStream:
            return
        finally:
            with trio.CancelScope(shield=True):
                await self._abandon()

    async def _follow(self, cursor: Cursor) -> None:
        tape = make_tape(self.format)
        tape.feed(self._edition.ring.configs)
        jumps = cursor.jumps
        try:
            while True:
                packets = await cursor.read()
                if cursor.jumps != jumps:
                    self._counts.jumps += cursor.jumps - jumps
                    jumps = cursor.jumps
                    log.warning("recording lost media: slow disk", stream=str(self._edition.key))
                    await self._write(tape, tape.end())
                await self._write(tape, tape.feed(packets))
                await self._edition.pacer.rest(self._options.pace)
        except (EndOfStream, trio.Cancelled):
            with trio.CancelScope(shield=True):
                # The end of a stream often comes as a cancellation, in the middle of a rest.
                rest: list[Packet] = []
                with suppress(EndOfStream), trio.move_on_after(0):
                    rest = await cursor.read()  # at once, or not at all
                await self._write(tape, [*tape.feed(rest), *tape.end()])
            raise

    async def _write(self, tape: Tape, pieces: list[Piece]) -> None:
        """Bytes are made here, where nothing else runs; only they go to the thread."""
        batch: list[bytes] = []
        until = 0
        for piece in pieces:
            if self._is_new_file(piece):
                await self._put(batch, until)
                batch, until = [], 0
                await self._abandon()
                await self._begin(tape, piece)
            if self._open is None:
                continue  # before the first key frame
            data = self._open.tape_file.add(piece)
            batch.append(data)
            self._open.planned += len(data)
            until = max(until, piece.until)
        await self._put(batch, until)

    def _is_new_file(self, piece: Piece) -> bool:
        if not piece.begins:
            return False
        if self._open is None or piece.forced:
            return True
        options = self._options
        lasted = (piece.time - self._open.began) / US_PER_SECOND
        too_long = options.split_time and lasted >= options.split_time
        too_big = options.split_size and self._open.planned >= options.split_size
        return bool(too_long or too_big)

    async def _begin(self, tape: Tape, piece: Piece) -> None:
        tape_file = tape.open(piece)
        # The clock of the moment its first frame was captured, as far as we can know it: the
        # group of pictures that a recording begins with is seconds old.
        newest = self._edition.newest_dts
        age = 0 if newest is None else max(newest - piece.time, 0)
        began = time.time() - age / US_PER_SECOND
        stem = record_path(self._options.template, self._edition.key, began)
        recording = Recording(*self._edition.key, "", self.format, began)
        recording.codecs = [
            track.codec.value for track in self._edition.tracks if track.kind is not Kind.DATA
        ]
        create = partial(create_file, self._options.folder, stem, tape.suffix, recording)
        file = await self._in_thread(partial(create, tape_file.head))
        self._open = _OpenFile(file, tape_file, piece.time, recording.size)
        self.newest = recording
        self._counts.files += 1
        self._counts.bytes += recording.size
        self._begun(recording)

    async def _put(self, batch: list[bytes], until: int) -> None:
        """until: when the last frame in there is over."""
        data = b"".join(batch)
        current = self._open
        if current is None or not data:
            return
        note = trio.current_time() - current.noted >= _NOTE_EVERY
        lasted = max(until - current.began, 0) / US_PER_SECOND
        await self._in_thread(partial(current.file.write, data, note=note))
        current.recording.duration = max(current.recording.duration, lasted)
        if note:
            current.noted = trio.current_time()
        self._counts.bytes += len(data)

    async def _abandon(self) -> None:
        """Finish the file that is open, as well as the disk allows."""
        current, self._open = self._open, None
        if current is None:
            return
        recording = current.recording
        lasted = round(recording.duration * US_PER_SECOND)
        patches = current.tape_file.patches(lasted, recording.size)
        try:
            await self._in_thread(partial(current.file.finish, patches))
        except OSError as error:
            self._counts.failures += 1
            about = {"path": recording.path, "reason": str(error)}
            log.warning("recording not finished properly", **about)
        self._done(recording)

    async def _in_thread(self, job: Callable[[], T]) -> T:
        """Run a disk's work. A batch that was begun is ended, cancelled or not, but a disk that
        hangs (a network's) holds nobody up: the thread and its file are left to themselves."""
        with trio.move_on_after(_HANGS, shield=True):
            return await trio.to_thread.run_sync(job, limiter=self._threads, abandon_on_cancel=True)
        self._open = None
        raise OSError(f"the disk has not answered for {_HANGS:g} s")
