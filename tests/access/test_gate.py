"""Who may publish and play, and as which stream."""

from types import MappingProxyType

import pytest
import trio
import trio.testing

from livetrio.access.gate import Gate, PublishGrant
from livetrio.config import AccessConfig, AppConfig
from livetrio.errors import RefusalCode, Refused, StoreUnavailable
from livetrio.packet import StreamKey
from livetrio.store.keys import new_key
from livetrio.store.memory import MemoryKeys

APPS = MappingProxyType(
    {
        "live": AppConfig(name="live"),
        "open": AppConfig(name="open", auth="none"),
        "dark": AppConfig(name="dark", live=False),
    }
)
PEER = "192.0.2.1"


@pytest.fixture
def keys():
    return MemoryKeys()


def gate(keys, **access):
    return Gate(APPS, AccessConfig(**access), keys)


async def publish(gate, app, name, peer=PEER):
    return await gate.may_publish(app, name, {}, peer)


async def refused(gate, app, name, peer=PEER):
    with pytest.raises(Refused) as caught:
        await publish(gate, app, name, peer)
    return caught.value


class TestPublishingWithKeys:
    async def test_a_rooms_key_gives_the_room_and_takes_over(self, keys):
        key = await keys.get("movie")
        grant = await publish(gate(keys), "live", key)
        assert grant == PublishGrant(StreamKey("live", "movie"), takeover=True, proven=True)

    async def test_a_known_rooms_name_gives_the_separate_stream_named_by_its_key(self, keys):
        key = await keys.get("movie")
        grant = await publish(gate(keys), "live", "movie")
        assert grant == PublishGrant(StreamKey("live", key), takeover=False)

    async def test_strict_keys_refuses_that(self, keys):
        key = await keys.get("movie")
        strict = gate(keys, strict_keys=True)
        refusal = await refused(strict, "live", "movie")
        assert (refusal.code, refusal.reason) == (RefusalCode.FORBIDDEN, "unknown stream key")
        assert "strict_keys" in refusal.hint
        assert (await publish(strict, "live", key)).key == StreamKey("live", "movie")

    async def test_anything_else_is_refused_with_a_hint_for_the_log(self, keys):
        for name in ("movie", new_key()):
            refusal = await refused(gate(keys), "live", name)
            assert (refusal.code, refusal.reason) == (RefusalCode.FORBIDDEN, "unknown stream key")
            assert "/control/get?room=" in refusal.hint
            assert "auth: none for app 'live'" in refusal.hint
            assert "rtmp_noauth: true" in refusal.hint
            assert name not in refusal.hint

    async def test_strangers_cannot_tell_a_rooms_name_from_none_under_strict_keys(self, keys):
        await keys.get("movie")
        strict = gate(keys, strict_keys=True)
        known = await refused(strict, "live", "movie")
        unknown = await refused(strict, "live", "nothing")
        assert (known.code, known.reason) == (unknown.code, unknown.reason)

    async def test_a_key_that_was_reset_is_refused(self, keys):
        old = await keys.get("movie")
        await keys.reset("movie")
        assert (await refused(gate(keys), "live", old)).code is RefusalCode.FORBIDDEN


class TestPublishingPlainNames:
    @pytest.mark.parametrize(("app", "access"), [("open", {}), ("live", {"rtmp_noauth": True})])
    async def test_a_name_is_a_name_and_takes_nothing_over(self, keys, app, access):
        await keys.get("35")
        for name in ("35", "直播/一"):
            grant = await publish(gate(keys, **access), app, name)
            assert grant == PublishGrant(StreamKey(app, name), takeover=False)

    async def test_a_key_still_leads_to_its_room(self, keys):
        key = await keys.get("movie")
        grant = await publish(gate(keys), "open", key)
        assert grant == PublishGrant(StreamKey("open", "movie"), takeover=True, proven=True)

    async def test_it_makes_no_keys(self, keys):
        await publish(gate(keys), "open", "movie")
        assert await keys.key_of("movie") is None


