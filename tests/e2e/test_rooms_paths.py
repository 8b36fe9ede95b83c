"""Guests of a room whose network is a bad one: behind a relay, cut off, gone and back again."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.coturn import SECRET, turnserver
from kit.lossy import Weather, lossy_relay
from kit.room_media import Visitor, Way, room_server, visitors

pytestmark = pytest.mark.e2e

CALM = Weather(loss=0, duplicates=0, jitter=0)
CUT = 1.0
"""Everything is lost."""
SILENT = {"peer_timeout": 5}
"""Seconds after which a peer that says nothing is gone."""

_PAIRS = """
const types = [];
for (const peer of [visitor.sending, visitor.receiving]) {
  const all = await peer.getStats();
  const transport = [...all.values()].find(({type}) => type === "transport");
  const pair = all.get(transport.selectedCandidatePairId);
  types.push(all.get(pair.localCandidateId).candidateType);
}
return types;
"""


async def relays(visitor: Visitor, seat: int) -> Way:
    """Nothing but the TURN server, with what the room's server gives to who sits there."""
    ask = "return (await asked('GET', arguments[0])).json()"
    told = await visitor.browser.js(ask, f"/v1/turn?app=live&stream=talk%2F{seat}")
    server = {"urls": told["uris"], "username": told["username"], "credential": told["password"]}
    return Way(policy="relay", ice_servers=[server])


async def test_a_guest_who_reaches_nothing_but_a_relay_sends_and_receives_through_it(
    tmp_path: Path,
) -> None:
    open_to_us = {"allowed_peer_ip": "127.0.0.1", "allow_loopback_peers": " "}
    async with turnserver(tmp_path, **open_to_us) as (port, _):
        turn = {"urls": [f"turn:127.0.0.1:{port}?transport=udp"], "secret": SECRET}
        async with (
            room_server(tmp_path, turn=turn) as site,
            visitors(site, "anna", "bob") as (anna, bob),
        ):
            await site.room()
            await anna.join(1)
            await bob.arrive()
            await bob.command("POST", "/seats/2/take")
            way = await relays(bob, 2)
            await bob.publish(2, way)
            await bob.receive(way)
            await anna.meets("bob")
            await bob.meets("anna")
            assert await bob.browser.js(_PAIRS) == ["relay", "relay"]


async def test_a_guest_whose_network_was_cut_is_absent_for_all_and_comes_back_into_his_seat(
    tmp_path: Path,
) -> None:
    async with (
        room_server(tmp_path, webrtc=SILENT) as site,
        lossy_relay(("127.0.0.1", site.server.ports["webrtc"]), CALM) as network,
        visitors(site, "anna", "bob", "carl") as (anna, bob, carl),
    ):
        await site.room()
        way = Way(port=network.address[1])
        await anna.join(1)
        await bob.join(2, way)
        await carl.join(3)
        await anna.meets("bob", "carl")
        await bob.meets("anna", "carl")
        network.weather.loss = CUT
        await anna.meets("carl")
        sight = await anna.until(lambda sight: sight.event("seat.absent", user="bob"))
        assert sight.state["seats"]["2"]["user"] == "bob"
        assert 2 not in sight.state["slots"]["video"]
        await carl.meets("anna")
        # in time, and nobody else got his seat: his page makes both connections anew
        taken = await site.ask("POST", "/v1/rooms/live/talk/seats/2/take", "dora")
        assert taken.status == 409
        network.weather.loss = 0.0
        await bob.publish(2, way)
        await bob.receive(way)
        await anna.meets("bob", "carl")
        await carl.meets("anna", "bob")
        sight = await bob.meets("anna", "carl")
        assert sight.state["seats"]["2"]["present"]
        assert sight.event("seat.left") is None


async def test_a_guest_whose_page_was_killed_is_back_in_his_seat_from_a_new_one(
    tmp_path: Path,
) -> None:
    async with (
        room_server(tmp_path, webrtc=SILENT) as site,
        visitors(site, "anna", "bob") as (anna, bob),
    ):
        await site.room()
        await anna.join(1)
        await bob.join(2)
        await anna.meets("bob")
        await bob.close()
        sight = await anna.until(lambda sight: sight.event("seat.absent", user="bob"))
        assert sight.state["seats"]["2"]["user"] == "bob"
        await anna.meets()
        again = await bob.anew()
        await again.arrive()
        await again.publish(2)
        await again.receive()
        await anna.meets("bob")
        await again.meets("anna")


async def test_a_guest_who_does_not_come_back_in_time_has_lost_his_seat(tmp_path: Path) -> None:
    async with (
        room_server(tmp_path, webrtc=SILENT, rooms={"resume_window": 2}) as site,
        visitors(site, "anna", "bob") as (anna, bob),
    ):
        await site.room()
        await anna.join(1)
        await bob.join(2)
        await anna.meets("bob")
        await bob.close()
        sight = await anna.until(lambda sight: sight.event("seat.left", user="bob"))
        assert sight.state["seats"]["2"]["state"] == "empty"
        await anna.meets()
        await site.do("POST", "/v1/rooms/live/talk/seats/2/take", "dora")
