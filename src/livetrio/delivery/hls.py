"""HLS on the stream plane: playlists, segments, parts, keys; livego's URLs and answers.

Plain players get livego's playlist under livego's name. `variant=ll` (or any of the directives
of a low-latency player) gets parts and blocking reloads, `variant=fmp4` and `variant=ts` what
they say. Waiting requests cost their connection's task and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import quote, urlencode

import trio

from livetrio.delivery.hls_master import multivariant
from livetrio.delivery.hls_renditions import HlsRenditions, Place, Variant, plain_places
from livetrio.delivery.hls_sessions import HlsSessions
from livetrio.delivery.hls_window import Window
from livetrio.errors import RefusalCode, Refused
from livetrio.media.registry import Registry
from livetrio.net.exchange import Exchange
from livetrio.net.http import Route
from livetrio.net.request import stream_path
from livetrio.packet import StreamKey
from livetrio.wire.m3u8 import Report

__all__ = ["HlsPlayers", "PlayGate"]

_PLAYLIST: Final = ".m3u8"
_TYPES: Final = {
    ".ts": "video/mp2ts",
    ".m4s": "video/iso.segment",
    ".mp4": "video/mp4",
    ".key": "application/octet-stream",
}
_GET: Final = frozenset({"GET", "HEAD"})
_PLAYLIST_TYPE: Final = "application/x-mpegURL"
"""As livego says it; RFC 8216 allows it beside application/vnd.apple.mpegurl."""
_NO_CACHE: Final = ("Cache-Control", "no-cache")
_CACHE: Final = ("Cache-Control", "public, max-age=3600, immutable")
_DIRECTIVES: Final = ("_HLS_msn", "_HLS_part", "_HLS_skip")
_OURS: Final = frozenset({"variant", "video", "audio", *_DIRECTIVES})
_PATIENCE: Final = 10.0
"""Seconds a request is held: for the first segment, and for the one that was asked for (three
target durations is what RFC 8216bis section 6.2.5.2 lets it be at most)."""
_MAX_DIGITS: Final = 12


class PlayGate(Protocol):
    """The part of access/ that is needed here."""

    async def may_play(self, app: str, name: str, query: Mapping[str, str], peer: str) -> StreamKey:
        """Which stream is meant; Refused if this peer may not watch it."""


@dataclass(frozen=True, slots=True)
class _Directives:
    """What a low-latency player asks of a playlist (RFC 8216bis section 6.2.5)."""

    msn: int | None
    part: int | None
    skip: bool


class HlsPlayers:
    """The routes of the HLS port, made by the composition root."""

    def __init__(
        self,
        registry: Registry,
        gate: PlayGate,
        renditions: HlsRenditions,
        sessions: HlsSessions,
    ) -> None:
        self._registry = registry
        self._gate = gate
        self._renditions = renditions
        self._sessions = sessions

    def routes(self) -> list[Route]:
        """Playlists, and the files they name."""
        return [
            Route(_GET, lambda path: path.endswith(_PLAYLIST), self._playlist),
            Route(_GET, lambda path: path.endswith(tuple(_TYPES)), self._file),
        ]

    async def _playlist(self, exchange: Exchange) -> None:
        request = exchange.request
        app, name = stream_path(request.path, _PLAYLIST)
        directives = _directives(request.query)
        variant = _variant(request.query)
        key = await self._gate.may_play(app, name, request.query, exchange.connection.peer)
        stream = self._registry.streams.get(key)
        if stream is not None and not stream.ring.ended:
            self._sessions.asked(stream, exchange)
            places = await self._places(key, variant)
            windows = [self._renditions.window(place, stream) for place in places]
        else:
            places = self._renditions.kept_places(key)
            places = [p for p in places if variant in (None, p.variant)]
            windows = [w for p in places if (w := self._renditions.kept(p)) is not None]
        if not windows:
            raise Refused(RefusalCode.FORBIDDEN, "no publisher")
        chosen = _choose(places, request.query)
        base, query = f"{quote(name.rpartition('/')[2])}/", _passed_on(request.query)
        if chosen is None:
            for window in windows:
                await self._first(window)
            text = multivariant(stream, places, windows, quote(name.rpartition("/")[2]), query)
            self._send(exchange, key, text.encode(), None)
            return
        window = windows[chosen]
        await self._wait(window, directives)
        low_latency = places[chosen].variant == "ll"
        others = [(p, w) for p, w in zip(places, windows, strict=True) if w is not window]
        reports = _reports(others, quote(name.rpartition("/")[2]), query) if low_latency else ()
        text_bytes = window.playlist(
            base, query, parts=low_latency, skip=directives.skip, reports=reports
        )
        self._send(exchange, key, text_bytes, window)

    async def _places(self, key: StreamKey, variant: Variant | None) -> Sequence[Place]:
        """The windows of a live stream, as soon as its tracks are known."""
        stream = self._registry.streams[key]
        with trio.move_on_after(_PATIENCE):
            while not (places := plain_places(stream)) and not stream.ring.ended:
                await stream.ring.changed(stream.ring.head)
        if variant is None:
            return places
        return [place._replace(variant=variant) for place in places]

    async def _first(self, window: Window) -> None:
        """Wait for something to play; livego hands out an empty playlist, which players drop."""
        with trio.move_on_after(_PATIENCE):
            while not window.ended and not window.listed and not window.newest[1]:
                await window.changed()

    async def _wait(self, window: Window, directives: _Directives) -> None:
        if directives.msn is None:
            await self._first(window)
            return
        if window.is_ahead(directives.msn):
            raise Refused(RefusalCode.BAD_REQUEST, "_HLS_msn is too far in the future")
        with trio.move_on_after(_PATIENCE) as patience:
            await window.reached(directives.msn, directives.part)
        if patience.cancelled_caught:
            raise Refused(RefusalCode.UNAVAILABLE, "the next segment does not come")

    def _send(self, exchange: Exchange, key: StreamKey, text: bytes, window: Window | None) -> None:
        headers = [_NO_CACHE]
        body = text
        if window is not None and "gzip" in exchange.request.headers.get("accept-encoding", ""):
            packed = window.compressed(text)
            if packed is not None:
                headers += [("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")]
                body = packed
        exchange.reply(200, body, content_type=_PLAYLIST_TYPE, headers=headers)
        self._sessions.sent(key, exchange, len(body))

    async def _file(self, exchange: Exchange) -> None:
        request = exchange.request
        folder, _, file = request.path.rpartition("/")
        app, name = stream_path(folder, "")
        key = await self._gate.may_play(app, name, request.query, exchange.connection.peer)
        window = self._renditions.find(key, file)
        if window is None:
            raise Refused(RefusalCode.FORBIDDEN, "no publisher")
        stem, dot, ending = file.removeprefix(window.prefix).rpartition(".")
        body = await _content(window, stem, dot + ending, file)
        if body is None:
            raise Refused(RefusalCode.BAD_REQUEST, "No key for cache")
        caching = _NO_CACHE if ending == "key" else _CACHE
        exchange.reply(200, bytes(body), content_type=_TYPES[dot + ending], headers=[caching])
        self._sessions.sent(key, exchange, len(body))


async def _content(window: Window, stem: str, ending: str, file: str) -> bytes | memoryview | None:
    """The bytes a file's name stands for; waits for a part that is announced."""
    if ending == ".key":
        return window.keys.get(file)
    if ending == ".mp4":
        number = _number(stem.removeprefix("i")) if stem.startswith("i") else None
        return None if number is None else window.headers.get(number)
    if ending != window.suffix:
        return None
    number_text, dot, part_text = stem.partition(".")
    number, part = _number(number_text), _number(part_text)
    if number is None or (dot and part is None):
        return None
    if dot and (number, part) == window.newest:  # what the playlist hints at
        with trio.move_on_after(_PATIENCE):
            await window.reached(number, part)
    segment = window.segment(number)
    if segment is None:
        return None
    if not dot:
        return segment.data if segment.duration is not None else None
    assert part is not None
    return segment.parts[part].data if part < len(segment.parts) else None


