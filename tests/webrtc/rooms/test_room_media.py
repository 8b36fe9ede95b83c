"""What the state of a room means for its media, and what media mean for the state."""

from __future__ import annotations

import pytest
import trio
from kit.logs import lines
from kit.rooms import KEY, OTHER, Ears, battle, command, end_battle, settled, site, user

from livetrio.config.rooms import MixConfig
from livetrio.errors import RefusalCode, Refused
from livetrio.media.client import Client
from livetrio.net.scope import open_scope
from livetrio.packet import StreamKey
from livetrio.webrtc.rooms.arrangement import Arrangement

TALK, MINUS = StreamKey("live", "talk"), StreamKey("live", "talk~2")


async def test_who_publishes_from_his_seat_is_present_and_shown_until_he_is_gone(
    autojump_clock,
) -> None:
    async with site(ears := Ears()) as on:
        live = await on.opened("bob")
        seats = live.room.state.seats
        assert not seats[2].present
        bob = await on.publish("talk/2", "bob")
        assert seats[2].present
        assert on.shown() == ([2, None, None, None, None], [2, None, None, None, None])
        assert ears.state()["slots"]["video"] == [2, None, None, None, None]
        anna = await on.publish("talk/1", "anna")
        assert on.shown()[0][:3] == [2, 1, None]  # whoever is shown keeps his slot
        bob.cancel("his router")
        await settled()
        assert not seats[2].present
        assert on.shown()[0][:3] == [None, 1, None]
        assert ears.state()["slots"] == {
            "video": [None, 1, None, None, None], "audio": [None, 1, None, None, None],
        }  # fmt: skip
        anna.cancel("")


async def test_one_who_takes_his_own_seat_over_is_not_told_absent_between(autojump_clock) -> None:
    async with site(ears := Ears()) as on:
        await on.opened("bob")
        first = await on.publish("talk/2", "bob")
        second = await on.publish("talk/2", "bob")
        assert first.gone
        assert not second.gone
        assert ears.types().count("seat.present") == 1
        assert "seat.absent" not in ears.types()


@pytest.mark.parametrize("medium", ["camera", "microphone"])
async def test_what_is_muted_vanishes_at_once_and_its_slot_stays(
    medium: str, autojump_clock
) -> None:
    async with site() as on:
        await on.opened("bob")
        await on.publish("talk/2", "bob")
        on.rooms.command(KEY, command("mute", "anna", seat=2, medium=medium))
        video, audio = on.shown()
        assert (video[0], audio[0]) == ((None, 2) if medium == "camera" else (2, None))
        assert on.media().scope is on.rooms.find(KEY).scope
        assert on.rooms.find(KEY).room.state.slots["video"][0] == 2


@pytest.mark.parametrize(
    ("action", "by", "more"),
    [("kick", "anna", {"seat": 2}), ("leave", "bob", {}), ("move", "bob", {"to": 3})],
)
async def test_who_loses_his_seat_loses_its_stream_its_key_and_what_is_heard_on_it(
    action: str, by: str, more: dict[str, int], autojump_clock
) -> None:
    async with site() as on:
        await on.opened("bob")
        bob = await on.publish("talk/2", "bob")
        _, key = on.rooms.seat_key(KEY, command("key", "bob"))
        place = on.seats.find("live", "talk/2")
        assert await on.seats.holder(place, {"key": key}) == "bob"
        async with open_scope("client", "hears") as hears:
            client = Client("player", "rtmp", hears, user="bob")
            async with on.registry.subscribe(MINUS, client):
                assert MINUS in on.composed
                on.rooms.command(KEY, command(action, by, **more))
                assert on.shown()[0] == [None] * 5
                await trio.sleep(1)
        await settled()
        assert bob.gone
        assert bob.reason == hears.reason == "seat 2 is not yours any more"
        assert not on.composed
        assert list(on.registry.streams) == []
        with pytest.raises(Refused) as refusal:
            await on.seats.holder(place, {"key": key})
        assert refusal.value.code is RefusalCode.UNAUTHORIZED


