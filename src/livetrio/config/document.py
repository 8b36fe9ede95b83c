"""A configuration file as nodes that know their line: YAML, JSON or TOML, by extension.

Scalars keep the text that was written: `redis_pwd: 007` stays "007" and `level: off` is no
boolean; what a value means is decided by the key that it stands under (`values`). Anchors, aliases
and merge keys work; they share nodes and never copy, so an alias bomb stays as small as its file.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import yaml

from livetrio.config.values import Node
from livetrio.errors import ConfigError

__all__ = ["MAX_FILE_BYTES", "read_document"]

MAX_FILE_BYTES: Final = 1 << 20
_MAX_DEPTH: Final = 16
_MAX_ITEMS: Final = 1000
"""Entries of one list or mapping: with aliases a megabyte of file could mean 10^10 values."""
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})


def read_document(path: Path) -> Mapping[str, Node]:
    """The top-level entries of a file; its keys lower-cased, as livego's viper does.

    Raises:
        FileNotFoundError: no such file; what that means is the caller's business.
        ConfigError: unreadable, too large, not of the kind its extension says, duplicate keys.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: is larger than {MAX_FILE_BYTES} bytes")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: is not UTF-8 text") from error
    match path.suffix.lower():
        case ".yaml" | ".yml":
            root = _yaml(text, str(path))
        case ".json":
            root = _json(text, str(path))
        case ".toml":
            root = _toml(text, str(path))
        case other:
            raise ConfigError(f"{path}: unknown kind {other!r}; use .yaml, .yml, .json or .toml")
    if root.value is None:
        return {}
    if not isinstance(root.value, Mapping):
        raise ConfigError(f"{root.where}: the file must be a mapping of keys to values")
    return root.value


