"""Debian's Janus as a process, its streaming plugin fed with RTP, its API on a Unix socket."""

from __future__ import annotations

import contextlib
import json
import secrets
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from rig.servers import ServerError
from rig.worker import pinned

__all__ = ["Janus", "janus"]

Message = dict[str, Any]

_DEADLINE: Final = 15.0
_MESSAGE: Final = 1 << 18
_STARTS: Final = 12
_LIBRARY: Final = Path("/usr/lib/x86_64-linux-gnu/janus")
# No debug output, no other plugin; ICE lite, as livetrio is; one event loop, since it has one core:
# by default each viewer is a thread, and costs a third more. The cheapest that Janus can be.
_GENERAL: Final = """\
general: {{
    configs_folder = "{directory}"
    plugins_folder = "{library}/plugins"
    transports_folder = "{library}/transports"
    events_folder = "{library}/events"
    loggers_folder = "{library}/loggers"
    debug_level = 2
    session_timeout = 0
    event_loops = 1
    protected_folders = []
}}
nat: {{ ice_lite = true  ice_tcp = false }}
media: {{ ipv6 = false }}
plugins: {{ disable = "{others}" }}
transports: {{ disable = "{transports}" }}
"""
_UNIX: Final = """\
general: {{ enabled = true json = "compact" path = "{path}" type = "SOCK_SEQPACKET" }}
admin: {{ admin_enabled = false }}
"""
_STREAMING: Final = """\
bench: {{ type = "rtp" id = 1 description = "bench" audio = true video = true
    audioport = {audio} audiopt = 111 audiocodec = "opus"
    videoport = {video} videopt = 102 videocodec = "h264"
    videofmtp = "profile-level-id=42e01f;packetization-mode=1" }}
"""


class Janus:
    """A running server, and one session in which all viewers are handles."""

    def __init__(self, pid: int, api: socket.socket, audio: int, video: int) -> None:
        self.pid = pid
        self.audio = audio
        self.video = video
        """UDP ports it takes RTP on."""
        self._api = api
        self._offers: dict[int, str] = {}  # by handle; they overtake the acknowledgements
        self._session = self._ask({"janus": "create"})["data"]["id"]

    def watch(self) -> tuple[int, str]:
        """A new viewer: its handle, and the offer Janus makes it."""
        attach = {"janus": "attach", "plugin": "janus.plugin.streaming"}
        handle: int = self._ask(attach)["data"]["id"]
        self._message(handle, {"request": "watch", "id": 1})
        while handle not in self._offers:
            self._read()
        return handle, self._offers.pop(handle)

    def start(self, handle: int, answer: str) -> None:
        """The viewer's answer."""
        self._message(handle, {"request": "start"}, {"type": "answer", "sdp": answer})

    def keep(self) -> None:
        """Read what it says meanwhile: a full socket would hold it up."""
        while select.select([self._api], [], [], 0)[0]:
            self._api.recv(_MESSAGE)

    def _message(self, handle: int, body: Message, jsep: Message | None = None) -> None:
        message = {"janus": "message", "handle_id": handle, "body": body}
        self._ask(message if jsep is None else {**message, "jsep": jsep})

    def _ask(self, message: Message) -> Message:
        transaction = secrets.token_hex(6)
        words: Message = {**message, "transaction": transaction}
        if message["janus"] != "create":
            words["session_id"] = self._session
        self._api.send(json.dumps(words).encode())
        while True:
            answer = self._read()
            if answer.get("transaction") == transaction:
                return answer

    def _read(self) -> Message:
        answer: Message = json.loads(self._api.recv(_MESSAGE))
        if answer.get("janus") == "error":
            raise ServerError(f"janus: {answer['error']}")
        if "jsep" in answer:
            self._offers[answer["sender"]] = answer["jsep"]["sdp"]
        return answer


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _others(kind: str, prefix: str, keep: str) -> str:
    found = (path.name for path in (_LIBRARY / kind).glob("*.so"))
    return ",".join(sorted(name for name in found if name != f"{prefix}{keep}.so"))


@contextlib.contextmanager
def janus(directory: Path, cores: set[int] | None) -> Iterator[Janus]:
    """Run Janus until the block is left.

    Raises:
        ServerError: it is not installed, or did not start.
    """
    binary = shutil.which("janus")
    if binary is None:
        raise ServerError("janus is not installed; on Debian: apt-get install janus")
    audio, video = _free_ports(2)
    path = directory / "api"
    files = {
        "janus.jcfg": _GENERAL.format(
            directory=directory,
            library=_LIBRARY,
            others=_others("plugins", "libjanus_", "streaming"),
            transports=_others("transports", "libjanus_", "pfunix"),
        ),
        "janus.transport.pfunix.jcfg": _UNIX.format(path=path),
        "janus.plugin.streaming.jcfg": _STREAMING.format(audio=audio, video=video),
    }
    for name, text in files.items():
        (directory / name).write_text(text)
    command = [binary, "-F", str(directory), "-C", str(directory / "janus.jcfg")]
    with contextlib.ExitStack() as stack:
        process = _started(stack, command, path, directory / "janus.log", cores)
        api = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        api.settimeout(_DEADLINE)
        api.connect(str(path))
        yield Janus(process.pid, api, audio, video)


def _started(
    stack: contextlib.ExitStack, command: list[str], path: Path, log: Path, cores: set[int] | None
) -> subprocess.Popen[bytes]:
    """Janus 1.1 loses a race with itself every other start: its Unix socket is gone at once."""
    for _ in range(_STARTS):
        with log.open("wb") as output, pinned(cores):
            process = subprocess.Popen(command, stdout=output, stderr=output)
        stack.callback(_stop, process)
        deadline = time.monotonic() + _DEADLINE
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)
            if path.exists():
                time.sleep(0.5)
                if process.poll() is None and path.exists():
                    return process
    said = log.read_text(errors="replace")[-1500:]
    raise ServerError(f"janus did not start:\n{said}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
