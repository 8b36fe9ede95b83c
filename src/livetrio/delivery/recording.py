"""Recording: one file as operators see it, and the small JSON beside it that outlives us."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Recording", "load_recordings", "remove_recording", "save_recording"]

_SUFFIX = ".json"


@dataclass(slots=True, eq=False)
class Recording:
    """One recorded file."""

    app: str
    name: str
    path: str
    """Below the folder of recordings."""
    format: str
    start: float
    """Unix time, seconds."""
    duration: float = 0.0
    """Seconds; of one that goes on, or that was interrupted, as far as was noted."""
    size: int = 0
    """Bytes."""
    codecs: list[str] = field(default_factory=list)
    finished: bool = False
    id: str = field(default_factory=lambda: secrets.token_urlsafe(9))


def save_recording(folder: Path, recording: Recording) -> None:
    """Write the JSON beside the file, whole or not at all. OSError where it cannot be."""
    path = folder / (recording.path + _SUFFIX)
    draft = path.with_name(path.name + ".new")
    draft.write_text(json.dumps(asdict(recording)), encoding="utf-8")
    draft.replace(path)


def load_recordings(folder: Path) -> list[Recording]:
    """Those that an earlier run left, in the order they were begun. What is no JSON of ours,
    or has lost its file, is passed over."""
    found = []
    for path in folder.rglob(f"*{_SUFFIX}"):
        with contextlib.suppress(OSError, ValueError, TypeError):
            recording = Recording(**_fields(json.loads(path.read_text(encoding="utf-8"))))
            media = folder / recording.path
            if path == folder / (recording.path + _SUFFIX):
                recording.size = media.stat().st_size
                found.append(recording)
    return sorted(found, key=lambda recording: recording.start)


def remove_recording(folder: Path, recording: Recording) -> None:
    """Delete the file and its JSON; folders that it leaves empty too."""
    path = folder / recording.path
    for each in (path, folder / (recording.path + _SUFFIX)):
        each.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not empty
        for above in _between(path.parent, folder):
            os.rmdir(above)


def _between(path: Path, folder: Path) -> Iterable[Path]:
    while path != folder:
        yield path
        path = path.parent


def _fields(value: Any) -> dict[str, Any]:
    """The members of a JSON object, each of the type it must have. ValueError if one is not."""
    kinds: dict[str, type | tuple[type, ...]] = {
        **dict.fromkeys(("app", "name", "path", "format", "id"), str),
        **dict.fromkeys(("start", "duration"), (int, float)),
        "size": int,
        "codecs": list,
        "finished": bool,
    }
    if not isinstance(value, dict) or value.keys() != kinds.keys():
        raise ValueError("not a recording")
    if not all(isinstance(value[name], kind) for name, kind in kinds.items()):
        raise ValueError("not a recording")
    return value
