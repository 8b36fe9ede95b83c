"""Sitting: a participant that has a seat in a room: publishes from it, hears the others, moves.

It is a member of the room like everybody: it can be muted, moved, kicked, and its stream is
`{app}/{room}/{seat}`. What it hears is the mix of all others, `{app}/{room}~{seat}`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import trio
from aiortc.mediastreams import MediaStreamTrack

from livetrio.access.seats import minus_stream, seat_stream
from livetrio.errors import RefusalCode, Refused
from livetrio.net.scope import Scope
from livetrio.packet import Kind, StreamKey
from livetrio.webrtc.aio.decode import AudioFrame, Frame
from livetrio.webrtc.broadcast import Broadcast
from livetrio.webrtc.participant_scope import participant_scope
from livetrio.webrtc.rooms.actions import Action, Caller, Command
from livetrio.webrtc.rooms.events import Event
from livetrio.webrtc.rooms.live_room import LiveRoom
from livetrio.webrtc.rooms.room_service import Rooms
from livetrio.webrtc.rooms.seat import Switch
from livetrio.webrtc.track_playing import playing

if TYPE_CHECKING:
    from livetrio.webrtc.participants import Participants

__all__ = ["Sitting", "open_sitting"]

_RIGHTS: Final = frozenset({"admin"})
"""Code of this process is trusted like the site's back end."""
_WAIT: Final = 10.0
"""Seconds that a stream of the room is waited for, before the wait begins anew."""
_PAUSE: Final = 0.2
"""Seconds without anything to play after which the pace begins anew instead of catching up."""


