"""Structured logs: one line per event, for people or as JSON, unforgeable and without secrets.

`get_logger` hands out structlog loggers that end in the standard library's `logging`, so that
what hypercorn, quart and trio say goes through the same formatter: one stream, one form, one
place where control characters are escaped and secrets are cut short. structlog's own global
configuration is not touched; only `logs_to` changes the process, and undoes it on leaving.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO, cast

import structlog

__all__ = ["LEVELS", "LogFormat", "Redacted", "get_logger", "logs_to", "redact"]

LogFormat = Literal["human", "json"]

TRACE: Final = 5
LEVELS: Final[Mapping[str, int]] = {
    "panic": logging.CRITICAL,
    "fatal": logging.CRITICAL,
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": TRACE,
}
"""livego's words (those of logrus) and what they are here."""

_SECRET_FIELDS: Final = frozenset(
    {"auth", "authorization", "jwt", "key", "password", "query", "secret", "token"}
)
_SECRETS: Final = re.compile(
    r"(?<![0-9A-Za-z])[0-9A-Za-z]{48}(?![0-9A-Za-z])"  # a room key, wherever it got to
    r"|\beyJ[\w-]*\.[\w-]+\.[\w-]*"  # a JSON web token
    r"|(?<=[?&])(?:token|jwt|key|secret|sign|auth_key|password)=[^&\s\"']+"
    r"|(?<=bearer )\S+",
    re.IGNORECASE | re.ASCII,
)
_MAX_VALUE: Final = 1000
"""Characters of one value: a peer's 64 KB name is worth a line, not a page."""
_COLOURS: Final = {"fatal": "31", "error": "31", "warning": "33", "info": "32"}


class Redacted(str):
    """Text that may be logged in a secret's place: the type is the proof that `redact` saw it."""

    __slots__ = ()


def redact(secret: str) -> Redacted:
    """A stream key or token as logs may show it: four characters to recognise it by.

    A secret of eight characters or fewer is hidden whole; four of them would be half of it.
    """
    return Redacted(f"{secret[:4]}…" if len(secret) > 8 else "…")


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger for a module: `log.info("what happened", field=value)`.

    The event is a constant phrase; everything that varies is a field. Values of fields named
    key, token, secret, jwt, query, password, auth are dropped unless they went through `redact`.
    """
    logger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[structlog.stdlib.filter_by_level, _drop_secrets, _to_record],
        wrapper_class=structlog.stdlib.BoundLogger,
        context_class=dict,
        cache_logger_on_first_use=True,
    )
    return cast("structlog.stdlib.BoundLogger", logger)


@contextmanager
def logs_to(
    stream: TextIO | None = None, *, level: str = "info", form: LogFormat = "human"
) -> Iterator[None]:
    """Send every record of the process, ours and the libraries', to one stream while in the block.

    Args:
        stream: standard error if None.
        level: one of LEVELS.
        form: "human" (time, level, event, key=value; colours on a terminal unless NO_COLOR is
            set) or "json" (one object per line).
    """
    stream = stream or sys.stderr
    handler = _Handler(stream)
    colour = form == "human" and stream.isatty() and "NO_COLOR" not in os.environ
    handler.setFormatter(_JsonFormatter() if form == "json" else _HumanFormatter(colour=colour))
    root = logging.getLogger()
    before, before_level = root.handlers[:], root.level
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[level])
    try:
        yield
    finally:
        handler.flush()
        root.handlers[:] = before
        root.setLevel(before_level)


class _Handler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:
        """Say nothing when the stream itself is gone (a closed pipe, a full disk).

        The default prints the record unmasked, secrets and all, to what may be the same stream.
        """
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)


def _drop_secrets(
    _logger: Any, _method: str, fields: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for name in _SECRET_FIELDS & fields.keys():
        if not isinstance(fields[name], Redacted):
            fields[name] = Redacted("…")
    return fields


def _to_record(
    _logger: Any, _method: str, fields: MutableMapping[str, Any]
) -> tuple[tuple[str], dict[str, Any]]:
    """The call on the standard library's logger that ends ours.

    The fields ride in one attribute of the record: as separate ones (structlog's own
    `render_to_log_kwargs`) a field called "name" or "args" would raise KeyError.
    """
    event = str(fields.pop("event", ""))
    exc_info = fields.pop("exc_info", None)
    return (event,), {"exc_info": exc_info, "extra": {"fields": dict(fields)}}


def _level(record: logging.LogRecord) -> str:
    names = {logging.CRITICAL: "fatal", TRACE: "trace"}
    return names.get(record.levelno, record.levelname.lower())


def _masked(text: str) -> str:
    """Text with the secrets it may hold cut short, and bounded.

    Cut with a margin first and to size after: 64 KB need no search, and no key is cut in half
    before the search could recognise it.
    """
    found = _SECRETS.sub(_cut, text[: 2 * _MAX_VALUE])
    return found if len(found) <= _MAX_VALUE else f"{found[:_MAX_VALUE]}…"


def _cut(match: re.Match[str]) -> str:
    name, equals, value = match[0].partition("=")
    return f"{name}={redact(value)}" if equals else redact(match[0])


def _escaped(text: str) -> str:
    """What is not printable (CR, LF, ESC, C1 controls, bidirectional marks) as an escape."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def _plain(value: object) -> str | int | float | bool | None:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):  # JSON has no word for NaN
        return value
    return _masked(str(value))


class _LineFormatter(logging.Formatter):
    """What both forms share: the record's fields and its traceback, masked."""

    def fields(self, record: logging.LogRecord) -> dict[str, str | int | float | bool | None]:
        return {name: _plain(value) for name, value in getattr(record, "fields", {}).items()}

    def traceback(self, record: logging.LogRecord) -> list[str]:
        if not record.exc_info or record.exc_info[0] is None:
            return []
        return [_masked(line) for line in self.formatException(record.exc_info).splitlines()]


class _HumanFormatter(_LineFormatter):
    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")
        level = _level(record)
        shown = f"{level:<7}"
        if self._colour and level in _COLOURS:
            shown = f"\x1b[{_COLOURS[level]}m{shown}\x1b[0m"
        # livego says where a line comes from at level debug; the others are for operators.
        where = f"[{record.name}] " if record.levelno <= logging.DEBUG else ""
        line = f"{time[:-3]} {shown} {where}{_escaped(_masked(record.getMessage()))}"
        for name, value in self.fields(record).items():
            line += f" {_escaped(name)}={_quoted(value)}"
        # Behind a margin even a line break in an exception's message cannot pass for a new line.
        return "\n    | ".join([line, *map(_escaped, self.traceback(record))])


def _quoted(value: str | int | float | bool | None) -> str:
    if not isinstance(value, str):
        return "-" if value is None else str(value)
    if value and value.isprintable() and not set(' "=\\') & set(value):
        return value
    return '"' + _escaped(value.replace("\\", "\\\\").replace('"', '\\"')) + '"'


class _JsonFormatter(_LineFormatter):
    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": _level(record),
            "logger": record.name,
            "event": _masked(record.getMessage()),
        }
        # A field may not take the place of what identifies the line.
        entry |= {f"{n}_" if n in entry else n: v for n, v in self.fields(record).items()}
        if lines := self.traceback(record):
            entry["exception"] = "\n".join(lines)
        return json.dumps(entry)  # ASCII: C1 controls and U+2028 would survive ensure_ascii=False
