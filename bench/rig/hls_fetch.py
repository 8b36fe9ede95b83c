"""Segments fetched as fast as one core gives them out: livetrio, and a Quart route beside it."""

from __future__ import annotations

import contextlib
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from tempfile import NamedTemporaryFile

from rig import proc
from rig.client import APP
from rig.hls_playlist import body_of, segments_of
from rig.scene import Plan
from rig.servers import free_ports
from rig.worker import pinned

__all__ = ["COLUMNS", "compare"]

COLUMNS = ["server", "bytes", "fetches/s", "CPU us per fetch", "times cheaper"]
CONNECTIONS = 20
WARM_UP = 1.0

_QUART = """
import sys
import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from quart_trio import QuartTrio

app = QuartTrio("fetch")
with open(sys.argv[2], "rb") as file:
    data = file.read()


@app.get("/segment.ts")
async def segment():
    return data, 200, {"Content-Type": "video/mp2ts", "Access-Control-Allow-Origin": "*"}


config = Config()
config.bind = [f"127.0.0.1:{sys.argv[1]}"]
config.keep_alive_max_requests = 10**9
trio.run(serve, app, config)
"""


def compare(pid: int, port: int, stream: str, plan: Plan) -> list[list[str]]:
    """Rows for a segment and for a part of the stream that livetrio serves on that port."""
    playlist = _get(port, f"/{APP}/{stream}.m3u8").decode()
    segment = f"/{APP}/{segments_of(playlist)[-1]}"
    rows = []
    for target in (segment,):
        body = _get(port, target)
        # The window moves on: the newest segment stays for two more and is fetched meanwhile.
        ours = _measure(pid, port, target, min(plan.seconds, 6.0))
        with _quart(body, plan) as (quart_pid, quart_port):
            theirs = _measure(quart_pid, quart_port, "/segment.ts", min(plan.seconds, 6.0))
        for name, (rate, cost) in (("livetrio", ours), ("Quart on hypercorn", theirs)):
            times = f"{theirs[1] / cost:.1f}"
            rows.append([name, str(len(body)), f"{rate:,.0f}", f"{cost * 1e6:.0f}", times])
    return rows


def _measure(pid: int, port: int, target: str, seconds: float) -> tuple[float, float]:
    """Fetches a second, and seconds of the server's CPU for each."""
    request = f"GET {target} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()
    epoll = select.epoll()
    buffer = bytearray(1 << 20)
    lines: dict[int, list[object]] = {}
    with contextlib.ExitStack() as stack:
        for _ in range(CONNECTIONS):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            lines[sock.fileno()] = [sock, 0, 0]
            epoll.register(sock, select.EPOLLIN)
            sock.sendall(request)
        begun = before = count = 0.0
        end = time.monotonic() + WARM_UP + seconds
        while (now := time.monotonic()) < end:
            if not begun and now > end - seconds:
                begun, before, count = now, proc.usage(pid).cpu, 0
            for fd, _ in epoll.poll(1.0):
                line = lines[fd]
                sock = line[0]
                assert isinstance(sock, socket.socket)
                size = sock.recv_into(buffer)
                if not size:
                    raise ConnectionError(f"closed by the server while fetching {target}")
                if not line[2]:
                    place = body_of(bytes(buffer[: min(size, 2048)]))
                    line[2] = place[1] if place else 0
                line[1] += size
                if line[1] >= line[2]:
                    line[1] = line[2] = 0
                    count += 1
                    sock.sendall(request)
        cpu = proc.usage(pid).cpu - before
        return count / (time.monotonic() - begun), cpu / max(count, 1)


def _get(port: int, target: str) -> bytes:
    """One response's body."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        data = b""
        while (place := body_of(data) if data else None) is None or len(data) < place[1]:
            piece = sock.recv(1 << 16)
            if not piece:
                raise ConnectionError(f"no whole answer for {target}")
            data += piece
        return data[place[0] : place[1]]


@contextlib.contextmanager
def _quart(body: bytes, plan: Plan) -> Iterator[tuple[int, int]]:
    (port,) = free_ports(1)
    with NamedTemporaryFile(dir=plan.directory) as file:
        file.write(body)
        file.flush()
        with pinned(plan.server_cores):
            argv = [sys.executable, "-c", _QUART, str(port), file.name]
            process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                time.sleep(0.1)
            yield process.pid, port
        finally:
            process.kill()
            process.wait()
