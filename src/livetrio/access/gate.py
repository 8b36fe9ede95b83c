"""May this peer publish, may it play, and as which stream? Asked before any success is told.

livego's mapping from keys to rooms happens here and nowhere else: what comes out is the name that
everything below the gate knows the stream by.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

import trio

from livetrio.access.throttle import FAILURES, FailureLimit
from livetrio.config import AccessConfig, AppConfig
from livetrio.errors import RefusalCode, Refused, StoreError
from livetrio.packet import StreamKey
from livetrio.wire.names import check_name

__all__ = ["FlvGate", "Gate", "HlsGate", "KeyBook", "PublishGrant"]

T = TypeVar("T")


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


class Gate:
    """The answers, out of configuration and room keys.

    Args:
        apps: the configured applications by name.
        access: the rules that hold for all of them.
        keys: the store of room keys.
        clock: seconds, for the limit on wrong keys.
    """

    def __init__(
        self,
        apps: Mapping[str, AppConfig],
        access: AccessConfig,
        keys: KeyBook,
        *,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self._apps = apps
        self._access = access
        self._keys = keys
        self._failures = FailureLimit(clock)

    async def may_publish(
        self,
        app: str,
        name: str,
        query: Mapping[str, str],  # noqa: ARG002 - asked with all there is, as hooks will need it
        peer: str,
    ) -> PublishGrant:
        """Decide on `app/name?query` from the address `peer`.

        A room's key gives the room. Under `auth: key` a known room's name gives, as in livego, the
        stream named by its key (never the room's own), unless strict_keys; other names are
        refused. Under `auth: none` or rtmp_noauth a name is a name. `query` decides nothing yet.

        Raises:
            Refused: BAD_REQUEST, FORBIDDEN (no such app, not live, unknown key), TOO_MANY (wrong
                keys from that address), UNAVAILABLE (the store does not answer).
        """
        self._app(app, name)
        if self.takes_any_name(app):
            # Nothing to guess here, hence no limit; but a known key still leads to its room.
            room = await self._ask(self._keys.room_of(name))
            proven = room is not None
            return PublishGrant(StreamKey(app, room or name), self._takeover(proven), proven)
        if not self._failures.take(peer):
            raise Refused(
                RefusalCode.TOO_MANY,
                "too many wrong stream keys from this address",
                hint=f"after {FAILURES} in a minute, one more try every few seconds",
            )
        try:
            grant = await self._by_key(app, name)
        except Refused as refusal:
            if refusal.code is not RefusalCode.FORBIDDEN:
                self._failures.give_back(peer)  # the store's failure, not the peer's
            raise
        self._failures.give_back(peer)
        return grant

    def takes_any_name(self, app: str) -> bool:
        """Is publishing to this application (a configured one) a matter of its name alone?"""
        config = self._apps.get(app)
        return self._access.rtmp_noauth or (config is not None and config.auth == "none")

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
        query: Mapping[str, str],  # noqa: ARG002 - as above
        peer: str,  # noqa: ARG002 - as above
    ) -> StreamKey:
        """Decide on playing `app/name?query`, a stream or a stored file; in this version
        everybody may, in an app that is live or has files.

        Raises:
            Refused: BAD_REQUEST, FORBIDDEN (no such app, or neither).
        """
        config = self._apps.get(app)
        self._app(app, name, live=config is None or config.play is None)
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
