"""Relay addresses: which URLs a relay takes, what they mean here, and how they may be shown."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import unquote, urljoin, urlsplit

from livetrio.errors import RefusalCode, Refused
from livetrio.logs import redact
from livetrio.net.dial import Remote
from livetrio.packet import StreamKey
from livetrio.wire.rtmp.url import RtmpUrl, resolve

__all__ = ["HttpUrl", "RelayUrl", "local_key", "parse_url", "remote_of", "secrets_of", "shown"]

_DEFAULT_PORTS: Final = {
    "http": 80, "https": 443, "whip": 80, "whips": 443, "whep": 80, "wheps": 443,
}  # fmt: skip
_SECURE: Final = frozenset({"https", "whips", "wheps"})
_WEBRTC: Final = {"push": ("whip", "whips"), "pull": ("whep", "wheps")}
_ENDPOINTS: Final = ("/whip", "/whep")
_WORDS: Final = frozenset({"", "rtc", "v1", "whip", "whep", "api", "live"})
"""Parts of the paths of WHIP endpoints that are no secrets."""
_MAX_TEXT: Final = 4096
_MASK: Final = "…"


@dataclass(frozen=True, slots=True)
class HttpUrl:
    """An HTTP-FLV source, or a WHIP or WHEP endpoint."""

    host: str
    port: int
    tls: bool
    path: str
    """Percent-encoded, as in the URL, from "/" on."""
    query: str = ""
    user: str | None = None
    """`name:password`, percent-decoded, for Basic authentication (RFC 7617); of a WHIP or WHEP
    endpoint `token:` for a bearer token."""
    scheme: str = field(default="http", compare=False)
    """As it was written: whip:// is asked over HTTP, whips:// over HTTPS."""

    @classmethod
    def parse(cls, text: str) -> HttpUrl:
        """Read `scheme://[user:password@]host[:port]/path[?query]`.

        Raises:
            Refused: BAD_REQUEST; the reason says what is wrong and does not repeat the URL.
        """
        # ASCII only: what is not would have to be encoded by a guess. urlsplit() drops line
        # ends without a word, so they are looked for before.
        if len(text) > _MAX_TEXT or not (text.isascii() and text.isprintable()) or " " in text:
            raise _bad("too long, or has spaces, control or non-ASCII characters")
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError as error:
            raise _bad(str(error)) from None
        if parts.scheme not in _DEFAULT_PORTS:
            raise _bad("does not begin with http:// or https://")
        if not parts.hostname:
            raise _bad("has no host")
        if port == 0:
            raise _bad("has port 0")
        user = None
        if parts.username is not None:
            user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        return cls(
            host=parts.hostname,
            port=port or _DEFAULT_PORTS[parts.scheme],
            tls=parts.scheme in _SECURE,
            path=parts.path or "/",
            query=parts.query,
            user=user,
            scheme=parts.scheme,
        )

    @property
    def origin(self) -> str:
        """Scheme, host and port, the default port left out (RFC 6454)."""
        scheme = "https" if self.tls else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}" + ("" if self.is_default_port else f":{self.port}")

    @property
    def is_default_port(self) -> bool:
        """Is it the scheme's own port?"""
        return self.port == _DEFAULT_PORTS["https" if self.tls else "http"]

    @property
    def target(self) -> str:
        """The request line's target."""
        return f"{self.path}?{self.query}" if self.query else self.path

    def redirected(self, location: str) -> HttpUrl:
        """Where a Location header leads; the password goes nowhere but to its own origin.

        Raises:
            Refused: BAD_REQUEST; it is not an HTTP URL.
        """
        try:
            joined = urljoin(self.origin + self.target, location)
        except ValueError as error:
            raise _bad(str(error)) from None
        url = HttpUrl.parse(joined)
        user = self.user if url.origin == self.origin else None
        return replace(url, user=user)


RelayUrl = RtmpUrl | HttpUrl


