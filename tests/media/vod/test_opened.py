"""Files that take long to look through: whoever gives up is let go, and reading has an end."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio
from kit.media import sample_packets
from kit.ts import SIZE, transport, ts_file

from livetrio.media.vod import library as library_module
from livetrio.media.vod import opened as opened_module
from livetrio.media.vod.library import Library
from livetrio.packet import Kind, StreamKey

PACKETS = [p for p in sample_packets(4.0) if p.track.kind is not Kind.DATA]
GOOD = ts_file(PACKETS)
KEY = StreamKey("vod", "35")
_NONSENSE = transport(0x1FFF, bytes(184))


def with_nonsense(size: int) -> bytes:
    """So many bytes that nothing comes of, between two frames."""
    middle = len(GOOD) // 2 // SIZE
    cut = next(
        n * SIZE
        for n in range(middle, len(GOOD) // SIZE)
        if GOOD[n * SIZE + 1] & 0x40 and GOOD[n * SIZE + 1] & 0x1F == 1
    )
    return GOOD[:cut] + _NONSENSE * (size // SIZE) + GOOD[cut:]


@asynccontextmanager
async def opened(folder, data: bytes):
    (folder / "35.ts").write_bytes(data)
    async with Library({"vod": folder}).open(KEY) as title:
        yield title


async def test_looking_a_file_through_ends_when_nobody_waits_for_it_any_more(tmp_path, monkeypatch):
    (tmp_path / "35.flv").write_bytes(b"FLV\x01" + bytes(100))
    begun = trio.Event()

    def for_long(source):
        trio.from_thread.run_sync(begun.set)
        for _ in range(1_000_000):
            source.read(0, 1)
        pytest.fail("it was read on")

    monkeypatch.setattr(library_module, "read_flv", for_long)
    library = Library({"vod": tmp_path})

    async def play() -> None:
        async with library.open(KEY):
            pytest.fail("there is nothing to be opened")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(play)
        await begun.wait()
        nursery.cancel_scope.cancel()
    monkeypatch.undo()
    (tmp_path / "35.flv").unlink()
    (tmp_path / "35.ts").write_bytes(GOOD)
    async with library.open(KEY) as title:  # its threads are free
        assert len(title.title.points) == 4


async def test_nonsense_is_read_a_block_at_a_time_and_what_is_behind_it_is_played(tmp_path):
    async with opened(tmp_path, with_nonsense(5 << 20)) as title:
        reader = title.reader(0)
        found, empty = [], 0
        while not reader.over:
            batch = await reader.read_some()
            empty += not batch
            found += batch
        assert empty >= 3
        assert await reader.read() == []
        reader = title.reader(0)
        again = []
        while batch := await reader.read():
            again += batch
        assert [p.data for p in again] == [p.data for p in found]
        assert len(found) == sum(not p.config for p in PACKETS)


async def test_in_one_piece_no_more_is_read_than_a_few_times_what_may_come_of_it(tmp_path):
    async with opened(tmp_path, with_nonsense(12 << 20)) as title:
        before = title.file.bytes_read
        assert await title.read_all(0, 4, 1 << 20) is None
        assert title.file.bytes_read - before < 6 << 20
        whole = await title.read_all(0, 4, 16 << 20)
        assert whole is not None
        assert len(whole) == sum(not p.config for p in PACKETS)


async def test_in_one_piece_the_smallest_frames_count_too(tmp_path):
    tiny = [replace(p, data=p.data[:1]) if p.track.kind is Kind.AUDIO else p for p in PACKETS]
    tiny = [p if p.config else replace(p, data=p.data or b"x") for p in tiny]
    async with opened(tmp_path, ts_file(tiny)) as title:
        packets = await title.read_all(0, 4, 1 << 20)
        assert packets is not None
        size = sum(len(p.data) for p in packets)
        assert size < 16 * len(packets)
        assert await title.read_all(0, 4, len(packets) * (opened_module._PACKET - 1)) is None
