"""Binding: query parameters as gin binds them, and its words where they do not fit.

gin 1.7 on a failed bind: HTTP 400 as text/plain, then goim's own JSON with code -400.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qsl

__all__ = ["BindError", "Query"]

_MAX_FIELDS = 16_384


class BindError(Exception):
    """The message is gin's (validator v10's, or strconv's)."""


class Query:
    """A query string; names may be repeated."""

    def __init__(self, raw: str) -> None:
        """
        Raises:
            BindError: not a query, or one of ten thousand parameters.
        """
        self._values: dict[str, list[str]] = {}
        try:
            fields = parse_qsl(raw, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
        except ValueError as error:
            raise BindError(str(error)) from None
        for name, value in fields:
            self._values.setdefault(name, []).append(value)

    def texts(self, name: str) -> list[str]:
        """All values of a name."""
        return self._values.get(name, [])

    def text(self, name: str, field: str = "") -> str:
        """The first value.

        Args:
            field: the name of the Go field if it is required.

        Raises:
            BindError: it is required, and missing or empty.
        """
        value = self._values.get(name, [""])[0]
        if field and not value:
            raise required(field)
        return value

    def number(self, name: str, field: str = "", *, bits: int = 32) -> int:
        """The first value as a signed integer, 0 if missing; a required one must not be 0.

        Raises:
            BindError: it is none.
        """
        number = _integer(self._values.get(name, [""])[0], bits)
        if field and not number:
            raise required(field)
        return number

    def numbers(self, name: str, *, bits: int) -> Sequence[int]:
        """All values as signed integers.

        Raises:
            BindError: one of them is none.
        """
        return [_integer(value, bits) for value in self.texts(name)]


def required(field: str) -> BindError:
    """validator's complaint about a missing field of an anonymous struct."""
    return BindError(
        f"Key: '{field}' Error:Field validation for '{field}' failed on the 'required' tag"
    )


def _integer(text: str, bits: int) -> int:
    """strconv.ParseInt(text, 10, bits); gin takes an empty text for 0."""
    if not text:
        return 0
    digits = text[1:] if text[0] in "+-" else text
    if not (digits.isascii() and digits.isdigit()):
        raise BindError(f'strconv.ParseInt: parsing "{text[:80]}": invalid syntax')
    if len(digits.lstrip("0")) > 19 or not -(1 << bits - 1) <= int(text) < 1 << bits - 1:
        raise BindError(f'strconv.ParseInt: parsing "{text[:80]}": value out of range')
    return int(text)
