"""Durable log: what channels have said, numbered and kept; the Protocol and its embedded memory."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

__all__ = ["Appended", "DurableLog", "Entry", "MemoryLog", "Record", "Top"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One message as it is kept."""

    offset: int = 0
    """Given by the log: 1 is a channel's first, without gaps."""
    time: int
    """Unix time, milliseconds."""
    data: bytes
    op: int = 0
    user: str = ""
    client: str = ""
    device: str = ""
    info: bytes = b""
    tags: Mapping[str, str] = field(default_factory=dict)
    author: str = ""
    """With `id`: whose idempotency key it is."""
    id: str = ""
    """"" is none."""


class Entry(NamedTuple):
    """What is to be appended, and where."""

    channel: str
    record: Record


class Appended(NamedTuple):
    """Where it went."""

    epoch: str
    offset: int
    fresh: bool
    """False: it was there already, by (author, id)."""


class Top(NamedTuple):
    """Where a channel stands."""

    epoch: str
    """Random per life of the numbering: never the same again after a loss."""
    offset: int
    """Of the newest record; 0 before the first."""


class DurableLog(Protocol):
    """Numbers records and keeps them. Offsets are contiguous per channel and never given twice.

    Every method answers within a deadline or raises StoreUnavailable, and raises StoreError where
    what is stored cannot be used.
    """

    async def append(self, entries: Sequence[Entry]) -> Sequence[Appended]:
        """Commit all of them, in this order, or none. When it returns they survive a crash.

        A record with an id that its author used in this channel lately is not appended again.
        """
        ...

    async def top(self, channel: str) -> Top:
        """Where the channel stands; makes it if there is none (so that its epoch is known)."""
        ...

    async def read(self, channel: str, after: int, limit: int) -> Sequence[Record]:
        """Records after an offset, oldest first, at most `limit`."""
        ...

    async def read_back(self, channel: str, before: int, limit: int) -> Sequence[Record]:
        """Records before an offset, newest first, at most `limit`."""
        ...

    async def remove(self, channel: str) -> None:
        """Forget the records of a channel; its numbering goes on."""
        ...


@dataclass(slots=True)
class _Book:
    epoch: str = field(default_factory=lambda: secrets.token_urlsafe(6))
    removed: int = 0
    records: list[Record] = field(default_factory=list)
    ids: dict[tuple[str, str], int] = field(default_factory=dict)


class MemoryLog:
    """`DurableLog` in lists: the contract at its shortest. It is forgotten with the process, and
    the next process has other epochs, so that nobody is told otherwise."""

    def __init__(self) -> None:
        self._books: dict[str, _Book] = {}

    async def append(self, entries: Sequence[Entry]) -> Sequence[Appended]:
        return [self._append(entry.channel, entry.record) for entry in entries]

    async def top(self, channel: str) -> Top:
        book = self._books.setdefault(channel, _Book())
        return Top(book.epoch, book.removed + len(book.records))

    async def read(self, channel: str, after: int, limit: int) -> Sequence[Record]:
        book = self._books.get(channel)
        if book is None:
            return []
        start = max(after - book.removed, 0)
        return book.records[start : start + limit]

    async def read_back(self, channel: str, before: int, limit: int) -> Sequence[Record]:
        book = self._books.get(channel)
        if book is None:
            return []
        end = max(min(before - 1 - book.removed, len(book.records)), 0)
        return book.records[max(end - limit, 0) : end][::-1]

    async def remove(self, channel: str) -> None:
        book = self._books.get(channel)
        if book is not None:
            book.removed += len(book.records)
            book.records.clear()
            book.ids.clear()

    def _append(self, channel: str, record: Record) -> Appended:
        book = self._books.setdefault(channel, _Book())
        key = record.author, record.id
        if record.id and (offset := book.ids.get(key)) is not None:
            return Appended(book.epoch, offset, fresh=False)
        offset = book.removed + len(book.records) + 1
        book.records.append(replace(record, offset=offset))
        if record.id:
            book.ids[key] = offset
        return Appended(book.epoch, offset, fresh=True)
