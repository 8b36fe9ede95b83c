"""The entries of `server:`: the applications, each with its own rules."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from livetrio.config.problems import Problems
from livetrio.config.schema import AppConfig
from livetrio.config.values import Node, Reader, app_name, boolean, choice, file, push_urls

__all__ = ["read_apps"]

_KEYS: Final = (
    "appname", "live", "hls", "flv", "api", "auth", "static_push", "record", "play",
)  # fmt: skip
_AUTH: Final[Reader[Literal["key", "none"]]] = choice({"key": "key", "none": "none"})

_RECORD: Final[Reader[Literal["flv", "fmp4", "ts"]]] = choice(
    {"flv": "flv", "fmp4": "fmp4", "ts": "ts"}
)


def read_apps(server: Node, problems: Problems) -> dict[str, AppConfig]:
    """The apps by name, in the file's order.

    What an entry leaves out is on: who lists an app means to use it. (livego reads a missing
    `live:` as false, which makes the entry one without any effect.)
    """
    if not isinstance(server.value, tuple):
        problems.add(server.where, "server", "must be a list of apps, each with its appname")
        return {}
    apps: dict[str, AppConfig] = {}
    for place, node in enumerate(server.value):
        path = f"server[{place}]"
        if not isinstance(node.value, Mapping):
            problems.add(node.where, path, "must be a mapping with appname")
            continue
        app = _read_app(node, node.value, path, problems)
        if app is None:
            continue
        if app.name in apps:
            problems.add(node.where, f"{path}.appname", f"{app.name!r} is listed twice")
        apps[app.name] = app
    if not server.value:
        problems.add(server.where, "server", "lists no app: nobody could publish")
    return apps


def _read_app(
    node: Node, entries: Mapping[str, Node], path: str, problems: Problems
) -> AppConfig | None:
    for key in entries.keys() - set(_KEYS):
        problems.unknown(entries[key], f"{path}.{key}", [f"{path}.{known}" for known in _KEYS])

    def switch(key: str, default: bool = True) -> bool:
        found = entries.get(key)
        if found is None:
            return default
        return problems.read(found, f"{path}.{key}", boolean, default)

    play: Path | None = None
    if found := entries.get("play"):
        play = problems.read(found, f"{path}.play", file, None)
        if play is not None and not play.is_dir():
            problems.add(found.where, f"{path}.play", f"there is no folder {play}")
    # As in nginx-rtmp: who gives an app a folder says so if it is to be live too.
    live = switch("live", play is None)
    hls, flv, api = switch("hls"), switch("flv"), switch("api")
    auth: Literal["key", "none"] = "key"
    if found := entries.get("auth"):
        auth = problems.read(found, f"{path}.auth", _AUTH, "key")
    urls: tuple[str, ...] = ()
    if found := entries.get("static_push"):
        urls = problems.read(found, f"{path}.static_push", push_urls, ())
    record: Literal["flv", "fmp4", "ts"] | None = None
    if found := entries.get("record"):
        record = problems.read(found, f"{path}.record", _RECORD, "fmp4")
    name = ""
    if found := entries.get("appname"):
        name = problems.read(found, f"{path}.appname", app_name, "")
    else:
        problems.add(node.where, path, "has no appname")
    if not name:
        return None
    return AppConfig(
        name=name,
        live=live,
        hls=hls,
        flv=flv,
        api=api,
        auth=auth,
        record=record,
        play=play,
        static_push=urls,
    )
