"""Library: the folders of files that can be played, by application, and the indexes of those
that were played lately.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Final, TypeVar
from weakref import WeakValueDictionary

import trio

from livetrio.errors import RefusalCode, Refused, RemoteProtocolError
from livetrio.media.vod.folder import MediaFile, candidates, open_below
from livetrio.media.vod.opened import OpenTitle
from livetrio.packet import StreamKey
from livetrio.wire.flv.title import read_flv
from livetrio.wire.mp4 import read_movie
from livetrio.wire.mpegts.title import HEAD, is_ts, read_ts
from livetrio.wire.title import Title

__all__ = ["Library"]

T = TypeVar("T")

_THREADS: Final = 8
_KEPT: Final = 32
"""Indexes; one of a film of two hours takes some megabytes."""

_Identity = tuple[int, int, int, int]


class Library:
    """Made by the composition root.

    Args:
        apps: the folder of each application that has one.
    """

    def __init__(self, apps: Mapping[str, Path]) -> None:
        self.apps = apps
        self._threads = trio.CapacityLimiter(_THREADS)
        self._titles: OrderedDict[_Identity, Title] = OrderedDict()
        self._making: WeakValueDictionary[_Identity, trio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def open_file(self, key: StreamKey, names: Sequence[str]) -> AsyncIterator[MediaFile]:
        """The first of some files of an application that is there, unread.

        Raises:
            Refused: NOT_FOUND.
        """
        folder = self.apps.get(key.app)
        if folder is None:
            raise Refused(RefusalCode.NOT_FOUND, f"there is no file {key}")
        async with self._opened(folder, names) as file:
            yield file

    @asynccontextmanager
    async def open(self, key: StreamKey) -> AsyncIterator[OpenTitle]:
        """What is played under a name, with its index.

        Raises:
            Refused: NOT_FOUND; UNAVAILABLE, the file cannot be played.
        """
        async with self.open_file(key, candidates(key.name)) as file:
            yield await self.index(file)

    @asynccontextmanager
    async def open_path(self, folder: Path, name: str) -> AsyncIterator[OpenTitle]:
        """A file of a folder that is no application's: a recording.

        Raises:
            Refused: as `open`.
        """
        async with self._opened(folder, [name]) as file:
            yield await self.index(file)

    @asynccontextmanager
    async def _opened(self, folder: Path, names: Sequence[str]) -> AsyncIterator[MediaFile]:
        file = await self.in_thread(partial(open_below, folder, names))
        if file is None:
            raise Refused(RefusalCode.NOT_FOUND, f"there is no file {names[0]}")
        with closing(file.file):
            yield file

    async def index(self, file: MediaFile) -> OpenTitle:
        """An open file with its index, which is made once for all who play it.

        Raises:
            Refused: UNAVAILABLE, the file cannot be played.
        """
        lock = self._making.get(file.identity)
        if lock is None:
            lock = self._making[file.identity] = trio.Lock()
        async with lock:
            title = self._titles.get(file.identity)
            if title is None:
                try:
                    title = await self.in_thread(partial(_read_title, file))
                except (RemoteProtocolError, OSError) as error:
                    reason = f"{file.name} cannot be played"
                    raise Refused(RefusalCode.UNAVAILABLE, reason, hint=str(error)) from error
            self._titles[file.identity] = title
            self._titles.move_to_end(file.identity)
            if len(self._titles) > _KEPT:
                self._titles.popitem(last=False)
        return OpenTitle(title, file, self.in_thread)

    async def in_thread(self, job: Callable[[], T]) -> T:
        """Run something that reads from a disk. It is waited for even when cancelled: an open
        file is not taken from under a thread. So it must be short, or ask itself whether anybody
        waits for it still."""
        return await trio.to_thread.run_sync(job, limiter=self._threads)


class _Awaited:
    """A file, as long as somebody waits for what is read from it: to look one through can take
    minutes, and the server must be able to stop."""

    def __init__(self, file: MediaFile) -> None:
        self._file = file
        self.size = file.size

    def read(self, offset: int, size: int) -> bytes:
        """See `Source.read`. Raises trio.Cancelled where nobody waits any more."""
        trio.from_thread.check_cancelled()
        return self._file.read(offset, size)


def _read_title(file: MediaFile) -> Title:
    """In one of Trio's threads."""
    source = _Awaited(file)
    head = source.read(0, HEAD)
    if head[:3] == b"FLV":  # by content: names lie
        return read_flv(source)
    if is_ts(head):
        return read_ts(source)
    return read_movie(source)
