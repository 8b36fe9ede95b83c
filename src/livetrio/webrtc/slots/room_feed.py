"""RoomFeed: the media of one room on their way to everybody who receives it by slots.

Which seat a slot shows is the same for the whole room, so packets are made once per slot and not
once per viewer. Who sits in a seat is simply not sent that slot.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final

import trio

from livetrio.errors import RefusalCode, Refused
from livetrio.logs import get_logger
from livetrio.media.registry import Registry
from livetrio.net.guard import guarded
from livetrio.net.scope import Scope, open_scope
from livetrio.packet import StreamKey
from livetrio.webrtc.datagrams import blame
from livetrio.webrtc.editions import Editions
from livetrio.webrtc.negotiation_words import Agreed, SendTrack
from livetrio.webrtc.peer import Peer
from livetrio.webrtc.play_feed import PlayFeed
from livetrio.webrtc.player import Players
from livetrio.webrtc.sender_report import MediaClock
from livetrio.webrtc.slots.room_source import RoomSource
from livetrio.webrtc.slots.room_viewer import RoomViewer, voice_type
from livetrio.webrtc.slots.room_voices import RoomVoices
from livetrio.webrtc.slots.shown import Shown
from livetrio.webrtc.slots.video_slot import VideoSlot
from livetrio.webrtc.slots.voice_feed import VoiceFeed

__all__ = ["RoomFeed"]

log = get_logger(__name__)

_TICK: Final = 1.0
_TICKS_PER_HOLD: Final = 100
_FAREWELL: Final = 2.0
"""Seconds that the room's end waits for that of its sessions: their goodbyes are plain calls."""
_LINGER: Final = 15.0
"""Seconds that the edition of a stream nobody shows any more stays open: a microphone that is
muted for a sentence, a voice that is not among the loudest for one, costs no new rendition."""


