"""Fields: what a request gives, from wherever it gives it, bounded and checked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from quart import request

from livetrio.config import Network
from livetrio.control.answers import BadRequest
from livetrio.control.table import Parameter
from livetrio.net.request import forwarded_for

__all__ = ["PAGING", "body_fields", "livego_fields", "paged", "peer_address"]

T = TypeVar("T")

_PER_PAGE = 50
_MOST_PER_PAGE = 500
_LAST_PAGE = 1_000_000

PAGING = (
    Parameter(
        "page",
        "which page, from 1",
        schema={"type": "integer", "minimum": 1, "maximum": _LAST_PAGE, "default": 1},
    ),
    Parameter(
        "per_page",
        "how many on a page",
        schema={
            "type": "integer",
            "minimum": 1,
            "maximum": _MOST_PER_PAGE,
            "default": _PER_PAGE,
        },
    ),
)


def peer_address(trusted: Sequence[Network]) -> str:
    """Who asks, out of the present request; trusted: proxies whose X-Forwarded-For is believed."""
    peer = request.remote_addr or ""
    chain = request.headers.get("X-Forwarded-For", "")
    return forwarded_for(chain, peer, trusted) if trusted and chain else peer


async def livego_fields() -> Mapping[str, str]:
    """Query and form as Go's `Request.Form.Get` sees them: the body first, the first of equals."""
    fields = dict(request.args.items())
    if request.method in {"POST", "PUT", "PATCH"}:
        fields |= dict((await request.form).items())
    return fields


async def body_fields(*names: str) -> list[str]:
    """These fields of a JSON object or a form, all of them text and none empty.

    Raises:
        BadRequest: naming what is wrong.
    """
    fields: object
    if request.is_json:
        try:
            fields = json.loads(await request.get_data())
        except (ValueError, RecursionError):  # Quart's get_json() knows not all of these
            fields = None
    else:
        fields = dict((await request.form).items())
    if not isinstance(fields, dict):
        raise BadRequest("the body is not a JSON object")
    return [_text(fields, name) for name in names]


def paged(items: Iterable[T]) -> tuple[Sequence[T], dict[str, int]]:
    """The page of a list that the query asks for, and the numbers that describe it.

    Raises:
        BadRequest: page or per_page is not a number in its range.
    """
    page = _number("page", 1, _LAST_PAGE)
    per_page = _number("per_page", _PER_PAGE, _MOST_PER_PAGE)
    every = list(items)
    start = (page - 1) * per_page
    about = {"page": page, "per_page": per_page, "total": len(every)}
    return every[start : start + per_page], about


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise BadRequest(f"{name} is missing or not text")
    return value


def _number(name: str, default: int, most: int) -> int:
    text = request.args.get(name)
    if text is None:
        return default
    # isdecimal() lets other scripts' digits pass, and int() may not be given a megabyte of them.
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= most):
        raise BadRequest(f"{name} is not a number from 1 to {most}")
    return int(text)
