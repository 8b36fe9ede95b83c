"""Findings for people and for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from livetrio.doctor.finding import Finding

__all__ = ["exit_code", "human", "machine"]

_MARKS = {"ok": "ok     ", "warning": "WARNING", "error": "ERROR  "}
_MARGIN = " " * 10


def human(findings: Sequence[Finding]) -> Iterable[str]:
    """Lines of text; the worst come last, where the eye is."""
    order = list(_MARKS)
    for finding in sorted(findings, key=lambda found: order.index(found.level)):
        yield f"{_MARKS[finding.level]}   {finding.subject}: {_printable(finding.text)}"
        if finding.advice:
            yield f"{_MARGIN}-> {_printable(finding.advice)}"
    counts = Counter(finding.level for finding in findings)
    yield f"{counts['ok']} fine, {counts['warning']} warnings, {counts['error']} errors"


def machine(findings: Sequence[Finding]) -> str:
    """One JSON document: {"errors", "warnings", "findings": [...]}."""
    counts = Counter(finding.level for finding in findings)
    about = {
        "errors": counts["error"],
        "warnings": counts["warning"],
        "findings": [asdict(finding) for finding in findings],
    }
    return json.dumps(about, indent=2, ensure_ascii=True)


def exit_code(findings: Iterable[Finding]) -> int:
    """0; 1 if anything is an error."""
    return int(any(finding.level == "error" for finding in findings))


def _printable(text: str) -> str:
    """A certificate's names and a server's words are not ours: no escapes on the terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)
