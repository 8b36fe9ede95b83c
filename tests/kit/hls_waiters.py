"""Thousands of HLS players in a process of its own, all left waiting; run as a program.

Arguments: the port; how many connections; then targets in pairs, dealt out in turn: one that is
answered ("" for none), and on the same connection one that has to wait. Writes the line
"waiting" when all have asked, and when every connection has had its answer or was closed one line
of JSON: how many had which status (0: closed without one), how many nothing at all, and the
seconds between the first answer and the last.
"""

from __future__ import annotations

import json
import resource
import select
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass

__all__ = ["Line", "main"]

ADDRESSES = 5
"""127.0.0.2 and so on: one address may not have so many connections."""
PATIENCE = 120.0
"""Seconds (real ones) after which whoever has no answer is given up."""


@dataclass(slots=True, eq=False)
class Line:
    """A connection and what has come of its answer."""

    sock: socket.socket
    got: bytes = b""

    def ask(self, target: str) -> None:
        self.got = b""
        self.sock.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    @property
    def status(self) -> int:
        """Of a whole answer; 0 before."""
        head, end, body = self.got.partition(b"\r\n\r\n")
        if not end:
            return 0
        size = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        return int(head.split(b" ")[1]) if len(body) >= int(size or b"0") else 0


def main(port: int, count: int, targets: list[str]) -> None:
    """See the top of this file."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    pairs = list(zip(targets[::2], targets[1::2], strict=True))
    lines = []
    for number in range(count):
        first, last = pairs[number % len(pairs)]
        source = f"127.0.0.{2 + number % ADDRESSES}", 0
        line = Line(socket.create_connection(("127.0.0.1", port), PATIENCE, source))
        lines.append(line)
        if first:
            line.ask(first)
            while not line.status:
                line.got += line.sock.recv(65536)
        line.ask(last)
    print("waiting", flush=True)
    print(json.dumps(answers(lines)), flush=True)


def answers(lines: list[Line]) -> dict[str, object]:
    """How many connections have got which status."""
    epoll = select.epoll()
    waiting = {line.sock.fileno(): line for line in lines}
    for fd in waiting:
        epoll.register(fd, select.EPOLLIN)
    statuses: Counter[int] = Counter()
    first, last = 0.0, 0.0
    deadline = time.monotonic() + PATIENCE
    while waiting and (left := deadline - time.monotonic()) > 0:
        for fd, _ in epoll.poll(left):
            line = waiting[fd]
            try:
                data = line.sock.recv(65536)
            except ConnectionError:
                data = b""
            line.got += data
            if line.status or not data:
                last = time.monotonic()
                first = first or last
                statuses[line.status] += 1
                epoll.unregister(fd)
                del waiting[fd]
    return {"statuses": statuses, "unanswered": len(waiting), "seconds": last - first}


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
