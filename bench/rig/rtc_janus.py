"""Janus's streaming plugin, fed with RTP, and its viewers."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rig.janus import Janus, running_janus

__all__ = ["JanusStreaming", "janus_streaming"]

_STREAMING: Final = """\
bench: {{ type = "rtp" id = 1 description = "bench" audio = true video = true
    audioport = {audio} audiopt = 111 audiocodec = "opus"
    videoport = {video} videopt = 102 videocodec = "h264"
    videofmtp = "profile-level-id=42e01f;packetization-mode=1" }}
"""


class JanusStreaming:
    """One stream, and whoever watches it."""

    def __init__(self, server: Janus, audio: int, video: int) -> None:
        self.pid = server.pid
        self.audio = audio
        self.video = video
        """UDP ports it takes RTP on."""
        self.keep = server.keep
        self._server = server

    def watch(self) -> tuple[int, str]:
        """A new viewer: its handle, and the offer Janus makes it."""
        handle = self._server.attach("streaming")
        return handle, self._server.message(handle, {"request": "watch", "id": 1})

    def start(self, handle: int, answer: str) -> None:
        """The viewer's answer."""
        self._server.message(handle, {"request": "start"}, answer, "answer")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def janus_streaming(directory: Path, cores: set[int] | None) -> Iterator[JanusStreaming]:
    """Run it until the block is left.

    Raises:
        ServerError: it is not installed, or did not start.
    """
    audio, video = _free_ports(2)
    mountpoint = _STREAMING.format(audio=audio, video=video)
    files = {"janus.plugin.streaming.jcfg": mountpoint}
    with running_janus(directory, "streaming", cores, files) as server:
        yield JanusStreaming(server, audio, video)
