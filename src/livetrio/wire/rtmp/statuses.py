"""The catalogue of goodbyes: which RTMP status code says why something was not done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from livetrio.errors import RefusalCode

__all__ = ["connect_refusal", "refusal"]

_CONNECT: Final[Mapping[RefusalCode, str]] = {
    RefusalCode.NOT_FOUND: "NetConnection.Connect.InvalidApp",
}

_PUBLISH: Final[Mapping[RefusalCode, str]] = {
    RefusalCode.BAD_REQUEST: "NetStream.Publish.BadName",
    RefusalCode.CONFLICT: "NetStream.Publish.BadName",
    RefusalCode.NOT_FOUND: "NetStream.Publish.BadName",
    RefusalCode.UNAUTHORIZED: "NetStream.Publish.Denied",
    RefusalCode.FORBIDDEN: "NetStream.Publish.Denied",
}

_PLAY: Final[Mapping[RefusalCode, str]] = {
    RefusalCode.NOT_FOUND: "NetStream.Play.StreamNotFound",
    RefusalCode.GONE: "NetStream.Play.StreamNotFound",
}


def connect_refusal(code: RefusalCode) -> str:
    """The status code for a `connect` refused with `code`."""
    return _CONNECT.get(code, "NetConnection.Connect.Rejected")


def refusal(command: str, code: RefusalCode) -> str:
    """The status code for `command` ("publish", "play", "seek" ...) refused with `code`."""
    match command:
        case "publish":
            return _PUBLISH.get(code, "NetStream.Failed")
        case "play" | "play2":
            return _PLAY.get(code, "NetStream.Play.Failed")
        case "seek":
            return "NetStream.Seek.Failed"
        case _:
            return "NetStream.Failed"
