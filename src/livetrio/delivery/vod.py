"""Stored media over HTTP: as files by byte range, as FLV from any second on, as HLS.

/vod/35.mp4, .flv, .ts          the file
/vod/35.flv?start=60            from the key frame before that second on; and where there is
                                only a 35.mp4, its frames in FLV tags
/vod/35.m3u8, /vod/35.hls/...   HLS
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Final, Protocol
from urllib.parse import quote, urlencode

from livetrio.delivery import vod_hls
from livetrio.delivery.hls_sessions import HlsSessions
from livetrio.errors import RefusalCode, Refused, RemoteProtocolError
from livetrio.media.client import Client
from livetrio.media.registry import Registry
from livetrio.media.vod.folder import SUFFIXES, MediaFile
from livetrio.media.vod.library import Library
from livetrio.media.vod.opened import OpenTitle
from livetrio.net.exchange import Exchange
from livetrio.net.http import Route
from livetrio.net.ranges import select
from livetrio.net.request import stream_path
from livetrio.packet import US_PER_SECOND, Kind, StreamKey
from livetrio.wire.flv import file_header, tag

__all__ = ["VodPlayers"]

_GET: Final = frozenset({"GET", "HEAD"})
_PIECE: Final = 256 << 10
"""Bytes read from a file at a time."""
_PLAYLIST: Final = ".m3u8"
_FOLDER: Final = ".hls"
_TYPES: Final = {
    ".flv": "video/x-flv",
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".f4v": "video/mp4",
    ".m4a": "audio/mp4",
    ".mov": "video/quicktime",
    ".ts": "video/mp2t",
}
_PLAYLIST_TYPE: Final = "application/x-mpegURL"
_CACHE: Final = [("Cache-Control", "public, max-age=3600, immutable")]
_REVALIDATE: Final = ("Cache-Control", "no-cache")
_SEGMENTS: Final = 32 << 20
"""Bytes of segments made lately that are kept: a crowd that watches the same costs once."""


class PlayGate(Protocol):
    """The part of access/ that is needed here."""

    async def may_play(self, app: str, name: str, query: Mapping[str, str], peer: str) -> StreamKey:
        """What is meant; Refused if this peer may not watch it."""


class VodPlayers:
    """The routes of stored media, made by the composition root; they come before those of live
    streams, and take only paths of applications that have a folder (see vod_live.py for those
    that have both)."""

    def __init__(
        self,
        library: Library,
        gate: PlayGate,
        registry: Registry,
        sessions: HlsSessions,
        *,
        flv: PlayGate,
        hls: PlayGate | None,
    ) -> None:
        """
        Args:
            library: the files.
            gate: who may download them.
            registry: lists those who do, while they do.
            sessions: tells the viewers by HLS apart.
            flv: the same question for HTTP-FLV.
            hls: for HLS; None: there is none.
        """
        self._library = library
        self._gate = gate
        self._registry = registry
        self._sessions = sessions
        self._flv_gate = flv
        self._hls_gate = hls
        self._segments: OrderedDict[tuple[str, str, int], bytes] = OrderedDict()

    def routes(self) -> list[Route]:
        """See the top of this file."""
        files = tuple(suffix for suffix in SUFFIXES if suffix != ".flv")
        found = [
            Route(_GET, self._ours(lambda path: path.endswith(".flv")), self._flv),
            Route(_GET, self._ours(_is_segment), self._segment),
            Route(_GET, self._ours(lambda path: path.endswith(files)), self._download),
            Route(_GET, self._ours(lambda path: path.endswith(_PLAYLIST)), self._playlist),
        ]
        return found if self._hls_gate is not None else [found[0], found[2]]

    def _ours(self, match: Callable[[str], bool]) -> Callable[[str], bool]:
        apps = self._library.apps
        return lambda path: path.lstrip("/").partition("/")[0] in apps and match(path)

    async def _download(self, exchange: Exchange) -> None:
        app, name = stream_path(exchange.request.path, "")
        key = await self._asked(self._gate, exchange, app, name)
        async with self._library.open_file(key, [key.name]) as file:
            await self._send_file(exchange, key, file, "http")

    async def _flv(self, exchange: Exchange) -> None:
        request = exchange.request
        app, name = stream_path(request.path, ".flv")
        key = await self._asked(self._flv_gate, exchange, app, name)
        start = _start(request.query.get("start"))
        if start is None:
            try:
                async with self._library.open_file(key, [f"{key.name}.flv"]) as file:
                    await self._send_file(exchange, key, file, "flv")
                    return
            except Refused as refused:
                if refused.code is not RefusalCode.NOT_FOUND or exchange.taken:
                    raise
        async with self._library.open(key) as opened:
            body = _flv_from(opened, int((start or 0.0) * US_PER_SECOND))
            with self._attended(exchange, key, "flv"):
                await exchange.stream(
                    200, body, size=None, content_type=_TYPES[".flv"], headers=[_REVALIDATE]
                )

    async def _playlist(self, exchange: Exchange) -> None:
        request = exchange.request
        app, name = stream_path(request.path, _PLAYLIST)
        assert self._hls_gate is not None
        key = await self._asked(self._hls_gate, exchange, app, name)
        async with self._library.open(key) as opened:
            vod_hls.header(opened)  # refuses what has no place in MP4
            base = f"{quote(key.name.rpartition('/')[2])}{_FOLDER}/"
            query = f"?{urlencode(request.query)}" if request.query else ""
            text = vod_hls.playlist(vod_hls.cuts(opened), base, opened.file.version, query)
        session = self._sessions.asked(key, exchange)
        exchange.reply(200, text.encode(), content_type=_PLAYLIST_TYPE, headers=[_REVALIDATE])
        session.sent += len(text)

    async def _segment(self, exchange: Exchange) -> None:
        folder, _, file = exchange.request.path.rpartition("/")
        app, name = stream_path(folder, _FOLDER)
        assert self._hls_gate is not None
        key = await self._asked(self._hls_gate, exchange, app, name)
        version, _, rest = file.partition("-")
        async with self._library.open(key) as opened:
            if version != opened.file.version:
                raise Refused(RefusalCode.NOT_FOUND, "the file has been replaced")
            session = self._sessions.asked(key, exchange)  # only of what there is: a bound
            if (span := vod_hls.header_number(rest)) is not None:
                data, type_ = vod_hls.header(opened, span), "video/mp4"
            else:
                data, type_ = await self._made(opened, rest), "video/iso.segment"
        exchange.reply(200, data, content_type=type_, headers=_CACHE)
        session.sent += len(data)

    async def _made(self, opened: OpenTitle, file: str) -> bytes:
        stem, _, ending = file.partition(".")
        every = vod_hls.cuts(opened)
        if not (stem.isascii() and stem.isdecimal() and len(stem) < 9 and ending == "m4s"):
            raise Refused(RefusalCode.NOT_FOUND, "there is no such segment")
        number = int(stem)
        if number >= len(every):
            raise Refused(RefusalCode.NOT_FOUND, "there is no such segment")
        place = opened.file.version, opened.file.name, number
        data = self._segments.pop(place, None)
        if data is None:
            data = await vod_hls.segment(opened, number, every[number])
        self._segments[place] = data
        while sum(map(len, self._segments.values())) > _SEGMENTS and len(self._segments) > 1:
            self._segments.popitem(last=False)
        return data

    async def _send_file(
        self, exchange: Exchange, key: StreamKey, file: MediaFile, protocol: str
    ) -> None:
        chosen = select(exchange.request, file.size, file.version, file.modified)
        type_ = _TYPES["." + file.name.rpartition(".")[2]]
        headers = [_REVALIDATE, *chosen.headers]
        if chosen.status in (304, 416):
            exchange.reply(chosen.status, content_type=type_, headers=headers)
            return
        pieces = self._pieces(file, chosen.start, chosen.size)
        with self._attended(exchange, key, protocol):
            await exchange.stream(
                chosen.status, pieces, size=chosen.size, content_type=type_, headers=headers
            )

    def _attended(
        self, exchange: Exchange, key: StreamKey, protocol: str
    ) -> AbstractContextManager[None]:
        """Who is sent a file is a player for as long as that takes; ending it ends its
        connection, as with a live stream."""
        request, connection = exchange.request, exchange.connection
        if request.method == "HEAD":
            return nullcontext()
        client = Client(
            "player",
            protocol,
            connection.scope,
            connection,
            url=request.path,
            agent=request.agent,
        )
        return self._registry.attend(key, client)

    async def _pieces(self, file: MediaFile, start: int, size: int) -> AsyncGenerator[bytes, None]:
        while size:
            read = partial(file.read, start, min(size, _PIECE))
            data = await self._library.in_thread(read)
            if not data:
                raise RemoteProtocolError("the file was cut while it was sent")
            yield data
            start, size = start + len(data), size - len(data)

    @staticmethod
    async def _asked(gate: PlayGate, exchange: Exchange, app: str, name: str) -> StreamKey:
        return await gate.may_play(app, name, exchange.request.query, exchange.connection.peer)


async def _flv_from(opened: OpenTitle, time: int) -> AsyncGenerator[bytes, None]:
    """An FLV file that begins at a key frame; its times are those of the whole."""
    kinds = {track.kind for track in opened.title.tracks}
    first = opened.point_at(time)
    head = [file_header(audio=Kind.AUDIO in kinds, video=Kind.VIDEO in kinds)]
    head += [tag(packet) for packet in opened.configs(first)]
    yield b"".join(head)
    reader = opened.reader(first)
    while batch := await reader.read():
        yield b"".join([tag(packet) for packet in batch])


def _is_segment(path: str) -> bool:
    name = path.rpartition("-")[2]
    is_ours = name.endswith(".m4s") or vod_hls.header_number(name) is not None
    return f"{_FOLDER}/" in path and is_ours


def _start(text: str | None) -> float | None:
    """Seconds; None: not asked for."""
    if text is None:
        return None
    try:
        start = float(text[:20])
    except ValueError:
        start = math.nan
    if not 0 <= start < math.inf:
        raise Refused(RefusalCode.BAD_REQUEST, "start is not a number of seconds")
    return start