async def test_a_key_is_of_one_who_sits_down_and_not_of_who_sat_there_before(
    autojump_clock,
) -> None:
    async with site() as on:
        await on.opened("bob")
        before = on.rooms.seat_key(KEY, command("key", "bob"))
        assert before == on.rooms.seat_key(KEY, command("key", "bob"))
        on.rooms.command(KEY, command("leave", "bob"))
        on.rooms.command(KEY, command("take", "bob", seat=2))
        assert on.rooms.seat_key(KEY, command("key", "bob")) != before
        with pytest.raises(Refused, match="only who has a seat may key"):
            on.rooms.seat_key(KEY, command("key", "carl"))


async def test_who_came_with_an_old_permission_is_sent_away_when_he_publishes(
    autojump_clock,
) -> None:
    async with site() as on:
        await on.opened("bob")
        carl = await on.publish("talk/2", "carl")
        nobody = await on.publish("talk/3", "")
        mixed = await on.publish("talk", "carl")
        assert carl.gone
        assert nobody.gone
        assert mixed.gone
        assert mixed.reason == "that is the composed stream of a room"
        assert not on.rooms.find(KEY).room.state.seats[2].present
        await on.rooms.end(KEY, user("anna"))
        late = await on.publish("talk/2", "bob")
        assert late.reason == "the room has ended"


async def test_a_room_has_no_name_that_a_stream_has(autojump_clock) -> None:
    for name in ("talk", "talk/3", "talk~3"):
        async with site() as on:
            scope = await on.publish(name, "")
            with pytest.raises(Refused) as refusal:
                await on.opened()
            assert refusal.value.code is RefusalCode.CONFLICT
            scope.cancel("")
            await trio.sleep(6)
            await on.opened()


async def test_the_composed_stream_is_made_for_who_wants_it_and_follows_the_room(
    autojump_clock,
) -> None:
    async with site() as on:
        await on.opened("bob")
        await on.publish("talk/1", "anna")
        await on.publish("talk/2", "bob")
        assert not on.composed
        async with open_scope("client", "c") as scope:
            client = Client("player", "flv", scope)
            async with on.registry.subscribe(TALK, client, wait=1.0):
                scene = on.composed[TALK].scene
                assert [part.id for part in scene.parts] == ["1", "2"]
                assert (scene.layout, scene.host) == ("grid", "1")
                on.rooms.command(KEY, command("mute", "bob"))
                on.rooms.command(KEY, command("gain", "anna", seat=1, gain=0.5))
                places = {"2": (0.0, 0.5, 0.5, 0.5, 3.0)}
                custom = Arrangement(layout="custom", rectangles=places, background="#00ff00")
                on.rooms.command(KEY, command("layout", "anna", arrangement=custom))
                scene = on.composed[TALK].scene
                assert [part.sound for part in scene.parts] == [True, False]
                assert scene.parts[0].gain == 0.5
                assert scene.parts[1].rect.z == 3
                assert (scene.layout, scene.background) == ("custom", "#00ff00")
        on.needed[TALK].set()
        await settled()
        assert TALK not in on.registry.streams


async def test_who_wants_it_while_it_ends_gets_a_new_one(autojump_clock) -> None:
    async with site() as on:
        await on.opened()
        await on.publish("talk/1", "anna")
        for _ in range(3):
            async with open_scope("client", "c") as scope:
                async with on.registry.subscribe(TALK, Client("player", "flv", scope)) as stream:
                    assert not stream.ending
            on.needed[TALK].set()  # and at once the next one


async def test_a_room_that_is_recorded_is_composed_while_somebody_publishes(
    autojump_clock,
) -> None:
    async with site(lasting=True) as on:
        await on.opened()
        assert not on.composed
        await on.publish("talk/1", "anna")
        await settled()
        assert list(on.composed) == [TALK]


async def test_a_room_without_anybody_is_not_composed(autojump_clock) -> None:
    async with site() as on:
        await on.opened("bob")
        assert not on.registry.demand(TALK)
        assert await on.registry.wanted(MINUS) is None
        assert not on.composed


