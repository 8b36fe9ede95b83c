"""Fields: the parameters of a server API call, checked one by one."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from livetrio.errors import RemoteProtocolError
from livetrio.im.centrifuge_errors import CommandError
from livetrio.im.words import NO_TAGS, Position
from livetrio.wire.centrifuge.codes import ErrorCode
from livetrio.wire.centrifuge.json_codec import json_payload

__all__ = ["Fields"]

V = TypeVar("V")
_MAX_LIST: Final = 10_000


class Fields:
    """Of a JSON object; every question may raise CommandError (bad request)."""

    def __init__(self, values: object) -> None:
        if not isinstance(values, Mapping):
            raise _bad("params must be an object")
        self.values: Mapping[str, Any] = values
        """As they were given."""

    def text(self, name: str, *, required: bool = False) -> str:
        """A string; "" if it is not there."""
        value = self._of(name, str, "")
        if required and not value:
            raise _bad(f"{name} is required")
        return value

    def flag(self, name: str) -> bool:
        """A boolean; False if it is not there."""
        return self._of(name, bool, False)

    def number(self, name: str) -> int:
        """An integer; 0 if it is not there."""
        value = self.values.get(name)
        if value is None:
            return 0
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 1 << 63:
            raise _bad(f"{name} must be an integer")
        return value

    def texts(self, name: str) -> list[str]:
        """A list of strings; empty if it is not there."""
        found = self.items(name)
        if not all(isinstance(text, str) for text in found):
            raise _bad(f"{name} must be a list of strings")
        return found

    def items(self, name: str) -> list[Any]:
        """A list of anything; empty if it is not there."""
        found = self._of(name, list, [])
        if len(found) > _MAX_LIST:
            raise _bad(f"{name} is too long")
        return found

    def tags(self) -> Mapping[str, str]:
        """Texts by text."""
        found: Mapping[str, str] = self._of("tags", dict, {}) or NO_TAGS
        if not all(isinstance(text, str) for text in found.values()):
            raise _bad("tags must be strings")
        return found

    def inner(self, name: str) -> Fields | None:
        """An object in it."""
        value = self.values.get(name)
        return None if value is None else Fields(value)

    def data(self, name: str = "data", *, required: bool = False) -> bytes:
        """A payload: a JSON value, or bytes as base64 in the field of the same name with "b64"
        before it; b"" if neither is there."""
        if coded := self.text(f"b64{name}"):
            try:
                return base64.b64decode(coded, validate=True)
            except binascii.Error:
                raise _bad(f"b64{name} is not base64") from None
        if name in self.values:
            try:
                return json_payload(self.values[name])
            except RemoteProtocolError as error:
                raise _bad(str(error)) from None
        if required:
            raise _bad(f"{name} is required")
        return b""

    def position(self, name: str) -> Position | None:
        """A place in a channel's numbering."""
        fields = self.inner(name)
        return None if fields is None else Position(fields.text("epoch"), fields.number("offset"))

    def _of(self, name: str, type_: type[V], default: V) -> V:
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, type_):
            raise _bad(f"{name} must be a {type_.__name__}")
        return value


def _bad(reason: str) -> CommandError:
    return CommandError(ErrorCode.BAD_REQUEST, reason)
