"""Guard: who may ask the operator's port at all: tokens, other sites' pages, rebound names.

Three questions before any handler runs:

1. *Is it asked by another site's page?* A browser sends whatever a page tells it to, to loopback
   too. What changes something, livego's GETs included, and WebSockets are refused then.
2. *Is it asked under a foreign name?* Without a token, a page whose own name is made to point
   here (DNS rebinding) would count as the same site, so only names that cannot be somebody
   else's are answered.
3. *Has it a token*, where one is configured?
"""

from __future__ import annotations

from collections.abc import Collection

import trio
from quart import Request, Websocket
from quart_trio.wrappers import TrioResponse as Response

from livetrio.config import ControlConfig
from livetrio.control.answers import go_answer, problem
from livetrio.control.jwt import TokenError, check_token, find_token
from livetrio.logs import get_logger
from livetrio.net.site import is_cross_site, is_foreign_name

__all__ = ["Guard"]

log = get_logger(__name__)

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """One per application; `refusal` and `finish` are its hooks."""

    def __init__(
        self, config: ControlConfig, *, unprotected: Collection[str], keyed: Collection[str] = ()
    ) -> None:
        """
        Args:
            unprotected: endpoints that need no token.
            keyed: those that ask for a key of their own, which no page of another name has: back
                ends call them by any name.
        """
        self._config = config
        self._keyed = frozenset(keyed)
        self._unprotected = frozenset(unprotected)
        self._quiet_until = 0.0
        self._unsaid = 0

    def refusal(self, request: Request | Websocket) -> Response | None:
        """The answer to a request that must not be served; None for one that may."""
        changes = (
            isinstance(request, Websocket)
            or request.method not in _SAFE
            or request.path.startswith("/control/")
        )
        site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
        if changes and is_cross_site(site, origin, request.host):
            return self._refuse(request, 403, "request of another site's page refused")
        if not self._config.jwt.secret:
            known = self._config.api_open or request.endpoint in self._keyed
            if not known and is_foreign_name(request.host):
                reason = "this name is not known to be this machine's; set jwt.secret or api_open"
                return self._refuse(request, 421, reason)
            return None
        if request.method == "OPTIONS":
            # livego skips the check and runs the handler. Preflights carry no token, so there
            # is nothing to check; running the handler would let everybody reset a key.
            return Response(b"", 204)
        if request.endpoint in self._unprotected:
            return None
        try:
            token = find_token(request.headers.get("Authorization", ""), request.args)
            check_token(token, self._config.jwt)
        except TokenError as error:
            status = 401 if request.path.startswith("/v1/") else 403
            return self._refuse(request, status, str(error))
        return None

    def finish(self, request: Request, response: Response) -> Response:
        """Headers that every answer has.

        Other sites' pages may read /v1 where that takes a token (or where the operator declared
        the port open), never with a browser's own credentials.
        """
        headers = response.headers
        headers.setdefault("X-Content-Type-Options", "nosniff")
        headers.setdefault("Referrer-Policy", "no-referrer")
        headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        headers["Server"] = "livetrio"
        if response.status_code == 401:
            headers["WWW-Authenticate"] = "Bearer"
        shared = bool(self._config.jwt.secret) or self._config.api_open
        if shared and request.path.startswith("/v1/") and request.method in _SAFE:
            headers["Access-Control-Allow-Origin"] = "*"
            headers["Cross-Origin-Resource-Policy"] = "cross-origin"
            if request.method == "OPTIONS":
                headers["Access-Control-Allow-Methods"] = "GET"
                headers["Access-Control-Allow-Headers"] = "Authorization"
                headers["Access-Control-Max-Age"] = "86400"
        return response

    def _refuse(self, request: Request | Websocket, status: int, reason: str) -> Response:
        self._complain(request, reason)
        if request.path.startswith("/v1/"):
            return problem(status, reason)
        return go_answer(reason, status)

    def _complain(self, request: Request | Websocket, reason: str) -> None:
        """Log a refusal at most once a second: a flood must not become a flood of lines."""
        now = trio.current_time()
        if now < self._quiet_until:
            self._unsaid += 1
            return
        about = {"peer": request.remote_addr or "", "path": request.path, "more": self._unsaid}
        log.warning("request refused", reason=reason, **about)
        self._quiet_until = now + 1.0
        self._unsaid = 0
