"""Feed: one stream in one wire format; encodes once, keeps what newcomers need, pumps to all.

One pump task per (stream, format), not one per viewer. It exists from the first viewer to the
last. The encoded group of pictures is kept here, so that a thousand newcomers cost a thousand
sends and no encoding.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import trio

from livetrio.media.ring import Ring
from livetrio.net.fanout import Fanout, Pacer
from livetrio.net.outbox import Block, Outbox
from livetrio.packet import Packet, Track

__all__ = ["Feed", "Format"]


def _as_it_is(data: bytes) -> bytes:
    return data


def _no_prologue(tracks: Sequence[Track]) -> bytes:  # noqa: ARG001
    return b""


@dataclass(frozen=True)
class Format:
    """A wire format: how packets become bytes that all its viewers share."""

    name: str
    """Identity: "rtmp", "flv/chunked" ..."""
    encode: Callable[[Packet], bytes]
    """One packet, stateless; b"" for what this format does not carry."""
    frame: Callable[[bytes], bytes] = _as_it_is
    """Wraps what goes out in one flush: an HTTP chunk, a WebSocket frame."""
    prologue: Callable[[Sequence[Track]], bytes] = _no_prologue
    """What comes before the first packet, given the stream's tracks: the FLV file header."""
    goodbye: bytes = b""
    """Sent to everybody when the stream ends."""


@dataclass(slots=True)
class _Gop:
    """An encoded group of pictures: what a decoder needs first, and all flushes since."""

    headers: bytes
    chunks: list[bytes]

    def join(self) -> bytes:
        """The whole as one piece, kept so that the next newcomer costs no copy."""
        if len(self.chunks) > 1:
            self.chunks = [b"".join(self.chunks)]
        return self.chunks[0] if self.chunks else b""


class Feed:
    """Made by `Stream.feed`. Viewers come and go by `viewer`."""

    def __init__(
        self, ring: Ring, format_: Format, pacer: Pacer, tracks: Callable[[], Sequence[Track]]
    ) -> None:
        self.format = format_
        self.fanout = Fanout(pacer)
        self.stopped = trio.CancelScope()
        """Cancel it to end the pump."""
        self.done = trio.Event()
        """The pump has ended."""
        self._ring = ring
        self._tracks = tracks
        self._gops: deque[_Gop] = deque(maxlen=max(ring.limits.gops, 1))
        # Viewers that wait for the first key frame.
        self._pending: dict[Outbox, Callable[[str], None] | None] = {}
        self._seq, _ = ring.start()
        self._flush()

    @property
    def viewers(self) -> int:
        """How many are served, the waiting ones included."""
        return len(self.fanout) + len(self._pending)

    @contextmanager
    def viewer(self, outbox: Outbox, ended: Callable[[str], None] | None = None) -> Iterator[None]:
        """Send this outbox the prologue, the cached group of pictures, and all that follows.

        ended: called with the reason when the feed ends, in place of closing the connection.
        """
        if self._ring.keyless or (self._gops and self._ring.limits.gops):
            self._admit(outbox, ended)
        else:
            # Nothing to decode yet, and the tracks that a file header must name are unknown.
            self._pending[outbox] = ended
        try:
            yield
        finally:
            self._pending.pop(outbox, None)
            self.fanout.discard(outbox)

    async def pump(self) -> None:
        """Encode and send until the stream ends or the task is cancelled."""
        ring = self._ring
        try:
            while True:
                await ring.changed(self._seq)
                if self._seq >= ring.head:
                    return
                if self._seq < ring.tail:  # the loop stood still for longer than the ring holds
                    self._seq, configs = ring.start()
                    await self._send(self._block(b"".join(map(self.format.encode, configs))))
                block = self._flush()
                window = await self._send(block)
                if self._pending and (block.key_at >= 0 or ring.keyless):
                    for outbox, ended in self._pending.items():
                        self._admit(outbox, ended)
                    self._pending.clear()
                if window:
                    await self.fanout.pacer.rest(window)
        finally:
            self.fanout.close()
            for outbox, ended in self._pending.items():
                self.fanout.add(outbox, ended)
            self.fanout.farewell(
                self.format.goodbye,
                ring.end_reason or "the stream was stopped",
            )
            self.done.set()

    def _admit(self, outbox: Outbox, ended: Callable[[str], None] | None) -> None:
        if self._gops:
            past = [self._gops[0].headers, *(gop.join() for gop in self._gops)]
        else:
            past = [*map(self.format.encode, self._ring.configs)]
        data = b"".join([self.format.prologue(self._tracks()), *past])
        outbox.send_block(self._block(data, key_at=0))
        self.fanout.add(outbox, ended)

    def _flush(self) -> Block:
        """Encode what has arrived and keep it for newcomers, split where a decoder can start."""
        ring, encode = self._ring, self.format.encode
        first = self._seq
        chunks = [encode(packet) for packet in ring.read(first)]
        self._seq = ring.head
        keys = ring.keys_since(first)
        if ring.keyless:
            self._gops.clear()
        begin = 0
        past = b""
        for seq, configs in keys:
            past += self._keep(chunks[begin : seq - first])
            begin = seq - first
            self._gops.append(_Gop(b"".join(map(encode, configs)), []))
        rest = self._keep(chunks[begin:])
        if not keys:
            return self._block(rest)
        past = self.format.frame(past) if past else b""
        headers = self._gops[-1].headers
        block = self._block(rest, key_at=len(past))
        block.data = past + block.data
        block.headers = self.format.frame(headers) if headers else b""
        return block

    def _keep(self, chunks: list[bytes]) -> bytes:
        data = b"".join(chunks)
        if data and self._gops:
            self._gops[-1].chunks.append(data)
        return data

    def _block(self, data: bytes, key_at: int = -1) -> Block:
        framed = self.format.frame(data) if data else b""
        return Block(framed, key_at, queued_at=trio.current_time())

    async def _send(self, block: Block) -> float:
        return await self.fanout.send(block) if block.data else 0.0
