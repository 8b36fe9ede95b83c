"""Room: commands and time in, numbered events out; no I/O, no clock, no task.

`now` is any clock's seconds, as long as it is the same one always. Every change is one event, and
the events since the first lead to the state (`RoomState.view`) exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from livetrio.errors import RefusalCode, Refused
from livetrio.packet import StreamKey
from livetrio.webrtc.rooms import arranging, moderating, sitting
from livetrio.webrtc.rooms.actions import Action, Caller, Command
from livetrio.webrtc.rooms.events import Change, Event, difference
from livetrio.webrtc.rooms.pace import Pace
from livetrio.webrtc.rooms.permissions import Role, check
from livetrio.webrtc.rooms.replay import Answered
from livetrio.webrtc.rooms.seat import SeatState
from livetrio.webrtc.rooms.state import Phase, RoomOptions, RoomState, RoomTimes

__all__ = ["Room"]

Handler = Callable[[RoomState, Command], Change | None]

_HANDLERS: Final[Mapping[Action, Handler]] = {
    Action.APPLY: sitting.apply,
    Action.WITHDRAW: sitting.withdraw,
    Action.ADMIT: sitting.admit,
    Action.REJECT: sitting.reject,
    Action.INVITE: sitting.invite,
    Action.REVOKE: sitting.revoke,
    Action.ACCEPT: sitting.accept,
    Action.DECLINE: sitting.decline,
    Action.TAKE: sitting.take,
    Action.LEAVE: sitting.leave,
    Action.MOVE: sitting.move,
    Action.KICK: moderating.kick,
    Action.LOCK: moderating.lock,
    Action.UNLOCK: moderating.unlock,
    Action.MUTE: moderating.mute,
    Action.UNMUTE: moderating.unmute,
    Action.RAISE: moderating.raise_hand,
    Action.LOWER: moderating.lower,
    Action.ARRANGE: arranging.arrange,
    Action.GAIN: arranging.set_gain,
    Action.APPOINT: moderating.appoint,
    Action.DISMISS: moderating.dismiss,
}
"""Of all actions but those that more than this room is needed for: PKs, SCORE, KEY, END."""
_ON_A_SEAT: Final = frozenset(
    {Action.LEAVE, Action.MOVE, Action.KICK, Action.MUTE, Action.UNMUTE, Action.RAISE, Action.LOWER}
)
"""These concern whoever sits on the seat named."""
_ON_A_USER: Final = frozenset(
    {Action.ADMIT, Action.REJECT, Action.INVITE, Action.REVOKE, Action.APPOINT, Action.DISMISS}
)
_ON_THE_ROOM: Final = frozenset(
    {
        Action.LOCK, Action.UNLOCK, Action.ARRANGE, Action.GAIN, Action.BATTLE,
        Action.END_BATTLE, Action.SCORE, Action.END,
    }
)  # fmt: skip
"""These are about nobody. A gain is of what the audience hears, so a manager sets the owner's."""
_OF_A_PK: Final = frozenset({Action.BATTLE, Action.END_BATTLE})
_PASSING: Final = frozenset({"pk.scored", "pk.changed"})
"""Events of a PK after which it is the same one still."""


