"""Room keys in a real Redis: livego's layout, and what happens when it is not there."""

import os
import signal

import pytest
import redis
import trio
from kit.programs import free_port
from kit.redis import redis_server

from livetrio.errors import StoreError, StoreUnavailable
from livetrio.store.keys import new_key
from livetrio.store.redis import open_redis_keys

pytestmark = pytest.mark.e2e


@pytest.fixture
async def port():
    port = free_port()
    async with redis_server(port):
        yield port


@pytest.fixture
def raw(port):
    """What another program sees, livego for one."""
    with redis.Redis(port=port, decode_responses=True) as client:
        yield client


async def test_the_layout_is_livegos_in_both_directions_without_expiry(port, raw):
    async with open_redis_keys("127.0.0.1", port) as keys:
        key = await keys.get("movie")
    assert raw.get("movie") == key
    assert raw.get(key) == "movie"
    assert raw.dbsize() == 2
    assert raw.ttl("movie") == raw.ttl(key) == -1


async def test_a_pair_that_livego_wrote_is_a_key(port, raw):
    key = new_key()
    raw.mset({"movie": key, key: "movie"})
    async with open_redis_keys("127.0.0.1", port) as keys:
        assert await keys.get("movie") == key
        assert await keys.room_of(key) == "movie"


async def test_an_old_key_that_livego_left_behind_is_no_key(port, raw):
    old, new = new_key(), new_key()
    raw.mset({"movie": new, new: "movie", old: "movie"})
    async with open_redis_keys("127.0.0.1", port) as keys:
        assert await keys.room_of(old) is None
        assert await keys.room_of(new) == "movie"


async def test_reset_and_delete_leave_nothing_behind(port, raw):
    async with open_redis_keys("127.0.0.1", port) as keys:
        old = await keys.get("movie")
        await keys.reset("movie")
        assert raw.get(old) is None
        await keys.delete("movie")
    assert raw.dbsize() == 0


async def test_what_others_keep_in_the_database_is_neither_used_nor_deleted(port, raw):
    raw.set("session", "alice")
    raw.set("alice", "session")
    raw.lpush("list", 1)
    async with open_redis_keys("127.0.0.1", port) as keys:
        assert await keys.room_of("session") is None
        assert await keys.key_of("session") is None
        with pytest.raises(StoreError, match="something else"):
            await keys.get("session")
        with pytest.raises(StoreError, match="WRONGTYPE"):
            await keys.get("list")


async def test_without_redis_opening_says_where_and_why():
    port = free_port()
    with pytest.raises(StoreUnavailable, match=rf"Redis at 127\.0\.0\.1:{port} is not available"):
        async with open_redis_keys("127.0.0.1", port):
            pass


async def test_a_wrong_password_says_so_and_the_right_one_works():
    port = free_port()
    async with redis_server(port, password="sesame"):
        for wrong in ("", "simsim"):
            with pytest.raises(StoreError, match="refuses"):
                async with open_redis_keys("127.0.0.1", port, wrong):
                    pass
        async with open_redis_keys("127.0.0.1", port, "sesame") as keys:
            await keys.get("movie")


async def test_it_reconnects_by_itself_after_redis_was_gone():
    port = free_port()
    async with redis_server(port) as first, open_redis_keys("127.0.0.1", port) as keys:
        await keys.get("movie")
        await first.stop()
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await keys.get("movie")
        async with redis_server(port):
            key = await keys.get("movie")
            assert await keys.room_of(key) == "movie"


async def test_a_silent_redis_costs_the_deadline_and_no_more():
    port = free_port()
    async with redis_server(port) as program:
        async with open_redis_keys("127.0.0.1", port, deadline=0.2) as keys:
            os.kill(program.pid, signal.SIGSTOP)
            try:
                with pytest.raises(StoreUnavailable, match=r"does not answer|not available"):
                    await keys.get("movie")
            finally:
                os.kill(program.pid, signal.SIGCONT)
            assert await keys.get("movie")


async def test_a_cancelled_call_leaves_the_client_usable(port):
    async with open_redis_keys("127.0.0.1", port) as keys:
        for delay in (0, 0.0001, 0.0003, 0.001):
            with trio.move_on_after(delay):
                while True:
                    await keys.reset("movie")
        assert await keys.room_of(await keys.get("movie")) == "movie"
