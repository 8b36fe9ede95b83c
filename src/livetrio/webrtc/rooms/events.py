"""Events: one for each change of a room, numbered, with all that is needed to follow it.

`changes` is a JSON merge patch (RFC 7396) over the state that the room had before, so that a page
can follow any event, even one it does not know, with the ten lines of `merged`. The first event
holds the whole state.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from livetrio.packet import StreamKey

__all__ = ["Change", "Event", "difference", "encode", "merged"]


@dataclass(frozen=True, slots=True)
class Event:
    """Version n+1 follows version n; a page that misses one asks for the whole state."""

    type: str
    room: StreamKey
    life: str
    """Of the room: one that is opened again under its name counts from 1 again."""
    version: int
    time: int
    """Unix time, milliseconds."""
    changes: Mapping[str, Any]
    about: Mapping[str, Any] = field(default_factory=dict)
    """For people: by whom, whom it concerns, why."""

    def view(self) -> dict[str, Any]:
        """JSON."""
        return {
            "type": self.type,
            "room": str(self.room),
            "life": self.life,
            "version": self.version,
            "time": self.time,
            **self.about,
            "changes": self.changes,
        }


@dataclass(slots=True)
class Change:
    """What an action did: an event that has no number yet.

    Seats and applications are named only: the room stamps them with its new version, and reads
    from them what they have become.
    """

    type: str
    seats: list[int] = field(default_factory=list)
    applicants: list[str] = field(default_factory=list)
    patch: dict[str, Any] = field(default_factory=dict)
    """Of all other fields."""
    about: dict[str, Any] = field(default_factory=dict)


def merged(state: Any, patch: Any) -> Any:
    """The state after a merge patch, as a new value (RFC 7396 section 2)."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(state) if isinstance(state, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch that leads from one object to the other; neither holds a null."""
    patch: dict[str, Any] = dict.fromkeys(before.keys() - after.keys())
    for name, value in after.items():
        old = before.get(name)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            if inner := difference(old, value):
                patch[name] = inner
        elif value != old:
            patch[name] = value
    return patch


def encode(words: Mapping[str, Any]) -> bytes:
    """Compact JSON in UTF-8. Names are data: "<b>" stays "<b>", and pages must show it as text."""
    return json.dumps(words, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
