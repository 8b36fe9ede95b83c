"""HlsRenditions: which windows there are, and the packagers that fill them.

A packager lives in the scope of the stream it reads, so the stream's end is its end. A window
outlives it: its numbers go on when the stream is published again, and with keep_after_end its
segments stay. The variant that plain players get is made all the time; others are made from the
first request on and for as long as somebody asks.
"""

from __future__ import annotations

import math
import secrets
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NoReturn
from weakref import WeakSet

import trio

from livetrio.delivery.hls_listing import Listing
from livetrio.delivery.hls_options import HlsOptions
from livetrio.delivery.hls_packager import Packager
from livetrio.delivery.hls_places import Place, places_of
from livetrio.delivery.hls_request import Variant
from livetrio.delivery.hls_window import Window
from livetrio.errors import LivetrioError
from livetrio.logs import get_logger
from livetrio.media.registry import Registry
from livetrio.media.renditions import Renditions
from livetrio.media.stream import Stream
from livetrio.net.guard import guarded
from livetrio.net.scope import open_scope
from livetrio.packet import US_PER_SECOND, Kind, StreamKey

__all__ = ["HlsRenditions"]

log = get_logger(__name__)

_MAX_WINDOWS: Final = 10_000
"""Windows whose numbers are remembered; the oldest without a packager are forgotten first."""
_SETTLE: Final = 1.0
"""Seconds a stream may take to show all its tracks before its plain variant is chosen."""
_ASKED_EVERY: Final = 1.0
"""Seconds between two notes that somebody asks for a window."""


def _never(key: StreamKey) -> bool:  # noqa: ARG001
    return False


@dataclass(eq=False)
class _Maker:
    """A packager that runs. The deadline of its life is when nobody will have asked for long."""

    stream: Stream
    listing: Listing
    life: trio.CancelScope = field(default_factory=trio.CancelScope)
    lasting: bool = False
    asked_at: float = -math.inf


