"""OpenTitle: a file that is being played, read ahead in worker threads a batch at a time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, Final

from livetrio.media.vod.folder import MediaFile
from livetrio.packet import US_PER_SECOND, Codec, Kind, Packet, Track
from livetrio.wire import amf0
from livetrio.wire.amf import EcmaArray, Value
from livetrio.wire.title import Title, span_at

__all__ = ["OpenTitle", "TitleReader"]

_BATCH: Final = 512
"""Packets handed over at a time,"""
_BATCH_SIZE: Final = 1 << 20
"""or bytes."""
_PACKET: Final = 256
"""Bytes that one takes beside its frame: frames can be of a byte."""
_MOST_READ: Final = 4
"""By so many times what is found may be smaller than what is read for it: a file can be of
several programs."""


class OpenTitle:
    """Made by `Library`; usable while its file is open.

    Attributes:
        title: the index, shared with others who play the same file.
        file: the file.
    """

    def __init__(
        self, title: Title, file: MediaFile, in_thread: Callable[..., Awaitable[Any]]
    ) -> None:
        self.title = title
        self.file = file
        self._in_thread = in_thread

    def point_at(self, time: int) -> int:
        """The number of the last point not after a time (microseconds)."""
        return max(bisect_right(self.title.points, time) - 1, 0)

    def configs(self, point: int = 0) -> list[Packet]:
        """What a player is given first: metadata, and each track's configuration.

        point: number of the one where it begins.
        """
        time = self.title.points[point]
        metadata = self._metadata()
        script = Track(Kind.DATA, Codec.SCRIPT, config=metadata)
        return [
            Packet(script, 0, 0, metadata, config=True),
            *(
                Packet(track, time, time, track.config, config=True)
                for track in span_at(self.title, point).tracks
                if track.config
            ),
        ]

    def reader(self, first: int, stop: int | None = None) -> TitleReader:
        """The frames from one point up to another (None: to the end)."""
        last = len(self.title.points) if stop is None else stop
        return TitleReader(self.title.packets(self.file, first, last), self._in_thread)

    async def read_all(self, first: int, stop: int, limit: int) -> list[Packet] | None:
        """The same in one piece; None if that is more than `limit` bytes, or far more have to be
        read for it."""
        packets: list[Packet] = []
        size, begun = 0, self.file.bytes_read
        reader = self.reader(first, stop)
        while not reader.over:
            batch = await reader.read_some()
            packets += batch
            size += sum([len(packet.data) + _PACKET for packet in batch])
            if size > limit or self.file.bytes_read - begun > _MOST_READ * limit:
                return None
        return packets

    def _metadata(self) -> bytes:
        about: dict[str, Value] = {"duration": self.title.duration / US_PER_SECOND}
        for track in self.title.tracks:
            if track.kind is Kind.VIDEO:
                about |= {"width": float(track.width), "height": float(track.height)}
            else:
                about |= {"audiosamplerate": float(track.sample_rate)}
        return amf0.encode("onMetaData", EcmaArray(about))


class TitleReader:
    """A place in a file. No async generator: a read that is cancelled before it begins must not
    be the end of it."""

    def __init__(
        self, packets: Iterator[Packet | None], in_thread: Callable[..., Awaitable[Any]]
    ) -> None:
        self.over = False
        """Has the end been read?"""
        self._packets = packets
        self._in_thread = in_thread

    async def read(self) -> list[Packet]:
        """The next frames, in decoding order; none at the end.

        Raises:
            RemoteProtocolError, OSError: the file cannot be read any further.
        """
        batch: list[Packet] = []
        while not batch and not self.over:
            batch = await self.read_some()
        return batch

    async def read_some(self) -> list[Packet]:
        """The frames of a block; none also where it has none, and where the file is over.

        Raises:
            As `read`.
        """
        batch: list[Packet]
        batch, self.over = await self._in_thread(partial(_taken, self._packets))
        return batch


def _taken(packets: Iterator[Packet | None]) -> tuple[list[Packet], bool]:
    """Some frames, and whether they are the last."""
    batch: list[Packet] = []
    size = 0
    for packet in packets:
        if packet is None:
            return batch, False
        batch.append(packet)
        size += len(packet.data)
        if len(batch) >= _BATCH or size >= _BATCH_SIZE:
            return batch, False
    return batch, True
