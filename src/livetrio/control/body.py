"""Body: the JSON object of a request, field by field, each of the type it is asked for."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from quart import request

from livetrio.control.answers import BadRequest

__all__ = ["Body", "read_body"]

_MISSING: Final = object()
_MAX_NUMBER: Final = 1e15


async def read_body() -> Body:
    """The body of the request under way.

    Raises:
        BadRequest: it is no JSON object.
    """
    try:
        fields = json.loads(await request.get_data())
    except (ValueError, RecursionError):  # Quart's get_json() knows not all of these
        fields = None
    if not isinstance(fields, dict):
        raise BadRequest("the body is not a JSON object")
    return Body(fields)


class Body:
    """Its fields. Every reader raises BadRequest with the field's name; null counts as absent."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields

    def __iter__(self) -> Iterator[str]:
        return (name for name, value in self._fields.items() if value is not None)

    def __contains__(self, name: str) -> bool:
        return self._fields.get(name) is not None

    def text(self, name: str, default: str | None = None, *, most: int = 255) -> str:
        """A text of at most so many characters; it must be there and not empty if default is
        None."""
        value = self._get(name, default)
        if not isinstance(value, str) or len(value) > most or (not value and default is None):
            raise BadRequest(f"{name} is missing or not text of at most {most} characters")
        return value

    def integer(self, name: str, default: int | None = None, *, most: int = 2**31 - 1) -> int:
        """A whole number from 0 on."""
        value = self._get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise BadRequest(f"{name} is not a whole number from 0 to {most}")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        """A number above 0."""
        if default is not None and name not in self:
            return default
        value = self._fields.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadRequest(f"{name} is not a number")
        if not 0 < value < _MAX_NUMBER:  # false for NaN too
            raise BadRequest(f"{name} is not a number above 0")
        return float(value)

    def amount(self, name: str) -> float:
        """A number from 0 on."""
        value = self._fields.get(name)
        return 0.0 if value == 0 and value is not False else self.number(name)

    def flag(self, name: str) -> bool:
        """True or false; false if it is absent."""
        value = self._get(name, default=False)
        if not isinstance(value, bool):
            raise BadRequest(f"{name} is neither true nor false")
        return value

    def texts(self, name: str, *, most: int = 1000) -> Sequence[str]:
        """A list of texts, none empty; [] if it is absent."""
        value = self._get(name, ())
        if not isinstance(value, list | tuple) or len(value) > most:
            raise BadRequest(f"{name} is not a list of at most {most} texts")
        if not all(isinstance(item, str) and item for item in value):
            raise BadRequest(f"{name} holds something that is not text")
        return value

    def pairs(self, name: str, kind: type, *, most: int = 10_000) -> Mapping[str, Any]:
        """An object whose values are all of one kind (float takes whole numbers); {} if it is
        absent."""
        value = self._get(name, {})
        wanted = (int, float) if kind is float else kind
        if not isinstance(value, dict) or len(value) > most:
            raise BadRequest(f"{name} is not an object with at most {most} fields")
        for item in value.values():
            if not isinstance(item, wanted) or isinstance(item, bool):
                raise BadRequest(f"{name} holds something of the wrong type")
            if isinstance(item, float) and not math.isfinite(item):
                raise BadRequest(f"{name} holds something of the wrong type")
        return value

    def data(self) -> bytes:
        """A message: any JSON as `data`, or any bytes as `b64data` in base64."""
        if "b64data" in self:
            coded = self._fields["b64data"]
            try:
                return base64.b64decode(coded, validate=True)
            except (binascii.Error, ValueError, TypeError):
                raise BadRequest("b64data is not base64") from None
        if "data" not in self._fields:
            raise BadRequest("data or b64data is missing")
        return _compact(self._fields["data"])

    def part(self, name: str) -> Body:
        """An object in it."""
        value = self._fields.get(name)
        if not isinstance(value, dict):
            raise BadRequest(f"{name} is not an object")
        return Body(value)

    def json(self, name: str) -> bytes:
        """Any JSON; b"" if it is absent."""
        return _compact(self._fields[name]) if name in self else b""

    def _get(self, name: str, default: Any) -> Any:
        value = self._fields.get(name, _MISSING)
        return default if value is None or value is _MISSING else value


def _compact(value: object) -> bytes:
    """JSON without spaces, in UTF-8."""
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        raise BadRequest("NaN and Infinity are no JSON") from None
    return text.encode(errors="replace")