def _bad(fault: str) -> Refused:
    return Refused(RefusalCode.BAD_REQUEST, f"HTTP URL: {fault}")


def parse_url(kind: str, text: str, outbound: Collection[str] = ()) -> RelayUrl:
    """The address of a relay: rtmp:// and rtmps:// both ways, http:// and https:// to pull from.

    outbound: further schemes that there is somebody for: whip, whips (to push), whep, wheps.

    Raises:
        Refused: BAD_REQUEST; the reason says what is wrong and does not repeat the URL.
    """
    scheme = text.partition(":")[0].lower()
    if scheme in ("rtmp", "rtmps"):
        return RtmpUrl.parse(text)
    others = [scheme for scheme in _WEBRTC.get(kind, ()) if scheme in outbound]
    if scheme in others or (scheme in ("http", "https") and kind == "pull"):
        return HttpUrl.parse(text)
    known = ["rtmp", "rtmps", *(["http", "https"] if kind == "pull" else []), *others]
    schemes = f"{', '.join(known[:-1])} or {known[-1]}"
    raise Refused(RefusalCode.BAD_REQUEST, f"a {kind} relay needs an {schemes} URL")


def remote_of(url: RelayUrl) -> Remote:
    """Whom to dial for it."""
    return Remote(url.host, url.port, url.tls)


def local_key(url: RelayUrl) -> StreamKey | None:
    """The stream this URL means if it leads to one of our own listeners; None: no stream."""
    if isinstance(url, HttpUrl):
        path = unquote(url.path).rstrip("/")
        if url.scheme.startswith("wh"):
            path = next((path[: -len(end)] for end in _ENDPOINTS if path.endswith(end)), "")
        path = path.strip("/").removesuffix(".flv")
        app, _, name = path.partition("/")
        return StreamKey(app, name) if app and name else None
    try:
        target = resolve(url.app, url.tc_url, url.stream)
    except Refused:
        return None  # a name that we would refuse to hear
    return StreamKey(target.app, target.name)


def shown(url: RelayUrl, kind: str, key: StreamKey) -> str:
    """The URL for people, logs and events: no credentials, no values of parameters.

    A name to publish by is a secret as well, unless it is the stream's own.
    """
    query = _without_values(url.query)
    if isinstance(url, HttpUrl):
        if url.scheme.startswith("wh"):
            return f"{url.scheme}://{url.origin.partition('://')[2]}{_masked(url.path, key)}{query}"
        return f"{url.origin}{url.path}{query}"
    name = url.name
    if kind == "push" and unquote(name) != key.name.rpartition("/")[2]:
        name = redact(name)
    return f"{url.tc_url}/{name}{query}"


def secrets_of(url: RelayUrl, kind: str) -> list[str]:
    """The parts of a URL that must not be shown, longest first."""
    values = [field.partition("=")[2] or field for field in url.query.split("&")]
    parts = [url.query, *values]
    if isinstance(url, RtmpUrl):
        if kind == "push":
            parts.append(url.name)
    elif url.user:
        parts += [url.user, *url.user.split(":")]
    # Shorter ones are no secrets ("a", "1"), and replacing them would garble every sentence.
    return sorted((part for part in parts if len(part) > 3), key=len, reverse=True)


def _masked(path: str, key: StreamKey) -> str:
    """The path of a WHIP or WHEP endpoint, where a key or a token may stand in for a name."""
    plain = _WORDS.union(key.app.split("/"), key.name.split("/"))
    parts = path.split("/")
    return "/".join(part if unquote(part) in plain else redact(part) for part in parts)


def _without_values(query: str) -> str:
    if not query:
        return ""
    fields = [field.partition("=") for field in query.split("&")]
    # A field without "=" may be a bare token: nothing of it is shown.
    return "?" + "&".join(f"{name}={_MASK}" if equals else _MASK for name, equals, _ in fields)
