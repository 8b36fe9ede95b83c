"""The floors of docs/design.md as a checker over a source tree, read with `ast`.

Kept apart from the test that runs it over src/, so that the checker itself can be proven on
small bad modules.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FLOORS", "MAX_LINES", "Fault", "check_tree"]

MAX_LINES = 400
"""A longer file has two subjects."""

FLOORS = {
    "packet": 0, "errors": 0, "config": 0, "logs": 0, "metrics": 0,
    "wire": 1,
    "net": 2, "access": 2, "store": 2, "cluster": 2,
    "media": 3,
    "ingest": 4, "delivery": 4, "webrtc": 4, "im": 4,
    "control": 5,
    "app": 6, "compose": 6, "demo": 6, "demo_source": 6, "doctor": 6, "__main__": 6,
}  # fmt: skip
"""First name below `livetrio` (a module or a package) and its floor."""

SEPARATE = frozenset({2, 4})
"""Floors whose packages never import one another."""

PURE: dict[str, set[str]] = {
    "wire": {"brotli", "google"},  # google.protobuf: pure codecs
    "config": {"yaml"},
    "logs": {"structlog"},
    "metrics": {"prometheus_client"},
    "packet": set(),
    "errors": set(),
}
"""Floors 0 and 1 live on the standard library; these are the packages each may add."""

WORLDLY = frozenset(
    {"asyncio", "logging", "multiprocessing", "select", "selectors", "socket", "ssl",
     "subprocess", "threading", "time"}
)  # fmt: skip
"""Standard modules with a socket, a clock, a log or a task in them: not for wire/."""

OWNERS = {
    "asyncio": ("store/redis.py", "cluster/redis.py", "webrtc/aio/"),
    "trio_asyncio": ("store/redis.py", "cluster/redis.py", "webrtc/aio/"),
    "redis": ("store/redis.py", "cluster/redis.py"),
    "quart": ("control/",),
    "quart_trio": ("control/",),
    "hypercorn": ("control/",),
    "av": (
        "demo_source.py",
        "media/transcode/",
        "media/mix/",
        "webrtc/aio/",
        "webrtc/slots/level_meter.py",
        "delivery/snapshot.py",
    ),
    "numpy": ("media/mix/",),
    "PIL": ("media/mix/",),
    "aiortc": ("webrtc/",),
    "aioice": ("webrtc/",),
    "OpenSSL": ("webrtc/",),
    "ahocorasick": ("im/",),
}
"""Packages kept in one place, and the files (or folders, ending in /) that own them."""

BROAD = frozenset({"Exception", "BaseException"})
GUARDS = "net/"
"""Where the one broad `except`, the per-connection guard, lives."""


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One broken rule; reads as `path:line: what`."""

    path: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


def check_tree(root: Path) -> list[Fault]:
    """Every fault below `root`, the folder of the package `livetrio`, in the order of files."""
    faults: list[Fault] = []
    guards: list[Fault] = []
    for file in sorted(root.rglob("*.py")):
        path = file.relative_to(root).as_posix()
        source = file.read_text(encoding="utf-8")
        tree = ast.parse(source, filename=path)
        if not ast.get_docstring(tree):
            faults.append(Fault(path, 1, "a module opens with one sentence saying what it is"))
        if (lines := len(source.splitlines())) > MAX_LINES:
            faults.append(Fault(path, lines, f"{lines} lines; split it by noun ({MAX_LINES})"))
        faults += imports_faults(path, tree)
        guards += [Fault(path, line, "a broad except") for line in broad_handlers(tree)]
    faults += [fault for fault in guards if not fault.path.startswith(GUARDS)]
    if len(own := [fault for fault in guards if fault.path.startswith(GUARDS)]) > 1:
        faults += [Fault(g.path, g.line, "a second broad except: there is one guard") for g in own]
    return sorted(faults)


def imports_faults(path: str, tree: ast.Module) -> Iterator[Fault]:
    """What is wrong with the imports of one file, wherever in it they stand."""
    here = path.split("/")[0].removesuffix(".py")
    if here != "__init__" and here not in FLOORS:
        yield Fault(path, 1, f"{here} has no floor: give it one in tests/kit/floors.py")
        return
    for line, name in imported(path, tree):
        top, _, rest = name.partition(".")
        what = inside(here, rest.split(".")[0]) if top == "livetrio" else outside(path, here, top)
        if what:
            yield Fault(path, line, what)


def imported(path: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, absolute dotted name) of every import, relative ones resolved."""
    package = ["livetrio", *path.split("/")[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            # `from livetrio import media` names the package by its alias
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def inside(here: str, there: str) -> str:
    """Why `livetrio.here` may not import `livetrio.there`, or "" where it may."""
    if here == "__init__":
        return "the package's own __init__ imports nothing" if there in FLOORS else ""
    if there not in FLOORS or there == here:  # an attribute of the package: __version__
        return ""
    if FLOORS[there] > FLOORS[here]:
        return f"upward: {here} (floor {FLOORS[here]}) imports {there} (floor {FLOORS[there]})"
    if FLOORS[there] == FLOORS[here] and FLOORS[here] in SEPARATE:
        return f"sideways: {here} and {there} never import one another"
    return ""


def outside(path: str, here: str, top: str) -> str:
    """Why this file may not import the package `top`, or "" where it may."""
    # an owner is a file or, ending in "/", a folder: neither is a prefix of anything else
    if top in OWNERS and not path.startswith(OWNERS[top]):
        return f"{top} belongs to {' and '.join(OWNERS[top])}"
    if here == "wire" and top in WORLDLY:
        return f"{top} in wire/: no socket, clock, log or task there"
    if here in PURE and top not in sys.stdlib_module_names and top not in PURE[here]:
        return f"{top} in {here}: floors 0 and 1 live on the standard library"
    return ""


def broad_handlers(tree: ast.Module) -> Iterator[int]:
    """Lines that catch everything: `except Exception`, a bare `except`, `suppress(Exception)`."""
    for node in ast.walk(tree):
        caught: list[ast.expr | None] = []
        if isinstance(node, ast.ExceptHandler):
            caught = [*node.type.elts] if isinstance(node.type, ast.Tuple) else [node.type]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
            caught = [*node.args]
        if any(kind is None or ast.unparse(kind).split(".")[-1] in BROAD for kind in caught):
            yield node.lineno
