"""Channels: all that there are, made when asked for and freed when nobody needs them."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator

import trio

from livetrio.access.throttle import one_peer
from livetrio.errors import RefusalCode, Refused
from livetrio.im.channel import Channel
from livetrio.im.options import HubLimits, Kind, Namespaces, check_channel
from livetrio.im.words import Sender

__all__ = ["Channels"]

_SWEEP_EVERY = 5.0
_SWEEP_SLICE = 500
"""Channels looked at before others on this loop run."""
_RESERVE = 10
"""One part in ten of the channels is kept for streams and back ends."""


class Channels:
    """By name. A channel lives while it has members, history or a remembered retry; bounded in
    number and in bytes, where those nobody is in go first, the longest untouched of them first."""

    def __init__(self, namespaces: Namespaces, limits: HubLimits) -> None:
        self._namespaces = namespaces
        self._limits = limits
        self._all: dict[str, Channel] = {}
        self._empty: OrderedDict[Channel, None] = OrderedDict()
        self._bytes = 0
        self._makers: dict[str, str] = {}  # by channel: whose share it is of
        self._made: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Channel]:
        return iter(list(self._all.values()))

    @property
    def history_bytes(self) -> int:
        """Data remembered by all of them."""
        return self._bytes

    def find(self, name: str) -> Channel | None:
        """The channel, if there is one."""
        return self._all.get(name)

    def get(self, name: str, maker: Sender | None = None) -> Channel:
        """The channel, made if there is none.

        maker: the member for whom it is made, who has a share only: one address must not use all
            the names that there may be. Streams and back ends have none, and a reserve.

        Raises:
            Refused: BAD_REQUEST, no such name is possible; TOO_MANY, all (or all of the maker's
                share) are in use.
        """
        room = self._all.get(name)
        if room is None:
            room = self._make(check_channel(name), "" if maker is None else _share_of(maker))
        elif not room.members:
            self._empty.move_to_end(room)
        return room

    def left(self, room: Channel) -> None:
        """Somebody has left it."""
        if not room.members and self._all.get(room.name) is room:
            self._empty[room] = None

    def discard(self, name: str) -> bool:
        """Free one that nobody is in or remembers anything of, before a sweep would; False if
        somebody is in there."""
        room = self._all.get(name)
        if room is None or room.members or room.pins or room.delivering:
            return False
        self._free(room)
        return True

    def joined(self, room: Channel) -> None:
        """It has a member now."""
        self._empty.pop(room, None)

    async def sweep(self) -> None:
        """Free what has expired, until cancelled."""
        while True:
            await trio.sleep(_SWEEP_EVERY)
            now = trio.current_time()
            for index, room in enumerate(list(self._empty)):
                if index % _SWEEP_SLICE == _SWEEP_SLICE - 1:
                    await trio.lowlevel.checkpoint()
                if room in self._empty and not room.pins and room.expired(now):
                    self._free(room)

    def _make(self, name: str, maker: str) -> Channel:
        most = self._limits.channels
        if maker:
            if self._made[maker] >= self._limits.channels_per_maker:
                raise Refused(RefusalCode.TOO_MANY, "too many channels of yours on this server")
            most -= most // _RESERVE
        if len(self._all) >= most:
            self._evict()
        options = self._namespaces.of(name)
        room = Channel(name, options, cold=options.kind is Kind.DURABLE)
        self._all[name] = room
        self._empty[room] = None
        if maker:
            self._makers[name] = maker
            self._made[maker] += 1
        return room

    def _evict(self) -> None:
        for room in self._empty:
            if not room.delivering and not room.pins:
                self._free(room)
                return
        raise Refused(RefusalCode.TOO_MANY, "too many channels on this server")

    def _free(self, room: Channel) -> None:
        self.account(room)
        self._bytes -= room.size
        del self._all[room.name]
        del self._empty[room]
        if maker := self._makers.pop(room.name, ""):
            self._made[maker] -= 1
            if not self._made[maker]:
                del self._made[maker]

    def account(self, room: Channel) -> None:
        """It may have grown: forget the history of others, or its own, where that is too much."""
        if not room.grown:
            return
        self._bytes += room.grown
        room.grown = 0
        while self._bytes > self._limits.history_bytes:
            oldest = next((r for r in self._empty if r.size), None) or room
            if not oldest.size:
                return
            oldest.forget()
            self._bytes += oldest.grown
            oldest.grown = 0


def _share_of(maker: Sender) -> str:
    """Who a channel counts for: the user, or of guests the address."""
    return f"user {maker.user}" if maker.user else f"address {one_peer(maker.ip)}"
