"""HlsRenditions: which windows there are, and the packagers that fill them.

A packager lives in the scope of the stream it reads, so the stream's end is its end. A window
outlives it: its numbers go on when the stream is published again, and with keep_after_end its
segments stay. The variant that plain players get is made all the time; others are made from the
first request on and for as long as somebody asks.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal, NamedTuple, NoReturn
from weakref import WeakSet

import trio

from livetrio.delivery.hls_container import MP4_CODECS, TS_CODECS
from livetrio.delivery.hls_options import HlsOptions
from livetrio.delivery.hls_packager import Packager, Selection
from livetrio.delivery.hls_window import Window
from livetrio.errors import LivetrioError
from livetrio.logs import get_logger
from livetrio.media.registry import Registry
from livetrio.media.renditions import Renditions
from livetrio.media.stream import Stream
from livetrio.net.guard import guarded
from livetrio.net.scope import open_scope
from livetrio.packet import US_PER_SECOND, Codec, Kind, StreamKey, Track

__all__ = ["HlsRenditions", "Place", "Variant", "plain_variant"]

log = get_logger(__name__)

Variant = Literal["ts", "fmp4", "ll"]
_NONE: Final = -1
"""In place of a track's id: without sound, or without picture."""
_MAX_WINDOWS: Final = 10_000
"""Windows whose numbers are remembered; the oldest without a packager are forgotten first."""
_SETTLE: Final = 1.0
"""Seconds a stream may take to show all its tracks before its plain variant is chosen."""
_LOOK_EVERY: Final = 64
"""Events; fewer than the queue of a listener holds (media/events.py)."""


class Place(NamedTuple):
    """What a window shows."""

    key: StreamKey
    variant: Variant
    video: int = _NONE
    """Id of the video track; -1: sound alone."""
    audio: int = _NONE
    """Id of the audio track; -1: picture alone."""

    @property
    def selection(self) -> Selection:
        """The tracks."""
        wanted = {(Kind.VIDEO, self.video), (Kind.AUDIO, self.audio)}
        return frozenset(place for place in wanted if place[1] != _NONE)


@dataclass(eq=False)
class _Maker:
    """A packager that runs. The deadline of its life is when nobody will have asked for long."""

    stream: Stream
    window: Window
    life: trio.CancelScope = field(default_factory=trio.CancelScope)
    lasting: bool = False


