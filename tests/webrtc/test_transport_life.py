"""Peers come, move, fall silent and go: what their life and end leave behind."""

from __future__ import annotations

import random
from contextlib import AsyncExitStack

import pytest
import trio
from kit.gateway import address_of, heard_from, rtp, run_of, transport
from kit.ice_client import ice_client, remote_of
from kit.lossy import Weather, lossy_relay
from kit.node import Traces, patiently

from livetrio.errors import Refused, RemoteProtocolError
from livetrio.net.scope import open_scope
from livetrio.webrtc.run import runs_of


@pytest.mark.parametrize("settled", [False, True])
async def test_a_peer_that_says_goodbye_is_gone(settled):
    async with (
        transport() as gateway,
        gateway.open_peer(remote_of(), name="a peer") as peer,
        ice_client(peer.local, address_of(gateway)) as client,
    ):
        await client.connect()
        await heard_from(peer, client)
        if settled:
            peer.settle()
        client.close()
        with trio.fail_after(5):
            await trio.sleep_forever()
    assert peer.scope.reason == "the peer said goodbye"


@pytest.mark.parametrize("settled", [False, True])
@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
async def test_a_peer_that_is_cancelled_hears_goodbye(settled, tcp):
    async with transport() as gateway, AsyncExitStack() as stack:
        async with gateway.open_peer(remote_of(), name="a peer") as peer:
            client = await stack.enter_async_context(
                ice_client(peer.local, address_of(gateway), tcp=tcp)
            )
            await client.connect()
            await heard_from(peer, client)
            if settled:
                peer.settle()
            peer.scope.cancel("enough")
        with trio.fail_after(5):
            await client.wait_goodbye()
        assert not gateway.peers


async def test_whoever_never_finishes_ice_or_dtls_is_gone_in_ten_seconds(autojump_clock):
    patiently(autojump_clock)
    async with transport() as gateway:
        begun = trio.current_time()
        async with gateway.open_peer(remote_of(), name="a peer") as silent:
            await trio.sleep_forever()
        assert "ICE not finished" in silent.scope.reason
        async with (
            gateway.open_peer(remote_of(), name="a peer") as half,
            ice_client(half.local, address_of(gateway)) as client,
        ):
            await client.check()
            await trio.sleep_forever()
        assert "DTLS not finished" in half.scope.reason
        assert trio.current_time() - begun < 24


async def test_a_newcomer_among_settled_peers_is_looked_after_at_once(autojump_clock):
    """The ticker sleeps for a second while nobody shakes hands; a lost flight waits a fifth."""
    patiently(autojump_clock)
    async with transport() as gateway, AsyncExitStack() as stack:
        enter = stack.enter_async_context
        old = await enter(gateway.open_peer(remote_of(), name="old"))
        settled = await enter(ice_client(old.local, address_of(gateway)))
        await settled.connect()
        await heard_from(old, settled)
        await trio.sleep(10.05)  # just after a look
        peer = await enter(gateway.open_peer(remote_of(), name="new"))
        client = await enter(ice_client(peer.local, address_of(gateway)))
        await client.check()
        for datagram in client.step():
            client.send(datagram)
        await client.receive()  # the server's flight, lost
        begun = trio.current_time()
        with trio.move_on_after(0.03):
            while True:
                await client.receive()
        await client.receive()  # repeated
        assert trio.current_time() - begun < 0.5


async def test_a_peer_that_falls_silent_is_gone_after_its_timeout(autojump_clock):
    patiently(autojump_clock)
    async with transport(peer_timeout=30.0) as gateway:
        async with (
            gateway.open_peer(remote_of(), name="a peer") as peer,
            ice_client(peer.local, address_of(gateway)) as client,
        ):
            await client.connect()
            for life in (client.check, lambda: heard_from(peer, client)):
                await trio.sleep(25)
                await life()
            last = trio.current_time()
            await trio.sleep_forever()
    assert "silent" in peer.scope.reason
    assert 30 <= trio.current_time() - last < 33


async def test_while_we_stood_still_nobody_was_silent(autojump_clock):
    """A machine that was suspended, a loop that was held: what was said meanwhile is yet unread."""
    patiently(autojump_clock)
    async with transport(peer_timeout=30.0) as gateway:
        async with (
            gateway.open_peer(remote_of(), name="a peer") as peer,
            gateway.open_peer(remote_of(), name="late") as late,
            ice_client(peer.local, address_of(gateway)) as client,
            ice_client(late.local, address_of(gateway)) as newcomer,
        ):
            await client.connect()
            await heard_from(peer, client)
            autojump_clock.jump(40)
            with trio.fail_after(20):
                await newcomer.connect()
                await late.connected.wait()
                await client.check()
            await trio.sleep(20)
            assert not peer.scope.reason
            last = trio.current_time()
            await newcomer.check()
            await trio.sleep_forever()
    assert "silent" in peer.scope.reason
    assert trio.current_time() - last < 15


async def test_media_follow_a_peer_to_its_new_port():
    async with (
        transport() as gateway,
        gateway.open_peer(remote_of(), name="a peer") as peer,
        ice_client(peer.local, address_of(gateway)) as client,
    ):
        await client.connect()
        before = peer.address
        client.move()
        client.send_rtp(rtp(1))  # not yet validated: nobody's
        await client.prove()
        assert peer.address != before
        assert peer.send_run(run_of(5, 2))
        assert [await client.receive_rtp() for _ in range(2)] == run_of(5, 2).packets
        await heard_from(peer, client)
        assert gateway.unknown == 1