@pytest.mark.parametrize(
    ("policy", "by_key", "by_name"),
    [("auto", True, False), ("always", True, True), ("never", False, False)],
)
async def test_override_publisher_decides_who_takes_over(keys, policy, by_key, by_name):
    key = await keys.get("movie")
    policed = gate(keys, override_publisher=policy)
    assert (await publish(policed, "live", key)).takeover is by_key
    assert (await publish(policed, "live", "movie")).takeover is by_name
    assert (await publish(policed, "open", "movie")).takeover is by_name


@pytest.mark.parametrize("play", [False, True])
@pytest.mark.parametrize(
    ("app", "name", "code", "hint"),
    [
        ("nowhere", "x", RefusalCode.FORBIDDEN, "appname: nowhere"),
        ("dark", "x", RefusalCode.FORBIDDEN, "live: true for app 'dark'"),
        ("live", "", RefusalCode.BAD_REQUEST, ""),
        ("live", "../x", RefusalCode.BAD_REQUEST, ""),
        ("live", "a\r\nb", RefusalCode.BAD_REQUEST, ""),
        ("live", "x" * 65_536, RefusalCode.BAD_REQUEST, ""),
        ("a\x00b", "x", RefusalCode.BAD_REQUEST, ""),
        ("..", "x", RefusalCode.BAD_REQUEST, ""),
    ],
)
async def test_bad_names_and_apps_that_are_not_are_refused(keys, play, app, name, code, hint):
    asked = gate(keys, rtmp_noauth=True)
    with pytest.raises(Refused) as caught:
        await (asked.may_play if play else asked.may_publish)(app, name, {}, PEER)
    assert caught.value.code is code
    assert hint in caught.value.hint


async def test_playing_needs_no_key_and_maps_nothing(keys):
    key = await keys.get("movie")
    for name in ("movie", "anything", key):
        assert await gate(keys).may_play("live", name, {"token": "x"}, PEER) == ("live", name)


class TestWrongKeys:
    async def test_are_limited_by_address(self, keys, autojump_clock):
        key = await keys.get("movie")
        guarded = gate(keys)
        for _ in range(10):
            assert (await refused(guarded, "live", new_key())).code is RefusalCode.FORBIDDEN
        refusal = await refused(guarded, "live", key)
        assert refusal.code is RefusalCode.TOO_MANY
        assert (await publish(guarded, "live", key, "192.0.2.2")).takeover
        await trio.sleep(7)
        assert (await publish(guarded, "live", key)).takeover

    async def test_do_not_shut_out_from_apps_without_keys(self, keys):
        guarded = gate(keys)
        for _ in range(11):
            await refused(guarded, "live", "x")
        assert (await publish(guarded, "open", "x")).key == StreamKey("open", "x")

    async def test_sent_all_at_once_are_no_more_than_one_after_the_other(self, keys):
        class Slow(MemoryKeys):
            async def room_of(self, key):
                await trio.testing.wait_all_tasks_blocked()
                return await super().room_of(key)

        guarded = gate(Slow())
        codes = []

        async def guess():
            codes.append((await refused(guarded, "live", new_key())).code)

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(guess)
        assert codes.count(RefusalCode.FORBIDDEN) == 10
        assert codes.count(RefusalCode.TOO_MANY) == 40

    async def test_right_ones_are_never_limited(self, keys):
        key = await keys.get("movie")
        guarded = gate(keys)
        for _ in range(50):
            await publish(guarded, "live", key)
            await publish(guarded, "live", "movie")


class Down:
    """A store that does not answer."""

    async def key_of(self, room):
        raise StoreUnavailable("Redis at 127.0.0.1:6379 does not answer")

    room_of = key_of


@pytest.mark.parametrize("app", ["live", "open"])
async def test_a_store_that_does_not_answer_refuses_and_is_not_the_peers_failure(app):
    guarded = gate(Down())
    for _ in range(20):
        refusal = await refused(guarded, app, new_key())
        assert refusal.code is RefusalCode.UNAVAILABLE
        assert refusal.reason == "stream keys cannot be checked now"
        assert "Redis at" in refusal.hint


async def test_playing_does_not_ask_the_store():
    assert await gate(Down()).may_play("live", "movie", {}, PEER) == ("live", "movie")
