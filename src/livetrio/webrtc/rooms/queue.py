"""Applications: who asks for a seat, first come first, within a bound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from livetrio.errors import RefusalCode, Refused

__all__ = ["Application", "Applications"]


@dataclass(slots=True, eq=False)
class Application:
    """One of them."""

    name: str
    ticket: int
    """Grows by one: pages sort by it."""
    seat: int = 0
    """The one wished for; 0: any."""
    version: int = 0

    def view(self) -> dict[str, Any]:
        """JSON."""
        wish = {"seat": self.seat} if self.seat else {}
        return {"name": self.name, "ticket": self.ticket, "version": self.version, **wish}


class Applications:
    """By user, in the order in which they came."""

    __slots__ = ("_by_user", "_most", "_ticket")

    def __init__(self, most: int) -> None:
        self._by_user: dict[str, Application] = {}
        self._most = most
        self._ticket = 0

    def __len__(self) -> int:
        return len(self._by_user)

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_user)

    def get(self, user: str) -> Application | None:
        """That of a user."""
        return self._by_user.get(user)

    def add(self, user: str, name: str, seat: int) -> Application:
        """A new one, or another wish of one who waits already: he keeps his place.

        Raises:
            Refused: TOO_MANY wait.
        """
        known = self._by_user.get(user)
        if known is not None:
            known.seat = seat
            return known
        if len(self._by_user) >= self._most:
            raise Refused(RefusalCode.TOO_MANY, "too many are waiting for a seat")
        self._ticket += 1
        made = self._by_user[user] = Application(name, self._ticket, seat)
        return made

    def remove(self, user: str) -> bool:
        """True if there was one."""
        return self._by_user.pop(user, None) is not None

    def clear(self) -> None:
        """Nobody waits any more."""
        self._by_user.clear()

    def view(self) -> dict[str, Any]:
        """JSON."""
        return {user: application.view() for user, application in self._by_user.items()}
