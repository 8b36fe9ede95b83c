"""May this peer publish, may it play, and as which stream? Asked before any success is told.

livego's mapping from keys to rooms happens here and nowhere else: what comes out is the name that
everything below the gate knows the stream by.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Protocol, TypeVar

import trio

from livetrio.access.seats import Place, SeatBook
from livetrio.access.throttle import FAILURES, FailureLimit
from livetrio.config import AccessConfig, AppConfig
from livetrio.errors import RefusalCode, Refused, StoreError
from livetrio.packet import StreamKey
from livetrio.wire.names import check_name

__all__ = ["FlvGate", "Gate", "HlsGate", "KeyBook", "PublishGrant"]

T = TypeVar("T")

_GUESSED: Final = frozenset({RefusalCode.FORBIDDEN, RefusalCode.UNAUTHORIZED})
"""Answers to what may have been a guess."""


class KeyBook(Protocol):
    """What the gate asks the store of room keys; either answer may be StoreError."""

    async def key_of(self, room: str) -> str | None: ...

    async def room_of(self, key: str) -> str | None: ...


@dataclass(frozen=True, slots=True)
class PublishGrant:
    """Yes: publish as this stream."""

    key: StreamKey
    takeover: bool
    """Whether a publisher that is there already has to go; otherwise the newcomer is refused."""
    proven: bool = False
    """Was a room's key shown? Else a name was enough, and who came is anybody."""
    user: str = ""
    """Who proved to sit on this seat of a co-host room; "": it is none."""
    holds: Callable[[], bool] = field(default=lambda: True, compare=False, repr=False)
    """Would the co-host room of this name, if there is one, still say yes?"""

    def confirm(self) -> None:
        """To be called by whoever has waited since, just before it is used: who may publish can
        change, and one who may no more must not take the stream over from one who may.

        Raises:
            Refused: FORBIDDEN.
        """
        if not self.holds():
            raise Refused(RefusalCode.FORBIDDEN, "the seat or its room is somebody else's by now")


