"""Live streams before files of their names, in applications that have both.

By RTMP one name is asked for and one decision made. By HTTP there are two tables of routes: those
of stored media come first and would take every path of such an application.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from livetrio.delivery.hls_renditions import HlsRenditions
from livetrio.delivery.hls_request import FILE_TYPES, FileAsk, read_ask
from livetrio.errors import RefusalCode, Refused
from livetrio.media.registry import Registry
from livetrio.net.exchange import Exchange
from livetrio.net.http import Route
from livetrio.net.request import stream_path
from livetrio.packet import StreamKey

__all__ = ["LiveFirst"]

_OF_STREAMS: Final = (".flv", ".m3u8")


class LiveFirst:
    """Made by the composition root.

    Args:
        apps: the applications that have both.
        registry: says which streams there are.
        windows: say which segments are theirs; None: there is no HLS.
        live: the routes of live streams.
    """

    def __init__(
        self,
        apps: Collection[str],
        registry: Registry,
        windows: HlsRenditions | None,
        live: Sequence[Route],
    ) -> None:
        self._apps = apps
        self._registry = registry
        self._find: Callable[[StreamKey, str], object] = windows.find if windows else _nothing
        self._live = live

    def routes(self, stored: Sequence[Route]) -> list[Route]:
        """The routes of stored media; each hands on what is live, and what is no file: its
        publisher may come."""
        return [replace(route, handler=partial(self._answer, route)) for route in stored]

    async def _answer(self, stored: Route, exchange: Exchange) -> None:
        path = exchange.request.path
        live = self._route(exchange)
        if live is None:
            await stored.handler(exchange)
        elif self._is_live(path):
            await live.handler(exchange)
        else:
            try:
                await stored.handler(exchange)
            except Refused as refused:
                if refused.code is not RefusalCode.NOT_FOUND or exchange.taken:
                    raise
                await live.handler(exchange)

    def _route(self, exchange: Exchange) -> Route | None:
        request = exchange.request
        if request.path.lstrip("/").partition("/")[0] not in self._apps:
            return None
        fitting = (route for route in self._live if route.match(request.path))
        return next((route for route in fitting if request.method in route.methods), None)

    def _is_live(self, path: str) -> bool:
        """Is that a stream which is there, or of one?"""
        try:
            for suffix in _OF_STREAMS:
                if path.endswith(suffix):
                    return self._registry.has(StreamKey(*stream_path(path, suffix)))
            ask = read_ask(path, {}) if path.endswith(tuple(FILE_TYPES)) else None
        except Refused:  # no name at all: whoever answers says so
            return False
        if not isinstance(ask, FileAsk):
            return False
        return self._find(StreamKey(ask.app, ask.name), ask.prefix) is not None


def _nothing(key: StreamKey, prefix: str) -> None:  # noqa: ARG001
    return None
