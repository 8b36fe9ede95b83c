"""A session description as sections of attributes, read under limits and written.

What it means is for others; what is kept here is that no peer can make us hold or search more
than 64 KiB, and that nothing read can break a line when it is written again.

Source: RFC 8866, with the form RFC 9429 gives it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from livetrio.errors import RemoteProtocolError

__all__ = [
    "MAX_FORMATS",
    "MAX_LINES",
    "MAX_MEDIA",
    "MAX_SIZE",
    "MediaDescription",
    "Section",
    "SessionDescription",
    "decimal",
    "is_token",
    "lines_of",
    "parse_media",
    "parse_sdp",
    "split_attribute",
]

MAX_SIZE: Final = 64 * 1024
"""Characters. Chromium's offer of everything has 7,000."""
MAX_LINES: Final = 4_000
MAX_MEDIA: Final = 64
"""m-lines: more seats than any page shows."""
MAX_FORMATS: Final = 128
"""Payload types of an m-line."""

_TYPES: Final = frozenset("vosiuepcbtrzkam")
_TOKEN: Final = frozenset(
    "!#$%&'*+-.^_`{|}~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)


@dataclass(slots=True)
class Section:
    """Attributes in the order they came; a property attribute has the value ""."""

    attributes: list[tuple[str, str]] = field(default_factory=list)

    def has(self, name: str) -> bool:
        """Whether the attribute is there, with or without a value."""
        return any(name == found for found, _ in self.attributes)

    def values(self, name: str) -> Iterator[str]:
        """The values of every attribute of that name."""
        return (value for found, value in self.attributes if name == found)

    def value(self, name: str) -> str | None:
        """The first of them, None without one."""
        return next(self.values(name), None)

    def add(self, name: str, value: str = "") -> None:
        """Append an attribute."""
        self.attributes.append((name, value))

    def _attribute_lines(self) -> Iterator[str]:
        for name, value in self.attributes:
            yield f"a={name}:{value}" if value else f"a={name}"


@dataclass(slots=True)
class MediaDescription(Section):
    """One m-line and its attributes."""

    media: str = "application"
    """"audio", "video", "application", ..."""
    port: int = 0
    """0: rejected, or (with a=bundle-only) sharing another m-line's."""
    protocol: str = "UDP/TLS/RTP/SAVPF"
    formats: list[str] = field(default_factory=list)
    """Of RTP: payload types."""

    @property
    def mid(self) -> str:
        """The name BUNDLE, trickled candidates and header extensions know it by; may be ""."""
        return self.value("mid") or ""

    def lines(self) -> Iterator[str]:
        """Its lines, without ends."""
        yield f"m={self.media} {self.port} {self.protocol} {' '.join(self.formats)}"
        yield "c=IN IP4 0.0.0.0"
        yield from self._attribute_lines()


@dataclass(slots=True)
class SessionDescription(Section):
    """The whole."""

    origin: str = "- 0 0 IN IP4 0.0.0.0"
    media: list[MediaDescription] = field(default_factory=list)

    def build(self) -> str:
        """The text, with CR LF. Lines that mean nothing in WebRTC were not kept."""
        lines = ["v=0", f"o={self.origin}", "s=-", "t=0 0", *self._attribute_lines()]
        for media in self.media:
            lines += media.lines()
        return "".join(f"{line}\r\n" for line in lines)


def parse_sdp(text: str) -> SessionDescription:
    """Read an offer or an answer.

    Raises:
        RemoteProtocolError: it is none, or too large; the reason never repeats more of it than
            a few letters.
    """
    lines = lines_of(text)
    if next(lines, None) != ("v", "0"):
        raise RemoteProtocolError('SDP: it does not begin with "v=0"')
    session = SessionDescription()
    section: Section = session
    for kind, value in lines:
        match kind:
            case "a":
                section.attributes.append(split_attribute(value))
            case "m":
                if len(session.media) == MAX_MEDIA:
                    raise RemoteProtocolError(f"SDP: more than {MAX_MEDIA} m-lines")
                section = media = parse_media(value)
                session.media.append(media)
            case "o" if section is session:
                session.origin = value
            case "v":
                raise RemoteProtocolError("SDP: a second description in the first")
    return session


def lines_of(text: str) -> Iterator[tuple[str, str]]:
    """(letter, value) of each line; CR LF and LF end one, a CR alone does not.

    Raises:
        RemoteProtocolError: at once if the text is too large, while reading if a line is none.
    """
    if len(text) > MAX_SIZE:
        raise RemoteProtocolError(f"SDP: {len(text)} characters")
    if text.count("\n") > MAX_LINES:
        raise RemoteProtocolError(f"SDP: more than {MAX_LINES} lines")
    return map(_line, filter(None, text.replace("\r\n", "\n").split("\n")))


def _line(line: str) -> tuple[str, str]:
    if line[1:2] != "=" or line[0] not in _TYPES:
        raise RemoteProtocolError(f"SDP: a line that begins with {line[:2]!r}")
    if not line.isprintable():
        raise RemoteProtocolError(f"SDP: a {line[0]}= line with control characters")
    return line[0], line[2:].strip(" ")


def split_attribute(value: str) -> tuple[str, str]:
    """(name, value) of what stands behind "a="."""
    name, _, rest = value.partition(":")
    if not is_token(name):
        raise RemoteProtocolError("SDP: an attribute whose name is no token")
    return name, rest.strip(" ")


def parse_media(value: str) -> MediaDescription:
    """Read what stands behind "m=".

    Raises:
        RemoteProtocolError: it is cut, has port numbers that are none, or a format twice.
    """
    words = value.split()
    if len(words) < 4 or not is_token(words[0]):
        raise RemoteProtocolError("SDP: a cut m-line")
    formats = words[3:]
    if len(formats) > MAX_FORMATS:
        raise RemoteProtocolError(f"SDP: an m-line of {len(formats)} formats")
    if len(set(formats)) < len(formats):
        raise RemoteProtocolError("SDP: an m-line with the same format twice")
    port = decimal(words[1], 65_535, "port")
    return MediaDescription([], words[0], port, words[2], formats)


def is_token(text: str) -> bool:
    """Whether it is a token of RFC 8866: not empty, no space, no separators."""
    return bool(text) and _TOKEN.issuperset(text)


def decimal(text: str, limit: int, what: str) -> int:
    """A number from 0 to `limit`, written in decimal digits and nothing else.

    Raises:
        RemoteProtocolError: it is none; the message names `what`.
    """
    if not (text.isascii() and text.isdigit()) or len(text) > 20 or int(text) > limit:
        raise RemoteProtocolError(f"SDP: {what} {text[:20]!r}")
    return int(text)
