"""Listing: the playlists of one window, each made once for all that ask for it.

A text is rendered once per state of the window, without anybody's query; putting a viewer's
token into its URLs is one `replace`. The whole HTTP answer is kept as well, as long as the state
lasts, so that thousands of blocked reloads cost one `send` each.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from livetrio.delivery.hls_window import Window, WindowSegment
from livetrio.net.exchange import response_head
from livetrio.packet import US_PER_SECOND
from livetrio.wire.m3u8 import Key, MediaPlaylist, PlaylistPart, PlaylistSegment, Report, render

__all__ = ["NO_CACHE", "PLAYLIST_TYPE", "QUERY", "QUERY_ON", "Listing"]

PLAYLIST_TYPE: Final = "application/x-mpegURL"
"""As livego says it; RFC 8216 allows it beside application/vnd.apple.mpegurl."""
NO_CACHE: Final = ("Cache-Control", "no-cache")
QUERY: Final = "\x01"
"""Stands in a text for the viewer's query with its "?"."""
QUERY_ON: Final = "\x02"
"""The same behind another parameter, with "&"."""
_PACKED: Final = (("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding"))
_COMPRESS_FROM: Final = 1024
"""Bytes; a playlist under that is not worth gzip."""
_COMPRESS_ALWAYS: Final = 16 << 10
"""One with a query of somebody's own, shared by nobody, is compressed from here on."""
_MAX_KEPT: Final = 64
"""Answers; every token makes one of its own."""
_SHARED_SIZE: Final = 64 << 10
"""Bytes of a part whose whole answer is kept."""

Reports = Callable[[], Sequence[Report]]


class Listing:
    """Made with its window.

    Args:
        window: what to list.
        parts: as a low-latency playlist, if the window has parts.
    """

    def __init__(self, window: Window, *, parts: bool) -> None:
        self.window = window
        self._parts = parts
        self._version = -1
        self._templates: dict[tuple[str, bool], str] = {}
        self._kept: dict[tuple[object, ...], bytes] = {}

    def playlist(self, stem: str, query: str, *, skip: bool, reports: Reports) -> bytes:
        """The media playlist as it is now.

        Args:
            stem: folder of its files.
            query: what their URLs carry on, with its "?"; "" for none.
            skip: as a delta update.
            reports: where the other renditions are, for low latency; URIs with QUERY_ON.
        """
        return self._keep(
            ("text", stem, query, skip),
            lambda: _filled(self._template(stem, reports, skip=skip), query).encode(),
        )

    def packed(self, text: bytes, query: str) -> bytes | None:
        """A playlist in gzip; None where that is not worth it."""
        if len(text) < (_COMPRESS_ALWAYS if query else _COMPRESS_FROM):
            return None
        return self._keep(("gzip", text), lambda: gzip.compress(text, compresslevel=1, mtime=0))

    def answer(self, stem: str, query: str, *, skip: bool, zipped: bool, reports: Reports) -> bytes:
        """The playlist with its HTTP head; zipped: may it be in gzip?"""

        def make() -> bytes:
            text = self.playlist(stem, query, skip=skip, reports=reports)
            packed = self.packed(text, query) if zipped else None
            body = text if packed is None else packed
            headers = [NO_CACHE] if packed is None else [NO_CACHE, *_PACKED]
            return response_head(len(body), PLAYLIST_TYPE, headers) + body

        return self._keep(("answer", stem, query, skip, zipped), make)

    def part_answer(
        self, number: int, part: int, head: Callable[[int], bytes]
    ) -> tuple[bytes, bytes]:
        """A part with its HTTP head in front, and what of it comes behind (b"" mostly)."""
        segment = self.window.segment(number)
        assert segment is not None
        data = segment.parts[part].data
        if len(data) > _SHARED_SIZE:
            return head(len(data)), bytes(data)
        key = ("part", number, part)
        return self._keep(key, lambda: b"".join((head(len(data)), data))), b""

    def _keep(self, key: tuple[object, ...], make: Callable[[], bytes]) -> bytes:
        if self._version != self.window.version:
            self._version = self.window.version
            self._templates.clear()
            self._kept.clear()
        kept = self._kept.get(key)
        if kept is None:
            kept = make()
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            self._kept[key] = kept
        return kept

    def _template(self, stem: str, reports: Reports, *, skip: bool) -> str:
        text = self._templates.get((stem, skip))
        if text is None:
            text = self._templates[stem, skip] = self._render(stem, reports, skip=skip)
        return text

    def _render(self, stem: str, reports: Reports, *, skip: bool) -> str:
        window = self.window
        low_latency = self._parts and bool(window.part_target)
        base = f"{stem}/{window.prefix}"
        shown = window.listed
        number, count = window.newest
        first = shown[0].number if shown else number
        left = sum(s.discontinuity for s in window.segments if s.number < first)
        if low_latency and window.segments and window.segments[-1].duration is None:
            shown.append(window.segments[-1])
        hint = f"{base}{number}.{count}{window.suffix}{QUERY}" if low_latency else ""
        return render(
            MediaPlaylist(
                target=window.target * US_PER_SECOND,
                sequence=first,
                discontinuities=window.passed + left,
                segments=list(self._rows(base, shown, parts=low_latency)),
                independent=all(segment.independent for segment in shown),
                part_target=window.part_target if low_latency else 0,
                hint=hint,
                reports=reports() if low_latency else (),
                ended=window.ended,
                skippable=low_latency or window.rewinds,
            ),
            skip=skip,
        )

    def _rows(
        self, base: str, shown: Sequence[WindowSegment], *, parts: bool
    ) -> Iterator[PlaylistSegment]:
        suffix = self.window.suffix
        for segment in shown:
            stem = f"{base}{segment.number}"
            header = f"{base}i{segment.header}.mp4{QUERY}" if segment.header else ""
            pieces = [
                PlaylistPart(f"{stem}.{n}{suffix}{QUERY}", part.duration, part.independent)
                for n, part in enumerate(segment.parts if parts else ())
            ]
            key = segment.key
            yield PlaylistSegment(
                f"{stem}{suffix}{QUERY}",
                segment.duration,
                segment.began,
                segment.discontinuity,
                header,
                Key(f"{base}{key.uri.removeprefix(self.window.prefix)}{QUERY}", key.iv)
                if key
                else None,
                pieces,
            )


def _filled(template: str, query: str) -> str:
    return template.replace(QUERY, query).replace(QUERY_ON, query.replace("?", "&", 1))
