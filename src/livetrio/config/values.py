"""From written text to values: one reader per kind of setting.

File, environment and flags all arrive as text, so there is one reading of each, as forgiving as
livego's (viper casts): `"true"`, `true` and `1` are the same boolean, wherever they come from.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar
from urllib.parse import urlsplit

from livetrio.config.schema import Address, Network

__all__ = [
    "BadValue",
    "Node",
    "Reader",
    "address",
    "app_name",
    "boolean",
    "choice",
    "file",
    "ice_urls",
    "ip_addresses",
    "networks",
    "number",
    "patterns",
    "push_urls",
    "record_template",
    "shown",
    "text",
    "whole",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_TRUE: Final = frozenset({"1", "t", "true", "y", "yes", "on"})
_FALSE: Final = frozenset({"0", "f", "false", "n", "no", "off"})
_HOST: Final = re.compile(r"[0-9A-Za-z]([0-9A-Za-z\-_.]{0,252}[0-9A-Za-z])?", re.ASCII)
_MAX_SHOWN: Final = 60
_RECORD_FIELDS: Final = ("app", "name", "unix")
_ICE_URL: Final = re.compile(
    r"(?:stuns?|turns?):(?:[0-9A-Za-z.-]{1,253}|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
    r"(?:\?transport=(?:udp|tcp))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Node:
    """A value as written, and where: "livetrio.yaml:12", "environment LEVEL", "command line"."""

    value: str | tuple[Node, ...] | Mapping[str, Node] | None
    where: str


class BadValue(ValueError):
    """What is wrong with a value, as the end of a sentence that begins with its key."""


@dataclass(frozen=True, slots=True)
class Reader(Generic[T_co]):
    """A kind of value."""

    read: Callable[[Node], T_co]
    """Raises BadValue."""
    metavar: str = "TEXT"
    """Its kind in one word, for the command line's help."""
    empty: bool = False
    """Whether "" is a value of this kind; where not, an empty environment variable is none."""


def shown(value: str) -> str:
    """A value inside an error message: quoted, escaped, bounded."""
    return repr(value if len(value) <= _MAX_SHOWN else f"{value[:_MAX_SHOWN]}…")


def scalar(node: Node) -> str:
    """The text of a node; null is "" as in livego."""
    match node.value:
        case None:
            return ""
        case str(value):
            # "\ud83d\ude00" in JSON is one character in two escapes.
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case tuple():
            raise BadValue("must be a single value, not a list")
        case _:
            raise BadValue("must be a single value, not a mapping")


def _boolean(node: Node) -> bool:
    word = scalar(node).strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise BadValue(f"must be true or false, not {shown(word)}")


def _choice(words: Mapping[str, T]) -> Callable[[Node], T]:
    def read(node: Node) -> T:
        word = scalar(node).strip().lower()
        if word not in words:
            raise BadValue(f"must be one of {', '.join(words)}; not {shown(word)}")
        return words[word]

    return read


def choice(words: Mapping[str, T]) -> Reader[T]:
    """One of a few words, in any case, and what each stands for."""
    return Reader(_choice(words), "|".join(words))


def number(low: float, high: float, *, unit: str = "SECONDS", scale: float = 1.0) -> Reader[float]:
    """A number in [low, high]; the value is what was written times `scale`."""

    def read(node: Node) -> float:
        written = scalar(node)
        try:
            value = float(written)
        except ValueError:
            raise BadValue(f"must be a number of {unit.lower()}, not {shown(written)}") from None
        if not (math.isfinite(value) and low <= value <= high):
            raise BadValue(f"must be between {low:g} and {high:g} {unit.lower()}, not {value:g}")
        return value * scale

    return Reader(read, unit)


def whole(low: int, high: int) -> Reader[int]:
    """A whole number in [low, high]."""

    def read(node: Node) -> int:
        written = scalar(node).strip()
        # int() takes "1_0" and digits of all scripts, and a million digits take it seconds.
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", written, re.ASCII):
            raise BadValue(f"must be a whole number, not {shown(written)}")
        if not low <= (value := int(written)) <= high:
            raise BadValue(f"must be between {low} and {high}, not {value}")
        return value

    return Reader(read, "N")


