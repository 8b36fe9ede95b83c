"""RoomState: all that is known of a room, and the whole of it as JSON for those who come late."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Any, Literal

from livetrio.errors import RefusalCode, Refused
from livetrio.packet import StreamKey
from livetrio.webrtc.rooms.actions import Caller
from livetrio.webrtc.rooms.arrangement import Arrangement
from livetrio.webrtc.rooms.permissions import Role
from livetrio.webrtc.rooms.queue import Applications
from livetrio.webrtc.rooms.seat import Seat, SeatState

__all__ = ["Phase", "RoomKind", "RoomOptions", "RoomState", "RoomTimes"]

RoomKind = Literal["video", "voice"]


class Phase(enum.Enum):
    """Of a room."""

    OPEN = "open"
    WAITING = "waiting"
    """For its owner, who was lost."""
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomTimes:
    """Seconds that a room waits, and how many may wait in it."""

    resume_window: float = 30.0
    """For an owner that was lost; for whoever has a seat and is not there."""
    idle_time: float = 300.0
    """With nobody in it."""
    invite_timeout: float = 30.0
    """For the answer to an invitation, or to be asked for a PK."""
    applications: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomOptions:
    """What a room is created as."""

    kind: RoomKind
    seats: int
    title: str = ""
    free: bool = False
    """May everybody take an empty seat? Else seats are applied for."""


class RoomState:
    """Plain data with a few questions; only `Room` and its handlers change it."""

    __slots__ = (
        "absent", "applications", "arrangement", "asks", "epoch", "free", "idle_at", "key", "kind",
        "life", "managers", "managers_version", "now", "owner", "owner_name", "phase", "pk",
        "pk_version", "present", "reason", "seats", "slots", "times", "title", "until", "version",
    )  # fmt: skip

    def __init__(
        self,
        key: StreamKey,
        owner: Caller,
        options: RoomOptions,
        times: RoomTimes,
        epoch: float = 0.0,
        life: str = "",
    ) -> None:
        """
        Args:
            epoch: Unix time, seconds, at which the room's clock was zero.
            life: tells this room from others that had its name, or will.
        """
        self.key = key
        self.life = life
        self.kind = options.kind
        self.title = options.title
        self.free = options.free
        self.owner = owner.user
        self.owner_name = owner.name
        self.times = times
        self.epoch = epoch
        self.now = 0.0
        """The time of what happens at this moment."""
        self.phase = Phase.OPEN
        self.reason = ""
        """Why it ended."""
        self.until = math.inf
        """WAITING: when the room ends."""
        self.version = 0
        self.seats = {number: Seat(number) for number in range(1, options.seats + 1)}
        self.arrangement = Arrangement()
        """Of the composed picture, in a video room."""
        # One more than seats: a PK's guest.
        slots: list[int | None] = [None] * (options.seats + 1)
        self.slots = {"video": slots, "audio": slots} if options.kind == "video" else {}
        """Which seat each slot of a video room shows; those of a voice room change too often to
        be numbered."""
        self.managers: dict[str, None] = {}
        self.managers_version = 0
        self.applications = Applications(times.applications)
        self.pk: dict[str, Any] | None = None
        """What is told of a PK; `battles` knows the rest."""
        self.pk_version = 0
        """When one was asked for, began or ended last, or another room asked; not: scores."""
        self.asks: dict[str, dict[str, Any]] = {}
        """Rooms that ask for a PK, by their names."""
        self.present: set[str] = set()
        """Users that are connected. Not told: a room may have thousands."""
        self.absent: dict[str, float] = {}
        """Applicants that were lost, and when they lose their place; the earliest first."""
        self.idle_at = math.inf

    def unix(self, moment: float) -> int:
        """A time of the room's clock as Unix time in milliseconds."""
        return round((self.epoch + moment) * 1000)

    def seat(self, number: int) -> Seat:
        """The seat with this number.

        Raises:
            Refused: NOT_FOUND.
        """
        seat = self.seats.get(number)
        if seat is None:
            raise Refused(RefusalCode.NOT_FOUND, f"there is no seat {number}")
        return seat

    def seat_of(self, user: str) -> Seat | None:
        """The one that this user sits on, or that is reserved for him."""
        if not user:
            return None
        return next((seat for seat in self.seats.values() if seat.user == user), None)

    def taken_by(self, user: str) -> Seat | None:
        """The one that this user sits on."""
        seat = self.seat_of(user)
        return seat if seat is not None and seat.state is SeatState.TAKEN else None

    def taken_seat(self, number: int, user: str) -> Seat:
        """The seat with this number (0: this user's own), if somebody sits on it.

        Raises:
            Refused: NOT_FOUND, CONFLICT.
        """
        seat = self.seat(number) if number else self.taken_by(user)
        if seat is None or seat.state is not SeatState.TAKEN:
            where = f"on seat {number}" if number else "there"
            raise Refused(RefusalCode.CONFLICT, f"nobody sits {where}")
        return seat

    def empty_seat(self) -> Seat:
        """The first one that is.

        Raises:
            Refused: CONFLICT.
        """
        for seat in self.seats.values():
            if seat.state is SeatState.EMPTY:
                return seat
        raise Refused(RefusalCode.CONFLICT, "there is no empty seat")

    def roles(self, user: str) -> frozenset[Role]:
        """What a user is in this room, whatever his token says."""
        roles = {Role.SEATED if self.taken_by(user) is not None else Role.AUDIENCE}
        if user and user == self.owner:
            roles.add(Role.OWNER)
        if user in self.managers:
            roles.add(Role.MANAGER)
        return frozenset(roles)

    def roles_of(self, caller: Caller) -> frozenset[Role]:
        """The same with those of his token."""
        roles = self.roles(caller.user)
        if "admin" in caller.roles:
            roles |= {Role.ADMIN}
        if "moderator" in caller.roles:
            roles |= {Role.MANAGER}
        return roles

    def view(self) -> dict[str, Any]:
        """All of it, as JSON: what events lead to."""
        words: dict[str, Any] = {
            "app": self.key.app,
            "name": self.key.name,
            "life": self.life,
            "kind": self.kind,
            "title": self.title,
            "owner": {"user": self.owner, "name": self.owner_name},
            "free": self.free,
            "phase": self.phase.value,
            "version": self.version,
        }
        if self.phase is Phase.ENDED:
            return words | {"reason": self.reason}
        if self.until < math.inf:
            words["until"] = self.unix(self.until)
        if self.pk is not None:
            words["pk"] = self.pk
        if self.kind == "video":
            words |= {"layout": self.arrangement.view(), "slots": self.slots}
        return words | {
            "managers": dict.fromkeys(self.managers, True),
            "seats": {str(n): seat.view(self.unix) for n, seat in self.seats.items()},
            "applications": self.applications.view(),
            "asks": dict(self.asks),
        }
