"""HlsPass: answers a player's next requests by plain calls (net/lane.py, net/repeats.py).

Given to a connection whose request was let in and answered in the usual way. It serves what is
there, and lets the asker wait for what is about to come; anything else, every refusal above all,
it leaves to the handler, so that there is one place that decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

import trio

from livetrio.delivery.hls_listing import Listing
from livetrio.delivery.hls_renditions import HlsRenditions
from livetrio.delivery.hls_request import FILE_TYPES, Ask, Asks, FileAsk, PlaylistAsk
from livetrio.delivery.hls_sessions import HlsSession
from livetrio.net.exchange import final_response, response_head
from livetrio.net.quick import Asker
from livetrio.packet import StreamKey
from livetrio.wire.m3u8 import Report

__all__ = ["CACHE", "PATIENCE", "Found", "HlsPass", "Let"]

PATIENCE: Final = 10.0
"""Seconds a request is held for what it asks for (three target durations is what RFC 8216bis
section 6.2.5.2 lets it be at most)."""
CACHE: Final = ("Cache-Control", "public, max-age=3600, immutable")
_VALID: Final = 30.0
"""Seconds after which a viewer is asked again whether it may watch."""


class Found(NamedTuple):
    """What a playlist is made from."""

    listing: Listing
    reports: Callable[[], Sequence[Report]]
    """Where the other renditions are."""


class Let(NamedTuple):
    """Who was let in, to what."""

    ask: Ask
    key: StreamKey
    peer: str
    session: HlsSession | None
    session_name: str | None
    """None: not known yet, only files were asked for."""
    zipped: bool
    """May playlists be in gzip?"""


class HlsPass:
    """A `net.quick.Quick`.

    Args:
        asks: reads targets.
        find: where a playlist of that stream comes from, at this Trio time; None if that takes
            more than a look.
        let: who is let in.
    """

    patience = PATIENCE

    def __init__(
        self,
        asks: Asks,
        renditions: HlsRenditions,
        find: Callable[[StreamKey, PlaylistAsk, float], Found | None],
        let: Let,
    ) -> None:
        self._asks = asks
        self._renditions = renditions
        self._find = find
        self._let = let
        self._until = trio.current_time() + _VALID

    def answer(self, target: bytes, asker: Asker) -> bool:
        """As `Quick` has it."""
        ask = self._asks.read(target)
        let, of = self._let, self._let.ask
        if ask is None or ask.name != of.name or ask.app != of.app or ask.query != of.query:
            return False
        session = let.session
        if asker.since > self._until or (session is not None and session.ended):
            return False
        if isinstance(ask, FileAsk):
            return self._file(ask, asker)
        if session is None or ask.session != let.session_name:
            return False
        session.asked(asker.since)
        found = self._find(let.key, ask, asker.since)
        return found is not None and self._playlist(ask, found, asker)

    def overdue(self) -> bytes:
        """As `Quick` has it."""
        return final_response(503, "the next segment does not come")

    def _playlist(self, ask: PlaylistAsk, found: Found, asker: Asker) -> bool:
        window, msn = found.listing.window, ask.msn
        if not window.has_something:
            return False
        if msn is not None and not window.ended and not window.has(msn, ask.part):
            if window.is_ahead(msn, ask.part):
                return False
            asker.wait(partial(self._give_playlist, ask, found, asker), window.forget)
            window.wait(asker, msn, ask.part)
            return True
        return self._give_playlist(ask, found, asker)

    def _give_playlist(self, ask: PlaylistAsk, found: Found, asker: Asker) -> bool:
        if not found.listing.window.has_something:
            return False  # ended, and not kept
        answer = found.listing.answer(
            ask.stem, ask.query, skip=ask.skip, zipped=self._let.zipped, reports=found.reports
        )
        self._send(asker, answer)
        return True

    def _file(self, ask: FileAsk, asker: Asker) -> bool:
        listing = self._renditions.find(self._let.key, ask.prefix)
        if listing is None or ask.ending != listing.window.suffix or ask.number is None:
            return False
        window = listing.window
        segment = window.segment(ask.number)
        if ask.is_part:
            part = ask.part
            if part is None:
                return False
            if segment is not None and part < len(segment.parts):
                return self._give_part(listing, ask.number, part, asker)
            if (ask.number, part) != window.newest or window.ended:
                return False
            give = partial(self._give_part, listing, ask.number, part, asker)
            asker.wait(give, window.forget)
            window.wait(asker, ask.number, part)
            return True
        if segment is None or segment.duration is None:
            return False
        self._send(asker, _head(ask.ending, len(segment.data)), segment.data)
        return True

    def _give_part(self, listing: Listing, number: int, part: int, asker: Asker) -> bool:
        segment = listing.window.segment(number)
        if segment is None or part >= len(segment.parts):
            return False
        head = partial(_head, listing.window.suffix)
        self._send(asker, *listing.part_answer(number, part, head))
        return True

    def _send(self, asker: Asker, first: bytes, second: bytes = b"") -> None:
        outbox = asker.connection.outbox
        outbox.send(first)
        outbox.send(second)
        if self._let.session is not None:
            self._let.session.sent += len(first) + len(second)


def _head(ending: str, size: int) -> bytes:
    return response_head(size, FILE_TYPES[ending], [CACHE])
