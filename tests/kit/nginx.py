"""Debian's nginx: with its RTMP module, as the peer nginx-rtmp users know, and as a proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from kit.programs import Program, find, free_port, listening, running

__all__ = ["Nginx", "nginx_http", "nginx_rtmp"]

MODULE = "/usr/lib/nginx/modules/ngx_rtmp_module.so"

CONFIG = """
load_module {module};
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr info;
events {{ worker_connections 512; }}
rtmp {{
    server {{
        listen 127.0.0.1:{port};
        access_log off;
        application live {{ live on; {directives} }}
    }}
}}
"""

HTTP_CONFIG = """
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    log_format protocol '$server_protocol $status $upstream_cache_status $request_uri';
    access_log {folder}/access.log protocol;
    client_body_temp_path {folder}/temp-body;
    proxy_temp_path {folder}/temp-proxy;
    fastcgi_temp_path {folder}/temp-fastcgi;
    scgi_temp_path {folder}/temp-scgi;
    uwsgi_temp_path {folder}/temp-uwsgi;
    {blocks}
}}
"""


@dataclass(frozen=True, slots=True)
class Nginx:
    """A running nginx-rtmp with one application, `live`."""

    port: int
    program: Program

    def url(self, name: str) -> str:
        """RTMP address of a stream in `live`."""
        return f"rtmp://127.0.0.1:{self.port}/live/{name}"


@asynccontextmanager
async def nginx_rtmp(folder: Path, *, directives: str = "") -> AsyncIterator[Nginx]:
    """nginx-rtmp on a free port of the loopback interface, its files below `folder`.

    Args:
        folder: an empty or fresh folder.
        directives: more of nginx-rtmp's directives for the application, e.g. `push ...;`.
    """
    port = free_port()
    config = CONFIG.format(module=MODULE, folder=folder, port=port, directives=directives)
    async with _running(folder, config, port) as program:
        yield Nginx(port, program)


@asynccontextmanager
async def nginx_http(folder: Path, blocks: str, port: int) -> AsyncIterator[Program]:
    """nginx with these blocks inside of `http`, which listen on the port; its access log is
    `folder / "access.log"`: protocol, status, cache status and target of each request."""
    config = HTTP_CONFIG.format(folder=folder, blocks=blocks)
    async with _running(folder, config, port) as program:
        yield program


@asynccontextmanager
async def _running(folder: Path, config: str, port: int) -> AsyncIterator[Program]:
    conf = folder / "nginx.conf"
    conf.write_text(config, encoding="utf-8")
    # -e: the log before the configuration is read; Debian's default is below /var/log
    argv = (find("nginx"), "-p", str(folder), "-c", str(conf), "-e", "stderr")
    async with running(*argv) as program:
        await listening(port, program)
        yield program
