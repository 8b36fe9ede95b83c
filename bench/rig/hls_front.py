"""How HLS players reach livetrio: plainly, by TLS, or through nginx, which caches segments."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from rig.servers import ServerError, free_ports
from rig.worker import pinned

__all__ = ["WAYS", "Front", "Way", "front", "settings_for"]

Way = Literal["plain", "tls", "nginx"]
WAYS: tuple[Way, ...] = ("plain", "tls", "nginx")
START_DEADLINE = 10.0

# docs/hls.md's example without TLS: what that costs nginx is not the question here.
_CONF = """\
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log error;
worker_rlimit_nofile 20000;
events {{ worker_connections 19000; }}
http {{
    access_log off;
    keepalive_requests 1000000;
    proxy_temp_path {directory}/proxy;
    proxy_cache_path {directory}/cache keys_zone=hls:10m max_size=1g inactive=1m;
    upstream livetrio_hls {{
        server 127.0.0.1:{behind};
        keepalive 4096;
        keepalive_requests 1000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_read_timeout 30s;
        location ~ \\.[0-9]+\\.m4s$ {{ proxy_pass http://livetrio_hls; }}
        location ~ \\.(ts|m4s|mp4)$ {{
            proxy_pass http://livetrio_hls;
            proxy_cache hls;
            proxy_cache_lock on;
        }}
        location ~ \\.(m3u8|key)$ {{ proxy_pass http://livetrio_hls; }}
    }}
}}
"""


class Front(NamedTuple):
    """Where players go."""

    port: int
    pid: int | None
    """Of the proxy; None without one."""


def settings_for(way: Way, directory: Path, port: int) -> tuple[str, ...]:
    """Lines of livetrio's configuration for its HLS listener on that port."""
    address = f"127.0.0.1:{port}"
    match way:
        case "plain":
            return (f"hls_addr={address}",)
        case "nginx":
            return (f"hls_addr={address}", "trusted_proxies=[127.0.0.1]")
        case "tls":
            cert, key = directory / "bench.pem", directory / "bench.key"
            make = ["openssl", "req", "-x509", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
            make += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
            subprocess.run(
                [*make, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True
            )
            listen = f'hls_addr={{addr: "{address}", tls: true}}'
            return (listen, f"tls={{cert: {cert}, key: {key}}}")


@contextlib.contextmanager
def front(way: Way, directory: Path, port: int, cores: set[int] | None) -> Iterator[Front]:
    """What stands before livetrio's HLS port while the block lasts.

    Raises:
        ServerError: nginx is not installed, or did not start.
    """
    if way != "nginx":
        yield Front(port, None)
        return
    binary = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if binary is None:
        raise ServerError("nginx is not installed; on Debian: apt-get install nginx")
    (own,) = free_ports(1)
    conf = directory / "front.conf"
    conf.write_text(_CONF.format(directory=directory, behind=port, port=own))
    log = str(directory / "nginx.log")
    command = [binary, "-p", str(directory), "-e", log, "-c", str(conf)]
    with pinned(cores):
        starting = subprocess.Popen(command)
    with starting as process:
        try:
            _wait_for(own, command)
            yield Front(own, process.pid)
        finally:
            process.terminate()


def _wait_for(port: int, command: Sequence[str]) -> None:
    deadline = time.monotonic() + START_DEADLINE
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.05)
    raise ServerError(f"{' '.join(command)} does not answer")