async def test_a_check_that_nominates_nothing_moves_only_a_silent_peer(autojump_clock):
    patiently(autojump_clock)
    async with (
        transport() as gateway,
        gateway.open_peer(remote_of(), name="a peer") as peer,
        ice_client(peer.local, address_of(gateway)) as client,
    ):
        await client.connect()
        before = peer.address
        client.move()
        await client.check(use_candidate=False)
        assert peer.address == before
        await trio.sleep(6)
        await client.prove(use_candidate=False)
        assert peer.address != before


async def test_a_restart_keeps_the_old_credentials_until_the_new_are_used():
    async with (
        transport() as gateway,
        gateway.open_peer(remote_of(), name="a peer") as peer,
        ice_client(peer.local, address_of(gateway)) as client,
    ):
        await client.connect()
        old = client.credentials
        new = peer.restart_ice(remote_of())
        assert new == peer.local != old
        assert (await client.check()).mapped
        client.credentials = new
        assert (await client.check()).mapped
        client.credentials = old
        with trio.move_on_after(0.3):
            await client.check()
            pytest.fail("the old credentials were answered")
        assert peer.send_run(run_of(9))
        assert await client.receive_rtp() == run_of(9).packets[0]
        for _ in range(5):
            peer.restart_ice(remote_of())
        assert len(gateway.ufrags) == 2
        peer.scope.cancel("enough")
        await trio.sleep_forever()
    assert not gateway.ufrags


async def test_a_bug_in_one_peers_handler_ends_that_peer_only():
    def boom(packet, at):
        raise ZeroDivisionError

    async with transport() as gateway, AsyncExitStack() as stack:
        good = await stack.enter_async_context(gateway.open_peer(remote_of(), name="good"))
        other = await stack.enter_async_context(ice_client(good.local, address_of(gateway)))
        await other.connect()
        async with (
            gateway.open_peer(remote_of(), name="bad") as bad,
            ice_client(bad.local, address_of(gateway)) as client,
        ):
            await client.connect()
            bad.on_rtp = boom
            client.send_rtp(rtp(1))
            with trio.fail_after(5):
                await trio.sleep_forever()
        assert bad.scope.reason == "a bug of ours"
        await heard_from(good, other)


async def test_a_handler_that_finds_the_peer_at_fault_ends_it_with_that_reason():
    def refuse(packet, at):
        raise RemoteProtocolError("not like this")

    async with (
        transport() as gateway,
        gateway.open_peer(remote_of(), name="a peer") as peer,
        ice_client(peer.local, address_of(gateway)) as client,
    ):
        await client.connect()
        peer.on_rtp = refuse
        client.send_rtp(rtp(1))
        with trio.fail_after(5):
            await trio.sleep_forever()
    assert peer.scope.reason == "not like this"


async def test_peers_are_capped_in_all_and_by_address():
    async with transport(max_peers=3, max_peers_per_ip=1) as gateway, AsyncExitStack() as stack:
        enter = stack.enter_async_context
        await enter(gateway.open_peer(remote_of(), name="1", ip="192.0.2.1"))
        with pytest.raises(Refused, match="from this address"):
            await enter(gateway.open_peer(remote_of(), name="2", ip="192.0.2.1"))
        await enter(gateway.open_peer(remote_of(), name="2", ip="2001:db8::1"))
        with pytest.raises(Refused, match="from this address"):  # a customer has a whole /64
            await enter(gateway.open_peer(remote_of(), name="2", ip="2001:db8::2"))
        await enter(gateway.open_peer(remote_of(), name="3"))
        with pytest.raises(Refused, match="too many WebRTC peers"):
            await enter(gateway.open_peer(remote_of(), name="4"))


@pytest.mark.parametrize("seed", [1, 2])
async def test_bad_weather_delays_the_handshake_and_loses_media_and_no_more(autojump_clock, seed):
    patiently(autojump_clock)
    async with (
        transport() as gateway,
        lossy_relay(address_of(gateway), seed=seed) as relay,
        gateway.open_peer(remote_of(), name="a peer") as peer,
        ice_client(peer.local, relay.address) as client,
    ):
        await client.connect()
        with trio.fail_after(10):
            await peer.connected.wait()
        got = set()
        peer.on_rtp = lambda packet, _: got.add(packet)
        sent = runs_of((rtp(number, bytes(200)), number) for number in range(100))
        for number in range(100):
            client.send_rtp(rtp(number))
        for run in sent:
            peer.send_run(run)
        heard = set()
        with trio.move_on_after(3):
            while True:
                heard.add((await client.receive_encrypted())[2:4])
        assert 50 < len(got) < 100
        assert 50 < len(heard) < 100
        assert peer.refused  # the doubled ones
        relay.weather = Weather(0, 0, 0)
        relay.rebind()
        client.media.clear()
        await client.prove()
        peer.send_run(run_of(1000))
        assert await client.receive_rtp() == run_of(1000).packets[0]


async def test_cancelled_at_any_moment_nothing_is_left():
    dice = random.Random(7)
    async with transport() as warm_up, warm_up.open_peer(remote_of(), name="x"):
        pass
    before = Traces.now()
    for _ in range(3):
        async with transport() as gateway, AsyncExitStack() as clients:

            async def life(gateway=gateway, clients=clients):
                async with gateway.open_peer(remote_of(), name="one of many") as peer:
                    client = await clients.enter_async_context(
                        ice_client(peer.local, address_of(gateway), tcp=dice.random() < 0.2)
                    )
                    await client.connect()
                    await trio.sleep_forever()

            async with open_scope("test", "crowd") as crowd:
                for _ in range(50):
                    crowd.nursery.start_soon(life)
                for _ in range(dice.randrange(200)):
                    await trio.lowlevel.checkpoint()
                await trio.sleep(dice.random() * 0.05)
                crowd.cancel("now")
            assert not gateway.peers
    assert Traces.now() == before
