"""Finding and layering: a flag beats the environment, that beats the file, that the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from livetrio.config.build import build, flatten
from livetrio.config.document import read_document
from livetrio.config.problems import Problems
from livetrio.config.schema import Config, Notice
from livetrio.config.settings import SETTINGS
from livetrio.config.values import Node
from livetrio.errors import ConfigError

__all__ = ["DEFAULT_FILES", "load"]

DEFAULT_FILES: Final = ("livetrio.yaml", "livego.yaml")
"""Looked for in this order where no file is named."""


def load(
    flags: Mapping[str, str] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    file: str | Path | None = None,
    must_exist: bool = False,
    search: bool = True,
) -> Config:
    """Read the configuration.

    Args:
        flags: what the command line said, by key ("rtmp_addr", without dashes).
        environ: the process's environment; variables named like no key are not looked at.
        file: the file named; without it the first of DEFAULT_FILES in the working directory
            that exists. CONFIG_FILE in the environment is not read, as in livego, which reads
            the environment after the file.
        must_exist: a named file that is missing is an error; otherwise, as in livego, the
            defaults are used and a notice says so.
        search: look for DEFAULT_FILES where no file is named.

    Raises:
        ConfigError: every problem found, each on a line "where: key: what is wrong".
    """
    problems = Problems()
    notices: list[Notice] = []
    nodes: dict[str, Node] = {}
    source = ""
    path = Path(file) if file else _default_file() if search else None
    if path is not None:
        try:
            nodes = flatten(read_document(path), problems)
            source = str(path)
        except FileNotFoundError:
            if must_exist:
                raise ConfigError(f"{path}: no such file") from None
    if not source and (path or search):
        missing = f"there is no {path}" if path else f"there is no {' or '.join(DEFAULT_FILES)}"
        notices.append(Notice("warning", f"Using default config: {missing}"))
    variables = _from_environment(environ or {})
    if variables:
        names = ", ".join(sorted(SETTINGS[key].environment for key in variables))
        notices.append(Notice("info", f"set by the environment: {names}"))
    nodes |= variables
    for key, value in (flags or {}).items():
        nodes[key] = Node(value, "command line")
    config = build(nodes, source, problems)
    return replace(config, notices=(*notices, *config.notices))


def _default_file() -> Path | None:
    return next((Path(name) for name in DEFAULT_FILES if Path(name).is_file()), None)


def _from_environment(environ: Mapping[str, str]) -> dict[str, Node]:
    """livego allows empty variables: RTMP_ADDR= turns that listener off.

    Where nothing is not a value (GOP_NUM= out of a compose file), it counts as not set.
    """
    found: dict[str, Node] = {}
    for key, setting in SETTINGS.items():
        value = environ.get(setting.environment)
        if value is not None and (value or setting.reader.empty):
            found[key] = Node(value, f"environment {setting.environment}")
    return found
