"""livetrio as its users start it: `python -m livetrio serve`, on free ports of the loopback."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from kit.programs import Program, free_ports, running
from livetrio.config.settings import LISTENERS

__all__ = ["LISTENED", "Server", "livetrio_server"]

LISTENED = tuple(name for name in LISTENERS if name != "rtmps")
"""All listeners that have a default port: a test moves each, or it would take that one."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running livetrio and its addresses; app and name make a stream."""

    program: Program
    folder: Path
    """Its configuration (`livetrio.yaml`) and its `data_dir` (`data`)."""
    ports: Mapping[str, int]
    """By the listener's name: "rtmp", "hls", "webrtc" ..."""

    def rtmp(self, name: str, *, app: str = "live") -> str:
        return f"rtmp://127.0.0.1:{self.ports['rtmp']}/{app}/{name}"

    def flv(self, name: str, *, app: str = "live") -> str:
        return f"http://127.0.0.1:{self.ports['httpflv']}/{app}/{name}.flv"

    def ws_flv(self, name: str, *, app: str = "live") -> str:
        return f"ws://127.0.0.1:{self.ports['httpflv']}/{app}/{name}.flv"

    def hls(self, name: str, *, app: str = "live") -> str:
        return f"http://127.0.0.1:{self.ports['hls']}/{app}/{name}.m3u8"

    @property
    def rtmp_port(self) -> int:
        return self.ports["rtmp"]

    @property
    def httpflv_port(self) -> int:
        return self.ports["httpflv"]

    @property
    def web_port(self) -> int:
        return self.ports["web"]

    @property
    def api_port(self) -> int:
        return self.ports["api"]

    def api(self, path: str) -> str:
        """An address on the operator's port; `path` begins with a slash."""
        return f"http://127.0.0.1:{self.ports['api']}{path}"

    def web(self, path: str = "/") -> str:
        """An address on the public port; `path` begins with a slash."""
        return f"http://127.0.0.1:{self.ports['web']}{path}"


@asynccontextmanager
async def livetrio_server(
    folder: Path, *, rtmp_port: int | None = None, **settings: object
) -> AsyncIterator[Server]:
    """livetrio in a process of its own; SIGTERM at the end of the block, as an operator would.

    Args:
        folder: for its configuration and its data; two servers never share one.
        rtmp_port: where others expect it already; a free port otherwise.
        settings: keys of the configuration file. Without `server` and `rtmp_noauth`, the app
            `live` takes plain names.

    Raises:
        ProgramError: it ended instead of listening; with its last words.
    """
    ports = dict(zip(LISTENED, free_ports(len(LISTENED)), strict=True))
    ports["rtmp"] = rtmp_port or ports["rtmp"]
    config = {
        **{f"{name}_addr": f"127.0.0.1:{port}" for name, port in ports.items()},
        "data_dir": str(folder / "data"),
        **({} if settings.keys() & {"server", "rtmp_noauth"} else {"rtmp_noauth": True}),
        **settings,
    }
    file = folder / "livetrio.yaml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    argv = (sys.executable, "-m", "livetrio", "serve", "--config", str(file))
    async with running(*argv, cwd=folder) as program:
        for name in ports:
            if config[f"{name}_addr"]:  # "" turns a listener off
                # its word and not a connection: the kernel accepts for it before it is ready
                await program.line(rf"listening name={name} ")
        yield Server(program, folder, ports)
