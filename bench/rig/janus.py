"""Debian's Janus as a process, its API on a Unix socket."""

from __future__ import annotations

import contextlib
import json
import secrets
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from rig.servers import ServerError
from rig.worker import pinned

__all__ = ["Janus", "Message", "running_janus"]

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


class Janus:
    """A running server, and one session in which all clients are handles."""

    def __init__(self, pid: int, api: socket.socket) -> None:
        self.pid = pid
        self._api = api
        self._session = self._ask({"janus": "create"})["data"]["id"]

    def attach(self, plugin: str) -> int:
        """A new client of a plugin: its handle."""
        answer = self._ask({"janus": "attach", "plugin": f"janus.plugin.{plugin}"})
        handle: int = answer["data"]["id"]
        return handle

    def message(self, handle: int, body: Message, sdp: str = "", kind: str = "offer") -> str:
        """Ask the plugin something; the SDP of what it says at last, "" if there is none.

        sdp: our offer or answer, of which `kind` says what it is.

        Raises:
            ServerError: it does not want to.
        """
        message: Message = {"janus": "message", "handle_id": handle, "body": body}
        if sdp:
            message["jsep"] = {"type": kind, "sdp": sdp}
        answer = self._ask(message)
        data = answer.get("plugindata", {}).get("data", {})
        if "error" in data:
            raise ServerError(f"janus: {body['request']}: {data['error']}")
        jsep: Message = answer.get("jsep", {})
        return str(jsep.get("sdp", ""))

    def keep(self) -> None:
        """Read what it says meanwhile: a full socket would hold it up."""
        while select.select([self._api], [], [], 0)[0]:
            self._api.recv(_MESSAGE)

    def _ask(self, message: Message) -> Message:
        transaction = secrets.token_hex(6)
        words: Message = {**message, "transaction": transaction}
        if message["janus"] != "create":
            words["session_id"] = self._session
        self._api.send(json.dumps(words).encode())
        while True:
            answer: Message = json.loads(self._api.recv(_MESSAGE))
            if answer.get("transaction") != transaction or answer["janus"] == "ack":
                continue  # news of others; the answer itself is still to come
            if answer["janus"] == "error":
                raise ServerError(f"janus: {answer['error']}")
            return answer


def _others(kind: str, keep: set[str]) -> str:
    found = (path.name for path in (_LIBRARY / kind).glob("*.so"))
    return ",".join(sorted(name for name in found if name not in keep))


@contextlib.contextmanager
def running_janus(
    directory: Path, plugin: str, cores: set[int] | None, files: Mapping[str, str] | None = None
) -> Iterator[Janus]:
    """Run Janus with one plugin until the block is left.

    files: further configuration, by the name of the file.

    Raises:
        ServerError: it is not installed, or did not start.
    """
    binary = shutil.which("janus")
    if binary is None:
        raise ServerError("janus is not installed; on Debian: apt-get install janus")
    path = directory / "api"
    contents = {
        "janus.jcfg": _GENERAL.format(
            directory=directory,
            library=_LIBRARY,
            others=_others("plugins", {f"libjanus_{plugin}.so"}),
            transports=_others("transports", {"libjanus_pfunix.so"}),
        ),
        "janus.transport.pfunix.jcfg": _UNIX.format(path=path),
        **(files or {}),
    }
    for name, text in contents.items():
        (directory / name).write_text(text)
    command = [binary, "-F", str(directory), "-C", str(directory / "janus.jcfg")]
    with contextlib.ExitStack() as stack:
        process = _started(stack, command, path, directory / "janus.log", cores)
        api = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        api.settimeout(_DEADLINE)
        api.connect(str(path))
        yield Janus(process.pid, api)


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