class Gate:
    """The answers, out of configuration and room keys.

    Args:
        apps: the configured applications by name.
        access: the rules that hold for all of them.
        keys: the store of room keys.
        seats: the names that co-host rooms have taken; other rules hold for them.
        clock: seconds, for the limit on wrong keys.
    """

    def __init__(
        self,
        apps: Mapping[str, AppConfig],
        access: AccessConfig,
        keys: KeyBook,
        *,
        seats: SeatBook | None = None,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self._apps = apps
        self._access = access
        self._keys = keys
        self._seats = seats
        self._failures = FailureLimit(clock)

    async def may_publish(
        self,
        app: str,
        name: str,
        query: Mapping[str, str],
        peer: str,
    ) -> PublishGrant:
        """Decide on `app/name?query` from the address `peer`.

        A room's key gives the room. Under `auth: key` a known room's name gives, as in livego, the
        stream named by its key (never the room's own), unless strict_keys; other names are
        refused. Under `auth: none` or rtmp_noauth a name is a name. The seats of a co-host room
        are for those who sit there, whatever `auth` says (`SeatBook.holder`, by the query).

        Raises:
            Refused: BAD_REQUEST, FORBIDDEN (no such app, not live, unknown key, somebody else's
                seat), UNAUTHORIZED (a seat's token), TOO_MANY (wrong keys from that address),
                UNAVAILABLE (the store does not answer).
        """
        self._app(app, name)
        if (place := self.place(app, name)) is not None:
            if place.minus:
                raise Refused(RefusalCode.FORBIDDEN, "that is the composed stream of a room")
            user = await self._by_seat(place, query, peer)
            holds = partial(self._sits, place, user)
            return PublishGrant(StreamKey(app, name), True, True, user, holds)
        if self.takes_any_name(app):
            # Nothing to guess here, hence no limit; but a known key still leads to its room.
            room = await self._ask(self._keys.room_of(name))
            proven = room is not None
            grant = PublishGrant(StreamKey(app, room or name), self._takeover(proven), proven)
            return self._unless_of_a_room(grant)
        with self._limited(peer):
            return self._unless_of_a_room(await self._by_key(app, name))

    def place(self, app: str, name: str) -> Place | None:
        """What this name means in a co-host room that lives; None: in none."""
        return self._seats.find(app, name) if self._seats is not None else None

    def takes_any_name(self, app: str) -> bool:
        """Is publishing to this application (a configured one) a matter of its name alone?"""
        config = self._apps.get(app)
        return self._access.rtmp_noauth or (config is not None and config.auth == "none")

    @contextmanager
    def _limited(self, peer: str) -> Iterator[None]:
        """The block answers something that can be guessed; a peer may be wrong only so often."""
        if not self._failures.take(peer):
            raise Refused(
                RefusalCode.TOO_MANY,
                "too many wrong stream keys from this address",
                hint=f"after {FAILURES} in a minute, one more try every few seconds",
            )
        try:
            yield
        except Refused as refusal:
            if refusal.code not in _GUESSED:
                self._failures.give_back(peer)  # the store's failure, not the peer's
            raise
        self._failures.give_back(peer)

    async def _by_seat(
        self, place: Place, query: Mapping[str, str], peer: str, *, overseen: bool = False
    ) -> str:
        """The user who sits there (or keeps order), and asks."""
        assert self._seats is not None  # that is where the place comes from
        guessing = partial(self._limited, peer)
        return await self._seats.holder(place, query, overseen=overseen, guessing=guessing)

    def _sits(self, place: Place, user: str) -> bool:
        return self._seats is not None and self._seats.sits(place, user)

    def _is_closed(self, place: Place) -> bool:
        """Is this what only some may hear?"""
        opened = self._seats is not None and self._seats.open_seats
        return place.minus or (bool(place.seat) and not opened)

    def _unless_of_a_room(self, grant: PublishGrant) -> PublishGrant:
        """A key may lead to a name that a co-host room has taken meanwhile."""
        if self.place(*grant.key) is not None:
            raise Refused(RefusalCode.FORBIDDEN, "a co-host room has this name")
        return replace(grant, holds=lambda: self.place(*grant.key) is None)

    async def _by_key(self, app: str, name: str) -> PublishGrant:
        room = await self._ask(self._keys.room_of(name))
        if room is not None:
            return PublishGrant(StreamKey(app, room), self._takeover(True), True)
        key = await self._ask(self._keys.key_of(name))
        if key is None:
            raise Refused(
                RefusalCode.FORBIDDEN,
                "unknown stream key",
                hint="GET /control/get?room=... on api_addr gives a room's key; set rtmp_noauth: "
                f"true or auth: none for app {app!r} to allow plain names",
            )
        if self._access.strict_keys:
            raise Refused(
                RefusalCode.FORBIDDEN,
                "unknown stream key",
                hint="that is a room's name, and strict_keys: true asks for its key",
            )
        return PublishGrant(StreamKey(app, key), self._takeover(False))

    async def may_play(
        self,
        app: str,
        name: str,
        query: Mapping[str, str],
        peer: str,
    ) -> StreamKey:
        """Decide on playing `app/name?query`, a stream or a stored file; everybody may, in an
        app that is live or has files, but for what a seat of a co-host room hears: that is for
        whoever sits there. What it sends is for him, and for whoever keeps order in the room,
        unless `open_seats`.

        Raises:
            Refused: BAD_REQUEST, FORBIDDEN (no such app, or neither; somebody else's seat),
                UNAUTHORIZED (a seat's token), TOO_MANY (wrong ones).
        """
        config = self._apps.get(app)
        self._app(app, name, live=config is None or config.play is None)
        if (place := self.place(app, name)) is not None and self._is_closed(place):
            await self._by_seat(place, query, peer, overseen=not place.minus)
        return StreamKey(app, name)

    def is_live(self, app: str) -> bool:
        """May there be live streams in this application?"""
        return app in self._apps and self._apps[app].live

    def _app(self, app: str, name: str, *, live: bool = True) -> AppConfig:
        check_name(app)
        check_name(name)
        config = self._apps.get(app)
        if config is None:
            raise Refused(
                RefusalCode.FORBIDDEN,
                "application is not configured",
                hint=f"add to server: in the configuration file: - appname: {app}",
            )
        if live and not config.live:
            raise Refused(
                RefusalCode.FORBIDDEN,
                "application is not live",
                hint=f"set live: true for app {app!r} under server:",
            )
        return config

    def _takeover(self, by_key: bool) -> bool:
        """Who knows the secret is the same person, back from a lost connection."""
        if self._access.override_publisher == "auto":
            return by_key
        return self._access.override_publisher == "always"

    async def _ask(self, question: Awaitable[T]) -> T:
        try:
            return await question
        except StoreError as error:
            raise Refused(
                RefusalCode.UNAVAILABLE, "stream keys cannot be checked now", hint=str(error)
            ) from error


class HlsGate:
    """The gate as HLS asks it: closed for applications with `hls: false`."""

    def __init__(self, gate: Gate, apps: Mapping[str, AppConfig]) -> None:
        self._gate = gate
        self._apps = apps

    async def may_play(self, app: str, name: str, query: Mapping[str, str], peer: str) -> StreamKey:
        """As `Gate.may_play`; also Refused FORBIDDEN where HLS is off."""
        config = self._apps.get(app)
        if config is not None and not config.hls:
            raise Refused(
                RefusalCode.FORBIDDEN,
                "HLS is off for this application",
                hint=f"set hls: true for app {app!r} under server:",
            )
        return await self._gate.may_play(app, name, query, peer)


class FlvGate:
    """The gate as HTTP-FLV and WS-FLV ask it: closed for applications with `flv: false`.

    A view of the one Gate, so that wrong keys are counted together, whatever way they came.
    """

    def __init__(self, gate: Gate, apps: Mapping[str, AppConfig]) -> None:
        self._gate = gate
        self._apps = apps

    async def may_publish(
        self, app: str, name: str, query: Mapping[str, str], peer: str
    ) -> PublishGrant:
        """As `Gate.may_publish`; also Refused FORBIDDEN where HTTP-FLV is off."""
        self._check(app)
        return await self._gate.may_publish(app, name, query, peer)

    async def may_play(self, app: str, name: str, query: Mapping[str, str], peer: str) -> StreamKey:
        """As `Gate.may_play`; also Refused FORBIDDEN where HTTP-FLV is off."""
        self._check(app)
        return await self._gate.may_play(app, name, query, peer)

    def _check(self, app: str) -> None:
        config = self._apps.get(app)
        if config is not None and not config.flv:
            raise Refused(
                RefusalCode.FORBIDDEN,
                "HTTP-FLV is off for this application",
                hint=f"set flv: true for app {app!r} under server:",
            )
