"""From a name that a peer gave to an open file, and never out of the folder.

Links inside the folder are followed as long as they stay there. The way is walked without
following links once it is known, so that nothing exchanged in between leads elsewhere.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final

__all__ = ["SUFFIXES", "MediaFile", "candidates", "open_below"]

_FLV: Final = (".flv",)
_MP4: Final = (".mp4", ".m4v", ".mov", ".m4a", ".f4v")
_TS: Final = (".ts",)
SUFFIXES: Final = (*_FLV, *_MP4, *_TS)
_PREFIXES: Final = {"flv:": _FLV, "mp4:": _MP4}


class MediaFile:
    """A regular file, open for reading; also a wire.title.Source. Close it by `file`."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        about = os.fstat(file.fileno())
        self.file = file
        self.name = name
        """Below its folder."""
        self.size = about.st_size
        self.modified = about.st_mtime
        """Unix time, seconds."""
        self.identity = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)
        self.bytes_read = 0

    @property
    def version(self) -> str:
        """Changes with the file's content: a short text for URLs and ETags."""
        return f"{self.identity[3]:x}{self.size:x}"

    def read(self, offset: int, size: int) -> bytes:
        """See `Source.read`."""
        data = os.pread(self.file.fileno(), size, offset) if size > 0 else b""
        self.bytes_read += len(data)
        return data


def candidates(name: str) -> Sequence[str]:
    """The files a name may mean, as nginx-rtmp takes it: `35`, `35.mp4`, `mp4:35`, `flv:35`."""
    prefix = name[:4]
    suffixes = _PREFIXES.get(prefix, SUFFIXES)
    name = name.removeprefix(prefix) if prefix in _PREFIXES else name
    exact = (name,) if name.endswith(suffixes) else ()
    return (*exact, *(name + suffix for suffix in suffixes))


def open_below(folder: Path, names: Sequence[str]) -> MediaFile | None:
    """The first of some files that is there; None if none is. Blocks: call it in a thread.

    Args:
        folder: what must not be left.
        names: paths below it, checked by `check_name`.
    """
    root = os.path.realpath(folder)
    for name in names:
        try:
            path = os.path.realpath(os.path.join(root, name))
            if os.path.commonpath((root, path)) == root and path != root:
                return MediaFile(_walk(root, os.path.relpath(path, root).split(os.sep)), name)
        except (OSError, ValueError):  # not there, no file, NUL, too long
            continue
    return None


def _walk(root: str, parts: Sequence[str]) -> BinaryIO:
    """Open a file below a folder, step by step, no step a link."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    where = os.open(root, flags | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            inner = os.open(part, flags | os.O_DIRECTORY, dir_fd=where)
            os.close(where)
            where = inner
        # Without O_NONBLOCK a FIFO in the folder would hold the thread for ever.
        found = os.open(parts[-1], flags | os.O_NONBLOCK, dir_fd=where)
    finally:
        os.close(where)
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise FileNotFoundError(parts[-1])
    return os.fdopen(found, "rb", buffering=0)
