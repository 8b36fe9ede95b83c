"""Rooms: all rooms of a node: made, found, commanded, attended, and ended with all below them."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Final, NamedTuple

import trio

from livetrio.config import RoomsConfig
from livetrio.errors import RefusalCode, Refused
from livetrio.logs import get_logger
from livetrio.net.scope import Ended, Scope, end_scopes, open_scope
from livetrio.packet import StreamKey
from livetrio.webrtc.rooms.actions import Action, Caller, Command
from livetrio.webrtc.rooms.battles import Battles
from livetrio.webrtc.rooms.events import Event
from livetrio.webrtc.rooms.live_room import LiveRoom, Publish
from livetrio.webrtc.rooms.media import Below
from livetrio.webrtc.rooms.permissions import Role
from livetrio.webrtc.rooms.pk import Battle
from livetrio.webrtc.rooms.room import Room
from livetrio.webrtc.rooms.state import RoomKind, RoomOptions, RoomTimes
from livetrio.webrtc.rooms.studio import Studio
from livetrio.wire.names import check_name

__all__ = ["Close", "RoomEnded", "Rooms", "check_room_name", "open_rooms"]

log = get_logger(__name__)

Close = Callable[[StreamKey], Awaitable[None]]
"""A room has said its last word."""

_MOST_OF_OWNER: Final = 8
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
        studio: Studio | None = None,
        close: Close | None = None,
    ) -> None:
        self._scope = scope
        self._close = close or _keep
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

    def options(
        self, kind: RoomKind, *, seats: int = 0, title: str = "", free: bool | None = None
    ) -> RoomOptions:
        """What a room is to be, within what this node allows.

        Args:
            kind: "video" or "voice".
            seats: 0: as many as such a room has.
            title: for people.
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
        return RoomOptions(kind=kind, seats=seats or most, title=title, free=free)

    async def create(self, key: StreamKey, owner: Caller, options: RoomOptions) -> LiveRoom:
        """A new room; whoever creates it is its owner.

        Raises:
            Refused: BAD_REQUEST, the name; UNAUTHORIZED, FORBIDDEN, not by this caller; CONFLICT,
                there is one; TOO_MANY.
        """
        check_room_name(key.name)
        self._may_create(owner)
        live: LiveRoom = await self._scope.nursery.start(self._live, key, owner, options)
        return live

    def command(self, key: StreamKey, command: Command) -> Sequence[Event]:
        """`Room.apply`, told to all who follow the room.

        Raises:
            Refused: NOT_FOUND, there is no such room; as `Room.apply`.
        """
        live = self.find(key)
        events = live.room.apply(command, trio.current_time())
        live.changed(events)
        return events

    @contextmanager
    def attended(self, key: StreamKey, user: str) -> Iterator[None]:
        """A user is connected with a room while in the block, be it by media or for messages.

        Raises:
            Refused: NOT_FOUND.
        """
        with self.find(key).attended(user):
            yield

    def heard(self, key: StreamKey, seat: int, level: float) -> None:
        """How loud a seat's microphone is right now, dBov (RFC 6464); of no room: ignored."""
        live = self._rooms.get(key)
        if live is not None:
            live.heard(seat, level)

    def battle(self, key: StreamKey, caller: Caller, other: StreamKey, seconds: int) -> None:
        """Ask another room for a PK, or agree to the one it asks for (`Battles.ask`).

        Raises:
            Refused: by `Room.check`, `Battles.ask`.
        """
        room = self._checked(key, caller, Action.BATTLE)
        at_once = Role.ADMIN in room.state.roles_of(caller)
        self.battles.ask(key, other, seconds, trio.current_time(), at_once=at_once)

    def end_battle(self, key: StreamKey, caller: Caller, asker: StreamKey | None = None) -> None:
        """End the room's PK, or its asking for one; an owner who ends a PK has lost it.

        asker: not to agree to the PK that this room asks for.

        Raises:
            Refused: by `Room.check`; CONFLICT, there is none.
        """
        room = self._checked(key, caller, Action.BATTLE)
        now = trio.current_time()
        if asker is not None:
            self.battles.decline(key, asker, now)
        elif Role.OWNER in room.state.roles_of(caller):
            self.battles.stop(key, now, lost=True, reason="given up")
        else:
            self.battles.stop(key, now, lost=False, reason="ended by an operator")

    def seat_key(self, key: StreamKey, caller: Caller) -> tuple[int, str]:
        """The caller's seat, and a stream key for it that holds as long as he has it.

        Raises:
            Refused: by `Room.check`; UNAVAILABLE, this node carries no media.
        """
        seat = self._checked(key, caller, Action.KEY).state.taken_by(caller.user)
        assert seat is not None  # that is who may
        media = self._studio.find(key) if self._studio is not None else None
        if media is None:
            raise Refused(RefusalCode.UNAVAILABLE, "there are no media here")
        return seat.number, media.key_of(seat.number)

    def score(self, key: StreamKey, caller: Caller, points: int, gift: str) -> Battle:
        """Points for this room's side of its PK, once for each `gift` (an idempotency key).

        Raises:
            Refused: by `Room.check`, `Battles.score`.
        """
        self._checked(key, caller, Action.SCORE)
        return self.battles.score(key, points, gift, trio.current_time())

    async def end(self, key: StreamKey, caller: Caller, reason: str = "closed") -> RoomEnded:
        """End a room and its streams; returns when all of it is gone.

        Raises:
            Refused: NOT_FOUND; by `Room.check`.
        """
        live = self.find(key)
        self._checked(key, caller, Action.END)
        media = self._studio.find(key) if self._studio is not None else None
        below = media.below() if media is not None else Below()
        live.changed(live.room.end(reason, trio.current_time(), caller.user))
        # Sessions that receive the room are below it, and in another's nursery.
        ended = await end_scopes({live.scope, *live.scope.children, *below.scopes}, reason)
        return RoomEnded(ended, below)

    def _checked(self, key: StreamKey, caller: Caller, action: Action) -> Room:
        room = self.find(key).room
        room.check(Command(action=action, by=caller))
        return room

    def _may_create(self, owner: Caller) -> None:
        if not owner.user:
            raise Refused(RefusalCode.UNAUTHORIZED, "a token that names a user is needed")
        if self._config.create == "host" and not owner.roles & {"host", "admin"}:
            raise Refused(
                RefusalCode.FORBIDDEN,
                'rooms are created by users whose token has the role "host"',
                hint="rooms.create: anyone lets every user do so",
            )

    def _check_place(self, key: StreamKey, owner: Caller) -> None:
        if key in self._rooms:
            raise Refused(RefusalCode.CONFLICT, f"there is a room {key} already")
        if self._studio is not None:
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
                if self._studio is not None:
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
    studio: Studio | None = None,
    close: Close | None = None,
) -> AsyncIterator[Rooms]:
    """The rooms, with the nursery they live in; leaving the block ends them all, each with a
    word to whoever follows it.

    Args:
        config: how many, and how long they wait.
        publish: tells who follows them.
        studio: carries their media; None: there are none.
        close: ends what `publish` has told, after the last word.
    """
    async with open_scope("rooms", "rooms", aside=True) as scope:
        yield Rooms(scope, config, publish, studio, close)


async def _keep(room: StreamKey) -> None:
    """Who followed it may still read what it said."""


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
