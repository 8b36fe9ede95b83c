"""Fetch: one small HTTP request as a client, bounded in time and size; for hooks and key sets.

No redirects: a hook is where its operator says it is, and a redirect is how a request that was
allowed ends up at an address that is not.
"""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

import h11
import trio

from livetrio import __version__
from livetrio.errors import RefusalCode, Refused, RemoteProtocolError
from livetrio.net.connection import Connection
from livetrio.net.dial import AddressPolicy, Remote, dial
from livetrio.net.outbox import OutboxLimits
from livetrio.net.tls import client_tls

__all__ = ["Fetcher"]

_MAX_HEAD = 16 << 10
_FAILURES = (OSError, RemoteProtocolError, trio.BrokenResourceError, h11.RemoteProtocolError)


class Fetcher:
    """Makes requests under one policy; one connection each, for they are few."""

    def __init__(
        self,
        *,
        policy: AddressPolicy = AddressPolicy.ANY,
        verify_tls: bool = True,
        deadline: float = 5.0,
        max_size: int = 1 << 20,
    ) -> None:
        """
        Args:
            policy: where requests may go; ANY is for URLs that an operator configured.
            deadline: seconds for all of a request.
            max_size: bytes of an answer's body.
        """
        self._policy = policy
        self._verify = verify_tls
        self._deadline = deadline
        self._max_size = max_size
        self._tls: ssl.SSLContext | None = None

    async def get(self, url: str) -> bytes:
        """The body of a 200 answer.

        Raises:
            Refused: BAD_REQUEST, no URL; FORBIDDEN, the policy; UNAVAILABLE, no (such) answer.
        """
        return await self._ask("GET", url, b"")

    async def post(self, url: str, body: bytes) -> bytes:
        """The same for a POST of JSON."""
        return await self._ask("POST", url, body)

    async def _ask(self, method: str, url: str, body: bytes) -> bytes:
        remote, host, target = _parts(url)
        if remote.tls and self._tls is None:
            self._tls = client_tls(verify=self._verify)
        head = [
            ("Host", host),
            ("User-Agent", f"livetrio/{__version__}"),
            ("Accept", "application/json"),
            ("Connection", "close"),
        ]
        if method == "POST":
            head += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        answer: bytes | None = None
        reason = "the connection was lost"
        try:
            with trio.fail_after(self._deadline):
                async with dial(
                    remote, policy=self._policy, limits=OutboxLimits(), tls=self._tls
                ) as connection:
                    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
                    request = h11.Request(method=method, target=target, headers=head)
                    for event in (request, h11.Data(data=body), h11.EndOfMessage()):
                        connection.outbox.send(http.send(event) or b"")
                    answer = await self._answer(connection, http)
        except* trio.TooSlowError:
            reason = "no answer in time"
        except* _FAILURES as errors:  # in a group, since a connection is a nursery
            error: BaseException = errors
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            reason = str(error)
        if answer is None:
            raise Refused(RefusalCode.UNAVAILABLE, f"{host}: {reason}")
        return answer

    async def _answer(self, connection: Connection, http: h11.Connection) -> bytes:
        status, body = 0, bytearray()
        while True:
            match event := http.next_event():
                case h11.Response():
                    status = event.status_code
                case h11.Data():
                    body += event.data
                    if len(body) > self._max_size:
                        raise RemoteProtocolError(f"an answer of over {self._max_size} bytes")
                case h11.EndOfMessage():
                    if status != 200:
                        raise RemoteProtocolError(f"answers {status}")
                    return bytes(body)
                case h11.ConnectionClosed():
                    raise RemoteProtocolError("closed without an answer")
                case h11.NEED_DATA:
                    http.receive_data(await connection.receive())


def _parts(url: str) -> tuple[Remote, str, str]:
    """Whom to dial, the Host header, the request's target."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Refused(RefusalCode.BAD_REQUEST, "not a URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isascii():
        raise Refused(RefusalCode.BAD_REQUEST, "not an http or https URL")
    if any(char <= " " for char in url):
        raise Refused(RefusalCode.BAD_REQUEST, "not a URL")
    tls = parts.scheme == "https"
    remote = Remote(parts.hostname, port or (443 if tls else 80), tls)
    host = parts.netloc.rpartition("@")[2]
    return remote, host, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
