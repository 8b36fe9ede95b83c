"""Timeshift over HTTP: `/{app}/{name}/timeshift.m3u8?from=&to=`, any past interval of a stream
that is or was recorded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Protocol
from urllib.parse import urlencode

from livetrio.delivery.archive import Archive
from livetrio.delivery.hls_sessions import HlsSessions
from livetrio.delivery.vod_hls import header_number
from livetrio.errors import RefusalCode, Refused
from livetrio.net.exchange import Exchange
from livetrio.net.http import Route
from livetrio.net.request import stream_path
from livetrio.packet import StreamKey

__all__ = ["Timeshift", "moment"]

_GET: Final = frozenset({"GET", "HEAD"})
_PLAYLIST: Final = "/timeshift.m3u8"
_FOLDER: Final = "/timeshift"
_LATEST: Final = 1e11
"""Unix time in the year 5138: more is a time in milliseconds, or a mistake."""


class PlayGate(Protocol):
    """The part of access/ that is needed here."""

    async def may_play(self, app: str, name: str, query: Mapping[str, str], peer: str) -> StreamKey:
        """Which stream is meant; Refused if this peer may not watch it."""


class Timeshift:
    """The routes, made by the composition root; they come before those of HLS."""

    def __init__(self, archive: Archive, gate: PlayGate, sessions: HlsSessions) -> None:
        self._archive = archive
        self._gate = gate
        self._sessions = sessions

    def routes(self) -> list[Route]:
        """The playlist, and the files it names."""
        return [
            Route(_GET, lambda path: path.endswith(_PLAYLIST), self._playlist),
            Route(_GET, _is_file, self._file),
        ]

    async def _playlist(self, exchange: Exchange) -> None:
        query = exchange.request.query
        start, end = moment(query.get("from", ""), "from"), moment(query.get("to", ""), "to")
        key = await self._asked(exchange, exchange.request.path, _PLAYLIST)
        rest = {name: value for name, value in query.items() if name not in {"from", "to"}}
        text = await self._archive.playlist(key, start, end, f"?{urlencode(rest)}" if rest else "")
        session = self._sessions.asked(key, exchange)
        headers = [("Cache-Control", "no-cache")]
        exchange.reply(200, text.encode(), content_type="application/x-mpegURL", headers=headers)
        session.sent += len(text)

    async def _file(self, exchange: Exchange) -> None:
        folder, _, name = exchange.request.path.rpartition("/")
        key = await self._asked(exchange, folder, _FOLDER)
        data = await self._archive.file(key, name)
        session = self._sessions.asked(key, exchange)
        type_ = "video/mp4" if name.endswith(".mp4") else "video/iso.segment"
        headers = [("Cache-Control", "public, max-age=3600, immutable")]
        exchange.reply(200, data, content_type=type_, headers=headers)
        session.sent += len(data)

    async def _asked(self, exchange: Exchange, path: str, suffix: str) -> StreamKey:
        app, name = stream_path(path, suffix)
        query, peer = exchange.request.query, exchange.connection.peer
        return await self._gate.may_play(app, name, query, peer)


def moment(text: str, name: str) -> float:
    """A time in a query: Unix seconds, or RFC 3339.

    Raises:
        Refused: BAD_REQUEST, it is neither.
    """
    found = math.nan
    try:
        found = float(text)
    except ValueError:
        try:
            # A "+" in a query that nobody encoded is a space by now.
            when = datetime.fromisoformat(text[:40].replace(" ", "+"))
            found = when.timestamp() if when.tzinfo else math.nan
        except (ValueError, OverflowError):
            pass
    if not 0 <= found < _LATEST:
        raise Refused(RefusalCode.BAD_REQUEST, f"{name} is neither Unix seconds nor RFC 3339")
    return found


def _is_file(path: str) -> bool:
    folder, _, file = path.rpartition("/")
    is_ours = file.endswith(".m4s") or header_number(file.partition(".")[2]) is not None
    return folder.endswith(_FOLDER) and is_ours
