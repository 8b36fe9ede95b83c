"""The embedded store: what survives, and what a broken file or folder says."""

import sqlite3
import stat

import pytest
import trio

from livetrio.errors import StoreError, StoreUnavailable
from livetrio.store import sqlite
from livetrio.store.sqlite import FILE_NAME, open_sqlite_keys


async def test_keys_survive_a_restart(tmp_path):
    async with open_sqlite_keys(tmp_path / "new" / "data") as keys:
        key = await keys.get("movie")
    async with open_sqlite_keys(tmp_path / "new" / "data") as keys:
        assert await keys.room_of(key) == "movie"


async def test_keys_survive_a_crash(tmp_path):
    async with open_sqlite_keys(tmp_path) as keys:
        key = await keys.get("movie")
        # What a killed process leaves behind: the file and its log, nothing closed.
        crashed = tmp_path / "crashed"
        crashed.mkdir()
        for file in tmp_path.glob(f"{FILE_NAME}*"):
            (crashed / file.name).write_bytes(file.read_bytes())
    async with open_sqlite_keys(crashed) as keys:
        assert await keys.room_of(key) == "movie"


async def test_two_processes_share_one_folder(tmp_path):
    async with open_sqlite_keys(tmp_path) as one, open_sqlite_keys(tmp_path) as two:
        key = await one.get("movie")
        assert await two.get("movie") == key
        new = await two.reset("movie")
        assert await one.room_of(key) is None
        assert await one.room_of(new) == "movie"


async def test_nobody_else_may_read_the_file(tmp_path):
    async with open_sqlite_keys(tmp_path) as keys:
        await keys.get("movie")
        for file in tmp_path.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_a_file_that_is_no_database_is_a_clear_error(tmp_path):
    (tmp_path / FILE_NAME).write_bytes(b"not a database, but quite long enough to be one" * 100)
    with pytest.raises(StoreError, match=rf"cannot use .*{FILE_NAME}: file is not a database"):
        async with open_sqlite_keys(tmp_path):
            pass


async def test_a_file_broken_later_is_a_clear_error_of_the_call(tmp_path):
    async with open_sqlite_keys(tmp_path) as keys:
        await keys.get("movie")
    path = tmp_path / FILE_NAME
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    async with open_sqlite_keys(tmp_path) as keys:
        with pytest.raises(StoreError, match="malformed"):
            await keys.key_of("movie")
        with pytest.raises(StoreError, match="malformed"):
            await keys.reset("movie")


async def test_a_folder_that_cannot_be_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot use .*/file/data/"):
        async with open_sqlite_keys(tmp_path / "file" / "data"):
            pass


async def test_a_folder_in_the_files_place_is_a_clear_error(tmp_path):
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(StoreError, match="Is a directory"):
        async with open_sqlite_keys(tmp_path):
            pass


async def test_a_file_that_turns_read_only_is_a_clear_error(tmp_path):
    async with open_sqlite_keys(tmp_path) as keys:
        keys._writer.execute("PRAGMA query_only = ON")  # permissions do not stop root
        with pytest.raises(StoreError, match="readonly database"):
            await keys.get("movie")


async def test_a_newer_file_is_left_alone(tmp_path):
    async with open_sqlite_keys(tmp_path):
        pass
    other = sqlite3.connect(tmp_path / FILE_NAME)
    other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(StoreError, match="newer livetrio"):
        async with open_sqlite_keys(tmp_path):
            pass


async def test_a_locked_file_is_unavailable_to_writers_and_readable(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "_BUSY_SECONDS", 0.01)
    async with open_sqlite_keys(tmp_path) as keys:
        key = await keys.get("movie")
        other = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked by another process"):
            await keys.reset("movie")
        assert await keys.room_of(key) == "movie"
        other.execute("ROLLBACK")
        other.close()
        assert await keys.reset("movie") != key


async def test_a_cancelled_writer_leaves_the_store_usable(tmp_path):
    async with open_sqlite_keys(tmp_path) as keys:
        with trio.CancelScope() as scope:
            scope.cancel()
            await keys.reset("movie")
        assert scope.cancelled_caught
        assert await keys.room_of(await keys.get("movie")) == "movie"
