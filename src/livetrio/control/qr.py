"""`GET /v1/qr.svg?text=`: a short text, an invitation's address, for the camera of a phone.

Made here and not in the page: the encoder is a dependency that the server has anyway, and pages
get an image that their policy knows ('self').
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

import segno
import trio
from quart import request
from quart_trio.wrappers import TrioResponse as Response

from livetrio.access.throttle import FailureLimit
from livetrio.config import Network
from livetrio.control.answers import BadRequest
from livetrio.control.fields import peer_address
from livetrio.control.rest import PROBLEM
from livetrio.control.signalling_answers import answered
from livetrio.control.table import Answer, Operation, Parameter
from livetrio.errors import RefusalCode, Refused

__all__ = ["QrCodes"]

_MAX_TEXT: Final = 256
"""Bytes of UTF-8. A code of so many takes 14 ms; and of more than that phones take no picture."""
_PER_MINUTE: Final = 30
"""For one address."""
_AGE: Final = 86_400


class QrCodes:
    """The handler."""

    def __init__(
        self, *, trusted: Sequence[Network] = (), clock: Callable[[], float] = trio.current_time
    ) -> None:
        """trusted: proxies whose X-Forwarded-For is believed."""
        self._trusted = trusted
        self._limit = FailureLimit(clock, failures=_PER_MINUTE)

    def operations(self) -> list[Operation]:
        """For the table."""
        refused = Answer("text is missing or too long", PROBLEM, "application/problem+json")
        text = Parameter("text", f"at most {_MAX_TEXT} bytes", required=True)
        return [
            Operation(
                "/v1/qr.svg", ("GET",), "A text as QR code", self.code, "public",
                {200: Answer("the code", None, "image/svg+xml"), 400: refused},
                parameters=(text,),
            )
        ]  # fmt: skip

    @answered
    async def code(self) -> Response:
        """GET /v1/qr.svg?text="""
        text = request.args.get("text", "")
        if not 0 < len(text.encode(errors="replace")) <= _MAX_TEXT:
            raise BadRequest(f"text is missing or longer than {_MAX_TEXT} bytes")
        if not self._limit.take(peer_address(self._trusted)):
            raise Refused(RefusalCode.TOO_MANY, "too many codes for one address")
        image = await trio.to_thread.run_sync(_svg, text)
        headers = {"Cache-Control": f"private, max-age={_AGE}"}
        return Response(image, 200, headers, content_type="image/svg+xml")


@lru_cache(maxsize=64)
def _svg(text: str) -> bytes:
    """The code, black on white whatever the page's theme is: phones read no other."""
    image = io.BytesIO()
    code = segno.make_qr(text, error="m", encoding="utf-8")
    code.save(image, kind="svg", xmldecl=False, border=3, light="#fff", omitsize=True)
    return image.getvalue()
