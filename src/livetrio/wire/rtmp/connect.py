"""The `connect` command: what a client tells of itself, and what the server says in return."""

from __future__ import annotations

import math
from typing import Final

from livetrio.wire.amf import Value
from livetrio.wire.rtmp.commands import Command, status, text_of
from livetrio.wire.rtmp.events import ConnectRequested
from livetrio.wire.rtmp.url import resolve

__all__ = [
    "AUDIO_FOURCC",
    "CAPS_EX",
    "VIDEO_FOURCC",
    "capabilities",
    "read_connect",
    "result",
    "takes_multitrack",
]

VIDEO_FOURCC: Final = ("avc1", "hvc1", "av01", "vp08", "vp09")
AUDIO_FOURCC: Final = ("mp4a", "Opus", "fLaC", "ac-3", "ec-3", ".mp3")
"""The codecs of Enhanced RTMP v2 that are understood."""

_CAN_FORWARD: Final = 4
"""FourCcInfoMask: neither decoded nor encoded, passed on."""

_MULTITRACK: Final = 2
_MOD_EX: Final = 4
_TIMESTAMP_NANO_OFFSET: Final = 8
CAPS_EX: Final = _MULTITRACK | _MOD_EX | _TIMESTAMP_NANO_OFFSET
"""capsEx (CapsExMask): all of it but reconnect requests, which are never sent."""

_MAX_FOURCC: Final = 32


def read_connect(command: Command) -> ConnectRequested:
    """What a `connect` command asks for.

    Raises:
        Refused: BAD_REQUEST; the address cannot be used.
    """
    properties = command.object if isinstance(command.object, dict) else {}
    app = properties.get("app")
    tc_url = properties.get("tcUrl")
    app = app if isinstance(app, str) else ""
    tc_url = tc_url if isinstance(tc_url, str) else ""
    target = resolve(app, tc_url)
    fourcc = _fourcc(properties)
    encoding = _number(properties.get("objectEncoding"))
    return ConnectRequested(
        app=target.app,
        tc_url=tc_url,
        flash_ver=text_of(properties.get("flashVer")),
        page_url=text_of(properties.get("pageUrl")),
        query=target.query,
        enhanced=bool(fourcc) or "capsEx" in properties,
        multitrack=takes_multitrack(properties),
        fourcc=fourcc,
        object_encoding=3.0 if encoding == 3 else 0.0,
        transaction=command.transaction,
        app_as_sent=app,
    )


def takes_multitrack(properties: Value) -> bool:
    """Does the peer that says this of itself understand several tracks of a kind?"""
    if not isinstance(properties, dict):
        return False
    return bool(int(_number(properties.get("capsEx"))) & _MULTITRACK)


def _number(value: Value) -> float:
    if isinstance(value, int | float) and math.isfinite(value):
        return value
    return 0.0


def _fourcc(properties: dict[str, Value]) -> tuple[str, ...]:
    """The codecs in fourCcList (v1) and the two maps (v2), each once, in order."""
    listed = properties.get("fourCcList")
    found: dict[str, None] = {}
    for source in (
        listed,
        properties.get("videoFourCcInfoMap"),
        properties.get("audioFourCcInfoMap"),
    ):
        if isinstance(source, list | dict):
            found |= dict.fromkeys(v for v in source if isinstance(v, str) and len(v) <= 4)
    return tuple(found)[:_MAX_FOURCC]


def capabilities() -> dict[str, Value]:
    """The properties by which either side tells what of Enhanced RTMP it understands."""
    return {
        "fourCcList": [*VIDEO_FOURCC, *AUDIO_FOURCC],
        "videoFourCcInfoMap": dict.fromkeys(VIDEO_FOURCC, _CAN_FORWARD),
        "audioFourCcInfoMap": dict.fromkeys(AUDIO_FOURCC, _CAN_FORWARD),
        "capsEx": CAPS_EX,
    }


def result(request: ConnectRequested) -> tuple[dict[str, Value], dict[str, Value]]:
    """The properties and the information object of the `_result` to an accepted `connect`.

    Enhanced RTMP does not say in which of the two the server's capabilities belong, so they are
    in both; only for clients that spoke of it, for old ones may choke on unknown members.
    """
    extra = capabilities() if request.enhanced else {}
    properties = {"fmsVer": "FMS/3,0,1,123", "capabilities": 31, **extra}
    information = status(
        "status",
        "NetConnection.Connect.Success",
        "Connection succeeded.",
        objectEncoding=request.object_encoding,
        **extra,
    )
    return properties, information
