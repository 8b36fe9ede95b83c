"""The ticker: turns for everybody, and one bad batch harms no other."""

from __future__ import annotations

import trio
from kit.im import LineView, Listener

from livetrio.im.hub import open_hub


async def crowd_in(hub, channel, count):
    crowd = [Listener(f"{channel}{n}") for n in range(count)]
    for member in crowd:
        hub.members.add(member)
        await hub.join(member, channel)
    return crowd


async def test_a_small_room_is_not_held_up_by_a_huge_one(autojump_clock):
    async with open_hub() as hub:
        crowd = await crowd_in(hub, "huge", 3000)
        (two,) = await crowd_in(hub, "small", 1)
        await hub.publish("huge", b"1")
        await hub.publish("small", b"1")
        while not two.said:
            await trio.lowlevel.checkpoint()
        assert sum(bool(member.said) for member in crowd) <= 600


async def test_others_run_while_a_huge_room_is_served(autojump_clock):
    async with open_hub() as hub:
        crowd = await crowd_in(hub, "huge", 3000)
        await hub.publish("huge", b"1")
        turns = 0
        while not crowd[-1].said:
            await trio.lowlevel.checkpoint()
            turns += 1
        assert turns >= 3000 // 200


async def test_a_view_that_fails_costs_its_batch_and_nothing_else(autojump_clock, caplog):
    class Broken(LineView):
        def batch(self, channel, publications):
            if publications[0].data == b"poison":
                raise ValueError("cannot be encoded")
            return super().batch(channel, publications)

    async with open_hub() as hub:
        broken, other = Listener("b", view=Broken()), Listener("o")
        with hub.present(broken), hub.present(other):
            await hub.join(broken, "x")
            await hub.join(other, "y")
            await hub.publish("x", b"poison")
            await hub.publish("y", b"1")
            await trio.sleep(1)
            await hub.publish("x", b"2")
            await trio.sleep(1)
    assert other.said == ["1"]
    assert broken.said == ["2"]
    assert "a batch could not be delivered" in caplog.text


async def test_strict_members_are_told_of_a_batch_that_cannot_be_encoded(autojump_clock, caplog):
    class Broken(LineView):
        def batch(self, channel, publications):
            raise ValueError("cannot be encoded")

    async with open_hub() as hub:
        lax = Listener("lax", view=Broken())
        strict = [Listener(f"s{n}", strict=True) for n in range(300)]
        for member in (lax, *strict):
            hub.members.add(member)
            await hub.join(member, "x")
        await hub.publish("x", b"poison")
        late = Listener("late", strict=True)
        for _ in range(1000):
            if any(member.gaps for member in strict):
                break
            await trio.lowlevel.checkpoint()
        hub.members.add(late)
        await hub.join(late, "x")
        await trio.sleep(1)
        assert all(member.gaps == ["x"] for member in strict)
        assert list(hub.channels.find("x").members) == [lax, late]
        assert not lax.gaps
        await hub.publish("x", b"2")
        await trio.sleep(1)
        assert late.gaps == ["x"]
    assert "a batch could not be delivered" in caplog.text


async def test_a_busy_hub_is_cancelled_at_any_moment_and_nothing_is_left(autojump_clock):
    for moment in (0.0, 0.001, 0.01, 0.2, 1.0):
        with trio.move_on_after(moment):
            async with open_hub() as hub, trio.open_nursery() as nursery:

                async def live(n, hub=hub):
                    member = Listener(f"m{n}")
                    with hub.present(member):
                        await hub.join(member, f"x{n % 3}")
                        while True:
                            await hub.publish(f"x{n % 3}", b"hello", sender=member.sender)
                            await trio.sleep(0.2)

                for n in range(300):
                    nursery.start_soon(live, n)
        assert len(hub.members) == 0
        assert all(not room.members for room in hub.channels)