def _directives(query: Mapping[str, str]) -> _Directives:
    msn, part = (_asked_number(query, name) for name in _DIRECTIVES[:2])
    if part is not None and msn is None:
        raise Refused(RefusalCode.BAD_REQUEST, "_HLS_part without _HLS_msn")
    skip = query.get("_HLS_skip", "")
    if skip not in {"", "YES", "v2"}:
        raise Refused(RefusalCode.BAD_REQUEST, "_HLS_skip must be YES or v2")
    return _Directives(msn, part, bool(skip))


def _asked_number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    number = _number(text)
    if number is None:
        raise Refused(RefusalCode.BAD_REQUEST, f"{name} is not a number")
    return number


def _number(text: str) -> int | None:
    """A decimal integer; None for anything else, or a number nobody can mean."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS else None


def _variant(query: Mapping[str, str]) -> Variant | None:
    match query.get("variant"):
        case None:
            return "ll" if any(name in query for name in _DIRECTIVES) else None
        case "ts" | "fmp4" | "ll" as variant:
            return variant
        case _:
            raise Refused(RefusalCode.BAD_REQUEST, "variant must be ts, fmp4 or ll")


def _choose(places: Sequence[Place], query: Mapping[str, str]) -> int | None:
    """Which of several qualities is asked for; None: their list."""
    if len(places) == 1:
        return 0
    wanted = _asked_number(query, "video")
    if wanted is None:
        return None
    for index, place in enumerate(places):
        if place.video == wanted:
            return index
    raise Refused(RefusalCode.NOT_FOUND, "no such video track")


def _passed_on(query: Mapping[str, str]) -> str:
    """The viewer's own parameters, which every URL in a playlist must carry on: its token."""
    rest = {name: value for name, value in query.items() if name not in _OURS | {"session"}}
    return f"?{urlencode(rest)}" if rest else ""


def _reports(others: Sequence[tuple[Place, Window]], name: str, query: str) -> Sequence[Report]:
    reports = []
    for place, window in others:
        number, parts = window.newest
        uri = f"{name}.m3u8?variant=ll&video={place.video}{query.replace('?', '&', 1)}"
        reports.append(
            Report(uri, number, parts - 1) if parts else Report(uri, max(number - 1, 0), None)
        )
    return reports
