"""Outbox: what one peer is still to be sent, bounded in time and bytes.

`send` is a plain call that hands bytes to the kernel at once. Only what a socket would not
take waits here, and only then does a drain task exist. Waiting media are dropped whole, from
the oldest on, up to the newest key frame: the slow one pays, and it is counted. Refused: a
task and a channel per viewer (three times the CPU, see docs/performance.md).
"""

from __future__ import annotations

import math
import socket
from collections import deque
from dataclasses import dataclass
from typing import Final

import trio

from livetrio.net.scope import Scope

__all__ = ["Block", "Outbox", "OutboxLimits", "TlsOutbox"]

_MAX_SEND = 1 << 20
_TLS_PIECE = 32 << 10
"""Bytes encrypted at once: taking each of them in time is what shows that a viewer lives."""
_LAST_WORDS = 30.0
"""Seconds for all that is queued when a connection is to close after it."""

_NOTHING: Final[deque[Block]] = deque()
"""The queue of every outbox that has none: an empty deque takes 760 bytes, and nearly all of
thousands are empty nearly always. Never appended to."""


@dataclass(slots=True, eq=False)
class Block:
    """Bytes of one flush, shared by every viewer of a format. Never changed once made."""

    data: bytes
    key_at: int = -1
    """Where in data the newest key frame starts; -1 if there is none."""
    headers: bytes = b""
    """What a decoder must be given before data[key_at:] if it missed what came before."""
    queued_at: float = 0.0
    """Trio time of the flush."""
    media: bool = True
    """May be dropped for a viewer that is too slow."""

    def restart(self) -> Block:
        """This block for a viewer that starts at its key frame."""
        return Block(self.headers + self.data[self.key_at :], 0, b"", self.queued_at)


@dataclass(frozen=True, slots=True)
class OutboxLimits:
    """How far behind a peer may fall."""

    lag: float = 5.0
    """Seconds of queued media before the viewer jumps to the newest key frame."""
    size: int = 16 << 20
    """Bytes queued, all kinds; with the same consequence, or the end for what must be sent."""
    stall: float = 10.0
    """Seconds without a single byte taken before the peer is closed."""


