"""RoomMedia: what the state of one room means for media: who publishes, who is in which slot, what
is composed; and what media mean for the state: who is here, who speaks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

from livetrio.access.seats import SeatEntry, minus_stream, room_of, seat_stream
from livetrio.errors import Refused
from livetrio.logs import get_logger
from livetrio.media.stream import Publication, Stream
from livetrio.net.scope import Scope
from livetrio.packet import StreamKey
from livetrio.webrtc.rooms.live_room import LiveRoom
from livetrio.webrtc.rooms.loudest import Loudest
from livetrio.webrtc.rooms.scenes import Guest, scene_of
from livetrio.webrtc.rooms.seat import Seat, SeatState
from livetrio.webrtc.rooms.slots import Slots, audible, visible
from livetrio.webrtc.rooms.stages import Stages
from livetrio.webrtc.slots.levels import Levels
from livetrio.webrtc.slots.room_feed import RoomFeed
from livetrio.webrtc.slots.shown import Shown

if TYPE_CHECKING:
    from livetrio.media.mix.scene import Scene
    from livetrio.webrtc.rooms.studio import Studio

__all__ = ["Below", "RoomMedia"]

log = get_logger(__name__)

_GUEST: Final = 0
"""In place of a seat's number: the other room's host, during a PK."""
_CHOICE_EVERY: Final = 0.1
"""Seconds between two looks at who is loudest."""


@dataclass(frozen=True, slots=True)
class Below:
    """What ends with a room beside what is in its scope, and how much that is."""

    scopes: frozenset[Scope] = frozenset()
    streams: int = 0
    clients: int = 0
    """Of those streams, and of the room itself."""
    processes: int = 0


class RoomMedia:
    """Of one room; made by `Studio.opened`. It is the `Meeting` of those who receive the room.

    All calls are plain. `refresh` is called after every change of state and of streams, and does
    what follows from all there is now, whatever has happened: no event needs to be remembered.
    """

    def __init__(self, studio: Studio, live: LiveRoom, entry: SeatEntry, feed: RoomFeed) -> None:
        state = live.room.state
        self.key = state.key
        self.feed = feed
        self._studio = studio
        self._live = live
        self._entry = entry
        self._stages = Stages(
            studio.registry,
            live.scope,
            studio.mix(state.kind),
            studio.compose,
            self._scene,
            studio.processes,
        )
        voices = studio.voices
        self._slots = Slots(len(state.seats) + 1 if state.kind == "video" else voices)
        self._loudest, self._next_loudest = Loudest(voices), Loudest(1)
        self._choice_due = 0.0
        self._levels = Levels(studio.registry, self.heard, threads=studio.threads)
        self._holders: dict[int, str] = {}
        """Who sat on each seat at the last look."""
        self._here: dict[int, tuple[Publication, ExitStack]] = {}
        """Publishers, present as long as they are."""
        self._busy = self._again = False
        self._refused = False
        """Was composing, at the last look? Said once."""

    @property
    def scope(self) -> Scope:
        """The room's."""
        return self._live.scope

    def attended(self, user: str) -> AbstractContextManager[None]:
        """A user is connected by media while in the block."""
        return self._live.attended(user)

    def key_of(self, seat: int) -> str:
        """The stream key of a seat, for whoever sits there."""
        return self._entry.key(seat)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Carry the room's media while in the block, by tasks of its scope."""
        seats = self._live.room.state.seats
        streams = {0: self.key} | {number: minus_stream(self.key, number) for number in seats}
        try:
            with self._live.carried(self.refresh), self._stages.offered(streams):
                for run, name in ((self.feed.run, "room feed"), (self._levels.run, "levels")):
                    self.scope.nursery.start_soon(run, name=name)
                self.refresh()
                yield
        finally:
            for _, stack in self._here.values():
                stack.close()
            for stream in self.streams():
                _end(stream, self._why("the room has ended"))

    def below(self) -> Below:
        """What would end with the room now."""
        streams = self.streams()
        clients = {client.scope for stream in streams for client in stream.clients.values()}
        scopes = clients | {stream.scope for stream in streams}
        count = len(clients) + len(self.feed.viewers)
        return Below(frozenset(scopes), len(streams), count, self.composed)

    @property
    def composed(self) -> int:
        """Streams that are being composed now, each by a process of its own."""
        return len(self._stages)

    def streams(self) -> list[Stream]:
        """Those with names of this room, its composed ones too."""
        streams = self._studio.registry.streams
        return [stream for key, stream in streams.items() if room_of(key) == self.key]

    def heard(self, seat: int, level: float) -> None:
        """How loud a seat is right now, dBov."""
        self._live.heard(seat, level)
        if self._live.room.state.kind == "voice":
            now = trio.current_time()
            self._loudest.hear(seat, level, now)
            self._next_loudest.hear(seat, level, now)
            if now >= self._choice_due:
                self._choice_due = now + _CHOICE_EVERY
                self._arrange()

    def look(self) -> None:
        """Refresh, if somebody else publishes than at the last look."""
        streams = self._studio.registry.streams
        for number in self._holders:
            stream = streams.get(self._stream(number))
            known = self._here.get(number)
            publication = stream.publication if stream is not None else None
            if publication is not (known[0] if known is not None else None):
                self.refresh()
                return

    def refresh(self) -> None:
        """Do what follows from the room's state, its streams and its PK as they are now."""
        self._again = True
        if self._busy:  # what is done here changes the state itself
            return
        self._busy = True
        try:
            while self._again:
                self._again = False
                self._see_holders()
                self._see_publishers()
                self._see_slots()
        finally:
            self._busy = False
        self._arrange()
        self._levels.follow({n: self._stream(n) for n in audible(self._seats)})
        self._stages.show()
        if self._here and self._studio.lasting(self.key.app):
            self._record()
        if (other := self._opponent()) is not None:
            other.rearrange()

    def _record(self) -> None:
        """Have the room composed, watched or not; where that is refused, with its next change."""
        try:
            self._studio.registry.demand(self.key)
            self._refused = False
        except Refused as refusal:
            if not self._refused:
                about = {"stream": str(self.key), "reason": refusal.reason, "hint": refusal.hint}
                log.warning("a room is not composed", **about)
            self._refused = True

    def rearrange(self) -> None:
        """The guest of the PK has changed something in his room."""
        self._arrange()
        self._stages.show()

    # State to media

    def _see_holders(self) -> None:
        """A key, a stream, and what is heard on a seat are of whoever sits there, and not of who
        comes next."""
        for seat in self._seats:
            user = seat.user if seat.state is SeatState.TAKEN else ""
            before = self._holders.get(seat.number, "")
            self._holders[seat.number] = user
            if before and before != user:
                self._entry.forget(seat.number)
                self._stages.end(seat.number, self._why("the seat has changed hands"))
                for key in (self._stream(seat.number), minus_stream(self.key, seat.number)):
                    if (stream := self._studio.registry.streams.get(key)) is not None:
                        _end(stream, self._why(f"seat {seat.number} is not yours any more"))

    def _see_publishers(self) -> None:
        """Who publishes from his seat is here; who publishes from another's is told to go."""
        for number, user in self._holders.items():
            stream = self._studio.registry.streams.get(self._stream(number))
            publication = stream.publication if stream is not None else None
            his = publication is not None and user and publication.client.user == user
            if stream is not None and publication is not None and not his:
                # Let in before the room was there, or while the seat was his.
                _end(stream, f"you do not sit on seat {number}")
                publication = None
            known = self._here.get(number)
            if (known[0] if known is not None else None) is publication:
                continue
            if publication is not None:  # first here, then gone: he is not told absent between
                stack = ExitStack()
                self._here[number] = publication, stack
                stack.enter_context(self._live.attended(user))
            else:
                del self._here[number]
            if known is not None:
                known[1].close()
        for number in (0, *self._holders):
            key = minus_stream(self.key, number) if number else self.key
            stream = self._studio.registry.streams.get(key)
            publication = stream.publication if stream is not None else None
            ours = publication is None or _is_below(publication.client.scope, self.scope)
            if stream is not None and not ours:
                _end(stream, "that is the composed stream of a room")

    def _see_slots(self) -> None:
        """In a video room a seat keeps its slot as long as somebody is there."""
        state = self._live.room.state
        if state.kind == "voice" or self._live.room.ended:
            return
        present = [seat.number for seat in self._seats if _is_here(seat)]
        self._slots.assign([*present, *([_GUEST] if self._guest() is not None else [])])
        slots = list(self._slots.seats)
        told = {"video": slots, "audio": slots}
        self._live.changed(self._live.room.show_slots(told, trio.current_time()))

    def _arrange(self) -> None:
        """Tell the feed who is in which slot."""
        if self._live.room.state.kind == "voice":
            voices = self._choose()
            self._live.show_voices(voices)
            self.feed.arrange((), [self._shown(number) for number in voices])
            return
        seen, heard = set(visible(self._seats)), set(audible(self._seats))
        if (guest := self._guest()) is not None:
            seen |= {_GUEST} if visible([guest[0]]) else set()
            heard |= {_GUEST} if audible([guest[0]]) else set()
        shown = {number: self._shown(number) for number in seen | heard}
        self.feed.arrange(
            [shown[n] if n in seen else None for n in self._slots.seats],
            [shown[n] if n in heard else None for n in self._slots.seats],
        )

    def _choose(self) -> list[int | None]:
        """The voices: the loudest for everybody, and in the last slot the one after them, for
        those who are among the first. A PK's guest is always among them."""
        now = trio.current_time()
        guest = self._guest()
        first = [_GUEST] if guest is not None and audible([guest[0]]) else []
        seats = audible(self._seats)
        chosen = [*first, *self._loudest.choose(seats, now, fewer=len(first))]
        self._slots.assign(chosen)
        spare = self._next_loudest.choose([n for n in seats if n not in chosen], now)
        return [*self._slots.seats, spare[0] if spare else None]

    def _why(self, reason: str) -> str:
        """What those are told who are ended."""
        state = self._live.room.state
        return f"the room has ended: {state.reason}" if self._live.room.ended else reason

    def _shown(self, number: int | None) -> Shown | None:
        if number is None:
            return None
        if number == _GUEST:
            guest = self._guest()
            return Shown(_GUEST, guest[1], guest[0].user) if guest is not None else None
        return Shown(number, self._stream(number), self._live.room.state.seats[number].user)

    def _scene(self, without: int) -> Scene:
        guest = self._guest()
        return scene_of(self._live.room.state, guest, without)

    # What is asked again and again

    @property
    def _seats(self) -> list[Seat]:
        return list(self._live.room.state.seats.values())

    def _stream(self, number: int) -> StreamKey:
        return seat_stream(self.key, number)

    def _opponent(self) -> RoomMedia | None:
        other = self._live.opponent
        return self._studio.find(other) if other is not None else None

    def _guest(self) -> Guest | None:
        """The other room's host and his stream, during a PK."""
        other = self._opponent()
        return other.host() if other is not None else None

    def host(self) -> Guest | None:
        """The owner on his seat, if he is there, as the other side of a PK shows him."""
        state = self._live.room.state
        seat = state.taken_by(state.owner)
        return Guest(seat, self._stream(seat.number)) if seat is not None else None


def _is_here(seat: Seat) -> bool:
    return seat.state is SeatState.TAKEN and seat.present


def _is_below(scope: Scope | None, top: Scope) -> bool:
    while scope is not None and scope is not top:
        scope = scope.parent
    return scope is top


def _end(stream: Stream, reason: str) -> None:
    """The stream and all who are connected with it; gone in a moment."""
    for client in list(stream.clients.values()):
        client.scope.cancel(reason)
    stream.scope.cancel(reason)
