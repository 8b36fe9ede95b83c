"""People of a room in Chromium: who hears and sees whom, and how soon somebody is gone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from kit.room_media import PEOPLE, ROOM, Sight, Visitor, room_server, visitors

pytestmark = pytest.mark.e2e

BOUND = 5_000
"""Milliseconds, by the clock of the pages: a bound, no measurement. How long it takes on a machine
that is free is in docs/performance.md."""
ROUNDS = 3

Last = Callable[[Sight], float]


def anything(sight: Sight) -> float:
    """When the last of bob came, sound or picture."""
    return max(sight.heard("bob"), sight.shown("bob"))


async def gone(watching: Sequence[Visitor], begun: float, last: Last) -> dict[str, float]:
    """Wait until nothing of somebody has come for a second; how long after a command the last of
    him did, milliseconds, by visitor."""
    took = {}
    for visitor in watching:
        sight = await visitor.until(lambda sight: sight.now - max(last(sight), begun) > 1000)
        assert last(sight) > 0  # he was there
        took[visitor.user] = last(sight) - begun
    return took


async def test_each_of_three_pages_hears_and_sees_the_two_others_in_the_slots_that_the_state_tells(
    tmp_path: Path,
) -> None:
    async with room_server(tmp_path) as site, visitors(site, "anna", "bob", "carl") as people:
        await site.room()
        for seat, visitor in enumerate(people, start=1):
            await visitor.join(seat)
        users = {visitor.user for visitor in people}
        for seat, visitor in enumerate(people, start=1):
            sight = await visitor.meets(*(users - {visitor.user}))
            assert sight.heard(visitor.user) == 0  # ever
            assert sight.shown(visitor.user) == 0
            assert sight.slot_of(seat)["frames"] == 0
            for number, user in enumerate(("anna", "bob", "carl"), start=1):
                if number != seat:
                    slot = sight.slot_of(number)
                    assert list(slot["heard"]) == [str(PEOPLE[user][1])]
                    assert sight.shown(user) == slot["shown"]


async def test_who_is_muted_or_kicked_vanishes_from_all_others(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    async with room_server(tmp_path) as site, visitors(site, "anna", "bob", "carl") as people:
        await site.room()
        anna, bob, carl = people
        times: dict[tuple[str, str], list[float]] = defaultdict(list)

        async def after(what: str, command: str, body: object, last: Last) -> None:
            """What the owner does to bob, whose page sends on: the server lets nothing through."""
            begun = await anna.command("POST", f"/seats/2/{command}", body)
            for user, took in (await gone((anna, carl), begun, last)).items():
                times[what, user].append(took)
            event = (await carl.look()).event(f"seat.{command.rstrip('e')}ed", by="anna", seat=2)
            times[f"event of {what}", "carl"].append(event["at"] - begun)

        for seat, visitor in enumerate(people, start=1):
            await visitor.join(seat)
        sound, picture = {"medium": "microphone"}, {"medium": "camera"}
        for number in range(ROUNDS):
            if number:
                await bob.command("POST", "/seats/2/take")
                await bob.publish(2)
            await anna.meets("bob", "carl")
            await carl.meets("anna", "bob")
            await after("sound, muted", "mute", sound, lambda sight: sight.heard("bob"))
            await after("picture, muted", "mute", picture, lambda sight: sight.shown("bob"))
            for medium in (sound, picture):
                await anna.command("POST", "/seats/2/unmute", medium)  # he may
                await bob.command("POST", "/seats/2/unmute", medium)  # he does
            await carl.meets("anna", "bob")
            await after("all, kicked", "kick", {}, anything)
            for visitor, others in ((anna, ["carl"]), (bob, ["anna", "carl"]), (carl, ["anna"])):
                sight = await visitor.meets(*others)  # he as one of the audience
                assert sight.state["seats"]["2"]["state"] == "empty"
                assert 2 not in sight.state["slots"]["video"]
        for (what, user), took in times.items():
            record_property(f"{what}, for {user}, ms", took)
            print(f"{what}, for {user}:", " ".join(f"{each:.0f}" for each in took), "ms")
        # What comes late from a new publisher makes the jitter buffers of his listeners longer,
        # which play what they have. (And until then sound and pictures did come.)
        assert all(each < BOUND for took in times.values() for each in took), times


async def test_the_hosts_of_a_pk_are_seen_and_heard_in_both_rooms_until_it_ends(
    tmp_path: Path,
) -> None:
    other = "live/other"
    async with room_server(tmp_path) as site, visitors(site, "anna", "dora", "carl") as people:
        anna, dora, carl = people
        for owner, room in ((anna, ROOM), (dora, other)):
            await site.room(owner.user, room)
            await owner.arrive(room)
            await owner.publish(1)
            await owner.receive()
        await carl.arrive(other)  # audience of the other room
        await carl.receive()
        await carl.meets("dora")

        async def battle() -> None:
            await anna.command("POST", "/pk", {"with": other, "seconds": 600})
            await dora.command("POST", "/pk", {"with": ROOM, "seconds": 600})
            await anna.meets("dora")
            await dora.meets("anna")
            sight = await carl.meets("anna", "dora")
            assert sight.slot_of(0)["heard"].keys() == {str(PEOPLE["anna"][1])}

        async def over(**about: object) -> None:
            for visitor, others in ((dora, []), (carl, ["dora"])):
                sight = await visitor.meets(*others)
                assert sight.event("pk.ended", **about)
                assert not sight.state.get("pk")
                assert 0 not in sight.state["slots"]["video"]

        await battle()
        # whom his own managers mute, nobody hears
        await anna.command("POST", "/seats/1/mute", {"medium": "microphone"})
        await dora.until(lambda sight: not sight.voices and sight.now - sight.shown("anna") < 1000)
        await anna.command("POST", "/seats/1/unmute", {"medium": "microphone"})
        await dora.meets("anna")
        await anna.command("DELETE", "/pk")
        await over()
        await anna.meets()
        # and one whose room ends has lost
        await battle()
        await anna.command("DELETE", "")
        await over()
        result = (await carl.look()).event("pk.ended")["result"]
        assert result["winner"] == other