class HlsRenditions:
    """Made by the composition root, which also runs it."""

    def __init__(
        self,
        registry: Registry,
        renditions: Renditions,
        options: HlsOptions,
        apps: Collection[str],
    ) -> None:
        """apps: those whose plain variant is made all the time."""
        self.options = options
        self._registry = registry
        self._renditions = renditions
        self._apps = apps
        self._windows: OrderedDict[Place, Window] = OrderedDict()
        self._prefixes: dict[str, Place] = {}
        self._makers: dict[Place, _Maker] = {}
        self._begun: WeakSet[Stream] = WeakSet()

    @property
    def size(self) -> int:
        """Bytes of media held in all windows."""
        return sum(window.size for window in self._windows.values())

    @property
    def running(self) -> list[Place]:
        """What is being made now."""
        return list(self._makers)

    async def run(self) -> NoReturn:
        """Begin with every stream that comes, until cancelled."""
        with self._registry.events.listen() as events:
            self._look()
            read = 0
            async for event in events:
                # Events only say when to look; see ingest/static_push.py.
                read += 1
                if event.type.startswith("stream.") or read % _LOOK_EVERY == 0:
                    self._look()
        raise AssertionError("unreachable: events do not end")

    def window(self, place: Place, stream: Stream) -> Window:
        """The window of a stream that is live; made from now on if it was not."""
        maker = self._makers.get(place)
        if maker is None or maker.stream is not stream or maker.life.cancel_called:
            maker = self._start(place, stream)
        self._asked(maker)
        return maker.window

    def kept(self, place: Place) -> Window | None:
        """The window of a stream that has ended, if it was kept."""
        window = self._windows.get(place)
        return window if window is not None and window.segments else None

    def kept_places(self, key: StreamKey) -> list[Place]:
        """All that is kept of a stream."""
        return [place for place in self._windows if place.key == key and self.kept(place)]

    def find(self, key: StreamKey, file: str) -> Window | None:
        """The window a file's name belongs to."""
        place = self._prefixes.get(file.partition("-")[0] + "-")
        if place is None or place.key != key:
            return None
        maker = self._makers.get(place)
        if maker is not None:
            self._asked(maker)
        return self._windows[place]

    def _look(self) -> None:
        for key, stream in self._registry.streams.items():
            if key.app in self._apps and stream not in self._begun and not stream.ending:
                self._begun.add(stream)
                stream.scope.nursery.start_soon(self._begin, stream, name="hls")

    async def _begin(self, stream: Stream) -> None:
        """When its tracks are known, make the stream's plain variant."""
        with trio.move_on_after(_SETTLE):
            while len({t.kind for t in stream.tracks} - {Kind.DATA}) < 2:
                await self._more(stream)
        while not (places := plain_places(stream)):
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
        if not maker.lasting:
            maker.life.deadline = trio.current_time() + self.options.idle / US_PER_SECOND

    def _start(self, place: Place, stream: Stream, *, lasting: bool = False) -> _Maker:
        running = self._makers.get(place)
        if running is not None and running.stream is stream and not running.life.cancel_called:
            running.lasting = running.lasting or lasting
            if lasting:
                running.life.deadline = float("inf")
            return running
        window = self._windows.get(place)
        if window is None:
            suffix = ".ts" if place.variant == "ts" else ".m4s"
            target, count = self.options.targets(low_latency=place.variant == "ll")
            window = Window(
                count=count,
                rewind=self.options.dvr_window,
                target=target,
                prefix=f"{secrets.token_hex(4)}-",
                suffix=suffix,
            )
            self._windows[place] = window
            self._prefixes[window.prefix] = place
            self._forget_old()
        self._windows.move_to_end(place)
        window.reopen()
        maker = self._makers[place] = _Maker(stream, window, lasting=lasting)
        self._asked(maker)
        task = partial(self._package, place, maker)
        stream.scope.nursery.start_soon(task, name=f"hls {place.variant}")
        return maker

    async def _package(self, place: Place, maker: _Maker) -> None:
        stream, window = maker.stream, maker.window
        faults: list[BaseException] = []
        ended = False
        try:
            async with open_scope("hls", place.variant, parent=stream.scope):
                with maker.life, guarded(faults.append):
                    audio = _needed_audio(place, stream.tracks)
                    async with self._renditions.open(stream, audio=audio) as edition:
                        await Packager(
                            edition.ring,
                            place.selection,
                            window,
                            self.options,
                            low_latency=place.variant == "ll",
                            pacer=stream.pacer,
                        ).run()
                    ended = True
        finally:
            if self._makers.get(place) is maker:
                del self._makers[place]
                stream_ended = ended or stream.ring.ended
                if stream_ended and self.options.keep_after_end and not faults:
                    window.end()
                else:
                    window.drop()
            for fault in faults:
                self._blame(place, fault)

    def _blame(self, place: Place, fault: BaseException) -> None:
        about = {"stream": str(place.key), "variant": place.variant}
        if isinstance(fault, LivetrioError):
            log.warning("HLS ended", **about, reason=str(fault))
        else:
            log.error("bug: HLS ended", **about, exc_info=fault)

    def _forget_old(self) -> None:
        for place in list(self._windows)[: max(len(self._windows) - _MAX_WINDOWS, 0)]:
            if place not in self._makers:
                del self._prefixes[self._windows.pop(place).prefix]


def plain_variant(tracks: Collection[Track]) -> Variant:
    """What plain players get: transport stream as from livego, or fMP4 where the picture's
    codec is not found in one."""
    video = _first(tracks, Kind.VIDEO)
    return "fmp4" if video is not None and video.codec not in TS_CODECS else "ts"


def plain_places(stream: Stream) -> list[Place]:
    """The windows of the plain variant: one for each video track, with the first sound."""
    tracks = [track for track in stream.tracks if track.codec in MP4_CODECS | TS_CODECS]
    variant = plain_variant(tracks)
    sound = _first(tracks, Kind.AUDIO)
    audio = _NONE if sound is None else sound.id
    videos = sorted(track.id for track in tracks if track.kind is Kind.VIDEO)
    if videos:
        return [Place(stream.key, variant, video, audio) for video in videos]
    return [Place(stream.key, variant, _NONE, audio)] if sound is not None else []


def _needed_audio(place: Place, tracks: Collection[Track]) -> Codec | None:
    """Transport streams carry no Opus that players know; fMP4 no Speex."""
    sound = next((t for t in tracks if (t.kind, t.id) == (Kind.AUDIO, place.audio)), None)
    carried = TS_CODECS if place.variant == "ts" else MP4_CODECS
    return Codec.AAC if sound is not None and sound.codec not in carried else None


def _first(tracks: Collection[Track], kind: Kind) -> Track | None:
    found = [track for track in tracks if track.kind is kind]
    return min(found, key=lambda track: track.id, default=None)
