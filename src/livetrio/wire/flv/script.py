"""Script tags to packets: metadata and timed data, in AMF0.

Everything is read once before it is passed on, so that whoever shows it later (the API, the
console, metrics) meets values that can be read, and players get nothing that cannot.
"""

from __future__ import annotations

from typing import Final

from livetrio.errors import RemoteProtocolError
from livetrio.packet import Codec, Kind, Packet, Track
from livetrio.wire import amf0

__all__ = ["MAX_SCRIPT", "ScriptTags"]

MAX_SCRIPT: Final = 64 * 1024
"""Bytes. Metadata is sent to every newcomer; live encoders send well under 1,000."""

_MAX_VALUES: Final = 8_192
"""Values in one script tag: metadata has some 20; a keyframe index of a played file is longer."""
_METADATA: Final = "onMetaData"
_SET_DATA_FRAME: Final = amf0.encode("@setDataFrame")
_NUMBER_SIZE: Final = 9
_MAX_LEADING_NUMBERS: Final = 2


class ScriptTags:
    """One publisher's script tags.

    Attributes:
        tracks: the current Track, as id 0; its config is the last metadata.
    """

    __slots__ = ("tracks",)

    def __init__(self) -> None:
        self.tracks: dict[int, Track] = {}

    def feed(self, dts: int, body: bytes) -> list[Packet]:
        """Packets of one tag: none when it is empty or repeats the metadata.

        Args:
            dts: the tag's time, microseconds.
            body: name and values; "@setDataFrame" before them, and two numbers before that
                (as Uniview cameras send), are taken off.

        Raises:
            RemoteProtocolError: it is too long, not AMF0, or does not begin with a name.
        """
        body = _without_prefixes(body)
        if not body:
            return []
        track = self.tracks.get(0)
        if track is not None and track.config == body:
            return []
        if len(body) > MAX_SCRIPT:
            raise RemoteProtocolError(f"script data of {len(body)} bytes")
        values = amf0.decode(body, limit=_MAX_VALUES)
        if not isinstance(values[0], str):
            raise RemoteProtocolError("script data without a name")
        if values[0] == _METADATA:
            track = self.tracks[0] = Track(Kind.DATA, Codec.SCRIPT, config=body)
            return [Packet(track, dts, dts, body, False, True)]
        if track is None:
            track = self.tracks[0] = Track(Kind.DATA, Codec.SCRIPT)
        return [Packet(track, dts, dts, body, True)]


def _without_prefixes(body: bytes) -> bytes:
    for _ in range(_MAX_LEADING_NUMBERS):
        if body[:1] == b"\x00":
            body = body[_NUMBER_SIZE:]
    return body.removeprefix(_SET_DATA_FRAME)
