"""Ring: the newest packets of a stream; cursors read it at their own pace.

GOP cache, live edge and lapping are one structure: a list of packets with a running number, the
numbers at which a decoder can start, and the configuration in force there. Bounded in bytes and
in time, so that a stream whose key frames never come costs no more than one whose do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import trio

from livetrio.packet import US_PER_SECOND, Kind, Packet

__all__ = ["Cursor", "EndOfStream", "Listener", "Ring", "RingLimits"]

Listener = Callable[[Sequence[Packet]], None]
"""Called with what has just been added; with nothing at the end."""

_TRIM_AT = 256
_TRIM_SIZE = 4 << 20
"""Dead packets, or their bytes, at the list's front before they are cut off: a memmove."""
_KIND_ORDER = {Kind.DATA: 0, Kind.VIDEO: 1, Kind.AUDIO: 2}


class EndOfStream(Exception):
    """The stream has ended and the cursor has read all of it."""


@dataclass(frozen=True, slots=True)
class RingLimits:
    """What a ring keeps."""

    gops: int = 1
    """Groups of pictures a newcomer is given; 0: none, start with the next key frame."""
    lag: float = 10.0
    """Seconds of packets kept for cursors beyond the groups of pictures."""
    seconds: float = 30.0
    """The longest group of pictures kept; beyond it newcomers start at the live edge."""
    size: int = 32 << 20
    """Bytes kept at most, whatever the rest says."""


@dataclass(slots=True, eq=False)
class _KeyPoint:
    seq: int
    dts: int
    configs: tuple[Packet, ...]


