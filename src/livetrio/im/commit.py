"""Committer: durable channels: one task that appends for all of them, then numbers and broadcasts.

What waits while a commit is under way goes into the next one (group commit): with a database
behind the log, its price is paid per batch. In a task of its own and not in the senders': one
that is cancelled half-way would leave a record that was committed and never broadcast.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import trio

from livetrio.errors import RefusalCode, Refused, StoreError
from livetrio.im.channel import Channel
from livetrio.im.words import NO_TAGS, History, Lane, Position, Publication, Sender
from livetrio.logs import get_logger
from livetrio.store.log import Appended, DurableLog, Entry, Record

__all__ = ["Committer"]

log = get_logger(__name__)

_BATCH = 256
_QUEUE = 10_000
"""Publications that may wait for the log; more are refused."""
_TAIL = 100
"""Records a channel remembers of its log when it is first used."""
_PAGE = 1_000
"""Records that one question may read."""


@dataclass(slots=True, eq=False)
class _Waiting:
    room: Channel
    publication: Publication
    done: trio.Event = field(default_factory=trio.Event)
    position: Position | None = None


class Committer:
    """Somebody has to run it: `nursery.start_soon(committer.run)`."""

    def __init__(
        self,
        durable: DurableLog,
        accept: Callable[[Channel, Publication, Position], None],
    ) -> None:
        """accept: number, remember and broadcast what has been committed, in one breath."""
        self._log = durable
        self._accept = accept
        self._queue: deque[_Waiting] = deque()
        self._wake = trio.Event()

    async def append(self, room: Channel, publication: Publication) -> Position:
        """Returns when it is committed, and on its way to the members.

        Raises:
            Refused: UNAVAILABLE; then it may be in the log or not (a retry with the same id
                does not double it).
        """
        if len(self._queue) >= _QUEUE:
            raise Refused(RefusalCode.UNAVAILABLE, "too much is waiting to be stored")
        waiting = _Waiting(room, publication)
        self._queue.append(waiting)
        self._wake.set()
        with _pinned(room):
            await waiting.done.wait()
        if waiting.position is None:
            raise Refused(RefusalCode.UNAVAILABLE, "it cannot be stored now")
        return waiting.position

    async def missed_since(
        self, room: Channel, since: Position | None
    ) -> Sequence[Publication] | None:
        """Make the channel ready to be joined; what the log has after a position, if asked.

        Raises:
            Refused: UNAVAILABLE.
        """
        with _pinned(room), _available():
            while room.cold:
                await self._warm(room)
            if since is None or since.epoch != room.epoch or since.offset + 1 >= room.oldest():
                return None
            if room.offset - since.offset > room.options.recovery_limit:
                return None
            found = await self._log.read(room.name, since.offset, room.options.recovery_limit)
            return [_publication(record) for record in found]

    async def history(
        self, room: Channel, since: Position | None, limit: int, *, reverse: bool
    ) -> History:
        """As `Hub.history`, from the log. Raises Refused (GONE, UNAVAILABLE)."""
        with _pinned(room), _available():
            while room.cold:
                await self._warm(room)
            top = room.position
            if since is not None and (
                (since.epoch and since.epoch != top.epoch)
                or (since.offset > top.offset and not reverse)
            ):
                raise Refused(RefusalCode.GONE, "unrecoverable position")
            count = _PAGE if limit < 0 else min(limit, _PAGE)
            if count == 0:
                return History([], top)
            if reverse:
                before = since.offset if since is not None else top.offset + 1
                found = await self._log.read_back(room.name, before, count)
            else:
                after = since.offset if since is not None else 0
                found = await self._log.read(room.name, after, count)
            return History([_publication(record) for record in found], top)

    async def run(self) -> None:
        """Commit what waits, batch by batch, until cancelled."""
        while True:
            if not self._queue:
                self._wake = trio.Event()
                await self._wake.wait()
            batch = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
            try:
                await self._commit(batch)
            except StoreError as error:
                log.error("messages could not be stored", count=len(batch), reason=str(error))
            finally:
                for waiting in batch:
                    waiting.done.set()

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        entries = [Entry(w.room.name, _record(w.publication)) for w in batch]
        for waiting, appended in zip(batch, await self._log.append(entries), strict=True):
            waiting.position = Position(appended.epoch, appended.offset)
            if appended.fresh:
                await self._place(waiting.room, waiting.publication, appended)

    async def _place(self, room: Channel, publication: Publication, appended: Appended) -> None:
        if room.cold:  # nobody is in it: who joins will read the log
            room.offset = max(room.offset, appended.offset)
            return
        if appended.epoch == room.epoch and appended.offset > room.offset + 1:
            # A commit that seemed to fail had not: its records come first.
            missing = appended.offset - room.offset - 1
            for record in await self._log.read(room.name, room.offset, missing):
                self._accept(room, _publication(record), Position(room.epoch, record.offset))
        self._accept(room, publication, Position(appended.epoch, appended.offset))

    async def _warm(self, room: Channel) -> None:
        """Learn where the channel stands, and its last few records."""
        top = await self._log.top(room.name)
        count = min(_TAIL, room.options.history_size)
        tail = await self._log.read(room.name, max(top.offset - count, 0), count)
        if room.cold and top.offset >= room.offset:  # else one was committed meanwhile: again
            room.begin(Position(top.epoch, top.offset))
            for record in tail:
                if record.offset <= top.offset:
                    room.keep(_publication(record), trio.current_time())


@contextmanager
def _pinned(room: Channel) -> Iterator[None]:
    room.pins += 1
    try:
        yield
    finally:
        room.pins -= 1


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        log.error("the log cannot be read", reason=str(error))
        raise Refused(RefusalCode.UNAVAILABLE, "its history cannot be read now") from None


def _record(publication: Publication) -> Record:
    sender = publication.sender or Sender("")
    return Record(
        time=publication.time,
        data=publication.data,
        op=publication.op,
        user=sender.user,
        client=sender.client,
        device=sender.device,
        info=sender.info,
        tags=publication.tags,
        author=sender.user or sender.client,
        id=publication.id,
    )


def _publication(record: Record) -> Publication:
    known = record.user or record.client or record.device
    sender = Sender(record.user, record.client, record.device, info=record.info) if known else None
    return Publication(
        record.offset,
        record.time,
        record.data,
        record.op,
        sender,
        record.tags or NO_TAGS,
        Lane.P1,
        record.id,
    )
