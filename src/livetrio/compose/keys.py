"""Where room keys are kept, and what a name that somebody publishes under stands for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from livetrio.config import Config
from livetrio.packet import StreamKey
from livetrio.store.keys import RoomKeys
from livetrio.store.sqlite import open_sqlite_keys

__all__ = ["names_published_as", "opened_room_keys"]


@asynccontextmanager
async def opened_room_keys(config: Config) -> AsyncIterator[RoomKeys]:
    """The store that the configuration names, until the block ends."""
    redis = config.store.redis
    if redis is None:
        async with open_sqlite_keys(config.store.data_dir) as sqlite_keys:
            yield sqlite_keys
    else:
        # Its client costs 70 ms and 9 MB to import: only for those who use it.
        from livetrio.store.redis import open_redis_keys

        host = redis.address.host or "127.0.0.1"
        async with open_redis_keys(host, redis.address.port, redis.password) as redis_keys:
            yield redis_keys


def names_published_as(
    config: Config, keys: RoomKeys
) -> Callable[[StreamKey], Awaitable[StreamKey]]:
    """What `access` makes of a name that somebody publishes to us under."""

    async def published_as(key: StreamKey) -> StreamKey:
        if (room := await keys.room_of(key.name)) is not None:
            return key._replace(name=room)
        app = config.apps.get(key.app)
        if app is not None and app.auth == "key" and not config.access.rtmp_noauth:
            return key._replace(name=await keys.key_of(key.name) or key.name)
        return key

    return published_as
