"""RTMP addresses: the URL one dials, and the stream a peer means by app, tcUrl and name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from livetrio.errors import RefusalCode, Refused
from livetrio.wire.names import check_name

__all__ = ["RtmpUrl", "Target", "parse_query", "resolve"]

_DEFAULT_PORTS: Final = {"rtmp": 1935, "rtmps": 443}
_MAX_TEXT: Final = 4096
"""Longest app, tcUrl or stream name with its query, characters: room for any token."""

_MAX_PARAMETERS: Final = 64


@dataclass(frozen=True, slots=True)
class RtmpUrl:
    """Where a stream is published to or played from, by URL.

    The application is all of the path up to its last slash, the stream name what follows.
    FFmpeg takes one or two segments for the application instead; servers like livego and
    livetrio put the two together again, and nginx-rtmp and SRS use one segment anyway.
    """

    host: str
    port: int
    tls: bool
    app: str
    """As in the URL, percent-encoding included."""
    name: str
    query: str = ""

    @classmethod
    def parse(cls, text: str) -> RtmpUrl:
        """Read `rtmp[s]://host[:port]/app/name[?query]`.

        Raises:
            Refused: BAD_REQUEST; the reason says what is wrong and does not repeat the URL.
        """
        if len(text) > _MAX_TEXT or not text.isprintable() or " " in text:
            raise _bad("too long, or has spaces or control characters")
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError as error:
            raise _bad(str(error)) from None
        default_port = _DEFAULT_PORTS.get(parts.scheme)
        if default_port is None:
            raise _bad("does not begin with rtmp:// or rtmps://")
        if not parts.hostname:
            raise _bad("has no host")
        if parts.username is not None:
            raise _bad("has a user name, which is not supported")
        if port == 0:
            raise _bad("has port 0")
        app, _, name = parts.path.strip("/").rpartition("/")
        if not app or not name:
            raise _bad("needs a path of /app/name")
        tls = parts.scheme == "rtmps"
        return cls(parts.hostname, port or default_port, tls, app, name, parts.query)

    @property
    def tc_url(self) -> str:
        """The URL without the stream, as `connect` wants it."""
        scheme = "rtmps" if self.tls else "rtmp"
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS[scheme] else f":{self.port}"
        return f"{scheme}://{host}{port}/{self.app}"

    @property
    def stream(self) -> str:
        """The stream name with its query, as `publish` and `play` want it."""
        return f"{self.name}?{self.query}" if self.query else self.name


def _bad(fault: str) -> Refused:
    return Refused(RefusalCode.BAD_REQUEST, f"RTMP URL: {fault}")


@dataclass(frozen=True, slots=True)
class Target:
    """The stream a peer means."""

    app: str
    name: str
    query: dict[str, str]


def resolve(app: str, tc_url: str, stream: str | None = None) -> Target:
    """Find the stream that `connect`'s app and tcUrl and a stream name mean together.

    As in livego, the path of tcUrl and the stream name are put together; the first segment of
    that is the application and the rest the name. So `rtmp://h/live/sub` + `x` and
    `rtmp://h/live` + `sub/x` are the same stream, however a client cut the URL. Where tcUrl has
    no path, app stands in. Both parts are percent-decoded. Parameters are collected from all
    three, those of the stream name winning.

    Args:
        app: connect's app, maybe with a query.
        tc_url: connect's tcUrl, maybe with a query, maybe empty.
        stream: the name given to publish or play, maybe with a query; None before that, when
            `Target.name` is what the URL already has of it and may be empty.

    Raises:
        Refused: BAD_REQUEST; a part is missing or breaks `names.check_name`.
    """
    if max(len(app), len(tc_url), len(stream or "")) > _MAX_TEXT:
        raise Refused(RefusalCode.BAD_REQUEST, f"address longer than {_MAX_TEXT} characters")
    app_path, _, app_query = app.partition("?")
    url_path, _, url_query = tc_url.partition("://")[2].partition("?")
    stream_path, _, stream_query = (stream or "").partition("?")
    base = url_path.partition("/")[2].strip("/") or app_path.strip("/")
    parts = [part for part in (base, stream_path.strip("/")) if part]
    first, _, rest = unquote("/".join(parts)).partition("/")
    query = parse_query(app_query) | parse_query(url_query) | parse_query(stream_query)
    if stream is not None or first:
        check_name(first)
    if stream is not None or rest:
        check_name(rest)
    return Target(first, rest, query)


def parse_query(text: str) -> dict[str, str]:
    """The parameters of a query string, percent-decoded; the last of a name counts.

    Raises:
        Refused: BAD_REQUEST; there are more than 64.
    """
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS))
    except ValueError:
        reason = f"more than {_MAX_PARAMETERS} parameters"
        raise Refused(RefusalCode.BAD_REQUEST, reason) from None