def _address(node: Node) -> Address | None:
    """ "host:port" as in Go; None for ""."""
    written = scalar(node).strip()
    if not written:
        return None
    example = 'write it as ":1935", "127.0.0.1:1935" or "[::1]:1935"'
    host, colon, port = written.rpartition(":")
    if not colon:
        raise BadValue(f"{shown(written)} has no port or no colon; {example}")
    if not re.fullmatch(r"[0-9]{1,5}", port, re.ASCII) or int(port) > 65535:
        raise BadValue(f"port {shown(port)} must be a number from 0 to 65535; {example}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise BadValue(f"{shown(host)} is not an IPv6 address; {example}") from None
        # As in Go: the IPv6 wildcard listens on both families.
        return Address(None if host == "::" else host, int(port))
    if host and not _HOST.fullmatch(host):
        raise BadValue(f"{shown(host)} is not a host; {example}")
    return Address(host or None, int(port))


def _networks(node: Node) -> tuple[Network, ...]:
    found: list[Network] = []
    for item in _items(node):
        try:
            found.append(ipaddress.ip_network(item, strict=False))
        except ValueError:
            raise BadValue(
                f"{shown(item)} is not an IP address or network (10.0.0.0/8, ::1)"
            ) from None
    return tuple(found)


def _ip_addresses(node: Node) -> tuple[str, ...]:
    found: list[str] = []
    for item in _items(node):
        try:
            found.append(str(ipaddress.ip_address(item)))
        except ValueError:
            raise BadValue(
                f"{shown(item)} is not an IP address (names are not asked for)"
            ) from None
    return tuple(found)


def _patterns(node: Node) -> tuple[str, ...]:
    found = _items(node)
    for item in found:
        if not item.isprintable() or not 1 <= len(item) <= 255 or any(map(str.isspace, item)):
            raise BadValue(f"{shown(item)} is not a name or pattern")
    return tuple(found)


def _items(node: Node) -> list[str]:
    """A list, or (environment, flags) text with commas."""
    if isinstance(node.value, tuple):
        return [scalar(item).strip() for item in node.value]
    return [item.strip() for item in scalar(node).split(",") if item.strip()]


def _push_urls(node: Node) -> tuple[str, ...]:
    urls = _items(node)
    for place, url in enumerate(urls, 1):
        # Never shown: such a URL holds the secret key of somebody's channel.
        fault = _push_fault(url)
        if fault:
            raise BadValue(f"entry {place} {fault}; write it as rtmp://host[:port]/app")
    return tuple(urls)


def _push_fault(url: str) -> str:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in {"rtmp", "rtmps"}:
        return "does not begin with rtmp:// or rtmps://"
    if not parts.hostname or not url.isprintable() or " " in url:
        return "has no host, or characters that no URL has"
    return ""


def _ice_urls(node: Node) -> tuple[str, ...]:
    """URIs of RFC 7064 and RFC 7065."""
    urls = _items(node)
    for url in urls:
        if not _ICE_URL.fullmatch(url):
            raise BadValue(
                f"{shown(url)} is not a TURN or STUN URL; write it as "
                "turn:turn.example.com:3478?transport=udp"
            )
    return tuple(urls)


def _app_name(node: Node) -> str:
    name = scalar(node)
    if not name or len(name.encode()) > 128 or not name.isprintable() or name != name.strip():
        raise BadValue(f"must be 1 to 128 bytes of printable text, not {shown(name)}")
    if name in {".", ".."} or set("/\\?#%") & set(name):
        raise BadValue(f"must be one path segment without / \\ ? # %, not {shown(name)}")
    return name


def _record_template(node: Node) -> str:
    template = scalar(node)
    for field in re.findall(r"\{(.*?)\}", template):
        if field not in _RECORD_FIELDS:
            known = ", ".join(f"{{{name}}}" for name in _RECORD_FIELDS)
            raise BadValue(f"has no field {{{shown(field)}}}; there are {known}")
    if not template or template.startswith("/") or ".." in template.split("/"):
        raise BadValue("must be a path below record.dir")
    return template


def _file(node: Node) -> Path:
    written = scalar(node)
    if not written or "\0" in written:
        raise BadValue("must be a path")
    return Path(written).expanduser()


text = Reader(scalar, empty=True)
boolean = Reader(_boolean, "BOOL")
address = Reader(_address, "[HOST]:PORT", empty=True)
networks = Reader(_networks, "CIDR,CIDR", empty=True)
ip_addresses = Reader(_ip_addresses, "IP,IP", empty=True)
ice_urls = Reader(_ice_urls, "URL,URL", empty=True)
push_urls = Reader(_push_urls, "URL,URL", empty=True)
app_name = Reader(_app_name, "NAME")
file = Reader(_file, "PATH")
patterns = Reader(_patterns, "NAME,NAME", empty=True)
record_template: Final = Reader(_record_template, "PATH")
