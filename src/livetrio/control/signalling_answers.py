"""What all answers of WebRTC signalling share: errors as problems, and CORS headers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import ParamSpec

from quart import request
from quart_trio.wrappers import TrioResponse as Response
from werkzeug.exceptions import RequestEntityTooLarge

from livetrio.control.answers import BadRequest, problem, problem_of
from livetrio.errors import RefusalCode, Refused, RemoteProtocolError
from livetrio.logs import get_logger
from livetrio.webrtc.negotiation_words import NotAcceptable
from livetrio.webrtc.session import PreconditionFailed, PreconditionRequired

__all__ = ["answered", "bearer", "body_text", "preflight", "shared"]

log = get_logger(__name__)

P = ParamSpec("P")

_RETRY_AFTER = "5"
"""Seconds; players of live media that wait longer have lost their user."""
_EXPOSED = "Location, ETag, Link, Accept-Patch, Accept-Post, Retry-After, WWW-Authenticate"


def answered(handler: Callable[P, Awaitable[Response]]) -> Callable[P, Awaitable[Response]]:
    """A handler whose errors are problem details, and whose answers other sites' pages may read."""

    @wraps(handler)
    async def answer(*args: P.args, **kwargs: P.kwargs) -> Response:
        try:
            response = await handler(*args, **kwargs)
        except NotAcceptable as error:
            response = problem(406, error.reason)
        except Refused as refusal:
            response = _refused(refusal)
        except RemoteProtocolError as error:
            response = problem(400, str(error))
        except PreconditionRequired as error:
            response = problem(428, str(error))
        except PreconditionFailed as error:
            response = problem(412, str(error))
        except RequestEntityTooLarge:
            response = problem(413, "the body is too long")
        return shared(response)

    return answer


def shared(response: Response) -> Response:
    """Let pages of other sites read it, its headers too."""
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Access-Control-Expose-Headers"] = _EXPOSED
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def preflight(methods: str) -> Response:
    """The answer to OPTIONS."""
    return Response(
        b"",
        204,
        {
            "Allow": methods,
            "Access-Control-Allow-Methods": methods,
            "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match",
            "Access-Control-Max-Age": "86400",
        },
    )


def bearer() -> str:
    """The bearer token of the present request (RFC 6750 2.1); "" if there is none."""
    scheme, _, token = request.headers.get("Authorization", "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


async def body_text() -> str:
    """The body of the present request as text.

    Raises:
        Refused: BAD_REQUEST, it is not UTF-8.
        RequestEntityTooLarge: it is longer than the application takes.
    """
    data = await request.get_data()
    assert isinstance(data, bytes)  # not asked for as text
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("the body is not UTF-8") from None


def _refused(refusal: Refused) -> Response:
    peer, path = request.remote_addr or "", request.path
    # Who waits for something asks for it again and again, and is let wait.
    missing = refusal.code is RefusalCode.NOT_FOUND and request.method == "GET"
    tell = log.debug if missing else log.info
    tell("request refused", reason=refusal.reason, hint=refusal.hint, peer=peer, path=path)
    response = problem_of(refusal)
    match refusal.code:
        case RefusalCode.UNAUTHORIZED:
            wrong = ', error="invalid_token"' if bearer() else ""
            response.headers["WWW-Authenticate"] = f'Bearer realm="livetrio"{wrong}'
        case RefusalCode.TOO_MANY | RefusalCode.UNAVAILABLE:
            response.headers["Retry-After"] = _RETRY_AFTER
    return response
