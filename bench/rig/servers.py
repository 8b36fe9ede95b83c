"""The servers: each started on free loopback ports with a configuration of its own, then gone."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rig.client import Address
from rig.worker import pinned

__all__ = ["LIVETRIO", "NGINX_RTMP", "RIVALS", "Server", "ServerError", "free_ports", "running"]

NGINX_RTMP = "nginx-rtmp"
LIVETRIO = "livetrio"
RIVALS = (NGINX_RTMP,)

START_DEADLINE = 15.0
STOP_DEADLINE = 10.0

_NGINX_MODULES = (
    Path("/usr/lib/nginx/modules/ngx_rtmp_module.so"),
    Path("/usr/lib64/nginx/modules/ngx_rtmp_module.so"),
)

# One worker, no logs; all that bears on streaming (chunk size, buffers, sync) is its default.
_NGINX_CONF = """\
load_module {module};
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log error;
events {{ worker_connections 8192; }}
rtmp {{
    access_log off;
    server {{
        listen 127.0.0.1:{rtmp_port};
        application live {{ live on; }}
    }}
}}
"""

# The cap per address is for the open network; here everybody comes from one.
_LIVETRIO = {
    "level": "warn",
    "rtmp_noauth": "true",
    "web_addr": '""',
    "api_addr": '""',
    "hls_addr": '""',
    "webrtc_addr": '""',
    "im_addr": '""',
    "goim_tcp_addr": '""',
    "goim_push_addr": '""',
    "max_connections": "20000",
    "max_connections_per_ip": "20000",
    "server": "[{appname: live, live: true, flv: true}]",
}


class ServerError(Exception):
    """A server is not installed, or did not start; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers on its ports."""

    name: str
    pid: int
    address: Address

    @property
    def has_http(self) -> bool:
        """Whether it serves HTTP-FLV."""
        return bool(self.address.http_port)


def free_ports(count: int) -> list[int]:
    """Return ports free at this moment: all bound at once, so that they differ."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _nginx(directory: Path, address: Address) -> list[str]:
    binary = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    module = next((path for path in _NGINX_MODULES if path.exists()), None)
    if binary is None or module is None:
        raise ServerError(
            "nginx-rtmp is not installed; on Debian: "
            "apt-get install -y --no-install-recommends nginx libnginx-mod-rtmp"
        )
    conf = directory / "nginx.conf"
    conf.write_text(
        _NGINX_CONF.format(module=module, directory=directory, rtmp_port=address.rtmp_port)
    )
    log = directory / "error.log"
    return [binary, "-p", str(directory), "-e", str(log), "-c", str(conf)]


def _livetrio(directory: Path, address: Address, settings: Sequence[str]) -> list[str]:
    conf = directory / "livetrio.yaml"
    values = {
        **_LIVETRIO,
        "rtmp_addr": f"127.0.0.1:{address.rtmp_port}",
        "httpflv_addr": f"127.0.0.1:{address.http_port}",
        "data_dir": str(directory),
    }
    values.update((key, value) for key, _, value in (each.partition("=") for each in settings))
    conf.write_text("".join(f"{key}: {value}\n" for key, value in values.items()))
    return [sys.executable, "-m", "livetrio", "serve", "--config", str(conf)]


@contextlib.contextmanager
def running(
    name: str,
    directory: Path,
    *,
    cores: set[int] | None,
    settings: Sequence[str] = (),
    address: Address | None = None,
) -> Iterator[Server]:
    """Run a server until the block is left.

    Args:
        name: "livetrio" or one of RIVALS.
        directory: where its configuration, log and data go; must exist.
        cores: the cores it may use, None for all.
        settings: further "key=value" lines for livetrio's configuration.
        address: where it listens; on free ports if that is not said.

    Raises:
        ServerError: it is not installed, ended at once, or did not listen in time.
    """
    rtmp_port, http_port = address or free_ports(2)
    if name == LIVETRIO:
        address = Address(rtmp_port, http_port)
        command = _livetrio(directory, address, settings)
    else:
        address = Address(rtmp_port, 0)
        command = _nginx(directory, address)
    output = directory / "output.log"
    with output.open("wb") as log, pinned(cores):
        starting = subprocess.Popen(command, stdout=log, stderr=log, cwd=directory)
    with starting as process:
        try:
            for port in filter(None, address):
                _wait_for(port, name, process, output)
            yield Server(name, process.pid, address)
        finally:
            process.terminate()
            try:
                process.wait(STOP_DEADLINE)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_for(port: int, name: str, process: subprocess.Popen[bytes], output: Path) -> None:
    """Wait until the port answers."""
    deadline = time.monotonic() + START_DEADLINE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said = output.read_text(errors="replace")[-2000:]
            raise ServerError(f"{name} ended with {process.returncode} at its start:\n{said}")
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.05)
    raise ServerError(f"{name} does not answer on port {port} after {START_DEADLINE:.0f} s")
