"""RTMP play of a stored file: at the pace of its clock, a little ahead, with pause and seek."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from typing import Final

import trio

from livetrio.errors import RemoteProtocolError
from livetrio.logs import get_logger
from livetrio.media.vod.opened import OpenTitle
from livetrio.net.connection import Connection
from livetrio.packet import US_PER_MS, US_PER_SECOND, Kind, Packet
from livetrio.wire.flv import tag_body
from livetrio.wire.rtmp.chunk_writer import encode_message
from livetrio.wire.rtmp.events import PlayRequested
from livetrio.wire.rtmp.media import CHUNK_SIZE, encode_media
from livetrio.wire.rtmp.messages import MessageType, UserControl, user_control

__all__ = ["StoredPlay"]

log = get_logger(__name__)

_LEAD: Final = 3 * US_PER_SECOND
"""How far a player is sent ahead of its clock: enough for a network's hiccups, and little to
throw away when somebody seeks."""
_BEAT: Final = 0.2
"""Seconds between two looks at what is due."""
_MOST_QUEUED: Final = 1 << 20
"""Bytes that may wait for a player before reading stops."""
_CSID_CONTROL: Final = 2


class StoredPlay:
    """One file that a client plays on one message stream; leaving `scope` is the end of it.

    Args:
        opened: the file; open for as long as `scope` is.
        request: what was asked for. Its times count in milliseconds: the specification says
            seconds, every client and nginx-rtmp say otherwise.
        connection: the client's.
        scope: what keeps the file open.
        ended: told when all has been played, or the file is broken; with the reason.
    """

    def __init__(
        self,
        opened: OpenTitle,
        request: PlayRequested,
        connection: Connection,
        scope: AsyncExitStack,
        ended: Callable[[StoredPlay, str], None],
    ) -> None:
        self.stream_id = request.stream_id
        self.scope = scope
        self.audio = True
        self.video = True
        self._opened = opened
        self._connection = connection
        self._ended = ended
        start = max(request.start, 0.0)
        self._position = _us(start)
        length = request.duration
        self._until = _us(start + length) if length >= 0 else None
        self._paused = False
        self._change = trio.CancelScope()  # ends when the client wants something else
        self._stopped = trio.CancelScope()
        self._done = trio.Event()
        self._sought = True
        self._reader = opened.reader(0)
        self._ahead: deque[Packet] = deque()  # read, not sent
        self._clock = 0.0  # Trio's time at which the file's time 0 would have been sent
        scope.push_async_callback(self._stop)

    def begin(self) -> None:
        """Start sending."""
        recorded = user_control(UserControl.STREAM_IS_RECORDED, self.stream_id)
        self._connection.outbox.send(
            encode_message(MessageType.USER_CONTROL, 0, 0, _CSID_CONTROL, recorded, CHUNK_SIZE)
        )
        self._connection.scope.nursery.start_soon(self._run, name="stored play")

    def pause(self, *, paused: bool) -> None:
        """Stop sending, or go on where that was."""
        self._paused = paused
        self._change.cancel()

    def seek(self, position_ms: int) -> None:
        """Go on from the key frame before a position."""
        self._position = _us(max(position_ms, 0))
        self._sought = True
        self._change.cancel()

    async def _stop(self) -> None:
        self._stopped.cancel()
        await self._done.wait()

    async def _run(self) -> None:
        reason = ""
        try:
            with self._stopped:
                while not reason:
                    self._change = trio.CancelScope()
                    with self._change:
                        reason = await self._play()
        except (RemoteProtocolError, OSError) as error:
            about = {"peer": str(self._connection), "file": self._opened.file.name}
            log.warning("stored file cannot be played on", **about, reason=str(error))
            reason = "The file cannot be read any further."
        finally:
            self._done.set()
        if reason:
            self._ended(self, reason)

    async def _play(self) -> str:
        """Send until all is sent; returns the reason why it ends."""
        if self._paused:
            await trio.sleep_forever()
        if self._sought:
            self._begin_at(self._position)
        elif self._ahead:
            self._set_clock(self._ahead[0].dts)
        while True:
            if not self._ahead and not await self._read():
                return "The file has ended."
            now = int((trio.current_time() - self._clock) * US_PER_SECOND) + _LEAD
            due = self._take(now)
            self._send(due)
            if self._until is not None and self._ahead and self._ahead[0].dts >= self._until:
                return "What was asked for has been played."
            if self._connection.outbox.queued > _MOST_QUEUED:
                await self._connection.outbox.flushed()
            elif self._ahead:
                await trio.sleep(_BEAT)
            else:
                await trio.lowlevel.checkpoint()

    def _begin_at(self, position: int) -> None:
        self._sought = False
        points = self._opened.title.points
        first = self._opened.point_at(position)
        self._ahead.clear()
        self._reader = self._opened.reader(first)
        self._set_clock(points[first])
        self._send(self._opened.configs(first))

    def _set_clock(self, time: int) -> None:
        self._clock = trio.current_time() - time / US_PER_SECOND

    async def _read(self) -> bool:
        """Read on; False at the end of the file."""
        reader = self._reader
        batch = await reader.read()
        if reader is not self._reader:
            return True  # sought meanwhile
        self._ahead.extend(batch)
        return bool(batch)

    def _take(self, time: int) -> list[Packet]:
        """What is due at a time of the file, and wanted."""
        until = time if self._until is None else min(time, self._until)
        due = []
        while self._ahead and self._ahead[0].dts < until:
            due.append(self._ahead.popleft())
        return due

    def _send(self, packets: Iterable[Packet]) -> None:
        chunks = []
        for packet in packets:
            wanted = {Kind.AUDIO: self.audio, Kind.VIDEO: self.video}.get(packet.track.kind, True)
            if wanted and (found := tag_body(packet)) is not None:
                type_id, body = found
                time = packet.dts // US_PER_MS
                chunks.append(encode_media(type_id, time, body, stream_id=self.stream_id))
        self._connection.outbox.send(b"".join(chunks))


def _us(milliseconds: float) -> int:
    return int(min(milliseconds, 1e15) * US_PER_MS)
