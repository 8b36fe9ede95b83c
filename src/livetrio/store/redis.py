"""Room keys in Redis, laid out as livego does, so that both may use the same one.

`SET room key` and `SET key room` in database 0, without expiry. A pair counts only if it leads
there and back: keys that livego left behind after a reset (it never deletes them) are no keys
here, nor is what somebody else keeps in the same database.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import redis.asyncio
import redis.exceptions
import trio
import trio_asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from livetrio.errors import StoreError, StoreUnavailable
from livetrio.store.keys import check_room, is_key, new_key

__all__ = ["RedisKeys", "open_redis_keys"]

T = TypeVar("T")

_DEADLINE: Final = 3.0
"""Seconds for one call, reconnecting included: a publisher waits for the answer."""

# Scripts, because each has to happen as a whole: two operators may ask at the same moment.
_GET: Final = """
local key = redis.call('GET', KEYS[1])
if key then return key end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('SET', ARGV[1], KEYS[1])
return ARGV[1]
"""
_RESET: Final = """
local old = redis.call('GET', KEYS[1])
if old and redis.call('GET', old) == KEYS[1] then redis.call('DEL', old) end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('SET', ARGV[1], KEYS[1])
return ARGV[1]
"""
_DELETE: Final = """
local old = redis.call('GET', KEYS[1])
if not old then return 0 end
if redis.call('GET', old) == KEYS[1] then redis.call('DEL', old) end
return redis.call('DEL', KEYS[1])
"""


@asynccontextmanager
async def open_redis_keys(
    host: str, port: int, password: str = "", *, deadline: float = _DEADLINE
) -> AsyncIterator[RedisKeys]:
    """The keys kept in this Redis; the asyncio loop that its client needs lives in this block.

    That loop has a nursery, so what the block itself raises leaves it in an ExceptionGroup.

    Raises:
        StoreUnavailable: it does not answer a PING. Later failures are raised by the calls,
            and the next call connects again.
        StoreError: it refuses the password.
    """
    async with trio_asyncio.open_loop() as loop:
        client = redis.asyncio.Redis(
            host=host,
            port=port,
            password=password or None,
            db=0,
            decode_responses=True,
            socket_connect_timeout=deadline,
            socket_timeout=deadline,
            # One: the pooled connection that a restarted Redis has closed is replaced unseen.
            retry=Retry(NoBackoff(), 1),
            protocol=2,  # no HELLO, which Redis before 6 does not know
        )
        keys = RedisKeys(loop, client, f"Redis at {host}:{port}", deadline)
        failure: StoreError | None = None
        try:
            await keys.ping()
        except StoreError as error:
            failure = error
        else:
            yield keys
        finally:
            with trio.move_on_after(deadline, shield=True):
                await loop.run_aio_coroutine(client.aclose())
    if failure is not None:
        raise failure  # out here, where the loop's own nurseries cannot wrap it in groups


class RedisKeys:
    """`RoomKeys` in Redis; made by `open_redis_keys`."""

    def __init__(
        self,
        loop: trio_asyncio.BaseTrioEventLoop,
        client: redis.asyncio.Redis,
        name: str,
        deadline: float,
    ) -> None:
        self._loop = loop
        self._client = client
        self._name = name
        self._deadline = deadline

    async def ping(self) -> None:
        """Return if Redis answers."""
        await self._call(self._client.ping)

    async def get(self, room: str) -> str:
        return self._key(await self._script(_GET, check_room(room), new_key()))

    async def reset(self, room: str) -> str:
        return self._key(await self._script(_RESET, check_room(room), new_key()))

    async def delete(self, room: str) -> bool:
        # A name like a key would delete a pair by its other half.
        return not is_key(room) and bool(await self._script(_DELETE, room))

    async def key_of(self, room: str) -> str | None:
        key = None if is_key(room) else await self._get(room)
        return key if key is not None and is_key(key) else None

    async def room_of(self, key: str) -> str | None:
        if not is_key(key):
            return None
        room = await self._get(key)
        return room if room is not None and await self.key_of(room) == key else None

    def _key(self, answer: object) -> str:
        if isinstance(answer, str) and is_key(answer):
            return answer
        raise StoreError(f"{self._name} has something else than a room key under that name")

    async def _get(self, name: str) -> str | None:
        answer = await self._call(self._client.get, name)
        return None if answer is None else str(answer)

    async def _script(self, script: str, room: str, *arguments: str) -> object:
        return await self._call(self._client.eval, script, 1, room, *arguments)

    async def _call(self, command: Callable[..., Awaitable[Any]], *arguments: object) -> Any:
        """One command under the deadline; Redis's errors become ours here and nowhere else."""

        async def run() -> Any:
            return await command(*arguments)

        try:
            with trio.fail_after(self._deadline):
                return await self._loop.run_aio_coroutine(run())
        except (redis.exceptions.AuthenticationError, redis.exceptions.NoPermissionError) as error:
            raise StoreError(f"{self._name} refuses: {error}") from error
        except redis.exceptions.ResponseError as error:
            raise StoreError(f"{self._name} cannot do that: {error}") from error
        except trio.TooSlowError as error:
            raise StoreUnavailable(f"{self._name} does not answer") from error
        except (TimeoutError, redis.exceptions.RedisError, OSError) as error:
            raise StoreUnavailable(f"{self._name} is not available: {error}") from error