class Sitting:
    """A participant's seat. Made by `Participants.sit`."""

    def __init__(
        self, participants: Participants, rooms: Rooms, live: LiveRoom, caller: Caller, scope: Scope
    ) -> None:
        self.room = live.key
        self.user = caller.user
        self.seat = 0
        """Its number; 0 once it is lost."""
        self.reason = ""
        """Why it ended, if that was not its own wish."""
        self._participants = participants
        self._rooms = rooms
        self._live = live
        self._caller = caller
        self._scope = scope
        self._broadcast: Broadcast | None = None
        self._moved = trio.Event()
        """Is set, and replaced, when `seat` changes."""
        self._taken_over = False
        self._due = 0.0
        """When what was played last has been heard."""

    @property
    def stream(self) -> StreamKey:
        """What it publishes."""
        return seat_stream(self.room, self.seat)

    @property
    def mix_minus(self) -> StreamKey:
        """The sound (and picture) of the room without itself."""
        return minus_stream(self.room, self.seat)

    @property
    def speaking(self) -> tuple[int, ...]:
        """The seats whose users speak at this moment, without its own."""
        return tuple(seat for seat in self._live.speaking.told if seat != self.seat)

    @property
    def muted(self) -> bool:
        """Is its microphone off? What it sends then is heard by nobody."""
        seat = self._live.room.state.seats.get(self.seat)
        return seat is None or seat.microphone is not Switch.ON

    async def send(self, frame: Frame) -> None:
        """Encode a frame and publish it, as `Broadcast.send`.

        While it moves from one seat to another, frames are dropped.

        Raises:
            Refused: BAD_REQUEST, a picture of no size.
        """
        if self._broadcast is not None:
            await self._broadcast.send(frame)

    async def play(self, frame: AudioFrame) -> None:
        """Send sound that is there before its time (a file, what was heard before): returns when
        it has been heard and the next is due.

        frame: heard now, whatever time it bears.

        Raises:
            Refused: as `send`.
        """
        now = trio.current_time()
        if now > self._due + _PAUSE:
            self._due = now
        frame.pts = None
        await self.send(frame)
        self._due += frame.samples / frame.sample_rate
        await trio.sleep_until(self._due)

    @asynccontextmanager
    async def hear(
        self, *kinds: Kind, seat: int | None = None
    ) -> AsyncIterator[AsyncIterator[Frame]]:
        """Frames of the room without itself, or of one seat, while in the block.

        They go on through every move, and whenever what is heard stops and begins again. Who
        takes them too slowly misses some; nobody waits for him.

        Args:
            kinds: VIDEO, AUDIO; AUDIO by default.
            seat: None: the mix of all but itself.
        """
        send, receive = trio.open_memory_channel[Frame](0)
        hearing = trio.CancelScope()
        self._scope.nursery.start_soon(
            self._hear, kinds or (Kind.AUDIO,), seat, send, hearing, name=f"ears of {self.user}"
        )
        try:
            async with receive:
                yield receive
        finally:
            hearing.cancel()

    def do(self, action: Action, **fields: Any) -> Sequence[Event]:
        """Any command of rooms, as its user: raise a hand, mute, invite, end.

        fields: of `Command`.

        Raises:
            Refused: as `Rooms.command`.
        """
        return self._rooms.command(self.room, Command(action=action, by=self._caller, **fields))

    def take(self, wish: int | None, *, camera: bool) -> None:
        """Sit down; for `open_sitting`.

        Raises:
            Refused: NOT_FOUND, CONFLICT, GONE.
        """
        state = self._live.room.state
        known = state.seat_of(self.user)  # his already, or reserved for him
        if wish and state.taken_by(self.user) is not None:
            self.do(Action.MOVE, to=wish)
        else:
            self.do(Action.TAKE, seat=wish or (known.number if known is not None else 0))
        self._settle("")
        if state.kind == "video" and not camera:
            self.do(Action.MUTE, medium="camera")

    def leave(self) -> None:
        """Stand up, unless somebody else publishes from there by now; for `open_sitting`."""
        seat, self.seat = self.seat, 0
        if seat and not self._taken_over:
            with suppress(Refused):  # too many commands: the room frees it when its user is missed
                self.do(Action.LEAVE)

    def notice(self, event: Event) -> None:
        """What has happened in the room; for `open_sitting`."""
        if self.seat:
            self._settle(_why(event))

    async def hold(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Publish from the seat, wherever it is, until it is lost; for `open_sitting`."""
        started = False
        while self.seat:
            moved = self._moved
            async with self._participants.publish(
                self.stream, name=self.user, takeover=True, user=self.user
            ) as broadcast:
                self._broadcast = broadcast
                try:
                    if not started:
                        started = True
                        task_status.started()
                    await moved.wait()
                finally:
                    self._broadcast = None
                    broadcast.finish()  # what comes from this seat next is somebody else's
            if not moved.is_set():
                self.reason = broadcast.client.scope.reason or "its stream was ended"
                self._taken_over = broadcast.stream.publication is not None
                break
        self._scope.cancel(self.reason)

    def _settle(self, why: str) -> None:
        """Be where the room says one is."""
        own = self._live.room.state.taken_by(self.user)
        number = own.number if own is not None else 0
        if number == self.seat:
            return
        if not number:
            self.reason = why
        self.seat = number
        self._moved.set()
        self._moved = trio.Event()

    async def _hear(
        self,
        kinds: Sequence[Kind],
        seat: int | None,
        send: trio.MemorySendChannel[Frame],
        hearing: trio.CancelScope,
    ) -> None:
        with hearing:
            async with send:
                while True:
                    async with trio.open_nursery() as nursery:
                        if seat is None:
                            nursery.start_soon(_cancel_after, self._moved, nursery.cancel_scope)
                        await self._follow(self._source(seat), kinds, send)
                        nursery.cancel_scope.cancel()

    def _source(self, seat: int | None) -> StreamKey:
        return self.mix_minus if seat is None else seat_stream(self.room, seat)

    async def _follow(
        self, key: StreamKey, kinds: Sequence[Kind], send: trio.MemorySendChannel[Frame]
    ) -> None:
        """Until the stream ends, or has not begun for a while."""
        try:
            async with self._participants.join(key, name=self.user, wait=_WAIT) as watching:
                async for frame in watching.frames(*kinds):
                    await send.send(frame)
        except Refused as refused:
            if refused.code is not RefusalCode.NOT_FOUND:
                raise


@asynccontextmanager
async def open_sitting(
    participants: Participants,
    rooms: Rooms,
    key: StreamKey,
    tracks: Sequence[MediaStreamTrack],
    *,
    user: str,
    name: str,
    seat: int | None,
    camera: bool,
) -> AsyncIterator[Sitting]:
    """A seat for as long as the block lasts; see `Participants.sit`."""
    live = rooms.find(key)
    caller = Caller.named(user, name, _RIGHTS)
    async with participant_scope(f"{user} sits in {key}") as scope:
        sitting = Sitting(participants, rooms, live, caller, scope)
        with live.attended(user), live.followed(sitting.notice):
            try:
                sitting.take(seat, camera=camera)
                await scope.nursery.start(sitting.hold)
                async with playing(tracks, sitting.send):
                    yield sitting
            finally:
                sitting.leave()


async def _cancel_after(moved: trio.Event, scope: trio.CancelScope) -> None:
    await moved.wait()
    scope.cancel()


def _why(event: Event) -> str:
    reason = str(event.about.get("reason", ""))
    if event.type == "room.ended":
        return f"the room has ended: {reason}"
    what = event.type.partition(".")[2]
    return f"{what}: {reason}" if reason else what
