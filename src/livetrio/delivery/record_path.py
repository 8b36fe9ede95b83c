"""Where a recording goes: a template with the stream's names and the date, that cannot be led
out of its folder whatever a stream is called.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Final

from livetrio.packet import StreamKey

__all__ = ["DEFAULT_TEMPLATE", "record_path"]

DEFAULT_TEMPLATE: Final = "{app}/{name}_{unix}"
"""livego's `{flv_dir}/{app}/{room}_{unix}.flv`."""

_FIELD: Final = re.compile(r"\{(\w*)\}")
_SAFE: Final = re.compile(r"[^\w.@~+=,-]")
_MAX_COMPONENT: Final = 180
"""Bytes of one name; file systems take 255, and there is a suffix to come."""


def record_path(template: str, key: StreamKey, began: float) -> Path:
    """The path of a new recording below the folder of recordings, without its suffix.

    Args:
        template: as the configuration has checked it: fields `{app}`, `{name}`, `{unix}`, and
            strftime's codes (local time).
        began: Unix time, seconds.
    """
    # The date first: a "%" in a stream's name is no code.
    dated = time.strftime(template, time.localtime(began))
    fields = {"app": _safe(key.app), "name": _safe(key.name), "unix": str(int(began))}
    return Path(_FIELD.sub(lambda match: fields[match[1]], dated))


def _safe(name: str) -> str:
    """A name as part of one path component: letters of all scripts stay, the rest is escaped."""
    text = _SAFE.sub(lambda match: "".join(f"%{b:02X}" for b in match[0].encode()), name)
    if text.startswith("."):
        text = f"%2E{text[1:]}"
    return text.encode()[:_MAX_COMPONENT].decode(errors="ignore")
