"""The contract of RoomKeys, held by every store that there is."""

import pytest
import trio
from kit.programs import free_port
from kit.redis import redis_server

from livetrio.errors import RefusalCode, Refused
from livetrio.store.keys import KEY_LENGTH, check_room, is_key, new_key
from livetrio.store.memory import MemoryKeys
from livetrio.store.redis import open_redis_keys
from livetrio.store.sqlite import open_sqlite_keys


@pytest.fixture(params=["memory", "sqlite", pytest.param("redis", marks=pytest.mark.e2e)])
async def keys(request, tmp_path):
    match request.param:
        case "memory":
            yield MemoryKeys()
        case "sqlite":
            async with open_sqlite_keys(tmp_path) as keys:
                yield keys
        case "redis":
            port = free_port()
            async with redis_server(port), open_redis_keys("127.0.0.1", port) as keys:
                yield keys


async def test_asking_for_a_key_makes_one_and_then_gives_the_same(keys):
    key = await keys.get("movie")
    assert is_key(key)
    assert await keys.get("movie") == key
    assert await keys.get("other") != key


async def test_room_and_key_lead_to_one_another(keys):
    key = await keys.get("movie")
    assert await keys.room_of(key) == "movie"
    assert await keys.key_of("movie") == key


async def test_the_unknown_is_none_and_asking_makes_nothing(keys):
    assert await keys.key_of("movie") is None
    assert await keys.room_of("movie") is None
    assert await keys.room_of(new_key()) is None
    assert await keys.key_of(new_key()) is None
    assert await keys.key_of("movie") is None


async def test_a_rooms_name_is_not_a_key(keys):
    key = await keys.get("movie")
    assert await keys.room_of("movie") is None
    assert await keys.key_of(key) is None


async def test_reset_revokes_the_old_key(keys):
    old = await keys.get("movie")
    new = await keys.reset("movie")
    assert new != old
    assert await keys.room_of(old) is None
    assert await keys.room_of(new) == "movie"
    assert await keys.get("movie") == new


async def test_reset_of_an_unknown_room_makes_its_key(keys):
    key = await keys.reset("movie")
    assert await keys.get("movie") == key


async def test_delete_forgets_both_directions_and_says_if_there_was_anything(keys):
    key = await keys.get("movie")
    assert await keys.delete("movie") is True
    assert await keys.room_of(key) is None
    assert await keys.key_of("movie") is None
    assert await keys.delete("movie") is False


async def test_a_room_cannot_be_deleted_by_its_key(keys):
    key = await keys.get("movie")
    assert await keys.delete(key) is False
    assert await keys.room_of(key) == "movie"


async def test_ten_askers_at_once_get_one_key(keys):
    found = set()

    async def ask():
        found.add(await keys.get("movie"))

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(ask)
    assert len(found) == 1


async def test_resets_at_once_leave_one_valid_key(keys):
    made = []

    async def reset():
        made.append(await keys.reset("movie"))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(reset)
    assert [await keys.room_of(key) for key in made].count("movie") == 1
    assert await keys.get("movie") in made


@pytest.mark.parametrize(
    "room", ["直播/房间", "'; DROP TABLE room_keys; --", "%s", "x y", "é" * 128]
)
async def test_any_allowed_name_is_just_a_name(keys, room):
    key = await keys.get(room)
    assert await keys.room_of(key) == room


@pytest.mark.parametrize("room", ["", "a\r\nb", "../x", "x" * 257, "k" * KEY_LENGTH])
async def test_a_name_no_room_may_have_is_refused(keys, room):
    for create in (keys.get, keys.reset):
        with pytest.raises(Refused) as caught:
            await create(room)
        assert caught.value.code is RefusalCode.BAD_REQUEST
    assert await keys.delete(room) is False


async def test_somebody_elses_key_cannot_be_taken_as_a_rooms_name(keys):
    key = await keys.get("movie")
    with pytest.raises(Refused):
        await keys.get(key)
    assert await keys.room_of(key) == "movie"


def test_keys_are_livegos_48_letters_and_digits_and_differ():
    made = {new_key() for _ in range(100)}
    assert len(made) == 100
    assert all(len(key) == 48 and key.isascii() and key.isalnum() for key in made)
    assert len(set("".join(made))) == 62


@pytest.mark.parametrize("text", ["", "a" * 47, "a" * 49, "é" * 48, "a" * 48 + "\n"])
def test_what_is_no_key(text):
    assert not is_key(text)


def test_a_room_is_returned_unchanged():
    assert check_room("直播") == "直播"
