"""Room keys in a file under `data_dir`: the embedded store.

Two connections in WAL mode. Reads are inline: a lookup by primary key in a page-cached file takes
some 5 µs, far less than a hop to a worker thread and back, and a reader in WAL mode never waits
for a writer. Writes end in an fsync, which may take a disk's own time, so they happen in a worker
thread, one after the other.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Final, TypeVar

import trio

from livetrio.errors import StoreError, StoreUnavailable
from livetrio.store.keys import check_room, new_key

__all__ = ["FILE_NAME", "SqliteKeys", "open_sqlite_keys"]

T = TypeVar("T")

FILE_NAME: Final = "livetrio.db"
_VERSION: Final = 1
_BUSY_SECONDS: Final = 2.0
"""How long a writer waits for another process (a backup, a second livetrio) to let go."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS room_keys (
    room TEXT PRIMARY KEY,
    key TEXT NOT NULL UNIQUE
) WITHOUT ROWID
"""


@asynccontextmanager
async def open_sqlite_keys(data_dir: Path) -> AsyncIterator[SqliteKeys]:
    """The keys kept under this folder, which is made if need be.

    Raises:
        StoreError: the folder or file cannot be made, read or written, is no database, or was
            written by a newer version.
        StoreUnavailable: another process holds the file locked.
    """
    path = data_dir / FILE_NAME
    with closing(await trio.to_thread.run_sync(_open_writer, path)) as writer:
        with _errors(path):
            reader = _connect(path)
        with closing(reader):
            yield SqliteKeys(path, reader, writer)


class SqliteKeys:
    """`RoomKeys` in SQLite; made by `open_sqlite_keys`."""

    def __init__(self, path: Path, reader: sqlite3.Connection, writer: sqlite3.Connection) -> None:
        self._path = path
        self._reader = reader
        self._writer = writer
        self._turn = trio.Lock()

    async def get(self, room: str) -> str:
        if key := await self.key_of(room):
            return key
        check_room(room)

        def create() -> str:
            # Another process may have been quicker: then its key is the one.
            self._writer.execute(
                "INSERT INTO room_keys (room, key) VALUES (?, ?) ON CONFLICT (room) DO NOTHING",
                (room, new_key()),
            )
            found = self._writer.execute("SELECT key FROM room_keys WHERE room = ?", (room,))
            return str(found.fetchone()[0])

        return await self._write(create)

    async def reset(self, room: str) -> str:
        check_room(room)
        key = new_key()

        def replace() -> str:
            self._writer.execute(
                "INSERT INTO room_keys (room, key) VALUES (?, ?) "
                "ON CONFLICT (room) DO UPDATE SET key = excluded.key",
                (room, key),
            )
            return key

        return await self._write(replace)

    async def delete(self, room: str) -> bool:
        def remove() -> bool:
            done = self._writer.execute("DELETE FROM room_keys WHERE room = ?", (room,))
            return done.rowcount > 0

        return await self._write(remove)

    async def key_of(self, room: str) -> str | None:
        return self._read("SELECT key FROM room_keys WHERE room = ?", room)

    async def room_of(self, key: str) -> str | None:
        return self._read("SELECT room FROM room_keys WHERE key = ?", key)

    def _read(self, query: str, value: str) -> str | None:
        with _errors(self._path):
            row = self._reader.execute(query, (value,)).fetchone()
        return None if row is None else str(row[0])

    async def _write(self, change: Callable[[], T]) -> T:
        """Run a change in a transaction, in a worker thread.

        A cancelled caller still waits for the commit: it takes milliseconds, `_BUSY_SECONDS` at
        most, and afterwards it is known whether the change happened.
        """

        def run() -> T:
            with _errors(self._path), self._writer:
                self._writer.execute("BEGIN IMMEDIATE")
                return change()

        async with self._turn:
            return await trio.to_thread.run_sync(run)


def _open_writer(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Made here, not by SQLite, because keys are secrets: nobody else may read the file (its
        # -wal and -shm files take over these permissions).
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(f"cannot use {path}: {error.strerror}") from error
    with _errors(path):
        writer = _connect(path)
        try:
            (version,) = writer.execute("PRAGMA user_version").fetchone()
            if version > _VERSION:
                raise StoreError(f"{path} was written by a newer livetrio (version {version})")
            writer.execute("PRAGMA journal_mode = WAL")
            writer.execute(_SCHEMA)
            writer.execute(f"PRAGMA user_version = {_VERSION}")
        except (sqlite3.Error, StoreError):
            writer.close()
            raise
    return writer


def _connect(path: Path) -> sqlite3.Connection:
    # Used by one thread at a time (the lock), not by always the same one.
    connection = sqlite3.connect(
        path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    # The default in SQLite; said because it matters: a key that an operator has read is on the
    # disk, not only in the log, when the power goes.
    connection.execute("PRAGMA synchronous = FULL")
    return connection


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """SQLite's errors as ours, in one place."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise StoreUnavailable(f"{path} is locked by another process") from error
        raise StoreError(f"cannot use {path}: {error}") from error
