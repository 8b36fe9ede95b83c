"""What is wrong with a configuration, collected so that it is told all at once."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from typing import TypeVar

from livetrio.config.values import BadValue, Node, Reader, shown
from livetrio.errors import ConfigError

__all__ = ["Problems"]

T = TypeVar("T")


class Problems:
    """Lines of the form "livetrio.yaml:12: key: what is wrong"."""

    def __init__(self) -> None:
        # A dictionary, since two listeners may miss the same certificate.
        self._found: dict[tuple[str, str, str], None] = {}

    def add(self, where: str, key: str, what: str) -> None:
        """One more; `where` may be empty."""
        self._found[where, key, what] = None

    def unknown(self, node: Node, key: str, known: Iterable[str]) -> None:
        """A key that does not exist, with the one that was probably meant."""
        close = difflib.get_close_matches(key, known, n=1)
        printable = key if key.isprintable() and len(key) <= 100 else shown(key)
        self.add(node.where, printable, "unknown key" + "".join(f"; {c}?" for c in close))

    def read(self, node: Node, key: str, reader: Reader[T], default: T) -> T:
        """The value of a node, or the default and a problem."""
        try:
            return reader.read(node)
        except BadValue as error:
            self.add(node.where, key, str(error))
            return default

    def raise_any(self) -> None:
        """Raise them together, if there are any, in the order of the file's lines."""
        if self._found:
            lines = (": ".join(filter(None, p)) for p in sorted(self._found, key=_line))
            raise ConfigError("\n".join(lines))


def _line(problem: tuple[str, str, str]) -> float:
    number = problem[0].rpartition(":")[2]
    return int(number) if number.isdecimal() else math.inf  # environment and flags come last