class Room:
    """One room's life. The owner has seat 1 from the beginning."""

    def __init__(
        self,
        key: StreamKey,
        owner: Caller,
        options: RoomOptions,
        times: RoomTimes,
        now: float,
        *,
        epoch: float = 0.0,
        life: str = "",
        pace: Pace | None = None,
    ) -> None:
        """
        Args:
            epoch: Unix time, seconds, at which the clock of `now` was zero.
            life: tells this room from others that had its name, or will.
        """
        self.state = state = RoomState(key, owner, options, times, epoch, life)
        self._answered = Answered()
        self._pace = pace or Pace()
        seat = state.seats[1]
        seat.take(owner.user, owner.name, camera=options.kind == "video")
        # Nobody has come yet, the owner neither: his seat and the room wait for an idle time.
        seat.until = state.idle_at = now + times.idle_time
        state.version = seat.version = 1
        opened = Event("room.opened", key, life, 1, state.unix(now), state.view())
        self.opened: Sequence[Event] = (opened,)
        """The first event."""

    @property
    def ended(self) -> bool:
        """Is it over?"""
        return self.state.phase is Phase.ENDED

    @property
    def deadline(self) -> float:
        """When `tick` has something to do."""
        state = self.state
        if self.ended:
            return math.inf
        absent = next(iter(state.absent.values()), math.inf)
        seats = (seat.until for seat in state.seats.values())
        return min(state.idle_at, state.until, absent, *seats)

    def check(self, command: Command) -> None:
        """Whether its sender may; for the actions that `apply` does not know, too.

        Raises:
            Refused: GONE, the room has ended; FORBIDDEN; UNAUTHORIZED; NOT_FOUND, the seat.
        """
        if self.ended:
            raise Refused(RefusalCode.GONE, "the room has ended")
        if not command.by.user:
            raise Refused(RefusalCode.UNAUTHORIZED, "a token that names a user is needed")
        state, action = self.state, command.action
        user = self._concerned(command)
        own = bool(user) and user == command.by.user
        rank = max(state.roles(user)) if user else Role.AUDIENCE
        check(action, state.roles_of(command.by), own=own, free=state.free, rank=rank)

    def apply(self, command: Command, now: float) -> Sequence[Event]:
        """Do what a command says.

        Returns:
            The one event, or none if all was so already. A repeated command (`Command.key`) is
            answered with the event of the first time: one whose version is known is no news.

        Raises:
            Refused: GONE, the room has ended; TOO_MANY, commands or applications; UNAUTHORIZED,
                FORBIDDEN, NOT_FOUND; CONFLICT, the state is not one in which this can be done,
                or not the one that the sender had seen.
        """
        return self.once(command, now, lambda: self._change(command, now))

    def once(
        self, command: Command, now: float, do: Callable[[], Sequence[Event]]
    ) -> Sequence[Event]:
        """Do what a command says as `apply` does, where more than this room is needed for it.

        do: what it does, once all is checked: the events of this room; may raise Refused.
        """
        if self.ended:
            raise Refused(RefusalCode.GONE, "the room has ended")
        self._pace.spend(command.by.user, now)
        known = self._answered.find(command, now)
        if known is not None:
            return known
        try:
            self.check(command)
            self._check_version(command)
            self.state.now = now
            events = do()
        except Refused as refused:
            if refused.code is not RefusalCode.TOO_MANY:  # later is what that one asks for
                self._answered.keep(command, (), refused, now)
            raise
        self._used(now)
        self._answered.keep(command, events, None, now)
        return events

    def _change(self, command: Command, now: float) -> Sequence[Event]:
        handler = _HANDLERS.get(command.action)
        if handler is None:
            raise Refused(RefusalCode.BAD_REQUEST, f"{command.action.value} is no such command")
        change = handler(self.state, command)
        return self._commit(change, now, command.by.user) if change is not None else ()

    def arrive(self, user: str, now: float) -> Sequence[Event]:
        """A user is connected, with whatever; told once, until `lose`."""
        state = self.state
        if self.ended:
            return ()
        state.present.add(user)
        state.absent.pop(user, None)
        state.idle_at = math.inf
        change = Change("seat.present", about={"user": user})
        seat = state.taken_by(user)
        if seat is not None and not seat.present:
            seat.present, seat.until = True, math.inf
            change.seats.append(seat.number)
        if user == state.owner and state.phase is Phase.WAITING:
            state.phase, state.until = Phase.OPEN, math.inf
            change.type = "room.resumed"
            change.patch = {"phase": state.phase.value, "until": None}
        return self._commit(change, now) if change.seats or change.patch else ()

    def lose(self, user: str, now: float) -> Sequence[Event]:
        """Nothing of a user is connected any more, be it by his wish or not."""
        state = self.state
        if self.ended or user not in state.present:
            return ()
        state.present.discard(user)
        self._used(now)
        until = now + state.times.resume_window
        if state.applications.get(user) is not None:
            state.absent[user] = until
        change = Change("seat.absent", about={"user": user})
        seat = state.taken_by(user)
        if seat is not None:
            seat.present, seat.until = False, until
            change.seats.append(seat.number)
        if user == state.owner:
            state.phase, state.until = Phase.WAITING, until
            change.type = "room.waiting"
            change.patch = {"phase": state.phase.value, "until": state.unix(until)}
        return self._commit(change, now) if change.seats or change.patch else ()

    def tick(self, now: float) -> Sequence[Event]:
        """What is due: nobody came, nobody answered, nobody returned."""
        state = self.state
        if self.ended or now < self.deadline:
            return ()
        if now >= state.until:
            return self.end("the owner did not return", now)
        if now >= state.idle_at:
            return self.end("idle", now)
        events: list[Event] = []
        for seat in state.seats.values():
            if now >= seat.until:
                invited = seat.state is SeatState.RESERVED
                about = {"seat": seat.number, "user": seat.user, "reason": "timeout"}
                seat.clear()
                kind = "seat.released" if invited else "seat.left"
                events += self._commit(Change(kind, [seat.number], about=about), now)
        for user, until in list(state.absent.items()):
            if now < until:
                break
            del state.absent[user]
            state.applications.remove(user)
            about = {"user": user, "reason": "timeout"}
            change = Change("application.withdrawn", applicants=[user], about=about)
            events += self._commit(change, now)
        return events

    def end(self, reason: str, now: float, by: str = "") -> Sequence[Event]:
        """It is over: no seat, no application, no manager is left."""
        state = self.state
        if self.ended:
            return ()
        before = state.view()
        state.phase, state.reason = Phase.ENDED, reason
        state.until = state.idle_at = math.inf
        state.pk = None
        state.asks.clear()
        state.managers.clear()
        state.applications.clear()
        state.absent.clear()
        for seat in state.seats.values():
            seat.clear()
        patch = difference(before, state.view())
        return self._commit(Change("room.ended", patch=patch, about={"reason": reason}), now, by)

    def show_pk(
        self, pk: dict[str, Any] | None, kind: str, now: float, about: Mapping[str, Any]
    ) -> Sequence[Event]:
        """What is told of a PK has changed; None: there is none."""
        old, self.state.pk = self.state.pk, pk
        if pk is None:
            patch: dict[str, Any] = {"pk": None}
        else:
            patch = {"pk": difference(old or {}, pk)}
        if kind not in _PASSING:
            self.state.pk_version = self.state.version + 1
        return self._commit(Change(kind, patch=patch, about=dict(about)), now)

    def show_ask(
        self, other: str, ask: dict[str, Any] | None, kind: str, now: float, reason: str = ""
    ) -> Sequence[Event]:
        """Another room asks for a PK; None: no longer."""
        asks = self.state.asks
        if ask is None:
            if asks.pop(other, None) is None:
                return ()
        else:
            asks[other] = ask
        self.state.pk_version = self.state.version + 1
        about = {"with": other, **({"reason": reason} if reason else {})}
        return self._commit(Change(kind, patch={"asks": {other: ask}}, about=about), now)

    def show_slots(self, slots: Mapping[str, list[int | None]], now: float) -> Sequence[Event]:
        """The slots of a video room show other seats."""
        if self.ended or slots == self.state.slots:
            return ()
        self.state.slots = dict(slots)
        return self._commit(Change("room.slots", patch={"slots": dict(slots)}), now)

    def _concerned(self, command: Command) -> str:
        """Whom it is about: "" is nobody, or the room."""
        if command.action in _ON_A_USER:
            if not command.user:
                raise Refused(RefusalCode.BAD_REQUEST, "no user is named")
            return command.user
        if command.action in _ON_A_SEAT:
            if not command.seat:
                return command.by.user
            user = self.state.seat(command.seat).user
            if command.user and command.user != user:
                raise Refused(
                    RefusalCode.CONFLICT, f"seat {command.seat} is somebody else's by now"
                )
            return user
        return "" if command.action in _ON_THE_ROOM else command.by.user

    def _check_version(self, command: Command) -> None:
        """Has the sender seen what he is changing? Only that counts, not the whole room: in a
        busy one every command would be out of date."""
        if command.version is None:
            return
        state = self.state
        user = self._concerned(command)
        seats = {state.seats.get(command.seat), state.seats.get(command.to), state.seat_of(user)}
        newest = max((seat.version for seat in seats if seat is not None), default=0)
        application = state.applications.get(user)
        if application is not None:
            newest = max(newest, application.version)
        if command.action in {Action.APPOINT, Action.DISMISS}:
            newest = max(newest, state.managers_version)
        if command.action in _OF_A_PK:
            newest = max(newest, state.pk_version)
        if not newest <= command.version <= state.version:
            raise Refused(RefusalCode.CONFLICT, "this has changed since the version named")

    def _used(self, now: float) -> None:
        """Something happened: a room in which nobody is ends an idle time from now."""
        state = self.state
        state.idle_at = math.inf if state.present else now + state.times.idle_time

    def _commit(self, change: Change, now: float, by: str = "") -> Sequence[Event]:
        """Number a change that has been made."""
        state = self.state
        state.version += 1
        patch = {"version": state.version, **change.patch}
        if change.seats:
            seats = [state.seats[number] for number in change.seats]
            for seat in seats:
                seat.version = state.version
            patch["seats"] = {str(seat.number): seat.patch(state.unix) for seat in seats}
        if change.applicants:
            waiting = {user: state.applications.get(user) for user in change.applicants}
            for application in waiting.values():
                if application is not None:
                    application.version = state.version
            patch["applications"] = {
                user: _patch(application) for user, application in waiting.items()
            }
        about = {"by": by, **change.about} if by else change.about
        time = state.unix(now)
        return (Event(change.type, state.key, state.life, state.version, time, patch, about),)


def _patch(application: Any) -> dict[str, Any] | None:
    """A merge patch over whatever was known of it."""
    return None if application is None else {"seat": None, **application.view()}