class Ring:
    """Written by one publisher's task, read by any number of cursors."""

    def __init__(self, limits: RingLimits) -> None:
        self.limits = limits
        self.keyless = False
        """Did the group of pictures outgrow the limits, so that newcomers start anywhere?"""
        self.end_reason = ""
        self._lag = int(limits.lag * US_PER_SECOND)
        self._items: list[Packet] = []
        self._base = 0  # number of _items[0]
        self._dead = 0  # packets at the front that are given up already
        self._size = 0
        self._dead_size = 0
        self._keys: deque[_KeyPoint] = deque()
        self._configs: dict[tuple[Kind, int], Packet] = {}
        self._snapshot: tuple[Packet, ...] = ()
        self._newest = 0  # time of the newest packet that has one
        self._marked = 0  # time of the newest key point, or of the beginning
        self._has_video = False
        self._video_id = 0  # the track whose key frames count
        self._ended = False
        self._lot = trio.lowlevel.ParkingLot()
        self._listeners: tuple[Listener, ...] = ()

    @property
    def head(self) -> int:
        """The number the next packet will have."""
        return self._base + len(self._items)

    @property
    def tail(self) -> int:
        """The number of the oldest packet that is kept."""
        return self._base + self._dead

    @property
    def size(self) -> int:
        """Payload bytes kept."""
        return self._size

    @property
    def configs(self) -> tuple[Packet, ...]:
        """The configuration packets in force now: metadata, video, audio."""
        return self._snapshot

    @property
    def ended(self) -> bool:
        """Will no packet come any more?"""
        return self._ended

    def append(self, packets: Sequence[Packet]) -> None:
        """Add what arrived and wake the readers once."""
        for packet in packets:
            if packet.config:
                self._configure(packet)  # its time may be anything: metadata stand at 0
            else:
                if not self._newest:
                    self._marked = packet.dts
                self._newest = packet.dts
                if packet.key:
                    self._mark(packet)
            self._items.append(packet)
            self._size += len(packet.data)
        self._trim()
        self._tell(packets)

    def end(self, reason: str = "") -> None:
        """No more packets; readers finish what is left. The reason is for those who watch."""
        if not self._ended:
            self.end_reason = reason or "the stream has ended"
        self._ended = True
        self._tell(())

    def start(self) -> tuple[int, tuple[Packet, ...]]:
        """Where a newcomer starts: a packet number, and the configuration to give it first.

        The configuration carries the time of the first packet, so that a player that trusts
        the first timestamp it sees is not led to the publisher's beginning.
        """
        if not self._keys or self.limits.gops == 0:
            return self.head, self._stamped(self._snapshot, self._newest)
        key = self._keys[-min(self.limits.gops, len(self._keys))]
        return key.seq, self._stamped(key.configs, key.dts)

    def keys_since(self, seq: int) -> list[tuple[int, tuple[Packet, ...]]]:
        """The places to start from packet `seq` on, each with the configuration in force."""
        return [
            (key.seq, self._stamped(key.configs, key.dts)) for key in self._keys if key.seq >= seq
        ]

    def newest_key(self) -> tuple[int, tuple[Packet, ...]] | None:
        """The newest place where a decoder can start; None if there is none."""
        if not self._keys:
            return None
        return self._keys[-1].seq, self._stamped(self._keys[-1].configs, self._keys[-1].dts)

    def read(self, seq: int) -> list[Packet]:
        """The packets from a number (not older than `tail`) to the live edge."""
        return self._items[seq - self._base :]

    def cursor(self, *, live: bool = False) -> Cursor:
        """A reader of its own pace, from where newcomers start (live=True: from the edge)."""
        if live:
            return Cursor(self, self.head, ())
        return Cursor(self, *self.start())

    async def changed(self, seq: int) -> None:
        """Return when packet `seq` exists or the stream has ended."""
        while seq >= self.head and not self._ended:
            await self._lot.park()

    @contextmanager
    def listen(self, listener: Listener) -> Iterator[None]:
        """Call `listener`, until the block is left, whenever readers are woken: packets are there,
        or the end is. In the publisher's own call, before anybody else runs.

        Waking a task costs as much as sending two packets, so a few viewers are served like this;
        whoever has much to do leaves it to a task. The listener is short, sends without waiting,
        changes nothing of the stream, and keeps its errors to itself.
        """
        self._listeners += (listener,)
        try:
            yield
        finally:
            listeners = list(self._listeners)
            listeners.remove(listener)
            self._listeners = tuple(listeners)

    def _tell(self, packets: Sequence[Packet]) -> None:
        for listener in self._listeners:
            listener(packets)
        if self._lot:  # to wake nobody is not free
            self._lot.unpark_all()

    def _configure(self, packet: Packet) -> None:
        track = packet.track
        self._configs[track.kind, track.id] = packet
        order = sorted(
            self._configs.items(), key=lambda item: (_KIND_ORDER[item[0][0]], item[0][1])
        )
        self._snapshot = tuple(packet for _, packet in order)

    def _mark(self, packet: Packet) -> None:
        """Is this a place to start? Of a stream with video only a key frame of its first track;
        of sound alone any packet would do, so one a second is marked."""
        kind = packet.track.kind
        if kind is Kind.VIDEO:
            if not self._has_video:
                self._has_video = True
                self._keys.clear()  # sound that came before the first picture
            elif packet.track.id != self._video_id:
                return
            self._video_id = packet.track.id
        elif self._has_video or kind is Kind.DATA or self._marked_lately(packet.dts):
            return
        self._marked = packet.dts
        self._keys.append(_KeyPoint(self.head, packet.dts, self._snapshot))
        self.keyless = False

    def _marked_lately(self, dts: int) -> bool:
        return bool(self._keys) and 0 <= dts - self._keys[-1].dts < US_PER_SECOND

    def _trim(self) -> None:
        limits = self.limits
        newest = self._newest
        while len(self._keys) > max(limits.gops, 1):
            self._keys.popleft()
        if abs(newest - self._marked) > limits.seconds * US_PER_SECOND:
            self._keys.clear()
            self.keyless = True
        items, dead, most = self._items, self._dead, limits.size
        keep = (self._keys[0].seq if self._keys else self.head) - self._base
        horizon = newest - self._lag
        while dead < len(items):
            oldest = items[dead]
            if self._size <= most and (dead >= keep or horizon <= oldest.dts <= newest):
                break
            self._size -= len(oldest.data)
            self._dead_size += len(oldest.data)
            dead += 1
        if dead == self._dead:
            return
        self._dead = dead
        while self._keys and self._keys[0].seq < self.tail:
            self._keys.popleft()
            self.keyless = not self._keys
        if self._dead >= _TRIM_AT or self._dead_size >= _TRIM_SIZE:
            del self._items[: self._dead]
            self._base += self._dead
            self._dead = self._dead_size = 0

    @staticmethod
    def _stamped(configs: tuple[Packet, ...], dts: int) -> tuple[Packet, ...]:
        return tuple(
            # Metadata stand at 0: FFmpeg takes script data at any other time for subtitles.
            packet if packet.track.kind is Kind.DATA else replace(packet, dts=dts, pts=dts)
            for packet in configs
        )


class Cursor:
    """One reader's place in a ring."""

    def __init__(self, ring: Ring, seq: int, configs: tuple[Packet, ...]) -> None:
        self._ring = ring
        self._seq = seq
        self._configs = configs
        self.jumps = 0
        """Times the reader was lapped and moved to the newest key frame."""

    async def read(self) -> list[Packet]:
        """All that arrived since the last call, at least one packet.

        The first read (and the first after a jump) begins with the configuration packets.

        Raises:
            EndOfStream: all has been read.
        """
        await self._ring.changed(self._seq)
        if self._seq < self._ring.tail:
            self._jump()
        packets = [*self._configs, *self._ring.read(self._seq)]
        self._configs = ()
        self._seq = self._ring.head
        if not packets:
            raise EndOfStream
        return packets

    def _jump(self) -> None:
        self.jumps += 1
        place = self._ring.newest_key()
        if place is None:
            place = self._ring.head, self._ring.configs
        self._seq, self._configs = place
