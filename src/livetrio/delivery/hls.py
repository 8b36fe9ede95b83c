"""HLS on the stream plane: playlists, segments, parts, keys; livego's URLs and answers.

Plain players get livego's playlist under livego's name. `variant=ll` (or any of the directives
of a low-latency player) gets parts and blocking reloads, `variant=fmp4` and `variant=ts` what
they say. A connection whose first request was answered here may have its next ones answered in
the lane (hls_quick.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, Protocol

import trio

from livetrio.delivery.hls_listing import NO_CACHE, PLAYLIST_TYPE, QUERY_ON, Listing
from livetrio.delivery.hls_master import multivariant
from livetrio.delivery.hls_places import Place, places_of
from livetrio.delivery.hls_quick import CACHE, PATIENCE, Found, HlsPass, Let
from livetrio.delivery.hls_renditions import HlsRenditions
from livetrio.delivery.hls_request import (
    FILE_TYPES,
    PLAYLIST,
    Ask,
    Asks,
    FileAsk,
    PlaylistAsk,
    read_ask,
)
from livetrio.delivery.hls_sessions import HlsSession, HlsSessions
from livetrio.delivery.hls_window import Window
from livetrio.errors import RefusalCode, Refused
from livetrio.media.registry import Registry
from livetrio.media.stream import Stream
from livetrio.net.exchange import Exchange
from livetrio.net.http import Route
from livetrio.packet import StreamKey
from livetrio.wire.m3u8 import Report

__all__ = ["HlsPlayers", "PlayGate"]

_GET: Final = frozenset({"GET", "HEAD"})
_FIRST: Final = 15.0
"""Seconds a request is held for the first segment: longer than any segment (HlsOptions)."""
_FOUND_FOR: Final = 1.0
"""Seconds for which it is remembered where a playlist comes from: new tracks change that."""
_MAX_FOUND: Final = 1000


class PlayGate(Protocol):
    """The part of access/ that is needed here."""

    async def may_play(self, app: str, name: str, query: Mapping[str, str], peer: str) -> StreamKey:
        """Which stream is meant; Refused if this peer may not watch it."""


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
        self._asks = Asks()
        self._found: dict[tuple[object, ...], tuple[float, Stream, Found | None]] = {}

    def routes(self) -> list[Route]:
        """Playlists, and the files they name."""
        return [
            Route(_GET, lambda path: path.endswith(PLAYLIST), self._playlist),
            Route(_GET, lambda path: path.endswith(tuple(FILE_TYPES)), self._file),
        ]

    async def _playlist(self, exchange: Exchange) -> None:
        request = exchange.request
        ask = read_ask(request.path, request.query)
        assert isinstance(ask, PlaylistAsk)
        key = await self._gate.may_play(ask.app, ask.name, request.query, exchange.connection.peer)
        stream = await self._registry.wanted(key)
        if stream is None or stream.ring.ended:
            self._send_kept(exchange, key, ask)
            return
        session = self._sessions.asked(stream, exchange)
        places = await self._places(stream, ask)
        chosen = _choose(places, ask)
        if chosen is None:
            listings = {place: self._renditions.listing(place, stream) for place in places}
            for listing in listings.values():
                await self._first(stream, listing.window, ask)
            text = multivariant(stream, listings, ask.stem, ask.query).encode()
            exchange.reply(200, text, content_type=PLAYLIST_TYPE, headers=[NO_CACHE])
            session.sent += len(text)
            return
        found = self._look(stream, places, chosen, ask)
        await self._wait(stream, found.listing.window, ask)
        session.sent += self._send(exchange, found, ask)
        self._let_in(exchange, key, ask, session, ask.session)

    async def _places(self, stream: Stream, ask: PlaylistAsk) -> Sequence[Place]:
        """The windows of a live stream, as soon as its tracks are known."""
        with trio.move_on_after(_FIRST):
            while not (places := places_of(stream, ask.variant)) and not stream.ring.ended:
                await stream.ring.changed(stream.ring.head)
        if not places:
            raise _nothing(stream, ask)
        return places

    def _look(
        self, stream: Stream, places: Sequence[Place], chosen: Place, ask: PlaylistAsk
    ) -> Found:
        listing = self._renditions.listing(chosen, stream)
        others = [place for place in places if place != chosen]
        return Found(listing, partial(self._reports, others, ask.stem))

    def _find(self, key: StreamKey, ask: PlaylistAsk, now: float) -> Found | None:
        """The same at a look, for the lane; None where there is something to be waited for."""
        name = (key, ask.variant, ask.video, ask.audio)
        until, stream, found = self._found.get(name, (0.0, None, None))
        if now > until or stream is not self._registry.streams.get(key):
            stream = self._registry.streams.get(key)
            if stream is None or stream.ring.ended:
                return None
            places, found = places_of(stream, ask.variant), None
            with suppress(Refused):
                chosen = _choose(places, ask) if places else None
                found = self._look(stream, places, chosen, ask) if chosen else None
            if len(self._found) >= _MAX_FOUND:
                self._found.clear()
            self._found[name] = now + _FOUND_FOR, stream, found
        if stream is None or stream.ring.ended:
            return None
        return found

    def _reports(self, others: Sequence[Place], stem: str) -> Sequence[Report]:
        """Where the other renditions are that are being made."""
        running, reports = self._renditions.running, []
        for place in others:
            listing = running.get(place)
            if listing is None:
                continue
            number, parts = listing.window.newest
            uri = f"{stem}.m3u8?{place.parameters}{QUERY_ON}"
            whole = Report(uri, max(number - 1, 0), None)
            reports.append(Report(uri, number, parts - 1) if parts else whole)
        return reports

    async def _first(self, stream: Stream, window: Window, ask: PlaylistAsk) -> None:
        """Wait for something to play; livego hands out an empty playlist, which players drop."""
        with trio.move_on_after(_FIRST):
            while not window.ended and not window.has_something:
                await window.changed()
        if not window.has_something:
            raise _nothing(stream, ask)

    async def _wait(self, stream: Stream, window: Window, ask: PlaylistAsk) -> None:
        if ask.msn is not None:
            if not window.has(ask.msn, ask.part) and window.is_ahead(ask.msn, ask.part):
                raise Refused(RefusalCode.BAD_REQUEST, "_HLS_msn is too far in the future")
            with trio.move_on_after(PATIENCE) as patience:
                await window.reached(ask.msn, ask.part)
            if patience.cancelled_caught:
                raise Refused(RefusalCode.UNAVAILABLE, "the next segment does not come")
        await self._first(stream, window, ask)

    def _send_kept(self, exchange: Exchange, key: StreamKey, ask: PlaylistAsk) -> None:
        """Of a stream that has ended."""
        kept = self._renditions.kept(key, ask.variant)
        if not kept:
            raise _no_publisher(ask)
        chosen = _choose(list(kept), ask)
        if chosen is not None:
            self._send(exchange, Found(kept[chosen], tuple), ask)
            return
        text = multivariant(None, kept, ask.stem, ask.query)
        exchange.reply(200, text.encode(), content_type=PLAYLIST_TYPE, headers=[NO_CACHE])

    def _send(self, exchange: Exchange, found: Found, ask: PlaylistAsk) -> int:
        listing = found.listing
        body = listing.playlist(ask.stem, ask.query, skip=ask.skip, reports=found.reports)
        headers = [NO_CACHE]
        if _takes_gzip(exchange) and (packed := listing.packed(body, ask.query)) is not None:
            body = packed
            headers += [("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")]
        exchange.reply(200, body, content_type=PLAYLIST_TYPE, headers=headers)
        return len(body)

    async def _file(self, exchange: Exchange) -> None:
        request = exchange.request
        ask = read_ask(request.path, request.query)
        assert isinstance(ask, FileAsk)
        key = await self._gate.may_play(ask.app, ask.name, request.query, exchange.connection.peer)
        listing = self._renditions.find(key, ask.prefix)
        if listing is None:
            raise Refused(RefusalCode.FORBIDDEN, "no publisher")
        body = await _content(listing, ask)
        caching = NO_CACHE if ask.ending == ".key" else CACHE
        exchange.reply(200, bytes(body), content_type=FILE_TYPES[ask.ending], headers=[caching])
        session = self._sessions.sent(key, exchange, len(body))
        self._let_in(exchange, key, ask, session, None)

    def _let_in(
        self,
        exchange: Exchange,
        key: StreamKey,
        ask: Ask,
        session: HlsSession | None,
        name: str | None,
    ) -> None:
        peer = exchange.connection.peer
        let = Let(ask, key, peer, session, name, _takes_gzip(exchange))
        exchange.quick = HlsPass(self._asks, self._renditions, self._find, let)


async def _content(listing: Listing, ask: FileAsk) -> bytes | memoryview:
    """The bytes a file's name stands for; waits for a part that is announced.

    Raises:
        Refused: BAD_REQUEST in livego's words, or NOT_FOUND of a part that did not come.
    """
    window, number, part = listing.window, ask.number, ask.part
    found: bytes | memoryview | None = None
    if ask.ending == ".key":
        found = window.keys.get(ask.file)
    elif number is not None and ask.is_header:
        found = window.headers.get(number)
    elif number is not None and ask.ending == window.suffix:
        if part is not None and (number, part) == window.newest:  # what the playlist hints at
            with trio.move_on_after(PATIENCE):
                await window.reached(number, part)
        segment = window.segment(number)
        if segment is not None and part is not None and part < len(segment.parts):
            found = segment.parts[part].data
        elif segment is not None and not ask.is_part and segment.duration is not None:
            found = segment.data
    if found is None:
        code = RefusalCode.NOT_FOUND if ask.is_part else RefusalCode.BAD_REQUEST
        raise Refused(code, "No key for cache")
    return found


def _choose(places: Sequence[Place], ask: PlaylistAsk) -> Place | None:
    """Which of several renditions is asked for; None: their list."""
    if len(places) == 1 and ask.video is None and ask.audio is None:
        return places[0]
    if ask.video is None and ask.audio is None:
        return None
    for place in places:
        if place.is_asked(ask.video, ask.audio):
            return place
    raise Refused(RefusalCode.NOT_FOUND, "no such track")


def _takes_gzip(exchange: Exchange) -> bool:
    return "gzip" in exchange.request.headers.get("accept-encoding", "")


def _nothing(stream: Stream, ask: PlaylistAsk) -> Refused:
    if stream.ring.ended or stream.ending:
        return _no_publisher(ask)
    return Refused(RefusalCode.UNAVAILABLE, "no segment yet")


def _no_publisher(ask: PlaylistAsk) -> Refused:
    """livego's answer, but for low-latency players, which it had none of: hls.js never asks
    again after a 4xx to a blocking reload, and the publisher may be back in a moment."""
    code = RefusalCode.FORBIDDEN if ask.msn is None else RefusalCode.UNAVAILABLE
    return Refused(code, "no publisher")