class HlsRenditions:
    """Made by the composition root, which also runs it."""

    def __init__(
        self,
        registry: Registry,
        renditions: Renditions,
        options: HlsOptions,
        apps: Collection[str],
        *,
        on_request: Callable[[StreamKey], bool] = _never,
    ) -> None:
        """
        Args:
            registry: where streams are.
            renditions: of their sound, where a container needs another.
            options: how they are cut.
            apps: those whose streams' plain variant is made all the time.
            on_request: streams of which it is made from the first request on only: a room has
                many, which are watched by other ways.
        """
        self.options = options
        self._registry = registry
        self._renditions = renditions
        self._apps = apps
        self._on_request = on_request
        self._listings: OrderedDict[Place, Listing] = OrderedDict()
        self._prefixes: dict[str, Place] = {}
        self._makers: dict[Place, _Maker] = {}
        self._begun: WeakSet[Stream] = WeakSet()

    @property
    def size(self) -> int:
        """Bytes of media held in all windows."""
        return sum(listing.window.size for listing in self._listings.values())

    @property
    def running(self) -> Mapping[Place, Listing]:
        """What is being made now."""
        return {place: maker.listing for place, maker in self._makers.items()}

    async def run(self) -> NoReturn:
        """Begin with every stream that comes, until cancelled."""
        await self._registry.events.follow("stream.", self._look)

    def listing(self, place: Place, stream: Stream) -> Listing:
        """The window of a stream that is live, with its playlists; made from now on if it was
        not."""
        maker = self._makers.get(place)
        if maker is None or maker.stream is not stream or maker.life.cancel_called:
            maker = self._start(place, stream)
        self._asked(maker)
        return maker.listing

    def kept(self, key: StreamKey, variant: Variant | None) -> dict[Place, Listing]:
        """What is kept of a stream that has ended; of no variant in particular, the plain one."""
        found = {
            place: listing
            for place, listing in self._listings.items()
            if place.key == key and listing.window.segments
        }
        if variant is None:
            variant = next((p.variant for p in found if p.variant != "ll"), "ll")
        return {place: found[place] for place in found if place.variant == variant}

    def find(self, key: StreamKey, prefix: str) -> Listing | None:
        """The window whose files' names begin so, if it is of this stream."""
        place = self._prefixes.get(prefix)
        if place is None or place.key != key:
            return None
        maker = self._makers.get(place)
        if maker is not None:
            self._asked(maker)
        return self._listings[place]

    def _look(self) -> None:
        for key, stream in self._registry.streams.items():
            if stream in self._begun or stream.ending or self._on_request(key):
                continue
            if key.app in self._apps:
                self._begun.add(stream)
                stream.scope.nursery.start_soon(self._begin, stream, name="hls")

    async def _begin(self, stream: Stream) -> None:
        """When its tracks are known, make the stream's plain variant."""
        with trio.move_on_after(_SETTLE):
            while len({t.kind for t in stream.tracks} - {Kind.DATA}) < 2:
                await self._more(stream)
        while not (places := places_of(stream, None)):
            await self._more(stream)
        for place in places:
            self._start(place, stream, lasting=True)

    @staticmethod
    async def _more(stream: Stream) -> None:
        """Return when more packets have come; at the end of the stream this task ends with it."""
        if stream.ring.ended:
            await trio.sleep_forever()
        await stream.ring.changed(stream.ring.head)

    def _asked(self, maker: _Maker) -> None:
        now = trio.current_time()
        if not maker.lasting and now - maker.asked_at > _ASKED_EVERY:
            maker.asked_at = now  # moving a deadline is dear, requests are many
            maker.life.deadline = now + self.options.idle / US_PER_SECOND

    def _start(self, place: Place, stream: Stream, *, lasting: bool = False) -> _Maker:
        running = self._makers.get(place)
        if running is not None and running.stream is stream and not running.life.cancel_called:
            running.lasting = running.lasting or lasting
            if lasting:
                running.life.deadline = float("inf")
            return running
        listing = self._listings.get(place)
        if listing is None:
            suffix = ".ts" if place.variant == "ts" else ".m4s"
            target, count = self.options.targets(low_latency=place.variant == "ll")
            window = Window(
                count=count,
                rewind=self.options.dvr_window,
                target=target,
                prefix=f"{secrets.token_hex(4)}-",
                suffix=suffix,
            )
            listing = Listing(window, parts=place.variant == "ll")
            self._listings[place] = listing
            self._prefixes[window.prefix] = place
            self._forget_old()
        self._listings.move_to_end(place)
        # A URL that names no variant may lead to another window now: never to lower numbers.
        listing.window.advance(max(other.window.newest[0] for other in self._of(place.key)))
        listing.window.reopen()
        maker = self._makers[place] = _Maker(stream, listing, lasting=lasting)
        self._asked(maker)
        task = partial(self._package, place, maker)
        stream.scope.nursery.start_soon(task, name=f"hls {place.variant}")
        return maker

    def _of(self, key: StreamKey) -> list[Listing]:
        return [listing for place, listing in self._listings.items() if place.key == key]

    async def _package(self, place: Place, maker: _Maker) -> None:
        stream, window = maker.stream, maker.listing.window
        faults: list[BaseException] = []
        ended = False
        try:
            async with open_scope("hls", place.variant, parent=stream.scope):
                with maker.life, guarded(faults.append):
                    begin: int | None = None
                    while True:
                        audio = place.needed_audio(stream.tracks)
                        async with self._renditions.open(stream, audio=audio) as edition:
                            packager = Packager(
                                edition,
                                place,
                                window,
                                self.options,
                                low_latency=place.variant == "ll",
                                pacer=stream.pacer,
                                begin=begin,
                            )
                            await packager.run()
                        begin = packager.outgrown_at
                        if begin is None:
                            break
                    ended = True
        finally:
            if self._makers.get(place) is maker:
                del self._makers[place]
                # What is kept is a playlist with an end. Otherwise players are refused, as by
                # livego, and come back; after an end they would not, when the publisher does.
                if faults or not (ended or stream.ring.ended) or not self.options.keep_after_end:
                    window.drop()
                with trio.CancelScope(shield=True):  # they are some thousands at most
                    await window.end()
            for fault in faults:
                self._blame(place, fault)

    def _blame(self, place: Place, fault: BaseException) -> None:
        about = {"stream": str(place.key), "variant": place.variant}
        if isinstance(fault, LivetrioError):
            log.warning("HLS ended", **about, reason=str(fault))
        else:
            log.error("bug: HLS ended", **about, exc_info=fault)

    def _forget_old(self) -> None:
        for place in list(self._listings)[: max(len(self._listings) - _MAX_WINDOWS, 0)]:
            if place not in self._makers:
                del self._prefixes[self._listings.pop(place).window.prefix]
