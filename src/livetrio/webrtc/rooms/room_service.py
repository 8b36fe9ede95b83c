"""Rooms: all rooms of a node: made, found, commanded, attended, and ended with all below them."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, NamedTuple

import trio

from livetrio.config import RoomsConfig
from livetrio.errors import RefusalCode, Refused
from livetrio.logs import get_logger
from livetrio.net.scope import Ended, Scope, end_scopes, open_scope
from livetrio.packet import StreamKey
from livetrio.webrtc.rooms.actions import Action, Caller, Command, visible
from livetrio.webrtc.rooms.battles import Battles
from livetrio.webrtc.rooms.events import Event
from livetrio.webrtc.rooms.live_room import LiveRoom, Publish
from livetrio.webrtc.rooms.media import Below, RoomMedia
from livetrio.webrtc.rooms.pace import Pace
from livetrio.webrtc.rooms.permissions import Role
from livetrio.webrtc.rooms.pk import Battle
from livetrio.webrtc.rooms.room import Room
from livetrio.webrtc.rooms.state import RoomKind, RoomOptions, RoomTimes
from livetrio.webrtc.rooms.studio import Studio
from livetrio.wire.names import check_name

__all__ = ["Close", "MayEnter", "RoomEnded", "Rooms", "check_room_name", "open_rooms"]

log = get_logger(__name__)

Close = Callable[[StreamKey], Awaitable[None]]
"""A room has said its last word."""
MayEnter = Callable[[StreamKey, str], None]
"""Raises Refused if this user is banned from the room, or from everywhere."""

_MOST_OF_OWNER: Final = 8
_CREATE_RATE: Final = 0.1
_CREATE_BURST: Final = 16
"""Rooms of one owner: tasks, streams and a channel come and go with each."""
_ENTERING: Final = frozenset({Action.TAKE, Action.APPLY, Action.ACCEPT})
"""What nobody may who is banned. Whoever has a seat is kicked from it."""
_MAX_NAME: Final = 64
_MAX_TITLE: Final = 128
_GOODBYE: Final = 1.0
"""Seconds in which a room that ends may still say so."""


class RoomEnded(NamedTuple):
    """What was closed with a room."""

    ended: Ended
    below: Below


class Rooms:
    """Made by `open_rooms`."""

    def __init__(
        self,
        scope: Scope,
        config: RoomsConfig,
        publish: Publish,
        studio: Studio,
        *,
        close: Close,
        may_enter: MayEnter,
    ) -> None:
        self._scope = scope
        self._close = close
        self._may_enter = may_enter
        self._studio = studio
        self._config = config
        self._publish = publish
        self._times = RoomTimes(
            resume_window=config.resume_window,
            idle_time=config.idle_time,
            invite_timeout=config.invite_timeout,
            applications=config.applications,
        )
        self._epoch = time.time() - trio.current_time()
        self._rooms: dict[StreamKey, LiveRoom] = {}
        self._creating = Pace(_CREATE_RATE, _CREATE_BURST, "too many rooms: slower")
        self.battles = Battles(self._rooms, config.invite_timeout)

    def __len__(self) -> int:
        return len(self._rooms)

    def __iter__(self) -> Iterator[LiveRoom]:
        return iter(list(self._rooms.values()))

    def find(self, key: StreamKey) -> LiveRoom:
        """The room with this name.

        Raises:
            Refused: NOT_FOUND.
        """
        room = self._rooms.get(key)
        if room is None:
            raise Refused(RefusalCode.NOT_FOUND, "there is no such room")
        return room

    def media(self, key: StreamKey) -> RoomMedia | None:
        """What carries the media of a room; None before it has begun and when it has ended."""
        return self._studio.find(key)

    def options(
        self, kind: RoomKind, *, seats: int = 0, title: str = "", free: bool | None = None
    ) -> RoomOptions:
        """What a room is to be, within what this node allows.

        Args:
            kind: "video" or "voice".
            seats: 0: as many as such a room has.
            title: for people; what cannot be seen is left out.
            free: None: as is usual in its kind: seats are applied for in video rooms.

        Raises:
            Refused: BAD_REQUEST.
        """
        most = self._config.video_seats if kind == "video" else self._config.voice_seats
        if not 0 <= seats <= most:
            raise Refused(RefusalCode.BAD_REQUEST, f"a {kind} room has 1 to {most} seats")
        if len(title) > _MAX_TITLE:
            raise Refused(RefusalCode.BAD_REQUEST, f"title has at most {_MAX_TITLE} characters")
        free = kind == "voice" if free is None else free
        return RoomOptions(kind=kind, seats=seats or most, title=visible(title), free=free)

    async def create(self, key: StreamKey, owner: Caller, options: RoomOptions) -> LiveRoom:
        """A new room; whoever creates it is its owner.

        Raises:
            Refused: BAD_REQUEST, the name; UNAUTHORIZED, FORBIDDEN, not by this caller; CONFLICT,
                there is one; TOO_MANY, rooms or tries.
        """
        check_room_name(key.name)
        self._may_create(key, owner)
        live: LiveRoom = await self._scope.nursery.start(self._live, key, owner, options)
        return live

    def command(self, key: StreamKey, command: Command) -> Sequence[Event]:
        """Any command but KEY (`seat_key`) and SCORE (`score`), told to all who follow the room.

        PKs concern two rooms (`Battles.ask`, `decline`, `stop`): what is returned are the events
        of this one. An owner who ends a PK has lost it.

        Raises:
            Refused: NOT_FOUND, there is no such room; as `Room.apply`, and as `Battles` says;
                FORBIDDEN, the user is banned.
        """
        live, now = self.find(key), trio.current_time()
        if command.action in _ENTERING and command.by.user:
            self._may_enter(key, command.by.user)
        match command.action:
            case Action.BATTLE | Action.END_BATTLE:
                return live.room.once(command, now, lambda: self._in_battle(live, command, now))
            case Action.END:
                user = command.by.user
                events = live.room.once(command, now, lambda: live.room.end("closed", now, user))
            case _:
                events = live.room.apply(command, now)
        live.changed(events)
        return events

    def seat_key(self, key: StreamKey, command: Command) -> tuple[int, str]:
        """The seat of who sends a command KEY, and a stream key for it that holds as long as he
        has it: whoever asks again is told the same.

        Raises:
            Refused: by `Room.once`.
        """
        room = self.find(key).room
        room.once(command, trio.current_time(), lambda: ())
        seat = room.state.taken_by(command.by.user)
        if seat is None:  # a repeated command, of one who had a seat
            raise Refused(RefusalCode.CONFLICT, "you have no seat any more")
        return seat.number, self._studio.meeting(key).key_of(seat.number)

    def score(self, key: StreamKey, caller: Caller, points: int, gift: str) -> Battle:
        """Points for this room's side of its PK, once for each `gift` (an idempotency key).

        It has no pace: it is the site's back end that counts gifts, of all who give.

        Raises:
            Refused: by `Room.check`, `Battles.score`.
        """
        self.find(key).room.check(Command(action=Action.SCORE, by=caller))
        return self.battles.score(key, points, gift, trio.current_time())

    async def end(self, key: StreamKey, caller: Caller, reason: str = "closed") -> RoomEnded:
        """End a room and its streams; returns when all of it is gone.

        Raises:
            Refused: NOT_FOUND; by `Room.check`.
        """
        live, now = self.find(key), trio.current_time()
        command = Command(action=Action.END, by=caller)
        media = self._studio.find(key)
        below = media.below() if media is not None else Below()  # none: it is at its end
        live.changed(live.room.once(command, now, lambda: live.room.end(reason, now, caller.user)))
        # Sessions that receive the room are below it, and in another's nursery.
        ended = await end_scopes({live.scope, *live.scope.children, *below.scopes}, reason)
        return RoomEnded(ended, below)

    def _in_battle(self, live: LiveRoom, command: Command, now: float) -> Sequence[Event]:
        key, other, roles = live.key, command.other, live.room.state.roles_of(command.by)
        told: list[Event] = []
        with live.followed(told.append):
            if command.action is Action.BATTLE:
                if other is None:
                    raise Refused(RefusalCode.BAD_REQUEST, "no other room is named")
                at_once = Role.ADMIN in roles
                self.battles.ask(key, other, command.seconds, now, at_once=at_once)
            elif other is not None:
                self.battles.decline(key, other, now)
            elif Role.OWNER in roles:
                self.battles.stop(key, now, lost=True, reason="given up")
            else:
                self.battles.stop(key, now, lost=False, reason="ended by an operator")
        return told

    def _may_create(self, key: StreamKey, owner: Caller) -> None:
        if not owner.user:
            raise Refused(RefusalCode.UNAUTHORIZED, "a token that names a user is needed")
        if self._config.create == "host" and not owner.roles & {"host", "admin"}:
            raise Refused(
                RefusalCode.FORBIDDEN,
                'rooms are created by users whose token has the role "host"',
                hint="rooms.create: anyone lets every user do so",
            )
        if "admin" not in owner.roles:
            self._may_enter(key, owner.user)
            self._creating.spend(owner.user, trio.current_time())

    def _check_place(self, key: StreamKey, owner: Caller) -> None:
        if key in self._rooms:
            raise Refused(RefusalCode.CONFLICT, f"there is a room {key} already")
        self._studio.check(key)
        if len(self._rooms) >= self._config.max:
            raise Refused(RefusalCode.TOO_MANY, "too many rooms", hint="see rooms.max")
        owned = sum(live.room.state.owner == owner.user for live in self._rooms.values())
        if owned >= _MOST_OF_OWNER and "admin" not in owner.roles:
            raise Refused(RefusalCode.TOO_MANY, f"you have {owned} rooms already")

    async def _live(
        self,
        key: StreamKey,
        owner: Caller,
        options: RoomOptions,
        *,
        task_status: trio.TaskStatus[LiveRoom] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """A room's life."""
        # From here to the entry nothing awaits: of two who create it one comes second. (Entering
        # a nursery is no checkpoint.)
        self._check_place(key, owner)
        async with open_scope("room", str(key), parent=self._scope) as scope:
            room = Room(
                key,
                owner,
                options,
                self._times,
                trio.current_time(),
                epoch=self._epoch,
                life=secrets.token_urlsafe(6),
            )
            live = self._rooms[key] = LiveRoom(room, scope, self.battles, self._publish)
            log.info("room opened", room=str(key), kind=options.kind, owner=owner.user)
            async with AsyncExitStack() as stack:
                stack.push_async_callback(self._bid_farewell, live)
                stack.enter_context(self._studio.opened(live))
                stack.callback(self._end, live)
                task_status.started(live)
                await live.run()

    def _end(self, live: LiveRoom) -> None:
        """The state first: no media is without a room."""
        reason = live.scope.reason or "the server stops"
        live.changed(live.room.end(reason, trio.current_time()))

    async def _bid_farewell(self, live: LiveRoom) -> None:
        """The name is free when the last word has been said, so that it comes after no first
        word of another room with that name."""
        try:
            with trio.move_on_after(_GOODBYE, shield=True):
                await live.flush()
                await self._close(live.key)
        finally:
            del self._rooms[live.key]
            log.info("room ended", room=str(live.key), reason=live.room.state.reason)


@asynccontextmanager
async def open_rooms(
    config: RoomsConfig,
    publish: Publish,
    studio: Studio,
    *,
    close: Close,
    may_enter: MayEnter,
) -> AsyncIterator[Rooms]:
    """The rooms, with the nursery they live in; leaving the block ends them all, each with a
    word to whoever follows it.

    Args:
        config: how many, and how long they wait.
        publish: tells who follows them.
        studio: carries their media.
        close: ends what `publish` has told, after the last word.
        may_enter: who is banned.
    """
    async with open_scope("rooms", "rooms", aside=True) as scope:
        yield Rooms(scope, config, publish, studio, close=close, may_enter=may_enter)


def check_room_name(name: str) -> str:
    """Return the name unchanged if a room may have it.

    Raises:
        Refused: BAD_REQUEST. Beside what holds for all names: streams are called
            `{app}/{room}/{seat}` and `{app}/{room}~{seat}`.
    """
    if "/" in check_name(name) or "~" in name or len(name) > _MAX_NAME:
        raise Refused(
            RefusalCode.BAD_REQUEST, f"a room's name has no / or ~ and at most {_MAX_NAME} letters"
        )
    return name
