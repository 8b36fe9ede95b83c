"""Members: who is connected, by connection and by user, and who has to make room for whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from livetrio.errors import RefusalCode, Refused
from livetrio.im.member import Member

__all__ = ["Kick", "Members"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kick:
    """What a user's new connection does to his older ones."""

    older: Literal["keep", "same-device", "all"] = "keep"
    """Which are told goodbye: none, those of the same device, every one."""
    connections: int = 64
    """At most so many per user."""
    beyond: Literal["refuse", "oldest"] = "oldest"
    """One more than that: is it refused, or does the oldest go?"""


class Members:
    """Everybody connected. Anonymous members have no user to be found by."""

    def __init__(self, kick: Kick, most: int) -> None:
        self._kick = kick
        self._most = most
        self._by_id: dict[str, Member] = {}
        self._by_user: dict[str, tuple[Member, ...]] = {}  # most have one: 48 bytes, a set 216

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def users(self) -> int:
        """How many different users are connected."""
        return len(self._by_user)

    def all(self) -> Sequence[Member]:
        """A copy: safe to walk while they come and go."""
        return list(self._by_id.values())

    def get(self, client: str) -> Member | None:
        """The connection of this id."""
        return self._by_id.get(client)

    def of_user(self, user: str) -> Sequence[Member]:
        """A user's connections, oldest first."""
        return self._by_user.get(user, ()) if user else ()

    def find(self, user: str, client: str = "") -> Sequence[Member]:
        """A user's connections; with a client id only that one (of anybody, if user is "")."""
        if not client:
            return self.of_user(user)
        member = self._by_id.get(client)
        if member is None or (user and member.sender.user != user):
            return ()
        return (member,)

    def add(self, member: Member) -> Sequence[Member]:
        """Somebody is connected; returns those that have to go for it (already taken out).

        Raises:
            Refused: TOO_MANY.
        """
        if len(self._by_id) >= self._most:
            raise Refused(RefusalCode.TOO_MANY, "too many connections on this server")
        going = self._going(member)
        if (same := self._by_id.get(member.id)) is not None and same not in going:
            going.append(same)
        for other in going:
            self.discard(other)
        self._by_id[member.id] = member
        if user := member.sender.user:
            self._by_user[user] = (*self._by_user.get(user, ()), member)
        return going

    def discard(self, member: Member) -> None:
        """It is gone, or has been told to go."""
        if self._by_id.get(member.id) is member:
            del self._by_id[member.id]
        user = member.sender.user
        left = tuple(other for other in self._by_user.get(user, ()) if other is not member)
        if left:
            self._by_user[user] = left
        else:
            self._by_user.pop(user, None)

    def _going(self, member: Member) -> list[Member]:
        kick = self._kick
        others = list(self.of_user(member.sender.user))
        match kick.older:
            case "all":
                return others
            case "same-device":
                going = [m for m in others if m.sender.device == member.sender.device]
            case _:
                going = []
        staying = [m for m in others if m not in going and m.id != member.id]
        excess = len(staying) + 1 - kick.connections
        if excess > 0:
            if kick.beyond == "refuse":
                raise Refused(RefusalCode.TOO_MANY, "too many connections of this user")
            going += staying[:excess]
        return going
