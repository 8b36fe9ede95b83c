"""Thousands of LL-HLS players in one process: blocking reloads and hinted parts, bytes discarded.

Each player has two connections, as a browser would use: one asks for the playlist that has the
next part, the other for that part itself, before it exists. What all get alike is read once.
They come from many addresses of the loopback network, by TLS if told so.
"""

from __future__ import annotations

import resource
import select
import socket
import ssl
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rig.client import APP
from rig.clip import MARK, SERIAL_SIZE
from rig.hls_playlist import Edge, body_of, edge_of
from rig.worker import Answer, listen

__all__ = ["HlsCrowd", "main"]

JOINS_AT_ONCE = 32
JOIN_DEADLINE = 90.0
ADDRESSES = 200


@dataclass(slots=True, eq=False)
class _Line:
    """One keep-alive connection: what it has asked for, and what has come of the answer."""

    socket: socket.socket
    viewer: _Viewer
    is_part: bool
    asked: str = ""
    got: int = 0
    size: int = 0
    """Bytes of the whole response, 0 while unknown."""
    head: bytes = b""


@dataclass(slots=True, eq=False)
class _Viewer:
    lines: list[_Line] = field(default_factory=list)
    edge: Edge | None = None
    parts: int = 0
    bytes: int = 0


class HlsCrowd:
    """The players of one stream, and the epoll they share."""

    def __init__(self, port: int, name: str, *, tls: bool) -> None:
        self._port, self._name = port, name
        self._tls: ssl.SSLContext | None = None
        if tls:
            self._tls = ssl.create_default_context()
            self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE
        self._epoll = select.epoll()
        self._epoll.register(0, select.EPOLLIN)
        self._lines: dict[int, _Line] = {}
        self._viewers: list[_Viewer] = []
        self._edges: dict[bytes, Edge] = {}
        self._serials: dict[str, int] = {}
        self._arrivals: list[tuple[int, float]] = []
        self._faults: list[str] = []
        self._playlists = 0
        self._cpu_ns = 0
        self._buffer = bytearray(1 << 20)
        self._view = memoryview(self._buffer)
        tail = " HTTP/1.1\r\nHost: bench\r\nUser-Agent: hls_crowd\r\nAccept: */*\r\n\r\n"
        self._tail = tail.encode()

    def run(self) -> None:
        """Play, and answer requests, until the asker goes away."""
        while self._turn(1.0):
            pass

    def _turn(self, timeout: float, *, requests: bool = True) -> bool:
        asked = False
        for fd, _ in self._epoll.poll(timeout, 1 << 14):
            line = self._lines.get(fd)
            if line is not None:
                self._read(line)
                while self._tls is not None and fd in self._lines and _pending(line):
                    self._read(line)
            elif not fd:
                asked = requests
        return not asked or listen(self.handle)

    def _ask(self, line: _Line, target: str) -> None:
        line.asked, line.got, line.size, line.head = target, 0, 0, b""
        line.socket.send(b"GET /" + APP.encode() + b"/" + target.encode() + self._tail)

    def _read(self, line: _Line) -> None:
        try:
            count = line.socket.recv_into(self._buffer)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError as error:
            self._lose(line, str(error))
            return
        if not count:
            self._lose(line, "closed by the server")
            return
        line.viewer.bytes += count
        line.got += count
        if not line.size or not line.is_part:
            line.head += self._view[:count]  # of parts only until their length is known
        if not line.size:
            try:
                place = body_of(line.head)
            except ValueError as error:
                self._lose(line, f"{error} for {line.asked}")
                return
            if place is None:
                return
            line.size = place[1]
            if line.is_part and line.asked not in self._serials:
                self._serials[line.asked] = -1
        if line.is_part and self._serials[line.asked] < 0:
            self._find_serial(line.asked, bytes(self._view[:count]))
        if line.got >= line.size:
            self._whole(line)

    def _find_serial(self, part: str, piece: bytes) -> None:
        """The number of the last frame in a part; of a piece of it only while it grows."""
        at = piece.rfind(MARK)
        if at >= 0:
            at += len(MARK)
            self._serials[part] = int(piece[at : at + SERIAL_SIZE], 16)

    def _whole(self, line: _Line) -> None:
        viewer = line.viewer
        if line.is_part:
            viewer.parts += 1
            self._arrivals.append((self._serials[line.asked], time.monotonic()))
            if viewer.edge is not None and viewer.edge.hint != line.asked:
                self._ask(line, viewer.edge.hint)
            else:
                line.asked = ""
            return
        self._playlists += 1
        edge = self._edges.get(line.head)
        if edge is None:
            place = body_of(line.head)
            assert place is not None
            edge = self._edges[line.head] = edge_of(line.head[place[0] :].decode())
            while len(self._edges) > 50:
                del self._edges[next(iter(self._edges))]
        viewer.edge = edge
        query = f"variant=ll&_HLS_msn={edge.msn}&_HLS_part={edge.part}"
        self._ask(line, f"{self._name}.m3u8?{query}")
        parts = viewer.lines[1]
        if not parts.asked:
            self._ask(parts, edge.hint)

    def _lose(self, line: _Line, reason: str) -> None:
        for each in line.viewer.lines:
            if each.socket.fileno() >= 0:
                self._epoll.unregister(each.socket)
                del self._lines[each.socket.fileno()]
                each.socket.close()
        if line.viewer in self._viewers:
            self._viewers.remove(line.viewer)
            self._faults.append(reason)

    def handle(self, do: str, request: Answer) -> Answer:
        """Answer one request."""
        verbs: dict[str, Callable[..., Answer]] = {
            "grow": self._grow,
            "begin": self._begin,
            "end": self._end,
        }
        return verbs[do](**request)

    def _grow(self, to: int) -> Answer:
        deadline = time.monotonic() + JOIN_DEADLINE
        while len(self._viewers) < to and time.monotonic() < deadline:
            for _ in range(min(JOINS_AT_ONCE, to - len(self._viewers))):
                self._join()
            self._turn(0.05, requests=False)
        while time.monotonic() < deadline and not all(v.parts for v in self._viewers):
            self._turn(0.1, requests=False)
        waiting = sum(not viewer.parts for viewer in self._viewers)
        if waiting or len(self._viewers) < to:
            return {"error": f"{waiting} players have no part: {sorted(set(self._faults))}"}
        return {"playing": len(self._viewers)}

    def _join(self) -> None:
        viewer = _Viewer()
        for is_part in (False, True):
            source = f"127.0.0.{2 + len(self._viewers) % ADDRESSES}", 0
            sock = socket.create_connection(("127.0.0.1", self._port), 10, source)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock)
            sock.setblocking(False)
            line = _Line(sock, viewer, is_part)
            viewer.lines.append(line)
            self._lines[sock.fileno()] = line
            self._epoll.register(sock, select.EPOLLIN)
        self._viewers.append(viewer)
        self._ask(viewer.lines[0], f"{self._name}.m3u8?variant=ll")

    def _begin(self) -> Answer:
        self._arrivals.clear()
        self._faults.clear()
        self._playlists = 0
        for viewer in self._viewers:
            viewer.parts = viewer.bytes = 0
        self._cpu_ns = time.process_time_ns()
        return {}

    def _end(self, sent: dict[str, float]) -> Answer:
        """How late each part was at each player, after its last frame was sent."""
        cpu = (time.process_time_ns() - self._cpu_ns) / 1e9
        delays = sorted(
            at - sent[str(serial)] for serial, at in self._arrivals if str(serial) in sent
        )
        last = len(delays) - 1
        return {
            "playing": len(self._viewers),
            "faults": sorted(set(self._faults)),
            "lost": len(self._faults),
            "playlists": self._playlists,
            "parts": len(self._arrivals),
            "least": min((viewer.parts for viewer in self._viewers), default=0),
            "bytes": sum(viewer.bytes for viewer in self._viewers),
            "delays": [delays[int(last * share)] for share in (0.5, 0.95, 0.99, 1.0)]
            if delays
            else [0.0] * 4,
            "cpu": cpu,
        }


def _pending(line: _Line) -> int:
    """Bytes that are decrypted already, of which epoll knows nothing."""
    assert isinstance(line.socket, ssl.SSLSocket)
    return line.socket.pending()


def main() -> None:
    """Arguments: HTTP port, the stream's name, "tls" or "plain"."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    HlsCrowd(int(sys.argv[1]), sys.argv[2], tls=sys.argv[3] == "tls").run()


if __name__ == "__main__":
    main()
