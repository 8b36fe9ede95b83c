"""Request: what one HTTP request head asks for, checked, and who really asks.

RFC 9112 for the message, RFC 3986 for its target. Nothing in here does I/O: h11 has taken the
bytes apart already, and what it lets pass but we don't want is refused here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

import h11

from livetrio.config import Network
from livetrio.errors import RefusalCode, Refused, RemoteProtocolError
from livetrio.net.peers import trusts
from livetrio.wire.names import check_name

__all__ = [
    "MAX_HEAD",
    "MAX_QUERY_FIELDS",
    "Headers",
    "HttpProtocolError",
    "Request",
    "forwarded_for",
    "parse_request",
    "parse_target",
    "stream_path",
]

Headers = Iterable[tuple[str, str]]
MAX_HEAD = 16 << 10
"""Bytes of one request head, as in IIS and h11; browsers with many cookies send half of it."""
MAX_QUERY_FIELDS = 64


class HttpProtocolError(RemoteProtocolError):
    """The peer broke HTTP; it is told this status, with these headers, and disconnected."""

    def __init__(self, status: int, reason: str, headers: Headers = ()) -> None:
        super().__init__(reason)
        self.status = status
        self.headers = headers


@dataclass(slots=True, eq=False)
class Request:
    """One request head."""

    method: str
    path: str
    """Percent-decoded once, beginning with "/" (or "*", of OPTIONS)."""
    query: dict[str, str]
    """Decoded; of a repeated name the first counts, as in Go's `URL.Query().Get`."""
    headers: dict[str, str]
    """By lower-case name; repeated fields joined with ", "."""
    version: tuple[int, int]
    """(1, 0) or (1, 1)."""
    raw_query: str = ""
    """As it was sent, for those to whom a repeated name means several values."""

    @property
    def has_body(self) -> bool:
        """Does a body follow, be it of unknown length?"""
        return "transfer-encoding" in self.headers or self.content_length > 0

    @property
    def content_length(self) -> int:
        """Bytes the body is announced to have; 0 if nothing is."""
        return int(self.headers.get("content-length", "0"))

    @property
    def agent(self) -> str:
        """What software the peer says it is, at most 256 characters of it."""
        return self.headers.get("user-agent", "")[:256]

    def tokens(self, name: str) -> set[str]:
        """The comma-separated words of a header, in lower case."""
        return {word.strip().lower() for word in self.headers.get(name, "").split(",")} - {""}


def parse_request(head: h11.Request, max_fields: int = MAX_QUERY_FIELDS) -> Request:
    """Check what h11 has parsed.

    max_fields: parameters that a query may have.

    Raises:
        HttpProtocolError: 400, 431 or 505.
    """
    size = len(head.method) + len(head.target)
    headers: dict[str, str] = {}
    for raw_name, raw_value in head.headers:
        size += len(raw_name) + len(raw_value)
        name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
        # h11 has refused a repeated Host and differing Content-Lengths, and folded equal ones.
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if size > MAX_HEAD:  # in one piece, so that h11 never had to wait for its end
        raise HttpProtocolError(431, f"request head is longer than {MAX_HEAD} bytes")
    version = {b"1.0": (1, 0), b"1.1": (1, 1)}.get(head.http_version)
    if version is None:
        raise HttpProtocolError(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
    if "transfer-encoding" in headers and ("content-length" in headers or version == (1, 0)):
        # RFC 9112 6.1: what request smuggling is made of; no honest client sends it.
        raise HttpProtocolError(400, "ambiguous body length: possible request smuggling")
    path, query = parse_target(head.target.decode("ascii"), max_fields)
    raw_query = head.target.decode("ascii").partition("?")[2]
    return Request(head.method.decode("ascii"), path, query, headers, version, raw_query)


def parse_target(target: str, max_fields: int = MAX_QUERY_FIELDS) -> tuple[str, dict[str, str]]:
    """Path and query of a target in origin form, absolute form (as proxies send it) or "*".

    Source: RFC 9112 section 3.2.

    Raises:
        HttpProtocolError: 400.
    """
    raw_path, _, raw_query = target.partition("?")
    if raw_path.lower().startswith(("http://", "https://")):
        _, slash, rest = raw_path.partition("//")[2].partition("/")
        raw_path = slash + rest or "/"
    elif raw_path != "*" and not raw_path.startswith("/"):
        raise HttpProtocolError(400, "request target is not a path")
    try:
        path = unquote(raw_path, errors="strict")
        fields = parse_qsl(raw_query, keep_blank_values=True, max_num_fields=max_fields)
    except UnicodeDecodeError:
        raise HttpProtocolError(400, "path is not UTF-8") from None
    except ValueError:
        raise HttpProtocolError(400, "too many query parameters") from None
    return path, dict(reversed(fields))


def stream_path(path: str, suffix: str) -> tuple[str, str]:
    """("live", "a/b") of "/live/a/b.flv"; the first part is the app, deeper parts are the name.

    Raises:
        Refused: BAD_REQUEST "invalid path", livego's words.
    """
    app, slash, name = path.lstrip("/").removesuffix(suffix).partition("/")
    if not slash or not path.endswith(suffix):
        raise Refused(RefusalCode.BAD_REQUEST, "invalid path", hint=f"wanted /app/name{suffix}")
    try:
        return check_name(app), check_name(name)
    except Refused as refusal:
        raise Refused(RefusalCode.BAD_REQUEST, "invalid path", hint=refusal.reason) from None


def forwarded_for(header: str, peer: str, trusted: Sequence[Network]) -> str:
    """The rightmost address of an X-Forwarded-For chain that is not a trusted proxy.

    What stands left of it was written by that peer itself and proves nothing. A hop that is
    not an address ends the chain: whoever wrote it is the last one we know.

    Args:
        peer: the address at the other end of the socket.
    """
    for hop in reversed(header.split(",")):
        if not trusts(peer, trusted):
            break
        address = _address(hop.strip())
        if address is None:
            break
        peer = address
    return peer


def _address(hop: str) -> str | None:
    """An IPv4 or IPv6 address, without the port that some proxies add."""
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    try:
        address = ipaddress.ip_address(hop)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
