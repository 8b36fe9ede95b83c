"""Players of every kind livetrio serves, each storing what it gets as an FLV file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import trio
from trio_websocket import ConnectionClosed, wrap_client_stream

from kit.ffmpeg import recording
from kit.programs import find, running
from kit.server import Server

__all__ = ["KINDS", "Player", "playing"]

KINDS = ("rtmp", "rtmpdump", "http-flv", "curl", "ws-flv")
"""ffmpeg and rtmpdump over RTMP, ffmpeg and curl over HTTP, a WebSocket client."""


class Player:
    """A player beside the test."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ended = trio.Event()

    async def finished(self, *, deadline: float = 40) -> Path:
        """The complete file, once the server has ended the stream; else trio.TooSlowError."""
        with trio.fail_after(deadline):
            await self.ended.wait()
        return self.path


@asynccontextmanager
async def playing(kind: str, server: Server, name: str, path: Path) -> AsyncIterator[Player]:
    """One of `KINDS`, playing stream `name` of the app `live` into `path` until it ends.

    Started before anybody publishes, it gets the whole stream: the server lets players wait.
    """
    player = Player(path)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(PLAYERS[kind], server, name, player)
        yield player
        nursery.cancel_scope.cancel()


async def with_ffmpeg(url: str, player: Player) -> None:
    async with recording(url, player.path) as recorder:
        await recorder.finished()
        player.ended.set()


async def with_program(player: Player, *argv: str) -> None:
    async with running(*argv) as program:
        await program.wait()
        player.ended.set()


async def rtmp(server: Server, name: str, player: Player) -> None:
    await with_ffmpeg(server.rtmp(name), player)


async def http_flv(server: Server, name: str, player: Player) -> None:
    await with_ffmpeg(server.flv(name), player)


async def rtmpdump(server: Server, name: str, player: Player) -> None:
    argv = (find("rtmpdump"), "--live", "-r", server.rtmp(name), "-o", str(player.path))
    await with_program(player, *argv)


async def curl(server: Server, name: str, player: Player) -> None:
    argv = (find("curl"), "-sS", "--no-buffer", "-o", str(player.path), server.flv(name))
    await with_program(player, *argv)


async def ws_flv(server: Server, name: str, player: Player) -> None:
    # not open_websocket_url: its socket stays open when the server is the first to close
    async with (
        await trio.open_tcp_stream("127.0.0.1", server.httpflv_port) as stream,
        await trio.open_file(player.path, "wb") as file,
        trio.open_nursery() as nursery,
    ):
        socket = await wrap_client_stream(nursery, stream, "127.0.0.1", f"/live/{name}.flv")
        with suppress(ConnectionClosed):
            while True:
                message = await socket.get_message()
                assert isinstance(message, bytes)
                await file.write(message)
    player.ended.set()


PLAYERS = {"rtmp": rtmp, "rtmpdump": rtmpdump, "http-flv": http_flv, "curl": curl, "ws-flv": ws_flv}
