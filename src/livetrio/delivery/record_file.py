"""The file of a recording: what touches the disk. Everything here blocks: call it in threads.

A disk that refuses in the middle of a batch leaves the file as it was before that batch, so that
what is there always plays.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final

from livetrio.delivery.recording import Recording, save_recording

__all__ = ["RecordFile", "create_file"]

_SPARE: Final = 16 << 20
"""Bytes that must be free for a new file to be begun: a full disk is not filled with files of
nothing, and something is left for the database beside them."""


class RecordFile:
    """An open file; made by `create_file`."""

    def __init__(self, folder: Path, file: BinaryIO, recording: Recording, size: int) -> None:
        self.recording = recording
        self._folder = folder
        self._file = file
        self._head = size

    def write(self, data: bytes, *, note: bool) -> None:
        """Add a batch, whole or not at all; and note how long the recording is by now.

        Raises:
            OSError: the disk refuses.
        """
        before = self.recording.size
        try:
            _write_all(self._file, data)
        except OSError:
            with contextlib.suppress(OSError):
                self._file.truncate(before)
            raise
        self.recording.size = before + len(data)
        if note:
            save_recording(self._folder, self.recording)

    def finish(self, patches: Sequence[tuple[int, bytes]]) -> None:
        """Patch, close, note. A file with nothing in it is deleted, and its recording's size 0.

        The file is closed whatever happens.

        Raises:
            OSError: the disk refuses.
        """
        with contextlib.closing(self._file):
            if self.recording.size <= self._head:
                self.recording.size = 0
                (self._folder / self.recording.path).unlink(missing_ok=True)
                return
            for offset, data in patches:
                self._file.seek(offset)
                _write_all(self._file, data)
        self.recording.finished = True
        save_recording(self._folder, self.recording)


def create_file(
    folder: Path, stem: Path, suffix: str, recording: Recording, head: bytes
) -> RecordFile:
    """A new file with its beginning, never one that is there; two within a second get a number.

    Raises:
        OSError: the disk refuses, or is nearly full; nothing is left there then.
    """
    above = folder / stem.parent
    above.mkdir(parents=True, exist_ok=True)
    about = os.statvfs(above)
    if about.f_bavail * about.f_frsize < _SPARE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    for number in range(1, 1_000):
        name = stem.name + (f"-{number}" if number > 1 else "") + suffix
        with contextlib.suppress(FileExistsError):
            # Unbuffered: what was written survives the process, if not the machine.
            file = (above / name).open("xb", buffering=0)
            try:
                _write_all(file, head)
            except OSError:
                file.close()
                (above / name).unlink(missing_ok=True)
                raise
            recording.path = (stem.parent / name).as_posix()
            recording.size = len(head)
            return RecordFile(folder, file, recording, len(head))
    raise OSError(f"a thousand recordings are called {stem} already")


def _write_all(file: BinaryIO, data: bytes) -> None:
    """A raw file writes as much as there is room for; the next try says why it was not all."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]