class Outbox:
    """The send side of one connection: a plain non-blocking socket."""

    __slots__ = (
        "_draining",
        "_empty",
        "_ending",
        "_ends_at",
        "_limits",
        "_offset",
        "_queue",
        "_scope",
        "_sending",
        "_size",
        "_sock",
        "dropped",
        "jumps",
        "sent",
        "skipping",
    )

    def __init__(self, sock: socket.socket | None, scope: Scope, limits: OutboxLimits) -> None:
        self._sock = sock
        self._scope = scope
        self._limits = limits
        self._queue = _NOTHING
        self._offset = 0  # bytes of the first block that are gone already
        self._size = 0
        self._draining = False
        self._sending = False  # TLS: the first block is being encrypted and sent
        self._empty: trio.Event | None = None
        self._ending = ""
        self._ends_at = math.inf
        self.sent = 0
        """Bytes handed to the kernel."""
        self.dropped = 0
        """Bytes of media this viewer was not sent."""
        self.jumps = 0
        """Times it was moved to a newer key frame."""
        self.skipping = False
        """Media are dropped until the next key frame."""

    @property
    def queued(self) -> int:
        """Bytes waiting."""
        return self._size

    def send(self, data: bytes) -> None:
        """Send what must not be lost; the peer is closed if that cannot be queued."""
        if data:
            self._offer(Block(data, media=False))

    def send_block(self, block: Block) -> None:
        """Send media, or a part from a key frame on, or nothing to one that is too slow."""
        if not self._queue and not self.skipping:  # nearly always: keep it short
            data = block.data
            count = self._try_send(data)
            if count < len(data):
                self._enqueue(block, count)
            return
        if self.skipping:
            if block.key_at < 0:
                self.dropped += len(block.data)
                return
            self.skipping = False
            self.dropped += block.key_at
            block = block.restart()
        if self._queue:
            self._enqueue(block, 0)
            if (
                self._size > self._limits.size
                or block.queued_at - self._oldest() > self._limits.lag
            ):
                self._jump()
        else:
            self._offer(block)

    def finish(self, reason: str) -> None:
        """Close the connection when all that is queued has gone out."""
        if self._queue:
            self._ending = reason
            self._ends_at = trio.current_time() + _LAST_WORDS
        else:
            self._scope.cancel(reason)

    async def flushed(self) -> None:
        """Return when nothing is queued (or the peer is gone). Bound it with a deadline."""
        if self._draining:
            if self._empty is None:
                self._empty = trio.Event()
            await self._empty.wait()

    def _offer(self, block: Block) -> None:
        if self._queue:
            self._enqueue(block, 0)
            if self._size > self._limits.size:
                self._fail("cannot be sent what it must be: its queue is full")
            return
        count = self._try_send(block.data)
        if count < len(block.data):
            self._enqueue(block, count)

    def _try_send(self, data: bytes | memoryview) -> int:
        """Bytes the kernel took; less than all means the socket is full (or gone)."""
        assert self._sock is not None
        try:
            count = self._sock.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            self._fail(f"gone: {error.strerror or error}")
            return len(data)
        self.sent += count
        return count

    def _enqueue(self, block: Block, offset: int) -> None:
        if not self._queue:
            self._offset = offset
            self._queue = deque()
        self._queue.append(block)
        self._size += len(block.data) - offset
        if not self._draining and not self._scope.nursery.cancel_scope.cancel_called:
            self._draining = True
            self._scope.nursery.start_soon(self._drain, name="outbox drain")

    def _oldest(self) -> float:
        """When the oldest waiting media was flushed (the first block may be under way)."""
        for block in self._queue:
            if block.media:
                return block.queued_at
        return float("inf")

    def _jump(self) -> None:
        """Drop waiting media up to the newest key frame among them, or until the next one.

        A group of pictures that is itself longer than the allowed lag is given up whole:
        its key frame is no newer than what made the viewer late.
        """
        blocks = list(self._queue)
        first = 1 if self._offset or self._sending else 0  # half sent: must not be torn
        start = len(blocks)
        for index in range(len(blocks) - 1, 0, -1):
            if blocks[index].key_at >= 0:
                start = index
                break
        kept = blocks[:first] + [block for block in blocks[first:start] if not block.media]
        if start < len(blocks):
            kept.append(blocks[start].restart())
            kept.extend(blocks[start + 1 :])
        else:
            self.skipping = True
        before = self._size
        self._queue = deque(kept)
        self._size = sum(len(block.data) for block in kept) - self._offset
        self.dropped += max(before - self._size, 0)
        self.jumps += 1

    def _fail(self, reason: str) -> None:
        self._queue = _NOTHING
        self._size = self._offset = 0
        self._scope.cancel(reason)

    def _drained(self) -> None:
        """The drain task ends: say so to whom it concerns."""
        self._draining = False
        self._queue = _NOTHING
        if self._empty is not None:
            self._empty.set()
            self._empty = None
        if self._ending:
            self._scope.cancel(self._ending)

    async def _drain(self) -> None:
        try:
            while self._queue:
                left = self._ends_at - trio.current_time()
                with trio.move_on_after(max(min(self._limits.stall, left), 0.0)) as patience:
                    await self._progress()
                if patience.cancelled_caught:
                    self._give_up(left)
        finally:
            self._sending = False
            self._drained()

    def _give_up(self, left: float) -> None:
        if left < self._limits.stall:
            self._fail(f"slow: took more than {_LAST_WORDS:g} s for the last of it")
        else:
            self._fail(f"stalled: took nothing for {self._limits.stall:g} s")

    async def _progress(self) -> None:
        """Hand on some of what is queued, waiting until the peer takes it."""
        assert self._sock is not None
        try:
            await trio.lowlevel.wait_writable(self._sock)
        except trio.ClosedResourceError:
            self._fail("closed")
        else:
            self._push()

    def _push(self) -> None:
        """Hand queued bytes to the kernel until it has enough."""
        while self._queue:
            block = self._queue[0]
            rest = memoryview(block.data)[self._offset : self._offset + _MAX_SEND]
            count = self._try_send(rest)
            if not self._queue:
                return  # the socket failed
            self._size -= count
            self._offset += count
            if self._offset == len(block.data):
                self._queue.popleft()
                self._offset = 0
            elif count < len(rest):
                return


class TlsOutbox(Outbox):
    """The send side of a TLS connection: everything goes through the drain task.

    Encryption is per viewer anyway, so the shared-bytes shortcut has nothing to save here.
    """

    __slots__ = ("_stream",)

    def __init__(self, stream: trio.abc.SendStream, scope: Scope, limits: OutboxLimits) -> None:
        super().__init__(None, scope, limits)
        self._stream = stream

    def _try_send(self, data: bytes | memoryview) -> int:  # noqa: ARG002
        return 0

    async def _progress(self) -> None:
        self._sending = True  # under way: must not be dropped
        piece = self._queue[0].data[self._offset : self._offset + _TLS_PIECE]
        try:
            await self._stream.send_all(piece)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._fail(f"gone: {error}")
            return
        self.sent += len(piece)
        if not self._queue:
            return  # given up meanwhile
        self._size -= len(piece)
        self._offset += len(piece)
        if self._offset >= len(self._queue[0].data):
            self._queue.popleft()
            self._offset = 0
            self._sending = False
