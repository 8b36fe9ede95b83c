"""Finding: one remark of the doctor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "Level"]

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, what is the case, and what to do about it."""

    level: Level
    """error: something that is configured does not work. warning: it may fail for some, or
    somebody may come in who should not."""
    subject: str
    """A configuration key where there is one, else a word: "clock"."""
    text: str
    advice: str = ""
    """Empty where nothing is to be done."""