async def test_who_waits_for_an_empty_room_sees_the_first_who_comes(autojump_clock) -> None:
    async with site() as on:
        await on.opened("bob")
        seen = trio.Event()

        async def wait() -> None:
            async with open_scope("client", "c") as scope:
                client = Client("player", "flv", scope)
                async with on.registry.subscribe(TALK, client, wait=5):
                    seen.set()

        on.nursery.start_soon(wait)
        await trio.sleep(4)
        assert not on.composed
        await on.publish("talk/2", "bob")
        assert seen.is_set()
        assert list(on.composed) == [TALK]  # nobody waits for the mix-minuses


async def test_one_who_is_alone_may_hear_his_mix_minus(autojump_clock) -> None:
    async with site() as on:
        await on.opened("bob")
        await on.publish("talk/2", "bob")
        assert on.registry.demand(MINUS)
        await settled()
        assert on.composed[MINUS].scene.parts == ()


async def test_no_more_streams_are_composed_than_the_node_may_in_all_rooms(
    autojump_clock,
) -> None:
    async with site(mix=MixConfig(max=2)) as on:
        await on.opened("bob")
        await on.opened("yan", key=OTHER)
        await on.publish("talk/2", "bob")
        await on.publish("other/2", "yan")
        assert on.registry.demand(OTHER)
        assert on.registry.demand(TALK)
        await settled()
        for _ in range(2):
            with pytest.raises(Refused) as refusal:
                on.registry.demand(MINUS)
            assert refusal.value.code is RefusalCode.UNAVAILABLE
            assert refusal.value.hint == "rooms.mix.max"
        assert on.registry.demand(TALK)  # what is there already is no more
        assert on.composed.keys() == {TALK, OTHER}
        on.needed[OTHER].set()
        await settled()
        assert on.registry.demand(MINUS)
        await settled()
        assert on.composed.keys() == {TALK, MINUS}
        with pytest.raises(Refused):
            on.registry.demand(OTHER)


async def test_a_recorded_room_for_which_there_is_no_process_says_so_and_goes_on(
    autojump_clock, caplog
) -> None:
    async with site(lasting=True, mix=MixConfig(max=1)) as on:
        await on.opened("bob")
        await on.opened("yan", key=OTHER)
        await on.publish("other/2", "yan")
        assert on.registry.demand(OTHER)
        await settled()
        await on.publish("talk/2", "bob")
        assert on.shown()[0][0] == 2
        on.rooms.command(KEY, command("mute", "bob", medium="camera"))
        (said,) = (line for line in lines(caplog) if line.event == "a room is not composed")
        assert said.fields["stream"] == "live/talk"
        assert said.fields["hint"] == "rooms.mix.max"
        on.needed[OTHER].set()
        await trio.sleep(1)
        await on.rooms.end(OTHER, user("zoe"))
        on.rooms.command(KEY, command("mute", "bob"))
        await settled()
        assert list(on.composed) == [TALK]


async def test_a_mix_minus_is_the_room_without_the_seat(autojump_clock) -> None:
    async with site() as on:
        await on.opened("bob")
        await on.publish("talk/1", "anna")
        await on.publish("talk/2", "bob")
        assert on.registry.demand(MINUS)
        await settled()
        assert [part.id for part in on.composed[MINUS].scene.parts] == ["1"]


