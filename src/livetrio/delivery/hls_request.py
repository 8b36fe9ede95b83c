"""What an HLS request asks for, read out of its path and query; refused where it makes no sense.

Source: RFC 8216bis section 6.2.5 (delivery directives).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote, urlencode

from livetrio.errors import RefusalCode, Refused, RemoteProtocolError
from livetrio.net.request import parse_target, stream_path

__all__ = [
    "FILE_TYPES",
    "PLAYLIST",
    "Ask",
    "Asks",
    "FileAsk",
    "PlaylistAsk",
    "Variant",
    "read_ask",
]

PLAYLIST: Final = ".m3u8"
FILE_TYPES: Final = {
    ".ts": "video/mp2ts",
    ".m4s": "video/iso.segment",
    ".mp4": "video/mp4",
    ".key": "application/octet-stream",
}
"""Content types by ending."""

Variant = Literal["ts", "fmp4", "ll"]

_DIRECTIVES: Final = ("_HLS_msn", "_HLS_part", "_HLS_skip")
_OURS: Final = frozenset({"variant", "video", "audio", "session", *_DIRECTIVES})
_MAX_DIGITS: Final = 12
_REMEMBERED: Final = 4096
"""Targets. Those who watch the same stream ask for the same few."""
_LONGEST: Final = 512
"""Bytes of a target that is remembered."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What all requests have."""

    app: str
    name: str
    query: str
    """The viewer's own parameters, which every URL in a playlist must carry on (its token): ""
    or beginning with "?"."""


@dataclass(frozen=True, slots=True)
class PlaylistAsk(Ask):
    """A playlist, perhaps not yet there."""

    variant: Variant | None
    video: int | None
    audio: int | None
    msn: int | None
    part: int | None
    skip: bool
    session: str

    @property
    def stem(self) -> str:
        """What the URLs in it begin with: relative to its own, without a slash."""
        return quote(self.name.rpartition("/")[2])


@dataclass(frozen=True, slots=True)
class FileAsk(Ask):
    """A segment, part, initialization segment or key."""

    file: str
    prefix: str
    """Says which window it is of."""
    ending: str
    is_header: bool
    number: int | None
    """Of the segment or header; None where there is none, or it is no number."""
    part: int | None
    is_part: bool


def read_ask(path: str, query: Mapping[str, str]) -> PlaylistAsk | FileAsk:
    """Read a request.

    Args:
        path: decoded, of a playlist or a file in FILE_TYPES.
        query: decoded.

    Raises:
        Refused: BAD_REQUEST.
    """
    if not path.endswith(PLAYLIST):
        folder, _, file = path.rpartition("/")
        return _file(*stream_path(folder, ""), file, _passed_on(query))
    app, name = stream_path(path, PLAYLIST)
    msn, part = _number_of(query, "_HLS_msn"), _number_of(query, "_HLS_part")
    if part is not None and msn is None:
        raise Refused(RefusalCode.BAD_REQUEST, "_HLS_part without _HLS_msn")
    skip = query.get("_HLS_skip", "")
    if skip not in {"", "YES", "v2"}:
        raise Refused(RefusalCode.BAD_REQUEST, "_HLS_skip must be YES or v2")
    return PlaylistAsk(
        app,
        name,
        _passed_on(query),
        _variant(query),
        _number_of(query, "video"),
        _number_of(query, "audio"),
        msn,
        part,
        bool(skip),
        query.get("session", ""),
    )


class Asks:
    """Reads requests by their targets, and remembers the newest."""

    def __init__(self) -> None:
        self._read: dict[bytes, PlaylistAsk | FileAsk | None] = {}

    def read(self, target: bytes) -> PlaylistAsk | FileAsk | None:
        """What a target in visible ASCII asks for; None where that is nothing of ours."""
        known = self._read.get(target)
        if known is not None or target in self._read:
            return known
        ask = None
        try:
            path, query = parse_target(target.decode("ascii"))
            if path.endswith((PLAYLIST, *FILE_TYPES)):
                ask = read_ask(path, query)
        except (Refused, RemoteProtocolError):
            return None
        if len(target) <= _LONGEST:
            if len(self._read) >= _REMEMBERED:
                self._read.clear()
            self._read[target] = ask
        return ask


def _file(app: str, name: str, file: str, query: str) -> FileAsk:
    prefix, dash, rest = file.partition("-")
    stem, dot, ending = rest.rpartition(".")
    is_header = dot + ending == ".mp4"
    if is_header:
        stem = stem.removeprefix("i") if stem.startswith("i") else "none"
    number, is_part, part = stem.partition(".")
    return FileAsk(
        app,
        name,
        query,
        file,
        prefix + dash,
        dot + ending,
        is_header,
        _number(number),
        _number(part),
        bool(is_part),
    )


def _number_of(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    number = _number(text)
    if number is None:
        raise Refused(RefusalCode.BAD_REQUEST, f"{name} is not a number")
    return number


def _number(text: str) -> int | None:
    """A decimal integer; None for anything else, or a number nobody can mean."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS else None


def _variant(query: Mapping[str, str]) -> Variant | None:
    match query.get("variant"):
        case None:
            return "ll" if any(name in query for name in _DIRECTIVES) else None
        case "ts" | "fmp4" | "ll" as variant:
            return variant
        case _:
            raise Refused(RefusalCode.BAD_REQUEST, "variant must be ts, fmp4 or ll")


def _passed_on(query: Mapping[str, str]) -> str:
    rest = {name: value for name, value in query.items() if name not in _OURS}
    return f"?{urlencode(rest)}" if rest else ""
