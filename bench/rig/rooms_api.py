"""livetrio's REST of rooms, and WHIP and WHEP, as a site's pages would use them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import secrets
from typing import Any

from rig.servers import ServerError

__all__ = ["RoomsApi"]


class RoomsApi:
    """One connection to `web_addr`; users are named at will, since the secret is ours."""

    def __init__(self, port: int, secret: str) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._secret = secret.encode()
        self._tokens: dict[str, str] = {}

    def open(self, room: str, owner: str, kind: str, seats: int) -> None:
        """A room whose seats are free for everybody; its owner has the first."""
        body = {"room": room, "kind": kind, "seats": seats, "free": True}
        self._json("POST", "/v1/rooms", owner, body)

    def end(self, room: str, owner: str) -> dict[str, Any]:
        """What was closed."""
        return self._json("DELETE", f"/v1/rooms/live/{room}", owner)

    def seat(self, room: str, user: str, seat: int | str, action: str, **body: object) -> None:
        """take, leave, mute ..."""
        self._json("POST", f"/v1/rooms/live/{room}/seats/{seat}/{action}", user, body)

    def whip(self, stream: str, user: str, offer: str) -> str:
        """Publish; the answer."""
        return self._sdp(f"/live/{stream}/whip", user, offer)

    def whep(self, stream: str, offer: str) -> str:
        """Watch one stream; the answer."""
        return self._sdp(f"/live/{stream}/whep", "", offer)

    def receive(self, room: str, user: str, offer: str) -> str:
        """Receive a room, as a user or ("") as anybody; the answer."""
        return self._sdp(f"/v1/rooms/live/{room}/whep", user, offer)

    def token(self, user: str) -> str:
        """Signed for a user, who may open rooms."""
        if user not in self._tokens:
            claims = {"sub": user, "info": {"name": user}, "roles": ["host"]}
            parts = [_base64(json.dumps(part).encode()) for part in ({"alg": "HS256"}, claims)]
            signed = hmac.digest(self._secret, ".".join(parts).encode(), hashlib.sha256)
            self._tokens[user] = ".".join([*parts, _base64(signed)])
        return self._tokens[user]

    @staticmethod
    def new_secret() -> str:
        """For a server that is about to start."""
        return secrets.token_hex(32)

    def _json(self, method: str, path: str, user: str, body: object = None) -> dict[str, Any]:
        data = b"" if body is None else json.dumps(body).encode()
        answer: dict[str, Any] = json.loads(self._ask(method, path, user, data, "application/json"))
        return answer

    def _sdp(self, path: str, user: str, offer: str) -> str:
        return self._ask("POST", path, user, offer.encode(), "application/sdp").decode()

    def _ask(self, method: str, path: str, user: str, body: bytes, kind: str) -> bytes:
        headers = {"Content-Type": kind}
        if user:
            headers["Authorization"] = f"Bearer {self.token(user)}"
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        data = answer.read()
        if answer.status >= 300:
            raise ServerError(f"{method} {path}: {answer.status} {data.decode(errors='replace')}")
        return data


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
