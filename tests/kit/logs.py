"""What was logged, as a test wants to read it."""

from __future__ import annotations

import logging
from typing import NamedTuple

__all__ = ["Line", "lines"]


class Line(NamedTuple):
    """One record: its level, its event, and its fields as text."""

    level: int
    event: str
    fields: dict[str, str]


def lines(caplog, *, at_least: int = logging.INFO) -> list[Line]:
    """The program's own records, oldest first."""
    return [
        Line(
            record.levelno,
            record.getMessage(),
            {name: str(value) for name, value in getattr(record, "fields", {}).items()},
        )
        for record in caplog.records
        if record.name.startswith("livetrio") and record.levelno >= at_least
    ]