class RoomFeed:
    """One per room. All calls but `run` are plain."""

    def __init__(
        self,
        key: StreamKey,
        registry: Registry,
        editions: Editions,
        players: Players,
        *,
        video: int,
        audio: int,
        voices: int,
        bits: Callable[[int], int] = secrets.randbits,
    ) -> None:
        """
        Args:
            key: of the room, for people.
            registry: where the seats' streams are.
            editions: renditions of them that browsers can show.
            players: of the node; they count the room's feeds among theirs.
            video: picture slots.
            audio: sound slots.
            voices: how many of those everybody is sent; the rest are only for those who sit in
                one of the first themselves. As many as `audio` in a video room.
            bits: a number of that many random bits; tests know them.
        """
        self.key = key
        self.viewers: dict[RoomViewer, None] = {}
        """Those who receive it; a dict for its order."""
        self.done = trio.Event()
        """It has ended; nothing is sent any more."""
        self._guests: dict[Scope, None] = {}
        cname = f"{bits(64):016x}"
        ssrcs = _ssrcs(bits, video + audio)
        self._registry = registry
        self._editions = editions
        self._players = players
        self._slots = [
            VideoSlot(number, ssrc, cname, bits, self._start)
            for number, ssrc in enumerate(ssrcs[:video])
        ]
        self._voices = RoomVoices(ssrcs[video:], cname, voices, bits, self.clock, self._hear)
        self._shown = _filled((), video), _filled((), audio)
        self._sources: dict[StreamKey, RoomSource] = {}
        self._scope: Scope | None = None

    @property
    def video_slots(self) -> int:
        """How many pictures."""
        return len(self._slots)

    @property
    def audio_slots(self) -> int:
        """How many voices."""
        return self._voices.count

    @property
    def losses(self) -> Counter[str]:
        """Packets of sound that were not sent: skipped (too old before their turn came), thinned
        (too many for the time), refused (no Opus). They fall when nobody hears the room."""
        return self._voices.losses

    @property
    def tracks(self) -> list[SendTrack]:
        """What to announce, for `agree_play` and `offer_play`: pictures first, then sound. Slot i
        of both has the stream id "slot-i"."""
        return [*(slot.track for slot in self._slots), *self._voices.tracks]

    def arrange(self, video: Sequence[Shown | None], audio: Sequence[Shown | None]) -> None:
        """Show this from now on, slot by slot; short sequences leave the rest empty. Plain,
        idempotent, and cheap if nothing changes."""
        wanted = _filled(video, self.video_slots), _filled(audio, self.audio_slots)
        if wanted != self._shown:
            self._shown = wanted
            self._settle()

    def clock(self, key: StreamKey) -> MediaClock:
        """The one clock of a stream that is shown, so that its sound and picture are reported
        against one line."""
        source = self._sources.get(key)
        return source.clock if source is not None else MediaClock()

    @contextmanager
    def guest(self, scope: Scope) -> Iterator[None]:
        """A session of this room, connected or not: it is ended with the room, whose end waits
        for that, since sessions are no tasks of it.

        Raises:
            Refused: GONE, the room has ended.
        """
        if self.done.is_set():
            raise Refused(RefusalCode.GONE, f"room {self.key} has ended")
        self._guests[scope] = None
        try:
            yield
        finally:
            del self._guests[scope]

    @contextmanager
    def viewer(self, peer: Peer, user: str, agreed: Agreed) -> Iterator[RoomViewer]:
        """Send the room to a connected peer until the block is left.

        Args:
            peer: whom to.
            user: who that is; "" for nobody known.
            agreed: what became of `tracks`.

        Raises:
            Refused: GONE, the room has ended.
        """
        if self._scope is None:
            raise Refused(RefusalCode.GONE, f"room {self.key} has ended")
        with self._voices.member(peer, user, *voice_type(agreed)) as voice:
            viewer = RoomViewer(peer, user, agreed, self._slots, voice)
            self.viewers[viewer] = None
            try:
                with viewer.watching():
                    yield viewer
            finally:
                del self.viewers[viewer]

    async def run(self) -> None:
        """All of its tasks, for the room's nursery; cancel it to end. Sessions end with it."""
        guests: list[Scope] = []
        try:
            async with open_scope("feed", f"slots of {self.key}") as scope:
                self._scope = scope
                try:
                    self._settle()
                    await self._tend()
                finally:
                    self._scope = None
                    self.done.set()
                    guests += self._guests
                    for guest in guests:
                        guest.cancel(f"room {self.key} has ended")
        finally:
            with trio.move_on_after(_FAREWELL, shield=True):
                for guest in guests:
                    await guest.wait_closed()

    async def _tend(self) -> None:
        while True:
            await self._registry.pacer.rest(_TICK)
            now = trio.current_time()
            for number, viewer in enumerate(list(self.viewers), 1):
                with guarded(partial(blame, viewer.peer)):
                    viewer.tick(now)
                if number % _TICKS_PER_HOLD == 0:
                    await trio.lowlevel.checkpoint()
            for source in list(self._sources.values()):
                if source.unused is not None and now - source.unused > _LINGER:
                    source.stop.cancel()
                    del self._sources[source.key]

    def _settle(self) -> None:
        """Bring everything in line with what is to be shown, and with what there is of it."""
        if self._scope is None:
            return
        video, audio = self._shown
        wanted = {shown.stream for shown in (*video, *audio) if shown is not None}
        for key in wanted - self._sources.keys():
            source = self._sources[key] = RoomSource(
                key,
                self._registry,
                self._editions,
                pictures=self.video_slots > 0,
                changed=self._settle,
            )
            self._scope.nursery.start_soon(source.run, name=f"source {key}")
        for key, source in self._sources.items():
            if key in wanted:
                source.unused = None
            elif source.unused is None:
                source.unused = trio.current_time()
        for slot, shown in zip(self._slots, video, strict=True):
            slot.show(shown, self._sources[shown.stream] if shown is not None else None)
        self._voices.arrange(
            audio,
            {
                key: source.edition
                for key, source in self._sources.items()
                if source.edition is not None
            },
        )

    def _start(self, slot: VideoSlot, feed: PlayFeed) -> None:
        assert self._scope is not None
        seat = slot.shown.seat if slot.shown is not None else None
        name = f"{feed.name} slot {slot.number} seat {seat}"
        self._scope.nursery.start_soon(self._run, slot, feed, name, name=f"feed {name}")

    async def _run(self, slot: VideoSlot, feed: PlayFeed, name: str) -> None:
        def blame(error: BaseException) -> None:
            """A bug in one slot ends its feed; the slot begins anew with another."""
            log.error("bug: feed ended", room=str(self.key), feed=name, exc_info=error)

        async with open_scope("feed", name, parent=self._scope):
            with guarded(blame), self._players.counting(feed):
                await feed.run()
        slot.ended(feed)

    def _hear(self, feed: VoiceFeed, stop: trio.CancelScope) -> None:
        assert self._scope is not None
        self._scope.nursery.start_soon(self._run_voices, feed, stop, name="feed voices")

    async def _run_voices(self, feed: VoiceFeed, stop: trio.CancelScope) -> None:
        def blame(error: BaseException) -> None:
            log.error("bug: voices ended", room=str(self.key), exc_info=error)

        async with open_scope("feed", "voices", parent=self._scope):
            with stop, guarded(blame):
                await feed.run()
        self._voices.ended(feed)


def _filled(shown: Sequence[Shown | None], count: int) -> list[Shown | None]:
    """As many as there are slots."""
    return [*shown[:count], *[None] * (count - len(shown))]


def _ssrcs(bits: Callable[[int], int], count: int) -> list[int]:
    found: dict[int, None] = {}
    while len(found) < count:
        found[bits(32)] = None
    return list(found)
