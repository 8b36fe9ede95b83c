"""Recorder: follows one stream into files. The disk never holds the stream up.

Reads the ring with a cursor of its own and writes in worker threads, a batch at a time. A disk
that is slow makes the cursor jump, one that refuses makes it pause and try again with a new
file; both are logged and counted, and nobody else notices.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

import trio

from livetrio.delivery.record_formats import Piece, RecordFormat, Tape, TapeFile, make_tape
from livetrio.delivery.record_path import DEFAULT_TEMPLATE, record_path
from livetrio.delivery.recording import Recording, save_recording
from livetrio.errors import LocalProtocolError, RemoteProtocolError
from livetrio.logs import get_logger
from livetrio.media.edition import Edition
from livetrio.media.ring import Cursor, EndOfStream
from livetrio.packet import US_PER_SECOND, Kind

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
    """A file that is being written: all its methods run in worker threads."""

    recording: Recording
    file: BinaryIO
    tape_file: TapeFile
    began: int
    """Time of its first frame, microseconds."""
    noted: float = 0.0

    def finish(self, folder: Path) -> None:
        """Patch, close, note. The file is closed whatever happens."""
        with contextlib.closing(self.file):
            duration = round(self.recording.duration * US_PER_SECOND)
            for offset, data in self.tape_file.patches(duration):
                self.file.seek(offset)
                self.file.write(data)
        self.recording.finished = True
        save_recording(folder, self.recording)


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
                await self._write(tape, tape.end())
            raise

    async def _write(self, tape: Tape, pieces: list[Piece]) -> None:
        """Bytes are made here, where nothing else runs; only they go to the thread."""
        batch: list[bytes] = []
        for piece in pieces:
            if self._is_new_file(piece):
                await self._put(batch)
                batch = []
                await self._abandon()
                await self._begin(tape, piece)
            if self._open is None:
                continue  # before the first key frame
            data = self._open.tape_file.add(piece)
            batch.append(data)
            self._open.recording.size += len(data)
            elapsed = max(piece.until - self._open.began, 0) / US_PER_SECOND
            self._open.recording.duration = max(self._open.recording.duration, elapsed)
        await self._put(batch)

    def _is_new_file(self, piece: Piece) -> bool:
        if not piece.begins:
            return False
        if self._open is None or piece.forced:
            return True
        options = self._options
        lasted = (piece.time - self._open.began) / US_PER_SECOND
        too_long = options.split_time and lasted >= options.split_time
        too_big = options.split_size and self._open.recording.size >= options.split_size
        return bool(too_long or too_big)

    async def _begin(self, tape: Tape, piece: Piece) -> None:
        tape_file = tape.open(piece)
        began = time.time()
        stem = record_path(self._options.template, self._edition.key, began)
        recording = Recording(*self._edition.key, "", self.format, began)
        recording.codecs = [
            track.codec.value for track in self._edition.tracks if track.kind is not Kind.DATA
        ]
        open_file = await self._in_thread(
            lambda: _create(self._options.folder, stem, tape.suffix, recording)
        )
        self._open = _OpenFile(recording, open_file, tape_file, piece.time)
        self._counts.files += 1
        self._begun(recording)
        recording.size = len(tape_file.head)
        await self._put([tape_file.head])

    async def _put(self, batch: list[bytes]) -> None:
        data = b"".join(batch)
        current = self._open
        if current is None or not data:
            return
        note = trio.current_time() - current.noted >= _NOTE_EVERY

        def write() -> None:
            current.file.write(data)
            if note:
                save_recording(self._options.folder, current.recording)

        await self._in_thread(write)
        if note:
            current.noted = trio.current_time()
        self._counts.bytes += len(data)

    async def _abandon(self) -> None:
        """Finish the file that is open, as well as the disk allows."""
        current, self._open = self._open, None
        if current is None:
            return
        try:
            await self._in_thread(lambda: current.finish(self._options.folder))
        except OSError as error:
            self._counts.failures += 1
            path = current.recording.path
            log.warning("recording not finished properly", path=path, reason=str(error))
        self._done(current.recording)

    async def _in_thread(self, job: Callable[[], T]) -> T:
        """Run a disk's work. A batch that was begun is ended, cancelled or not, but a disk that
        hangs (a network's) holds nobody up: the thread and its file are left to themselves."""
        with trio.move_on_after(_HANGS, shield=True):
            return await trio.to_thread.run_sync(job, limiter=self._threads, abandon_on_cancel=True)
        self._open = None
        raise OSError(f"the disk has not answered for {_HANGS:g} s")


def _create(folder: Path, stem: Path, suffix: str, recording: Recording) -> BinaryIO:
    """A new file, never one that is there; two within a second get a number."""
    (folder / stem).parent.mkdir(parents=True, exist_ok=True)
    for number in range(1, 1_000):
        name = stem.name + (f"-{number}" if number > 1 else "") + suffix
        with contextlib.suppress(FileExistsError):
            # Unbuffered: what was written survives the process, if not the machine.
            file = (folder / stem.parent / name).open("xb", buffering=0)
            recording.path = (stem.parent / name).as_posix()
            return file
    raise OSError(f"a thousand recordings are called {stem} already")
