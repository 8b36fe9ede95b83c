"""Process 1: publishers in real time, and the probes that tell how late each frame comes.

One thread does both, so a frame's sending and its arrival are read from one clock. A process of
its own, so that a probe does not wait behind the crowd's thousands of reads.
"""

from __future__ import annotations

import heapq
import random
import select
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rig.client import Address, Joining
from rig.clip import GOP_SECONDS, Clip, load, serial_of
from rig.rtmp import AUDIO, DATA, VIDEO, JoinError, Message, RtmpClient, encode_message
from rig.worker import Answer, listen

__all__ = ["Studio", "main"]

JOIN_DEADLINE = 10.0
CSID = {AUDIO: 4, VIDEO: 6, DATA: 5}
REMEMBERED = 4096
"""Frames whose sending time is kept: more than two minutes of one stream."""


class _Publisher:
    """One stream on the air: which frame comes next, and when."""

    def __init__(self, joining: Joining, clip: Clip, wait: float) -> None:
        assert isinstance(joining.client, RtmpClient)
        self.joining = joining
        self.bytes = 0
        self.sent: dict[int, float] = {}
        self._stream_id = joining.client.stream_id
        self._clip = clip
        self._index = 0
        self._loops = 0
        # Blocking: a server that does not read its publisher is itself the finding (`late`).
        joining.socket.settimeout(5.0)
        for header in clip.headers:
            self._write(header)
        self._start = time.monotonic() + wait

    @property
    def due(self) -> float:
        """When the next frame is to be sent, `time.monotonic` seconds."""
        ms = self._loops * self._clip.ms + self._clip.frames[self._index].ms
        return self._start + ms / 1000

    def send_next(self) -> None:
        """Send the next frame, and note when."""
        frame = self._clip.frames[self._index]
        # Unique within a stream: the frame's place in an endless clip.
        serial = self._loops * len(self._clip.frames) + self._index
        ms = self._loops * self._clip.ms + frame.ms
        body = frame.stamped(serial)
        self.bytes += len(body)
        if frame.serial_at:
            self.sent[serial] = time.monotonic()
            if len(self.sent) > REMEMBERED:
                del self.sent[next(iter(self.sent))]
        self._write(Message(frame.type_id, ms, 0, body))
        self._index += 1
        if self._index == len(self._clip.frames):
            self._index = 0
            self._loops += 1

    def _write(self, message: Message) -> None:
        message = message._replace(stream_id=self._stream_id)
        self.joining.socket.sendall(encode_message(CSID[message.type_id], message))


class Studio:
    """All publishers and probes of one server."""

    def __init__(self, address: Address, clip: Clip) -> None:
        self._address, self._clip = address, clip
        self._epoll = select.epoll()
        self._epoll.register(0, select.EPOLLIN)
        self._connections: dict[int, Joining] = {}
        self._publishers: dict[str, _Publisher] = {}
        self._schedule: list[tuple[float, str]] = []
        self._delays: list[float] = []
        self._begun = float("inf")
        self._bytes = 0
        self._late = 0.0
        self._cpu_ns = 0

    def run(self) -> None:
        """Publish, probe, and answer requests, until the asker goes away."""
        while self._turn():
            pass

    def _turn(self, *, requests: bool = True) -> bool:
        """Send what is due and read what has come; return False when the asker is gone."""
        now = time.monotonic()
        while self._schedule and self._schedule[0][0] <= now:
            due, name = self._schedule[0]
            self._late = max(self._late, now - due)
            publisher = self._publishers[name]
            publisher.send_next()
            heapq.heapreplace(self._schedule, (publisher.due, name))
        wait = max(0.0, self._schedule[0][0] - time.monotonic()) if self._schedule else 0.1
        ready = {fd for fd, _ in self._epoll.poll(min(wait, 0.1))}
        for fd in ready - {0}:
            self._read(self._connections[fd])
        # Last: a request may take turns of its own, after which `ready` would be stale.
        return not (requests and 0 in ready) or listen(self.handle)

    def _read(self, connection: Joining) -> None:
        data = connection.socket.recv(1 << 20)
        now = time.monotonic()
        if not data:
            raise JoinError(f"the server closed the connection of {connection.name!r}")
        for message in connection.feed(data):
            # A newcomer's burst is old by design; only frames sent in this window count.
            serial = serial_of(message.body) if message.type_id == VIDEO else None
            if serial is not None:
                sent = self._publishers[connection.name].sent.get(serial, 0.0)
                if sent >= self._begun:
                    self._delays.append(now - sent)

    def handle(self, do: str, request: Answer) -> Answer:
        """Answer one request; raise KeyError on one that does not exist."""
        verbs: dict[str, Callable[..., Answer]] = {
            "publish": self._publish,
            "probe": self._probe,
            "sent": self._sent,
            "begin": self._begin,
            "end": self._end,
        }
        try:
            return verbs[do](**request)
        except (JoinError, OSError) as error:
            return {"error": str(error)}

    def _publish(self, streams: list[str]) -> Answer:
        """Put streams on the air, out of step with one another as real ones are."""
        dice = random.Random(7)
        for name in streams:
            joining = self._joined("rtmp", name, publish=True)
            publisher = _Publisher(joining, self._clip, dice.uniform(0, GOP_SECONDS))
            self._publishers[name] = publisher
            heapq.heappush(self._schedule, (publisher.due, name))
        return {"published": len(self._publishers)}

    def _sent(self, name: str) -> Answer:
        """When the newest frames of a stream were sent, by their serials."""
        return {"sent": dict(list(self._publishers[name].sent.items())[-1000:])}

    def _probe(self, protocol: str, name: str) -> Answer:
        """Add a player of `name` that reads every frame's serial."""
        self._joined(protocol, name)
        return {"probing": name}

    def _joined(self, protocol: str, name: str, *, publish: bool = False) -> Joining:
        joining = Joining(protocol, self._address, name, publish=publish)
        fd = joining.socket.fileno()
        self._connections[fd] = joining
        self._epoll.register(fd, select.EPOLLIN)
        deadline = time.monotonic() + JOIN_DEADLINE
        while not joining.client.ready:
            if time.monotonic() > deadline:
                raise JoinError(f"no answer to the join of {name!r} in {JOIN_DEADLINE:.0f} s")
            self._turn(requests=False)
        return joining

    def _sent_bytes(self) -> int:
        return sum(publisher.bytes for publisher in self._publishers.values())

    def _begin(self) -> Answer:
        """Start a window: forget what was measured."""
        self._delays.clear()
        self._begun = time.monotonic()
        self._bytes = self._sent_bytes()
        self._late = 0.0
        self._cpu_ns = time.process_time_ns()
        return {"at": self._begun}

    def _end(self) -> Answer:
        """End a window: every delay in it, and what a viewer should have got."""
        streams = max(1, len(self._publishers))
        return {
            "at": time.monotonic(),
            "delays": self._delays,
            "bytes": (self._sent_bytes() - self._bytes) / streams,
            "late": self._late,
            "cpu": (time.process_time_ns() - self._cpu_ns) / 1e9,
        }


def main() -> None:
    """Arguments: RTMP port, HTTP port, the clip's file."""
    address = Address(int(sys.argv[1]), int(sys.argv[2]))
    Studio(address, load(Path(sys.argv[3]))).run()


if __name__ == "__main__":
    main()
