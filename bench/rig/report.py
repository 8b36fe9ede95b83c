"""Markdown that can be pasted into docs/performance.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rig.proc import machine

__all__ = ["heading", "milliseconds", "notes", "percent", "table"]


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table: the first column to the left, numbers to the right."""
    rule = ["---", *["---:"] * (len(columns) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (columns, rule, *rows))


def percent(ratio: float) -> str:
    """Format a ratio, with a decimal where it matters."""
    return f"{ratio * 100:.1f} %" if ratio < 0.2 else f"{ratio * 100:.0f} %"


def milliseconds(seconds: float) -> str:
    """Format a time, with a decimal where it matters."""
    return f"{seconds * 1000:.1f}" if seconds < 0.01 else f"{seconds * 1000:.0f}"


def heading(title: str, how: str) -> str:
    """Return the title, the machine, and how the numbers were got."""
    return f"### {title}\n\n{machine()}. {how}\n"


def notes(lines: Iterable[str]) -> str:
    """Return a list of remarks, empty for none."""
    return "".join(f"\n- {line}" for line in lines)
