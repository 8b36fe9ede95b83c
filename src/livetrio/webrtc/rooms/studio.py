"""Studio: what the media of all rooms of a node have in common, and which room is told of what."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

import trio

from livetrio.access.seats import SeatBook, room_of
from livetrio.config import RoomsConfig
from livetrio.errors import RefusalCode, Refused
from livetrio.media.mix.options import MixOptions
from livetrio.media.registry import Registry
from livetrio.packet import StreamKey
from livetrio.webrtc.editions import Editions
from livetrio.webrtc.player import Players
from livetrio.webrtc.rooms.live_room import LiveRoom
from livetrio.webrtc.rooms.media import RoomMedia
from livetrio.webrtc.rooms.seat import SeatState
from livetrio.webrtc.rooms.stages import Compose
from livetrio.webrtc.rooms.state import RoomKind
from livetrio.webrtc.slots.room_feed import RoomFeed

__all__ = ["Studio"]

_LOOK_EVERY: Final = 64
"""Events; fewer than the queue of a listener holds (media/events.py)."""
_THREADS: Final = 2
"""That measure, at once, how loud seats are whose programs do not say."""


class Studio:
    """Made once per node. It is the `Meetings` of those who receive rooms."""

    def __init__(
        self,
        registry: Registry,
        editions: Editions,
        players: Players,
        seats: SeatBook,
        config: RoomsConfig,
        *,
        compose: Compose,
        lasting: Callable[[str], bool] = lambda app: False,  # noqa: ARG005
    ) -> None:
        """
        Args:
            registry: where seats publish, and composed streams are.
            editions: of what seats publish, for browsers.
            players: of this node.
            seats: where rooms' names are kept for those who sit there.
            config: how many voices, and what is composed.
            compose: what makes a composed stream.
            lasting: are all streams of an application recorded, or pushed somewhere? Its rooms
                are then composed while somebody publishes, watched or not.
        """
        self.registry = registry
        self.compose = compose
        self.lasting = lasting
        self.voices = config.voices
        self.threads = trio.CapacityLimiter(_THREADS)
        self.processes = trio.CapacityLimiter(config.mix.max or _most_composed())
        """That compose, of all rooms."""
        self._editions = editions
        self._players = players
        self._seats = seats
        self._config = config
        self._media: dict[StreamKey, RoomMedia] = {}

    def find(self, key: StreamKey) -> RoomMedia | None:
        """Of the room with this name."""
        return self._media.get(key)

    def meeting(self, key: StreamKey) -> RoomMedia:
        """The same.

        Raises:
            Refused: NOT_FOUND.
        """
        media = self._media.get(key)
        if media is None:
            raise Refused(RefusalCode.NOT_FOUND, "there is no such room")
        return media

    def check(self, key: StreamKey) -> None:
        """May there be a room of this name?

        Raises:
            Refused: CONFLICT, one of its streams' names is in use.
        """
        for stream in self.registry.streams:
            if room_of(stream) == key:
                raise Refused(RefusalCode.CONFLICT, f"there is a stream {stream} already")

    def mix(self, kind: RoomKind) -> MixOptions:
        """How rooms of a kind are composed."""
        mix = self._config.mix  # encoders take even sizes only
        return MixOptions(
            video=kind == "video",
            width=mix.width & ~1,
            height=mix.height & ~1,
            fps=mix.fps,
            video_bitrate=mix.video_bitrate,
            audio_bitrate=mix.audio_bitrate,
            linger=mix.linger,
            font=str(mix.font or ""),
        )

    @contextmanager
    def opened(self, live: LiveRoom) -> Iterator[RoomMedia]:
        """Carry a room's media while in the block."""
        state = live.room.state

        def sits(number: int) -> str:
            seat = state.seats.get(number)
            return seat.user if seat is not None and seat.state is SeatState.TAKEN else ""

        def keeps_order(user: str) -> bool:
            return user == state.owner or user in state.managers

        video = state.kind == "video"
        slots = len(state.seats) + 1 if video else self.voices + 1
        feed = RoomFeed(
            state.key,
            self.registry,
            self._editions,
            self._players,
            video=slots if video else 0,
            audio=slots,
            voices=slots if video else self.voices,
        )
        with self._seats.entered(state.key, sits, keeps_order) as entry:
            media = self._media[state.key] = RoomMedia(self, live, entry, feed)
            try:
                with media.running():
                    yield media
            finally:
                del self._media[state.key]

    async def run(self) -> NoReturn:
        """Tell rooms of their streams, until cancelled."""
        with self.registry.events.listen() as events:
            read = 0
            async for event in events:
                # Events only say where to look; some may be lost, but not unseen: see
                # `Events.follow`.
                read += 1
                if event.type.startswith("stream.") or event.data.get("role") == "publisher":
                    app, _, name = str(event.data.get("stream", "")).partition("/")
                    self._look(StreamKey(app, name))
                if read % _LOOK_EVERY == 0:
                    for media in list(self._media.values()):
                        media.look()
        raise AssertionError("unreachable: events do not end")

    def _look(self, key: StreamKey) -> None:
        room = room_of(key)
        media = self._media.get(room) if room is not None else None
        if media is not None:
            media.refresh()
            return
        stream = self.registry.streams.get(key)
        if stream is not None and stream.publication is not None and stream.publication.client.user:
            # Let in while there was a room, connected when there was none any more.
            stream.publication.finish()
            stream.publication.client.scope.cancel("the room has ended")


def _most_composed() -> int:
    """A watched room takes half a core or more, an idle one a twelfth: more would stutter."""
    return 4 * (os.cpu_count() or 1)