async def test_during_a_pk_each_side_has_the_other_s_host_and_not_after_it(
    autojump_clock,
) -> None:
    async with site(ears := Ears()) as on:
        await on.opened("bob")
        await on.opened("yan", key=OTHER)
        await on.publish("talk/1", "anna")
        await on.publish("other/1", "zoe")
        assert on.registry.demand(TALK)
        await settled()
        battle(on.rooms, KEY, user("anna"), OTHER, 60)
        battle(on.rooms, OTHER, user("zoe"), KEY, 60)
        await settled()
        assert on.shown()[0][:2] == on.shown(OTHER)[0][:2] == [1, 0]
        assert ears.state()["slots"]["audio"][:2] == [1, 0]
        scene = on.composed[TALK].scene
        assert (scene.layout, [part.id for part in scene.parts]) == ("pk", ["1", "pk"])
        assert scene.parts[1].stream == StreamKey("live", "other/1")
        on.rooms.command(OTHER, command("mute", "zoe"))
        assert on.shown()[1][:2] == [1, None]
        assert not on.composed[TALK].scene.parts[1].sound
        on.rooms.command(OTHER, command("move", "zoe", to=3))
        assert not on.shown()[0][1]  # until he publishes from there
        await on.publish("other/3", "zoe")
        video, _ = on.media().feed._shown
        assert video[1].stream == StreamKey("live", "other/3")
        await on.rooms.end(OTHER, user("zoe"))
        assert on.shown()[0][:2] == [1, None]
        assert on.composed[TALK].scene.layout == "grid"
        await settled()
        assert ears.state()["slots"]["video"][:2] == [1, None]


async def test_the_loudest_are_heard_in_a_voice_room_and_the_next_by_them(autojump_clock) -> None:
    async with site(ears := Ears(), voices=2) as on:
        live = await on.opened("bob", "carl", "dora", kind="voice")
        for number, name in enumerate(["anna", "bob", "carl", "dora"], start=1):
            await on.publish(f"talk/{number}", name)
        for _ in range(40):
            for seat, level in ((1, -60.0), (2, -20.0), (3, -40.0), (4, -25.0)):
                on.media().heard(seat, level)
            await trio.sleep(0.05)
        _, audio = on.shown()
        assert set(audio[:2]) == {2, 4}
        assert audio[2] == 3
        told = [
            words["slots"] for _, words, numbered in ears.heard if words["type"] == "room.slots"
        ]
        assert told[-1] == {"audio": audio}
        assert b'"slots":{"audio":' in live.snapshot()
        on.rooms.command(KEY, command("mute", "bob"))
        assert 2 not in on.shown()[1]
        assert live.room.state.seats[4].present


async def test_a_guest_of_a_pk_is_heard_in_a_voice_room_whoever_is_louder(autojump_clock) -> None:
    async with site(voices=1) as on:
        await on.opened("bob", kind="voice")
        await on.opened(key=OTHER, kind="voice")
        await on.publish("talk/1", "anna")
        await on.publish("talk/2", "bob")
        await on.publish("other/1", "zoe")
        on.media().heard(2, -10.0)
        battle(on.rooms, KEY, user("x", "admin"), OTHER, 60)
        assert on.shown()[1][0] == 0
        end_battle(on.rooms, KEY, user("x", "admin"))
        assert on.shown()[1][0] in {1, 2}


async def test_the_end_of_a_room_leaves_no_stream_client_task_or_name(autojump_clock) -> None:
    async with site(ears := Ears()) as on:
        live = await on.opened("bob")
        anna = await on.publish("talk/1", "anna")
        bob = await on.publish("talk/2", "bob")
        assert on.registry.demand(TALK)
        await settled()
        ended, below = await on.rooms.end(KEY, user("anna"))
        assert (below.streams, below.clients, below.processes) == (3, 3, 1)
        assert ended.tasks >= 6
        assert anna.gone
        assert bob.gone
        assert live.scope.gone
        assert not on.registry.streams
        assert not on.composed
        assert on.seats.find("live", "talk/1") is None
        assert not on.registry.demand(TALK)
        assert ears.types()[-1] == "room.ended"
        assert ears.types().count("room.ended") == 1
        await on.opened()


async def test_an_owner_who_does_not_return_ends_his_room_and_its_streams(autojump_clock) -> None:
    async with site(ears := Ears(), resume_window=10.0) as on:
        await on.opened("bob")
        anna = await on.publish("talk/1", "anna")
        bob = await on.publish("talk/2", "bob")
        anna.cancel("her train")
        await trio.sleep(30)
        assert len(on.rooms) == 0
        assert bob.gone
        assert bob.reason == "the room has ended: the owner did not return"
        assert ears.types()[-1] == "room.ended"
