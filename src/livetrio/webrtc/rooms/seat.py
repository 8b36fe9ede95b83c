"""Seat: one place in a room, what state it is in, and how that is told to others."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

__all__ = ["Medium", "Seat", "SeatState", "Switch", "Unix"]

Medium = Literal["microphone", "camera"]
Unix = Callable[[float], int]
"""From the room's clock (seconds) to Unix time in milliseconds, which pages understand."""

_FIELDS: Final = (
    "state", "version", "user", "name", "microphone", "camera", "gain", "hand", "present", "until",
)  # fmt: skip


class SeatState(enum.Enum):
    """Of a seat."""

    EMPTY = "empty"
    RESERVED = "reserved"
    """For somebody who was invited and has not answered."""
    TAKEN = "taken"
    LOCKED = "locked"


class Switch(enum.Enum):
    """Of a microphone or a camera."""

    ON = "on"
    OFF = "off"
    OFF_BY_MANAGER = "off-by-manager"
    """Its owner cannot switch it on; a manager can allow it again, which makes it OFF."""


@dataclass(slots=True, eq=False)
class Seat:
    """One seat. Whatever is set while it is EMPTY or LOCKED is what `clear` left."""

    number: int
    """From 1 on; also the last part of the name of the stream that is published from it."""
    state: SeatState = SeatState.EMPTY
    user: str = ""
    name: str = ""
    microphone: Switch = Switch.ON
    camera: Switch = Switch.ON
    gain: float = 1.0
    """Of the microphone in the composed sound, a factor."""
    hand: bool = False
    """Does he who sits here ask to speak?"""
    present: bool = False
    """Is he connected at this moment?"""
    until: float = math.inf
    """RESERVED: when the invitation lapses. TAKEN: when a user who is not there loses it."""
    version: int = 0
    """Of the room's event that changed it last."""

    def reserve(self, user: str, until: float) -> None:
        """For somebody who has been invited."""
        self.clear()
        self.state, self.user, self.until = SeatState.RESERVED, user, until

    def take(self, user: str, name: str, *, camera: bool) -> None:
        """Somebody sits down. Whoever calls it says whether he is present."""
        self.clear()
        self.state, self.user, self.name = SeatState.TAKEN, user, name
        self.camera = Switch.ON if camera else Switch.OFF

    def clear(self, state: SeatState = SeatState.EMPTY) -> None:
        """Nobody sits here, and nothing of whoever did is left."""
        self.state, self.user, self.name = state, "", ""
        self.microphone = self.camera = Switch.ON
        self.hand = self.present = False
        self.gain = 1.0
        self.until = math.inf

    def move_to(self, other: Seat) -> None:
        """Whoever sits here sits there, with all his switches."""
        other.state, other.user, other.name = self.state, self.user, self.name
        other.microphone, other.camera = self.microphone, self.camera
        other.gain = self.gain
        other.hand, other.present, other.until = self.hand, self.present, self.until
        self.clear()

    def switch(self, medium: Medium) -> Switch:
        """Of this medium."""
        return self.microphone if medium == "microphone" else self.camera

    def set_switch(self, medium: Medium, value: Switch) -> None:
        """Of this medium."""
        if medium == "microphone":
            self.microphone = value
        else:
            self.camera = value

    def view(self, unix: Unix) -> dict[str, Any]:
        """JSON; what does not apply is left out."""
        words: dict[str, Any] = {"state": self.state.value, "version": self.version}
        if self.user:
            words["user"] = self.user
        if self.state is SeatState.TAKEN:
            words |= {
                "name": self.name,
                "microphone": self.microphone.value,
                "camera": self.camera.value,
                "hand": self.hand,
                "present": self.present,
            }
            if self.gain != 1.0:
                words["gain"] = self.gain
        if self.until < math.inf:
            words["until"] = unix(self.until)
        return words

    def patch(self, unix: Unix) -> dict[str, Any]:
        """The same as a merge patch over whatever it was: null is "no longer"."""
        view = self.view(unix)
        return {field: view.get(field) for field in _FIELDS}
