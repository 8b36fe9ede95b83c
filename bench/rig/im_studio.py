"""Process 1 of bench/im.py: the back end that pushes, and the probes that tell how late it comes.

One thread does both, so a message's sending and its arrival are read from one clock.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from collections.abc import Callable

from rig.im_client import ImAddress, Member, Probe, message
from rig.worker import Answer, listen

__all__ = ["ImStudio", "main"]

JOIN_DEADLINE = 30.0
_PUSH = (
    b"POST /goim/push/room?operation=1000&type=chat&room=bench HTTP/1.1\r\nHost: bench\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)


class ImStudio:
    """One back end, and a few members."""

    def __init__(self, address: ImAddress) -> None:
        self._address = address
        self._epoll = select.epoll()
        self._epoll.register(0, select.EPOLLIN)
        self._back_end = socket.socket()
        self._probes: dict[int, Probe] = {}
        self._rate = 0.0
        self._due = 0.0
        self._said = 0
        self._delays: list[int] = []
        self._begun = 0
        self._late = 0.0
        self._cpu_ns = 0

    def run(self) -> None:
        """Push, probe, and answer requests, until the asker goes away."""
        while self._turn():
            pass

    def _turn(self) -> bool:
        now = time.monotonic()
        while self._rate and self._due <= now:
            self._late = max(self._late, now - self._due)
            self._push()
            self._due += 1 / self._rate
        wait = max(0.0, self._due - time.monotonic()) if self._rate else 0.1
        ready = {fd for fd, _ in self._epoll.poll(min(wait, 0.1))}
        for fd in ready - {0}:
            self._read(fd)
        return 0 not in ready or listen(self.handle)

    def _push(self) -> None:
        body = message(time.monotonic_ns(), self._said)
        # Not waiting for the answer: back ends push from many connections.
        self._back_end.sendall(_PUSH % len(body) + body)
        self._said += 1

    def _read(self, fd: int) -> None:
        probe = self._probes.get(fd)
        if probe is None:
            if b"200" not in self._back_end.recv(1 << 16):
                raise ConnectionError("the push API has refused a push")
            return
        data = probe.socket.recv(1 << 20)
        now = time.monotonic_ns()
        if not data:
            raise ConnectionError("the server has closed a probe's connection")
        self._delays += [now - at for at in probe.read(data) if at >= self._begun]

    def handle(self, do: str, request: Answer) -> Answer:
        """Answer one request; raise KeyError on one that does not exist."""
        verbs: dict[str, Callable[..., Answer]] = {
            "probe": self._probe,
            "talk": self._talk,
            "begin": self._begin,
            "end": self._end,
        }
        try:
            return verbs[do](**request)
        except OSError as error:
            return {"error": str(error)}

    def _probe(self, kind: str, number: int) -> Answer:
        """Add a member that looks at what it is sent."""
        member = Member(kind, self._address, number)
        member.socket.settimeout(JOIN_DEADLINE)
        while not member.joined:
            data = member.socket.recv(1 << 16)
            if not data:
                raise ConnectionError("a probe was not let in")
            member.step(data)
        member.socket.setblocking(False)
        self._probes[member.socket.fileno()] = Probe(kind, member)
        self._epoll.register(member.socket.fileno(), select.EPOLLIN)
        return {"probes": len(self._probes)}

    def _talk(self, rate: float) -> Answer:
        """Push so many messages a second from now on; 0: none."""
        if rate and not self._rate:
            self._back_end = socket.create_connection(("127.0.0.1", self._address.push))
            self._back_end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._epoll.register(self._back_end.fileno(), select.EPOLLIN)
        self._rate, self._due = rate, time.monotonic()
        return {"rate": rate}

    def _begin(self) -> Answer:
        self._delays.clear()
        self._begun = time.monotonic_ns()
        self._said = 0
        self._late = 0.0
        for probe in self._probes.values():
            probe.writes = 0
        self._cpu_ns = time.process_time_ns()
        return {}

    def _end(self) -> Answer:
        count = max(1, len(self._probes))
        return {
            "said": self._said,
            "heard": len(self._delays) / count,
            "writes": sum(probe.writes for probe in self._probes.values()) / count,
            "delays": sorted(delay / 1e9 for delay in self._delays),
            "late": self._late,
            "cpu": (time.process_time_ns() - self._cpu_ns) / 1e9,
        }


def main() -> None:
    """Arguments: the ports of WebSocket, TCP and push."""
    ImStudio(ImAddress(*map(int, sys.argv[1:4]))).run()


if __name__ == "__main__":
    main()
