"""Answers: JSON as livego's Go wrote it, plain JSON for /v1, and RFC 9457 problems."""

from __future__ import annotations

import json
from http import HTTPStatus

from quart_trio.wrappers import TrioResponse as Response

from livetrio.errors import RefusalCode, Refused
from livetrio.net.exchange import STATUS

__all__ = ["BadRequest", "go_answer", "go_json", "json_answer", "problem", "problem_of"]

_GO_ESCAPES = str.maketrans(
    {
        "<": "\\u003c",
        ">": "\\u003e",
        "&": "\\u0026",
        "\N{LINE SEPARATOR}": "\\u2028",
        "\N{PARAGRAPH SEPARATOR}": "\\u2029",
    }
)


class BadRequest(Refused):
    """A parameter of the request cannot be used."""

    def __init__(self, reason: str) -> None:
        super().__init__(RefusalCode.BAD_REQUEST, reason)


def go_json(value: object) -> bytes:
    """JSON byte for byte as Go's encoding/json marshals it: compact, with HTML's characters
    escaped, everything else in UTF-8."""
    # Outside of strings JSON has none of these characters, so the whole text can be translated.
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_GO_ESCAPES)
    return text.encode("utf-8", "replace")


def go_answer(data: object, status: int = 200) -> Response:
    """livego's envelope: `{"status":N,"data":...}`, which is the HTTP status too."""
    body = go_json({"status": status, "data": data})
    return Response(body, status, content_type="application/json")


def json_answer(value: object, status: int = 200) -> Response:
    """JSON of /v1. Never cached: it is true for this moment only."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    headers = {"Cache-Control": "no-store"}
    return Response(body, status, headers, content_type="application/json")


def problem(status: int, detail: str) -> Response:
    """An error of /v1: RFC 9457 problem details."""
    about = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    answer = json_answer(about, status)
    answer.content_type = "application/problem+json"
    return answer


def problem_of(refusal: Refused) -> Response:
    """A refusal in the words of /v1."""
    return problem(STATUS[refusal.code], refusal.reason)
