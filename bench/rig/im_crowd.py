"""Process 2 of bench/im.py: thousands of members that read, count bytes, and discard.

As `rig.crowd`: one epoll, one buffer, no parsing, so that it costs less than the server.
"""

from __future__ import annotations

import resource
import select
import sys
import time
from collections.abc import Callable

from rig.im_client import ImAddress, Member
from rig.worker import Answer, listen

__all__ = ["ImCrowd", "main"]

JOINS_AT_ONCE = 64
JOIN_DEADLINE = 120.0


class ImCrowd:
    """The members, and the one epoll they share."""

    def __init__(self, address: ImAddress, pace: float = 0.0) -> None:
        """pace: seconds between two looks at the sockets; 0: read at once (see `rig.crowd`)."""
        self._address = address
        self._pace = pace
        self._epoll = select.epoll()
        self._epoll.register(0, select.EPOLLIN)
        self._joining: dict[int, Member] = {}
        self._members: dict[int, Member] = {}
        self._lost = 0
        self._reads = self._bytes = 0
        self._cpu_ns = 0
        self._buffer = memoryview(bytearray(1 << 20))

    def run(self) -> None:
        """Read, and answer requests, until the asker goes away."""
        while self._turn(1.0):
            time.sleep(self._pace)

    def _turn(self, timeout: float, *, requests: bool = True) -> bool:
        asked = False
        for fd, _ in self._epoll.poll(timeout, 1 << 16):
            member = self._members.get(fd)
            if member is not None:
                self._count(fd, member)
            elif fd:
                self._join(fd)
            else:
                asked = requests
        return not asked or listen(self.handle)

    def _count(self, fd: int, member: Member) -> None:
        try:
            size = member.socket.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        if not size:
            self._lose(fd)
        self._reads += 1
        self._bytes += size

    def _join(self, fd: int) -> None:
        member = self._joining[fd]
        try:
            data = member.socket.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            self._lose(fd)
            return
        member.step(data)
        if member.joined:
            self._members[fd] = self._joining.pop(fd)

    def _lose(self, fd: int) -> None:
        member = self._joining.pop(fd, None) or self._members.pop(fd)
        self._epoll.unregister(fd)
        member.socket.close()
        self._lost += 1

    def handle(self, do: str, request: Answer) -> Answer:
        """Answer one request; raise KeyError on one that does not exist."""
        verbs: dict[str, Callable[..., Answer]] = {
            "grow": self._grow,
            "leave": self._leave,
            "begin": self._begin,
            "end": self._end,
        }
        return verbs[do](**request)

    def _grow(self, kind: str, to: int) -> Answer:
        """Join until there are `to` members; `seconds` is how long that took."""
        begun = time.monotonic()
        opened = len(self._members)
        while len(self._members) < to and time.monotonic() < begun + JOIN_DEADLINE:
            if self._lost:
                break
            while opened < to and len(self._joining) < JOINS_AT_ONCE:
                member = Member(kind, self._address, opened)
                self._joining[member.socket.fileno()] = member
                self._epoll.register(member.socket.fileno(), select.EPOLLIN)
                opened += 1
            self._turn(0.1, requests=False)
        if len(self._members) < to:
            return {"error": f"{len(self._members)} of {to} members joined, {self._lost} closed"}
        return {"members": to, "seconds": time.monotonic() - begun}

    def _leave(self) -> Answer:
        """All of them, without a word."""
        for fd in list(self._members):
            self._lose(fd)
        self._lost = 0
        return {}

    def _begin(self) -> Answer:
        self._reads = self._bytes = self._lost = 0
        self._cpu_ns = time.process_time_ns()
        return {}

    def _end(self) -> Answer:
        return {
            "members": len(self._members),
            "lost": self._lost,
            "reads": self._reads,
            "bytes": self._bytes,
            "cpu": (time.process_time_ns() - self._cpu_ns) / 1e9,
        }


def main() -> None:
    """Arguments: the ports of WebSocket, TCP and push, pace in seconds."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    ImCrowd(ImAddress(*map(int, sys.argv[1:4])), float(sys.argv[4])).run()


if __name__ == "__main__":
    main()
