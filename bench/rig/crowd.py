"""Process 2: thousands of players that read, count, and discard.

Each player joins properly (`rig.client`), then its bytes go into one shared buffer unread: a
system call and a microsecond of Python a time, less than the server pays to send them.

How soon a player reads is part of its load, for on loopback its kernel half runs in the server's
`send`. A pace of 0 reads and acknowledges at once: every `send` pays for a wake-up, and Nagle's
algorithm never holds anything back. With a pace of tens of milliseconds neither is so, as with
viewers a network away.
"""

from __future__ import annotations

import resource
import select
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from rig.client import Address, Joining
from rig.rtmp import VIDEO, JoinError
from rig.worker import Answer, listen

__all__ = ["Crowd", "main"]

STALL = 1.0
"""Seconds without a byte that a viewer would see as a freeze; audio alone comes 47 times each."""
JOINS_AT_ONCE = 32
JOIN_DEADLINE = 90.0


@dataclass(slots=True)
class _Player:
    """What is known of one player; times are `time.monotonic` seconds."""

    joining: Joining
    bytes: int = 0
    last: float = 0.0
    stalls: int = 0
    longest: float = 0.0


class Crowd:
    """The players, and the one epoll they share."""

    def __init__(self, address: Address, pace: float = 0.0) -> None:
        self._address = address
        self._pace = pace
        self._epoll = select.epoll()
        self._epoll.register(0, select.EPOLLIN)
        self._joining: dict[int, _Player] = {}
        self._playing: dict[int, _Player] = {}
        self._lost: list[str] = []
        self._reads = 0
        self._cpu_ns = 0
        self._buffer = memoryview(bytearray(1 << 20))

    def run(self) -> None:
        """Play, and answer requests, until the asker goes away."""
        while self._turn(1.0):
            time.sleep(self._pace)

    def _turn(self, timeout: float, *, requests: bool = True) -> bool:
        """Serve what is ready now; return False when the asker is gone."""
        events = self._epoll.poll(timeout, 1 << 16)
        now = time.monotonic()
        asked = False
        for fd, _ in events:
            player = self._playing.get(fd)
            if player is not None:
                self._count(fd, player, now)
            elif fd:
                self._join(fd, now)
            else:
                asked = requests
        # Last: a request may take turns of its own, after which `events` would be stale.
        return not asked or listen(self.handle)

    def _count(self, fd: int, player: _Player, now: float) -> None:
        try:
            size = player.joining.socket.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(fd, str(error))
            return
        if not size:
            self._lose(fd, "closed by the server")
            return
        self._reads += 1
        player.bytes += size
        gap = now - player.last
        player.last = now
        if gap > player.longest:
            player.longest = gap
            if gap > STALL:
                player.stalls += 1

    def _join(self, fd: int, now: float) -> None:
        player = self._joining[fd]
        try:
            data = player.joining.socket.recv(1 << 16)
            if not data:
                raise JoinError("closed by the server")
            media = player.joining.feed(data)
        except (OSError, JoinError) as error:
            self._lose(fd, str(error))
            return
        if any(message.type_id == VIDEO for message in media):
            del self._joining[fd]
            self._playing[fd] = player
            player.last = now

    def _lose(self, fd: int, reason: str) -> None:
        player = self._joining.pop(fd, None) or self._playing.pop(fd)
        self._epoll.unregister(fd)
        player.joining.socket.close()
        self._lost.append(reason)

    def handle(self, do: str, request: Answer) -> Answer:
        """Answer one request; raise KeyError on one that does not exist."""
        verbs: dict[str, Callable[..., Answer]] = {
            "grow": self._grow,
            "begin": self._begin,
            "end": self._end,
        }
        return verbs[do](**request)

    def _grow(self, protocol: str, streams: list[str], to: int) -> Answer:
        """Join until `to` players have media, a few at a time so that no backlog overflows."""
        deadline = time.monotonic() + JOIN_DEADLINE
        opened = len(self._playing)
        while len(self._playing) < to and time.monotonic() < deadline and not self._lost:
            while opened < to and len(self._joining) < JOINS_AT_ONCE:
                joining = Joining(protocol, self._address, streams[opened % len(streams)])
                fd = joining.socket.fileno()
                self._joining[fd] = _Player(joining)
                self._epoll.register(fd, select.EPOLLIN)
                opened += 1
            self._turn(0.1, requests=False)
        if len(self._playing) < to:
            reasons = ", ".join(sorted(set(self._lost))) or f"no media in {JOIN_DEADLINE:.0f} s"
            return {"error": f"{len(self._playing)} of {to} players joined: {reasons}"}
        return {"playing": len(self._playing)}

    def _begin(self) -> Answer:
        """Start a window: forget what was counted."""
        now = time.monotonic()
        for player in self._playing.values():
            player.bytes = player.stalls = 0
            player.longest = 0.0
            player.last = now
        self._reads = 0
        self._lost.clear()
        self._cpu_ns = time.process_time_ns()
        return {"at": now}

    def _end(self) -> Answer:
        """End a window: what each player got, and who froze or was lost."""
        now = time.monotonic()
        players = self._playing.values()
        # A player that is silent right now has stalled as surely as one that came back.
        silent = sum(now - player.last > STALL for player in players)
        return {
            "at": now,
            "playing": len(self._playing),
            "lost": len(self._lost),
            "reasons": sorted(set(self._lost)),
            "bytes": sum(player.bytes for player in players),
            "least": min((player.bytes for player in players), default=0),
            "stalls": sum(player.stalls for player in players) + silent,
            "longest_gap": max((player.longest for player in players), default=0.0),
            "reads": self._reads,
            "cpu": (time.process_time_ns() - self._cpu_ns) / 1e9,
        }


def main() -> None:
    """Arguments: RTMP port, HTTP port, pace in seconds."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    Crowd(Address(int(sys.argv[1]), int(sys.argv[2])), float(sys.argv[3])).run()


if __name__ == "__main__":
    main()