def _yaml(text: str, name: str) -> Node:
    try:
        return _YamlBuilder(name).build(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{name}:{line}: {error.problem}") from error
    except yaml.YAMLError as error:  # a character YAML does not allow
        what = str(error).partition("\n")[0]
        raise ConfigError(f"{name}: is not YAML: {what}") from error


def _json(text: str, name: str) -> Node:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{name}:{error.lineno}: {error.msg}") from error
    except RecursionError as error:
        raise ConfigError(f"{name}: is nested too deep") from error
    # What is valid JSON is YAML too, except for tabs, which inside JSON's strings cannot stand
    # raw. Read that way it has lines, which the json module does not tell.
    return _yaml(text.replace("\t", " "), name)


@dataclass(slots=True)
class _Open:
    """A list or mapping that has begun and not ended."""

    line: int
    anchor: str | None
    items: list[Node]
    entries: dict[str, Node] | None
    key: Node | None = None
    merged: list[Node] | None = None


class _YamlBuilder:
    """Nodes from PyYAML's events.

    Refused: `safe_load` (no lines, and keys that occur twice are not noticed) and `compose` (it
    recurses, so that a file of brackets ends in RecursionError).
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._stack: list[_Open] = []
        self._anchors: dict[str, Node | None] = {}
        self._root: Node | None = None

    def build(self, text: str) -> Node:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            line = event.start_mark.line + 1 if event.start_mark else 1
            match event:
                case yaml.DocumentStartEvent() if self._root is not None:
                    raise self._error(line, "a second document in one file")
                case yaml.ScalarEvent(anchor=anchor, value=value, style=style):
                    node = self._node(line, value)
                    if style is None and value in _NULLS:
                        node = replace(node, value=None)
                    self._add(node, anchor)
                case yaml.AliasEvent(anchor=str(anchor)):
                    shared = self._anchors.get(anchor)
                    if shared is None:
                        why = "is inside itself" if anchor in self._anchors else "is not defined"
                        raise self._error(line, f"alias *{anchor} {why}")
                    self._add(shared, None)
                case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                    self._open(event, line)
                case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                    self._close()
        return self._root or Node(None, f"{self._name}:1")

    def _node(self, line: int, value: Any) -> Node:
        return Node(value, f"{self._name}:{line}")

    def _error(self, line: int, message: str) -> ConfigError:
        return ConfigError(f"{self._name}:{line}: {message}")

    def _open(self, event: yaml.SequenceStartEvent | yaml.MappingStartEvent, line: int) -> None:
        if len(self._stack) >= _MAX_DEPTH:
            raise self._error(line, f"nested deeper than {_MAX_DEPTH}")
        if event.anchor is not None:
            self._anchors[event.anchor] = None  # until it has ended
        entries: dict[str, Node] | None = {} if isinstance(event, yaml.MappingStartEvent) else None
        self._stack.append(_Open(line, event.anchor, [], entries))

    def _close(self) -> None:
        done = self._stack.pop()
        if done.entries is None:
            self._add(self._node(done.line, tuple(done.items)), done.anchor)
            return
        for other in done.merged or ():
            for name, node in _mappings(other):
                done.entries.setdefault(name, node)
        self._add(self._node(done.line, done.entries), done.anchor)

    def _add(self, node: Node, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._stack:
            self._root = node
            return
        parent = self._stack[-1]
        if len(parent.entries or parent.items) >= _MAX_ITEMS:
            raise self._error(parent.line, f"more than {_MAX_ITEMS} entries")
        if parent.entries is None:
            parent.items.append(node)
        elif parent.key is None:
            if not isinstance(node.value, str):
                raise ConfigError(f"{node.where}: a key must be text")
            parent.key = node
        else:
            key, parent.key = parent.key, None
            name = str(key.value).lower()
            if name == "<<":
                parent.merged = [*(parent.merged or ()), node]
            elif name in parent.entries:
                first = parent.entries[name].where
                raise ConfigError(f"{key.where}: {key.value}: is given twice, first at {first}")
            else:
                # An entry stands where its key does: that is the line to look at.
                parent.entries[name] = replace(node, where=key.where)


def _mappings(node: Node) -> list[tuple[str, Node]]:
    """The entries that a merge key brings in: of one mapping, or of a list of them."""
    parts = node.value if isinstance(node.value, tuple) else (node,)
    found: list[tuple[str, Node]] = []
    for part in parts:
        if not isinstance(part.value, Mapping):
            raise ConfigError(f"{part.where}: <<: needs a mapping to merge")
        found += part.value.items()
    return found


def _toml(text: str, name: str) -> Node:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        line = found[1] if found else text.count("\n") + 1
        raise ConfigError(f"{name}:{line}: {str(error).partition(' (at')[0]}") from error
    except RecursionError as error:
        raise ConfigError(f"{name}: is nested too deep") from error
    return _toml_node(data, (), _toml_lines(text), name, 1)


def _toml_node(
    data: Any, path: tuple[str, ...], lines: Mapping[tuple[str, ...], int], name: str, line: int
) -> Node:
    line = lines.get(path, line)
    where = f"{name}:{line}"
    if len(path) > _MAX_DEPTH:
        raise ConfigError(f"{where}: nested deeper than {_MAX_DEPTH}")
    match data:
        case dict():
            entries: dict[str, Node] = {}
            for key, value in data.items():
                node = _toml_node(value, (*path, key), lines, name, line)
                if key.lower() in entries:
                    raise ConfigError(f"{node.where}: {key}: is given twice, in capitals and not")
                entries[key.lower()] = node
            return Node(entries, where)
        case list():
            items = (
                _toml_node(item, (*path, str(i)), lines, name, line) for i, item in enumerate(data)
            )
            return Node(tuple(items), where)
        case bool():
            return Node("true" if data else "false", where)
        case _:
            return Node(str(data), where)


def _toml_lines(text: str) -> dict[tuple[str, ...], int]:
    """Where each key stands, as far as reading line by line can tell.

    tomllib tells no positions. Good enough for messages: keys are found in `[tables]`,
    `[[arrays of tables]]` and plain assignments; what is inside an inline table gets its line.
    """
    lines: dict[tuple[str, ...], int] = {}
    counts: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if found := re.match(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]", line):
            table = tuple(part.strip(" \"'") for part in found[2].split("."))
            if found[1] == "[[":
                index = counts.get(table, 0)
                counts[table] = index + 1
                lines.setdefault(table, number)
                table = (*table, str(index))
            lines.setdefault(table, number)
        elif found := re.match(r"\s*([\w\-.\"']+)\s*=", line):
            key = tuple(part.strip("\"'") for part in found[1].split("."))
            lines.setdefault((*table, *key), number)
            lines.setdefault((*table, key[0]), number)
    return lines
