"""Where a peer's media may go: only to addresses that have shown that they want them (group 42).

Credentials do not show it. A viewer has its own, and may write any sender into a datagram.
"""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from kit.gateway import address_of, heard_from, run_of, transport
from kit.ice_client import IceClient, ice_client, remote_of
from kit.node import patiently

from livetrio.wire import stun


@asynccontextmanager
async def playing():
    """A connected viewer, and somebody else on the same host."""
    finished = False
    async with (
        transport() as gateway,
        gateway.open_peer(remote_of(), name="a peer") as peer,
        ice_client(peer.local, address_of(gateway)) as viewer,
        ice_client(peer.local, address_of(gateway)) as victim,
    ):
        await viewer.connect()
        await heard_from(peer, viewer)
        yield peer, viewer, victim
        finished = True
    assert finished, peer.scope.reason  # who is ended leaves the block quietly


async def got(client: IceClient) -> list[bytes]:
    """Whatever has come to that address."""
    found = []
    with trio.move_on_after(0.1):
        while True:
            found.append(await client.receive())
    return found


async def test_media_are_not_sent_to_an_address_because_its_name_was_forged():
    async with playing() as (peer, viewer, victim):
        spent = 0
        for _ in range(20):
            check = victim.request()
            spent += len(check)
            victim.send(check)  # the viewer's, with the victim's address on it
        await heard_from(peer, viewer)
        assert peer.send_run(run_of(1, 30, size=1000))
        assert (await viewer.receive_rtp())[12:16] == b"\1\1\1\1"
        sent = await got(victim)
        assert all(stun.is_stun(data) for data in sent)
        assert sum(map(len, sent)) <= 3 * spent


async def test_nor_when_the_viewer_itself_falls_silent(autojump_clock):
    patiently(autojump_clock)
    async with playing() as (peer, viewer, victim):
        for _ in range(20):
            victim.send(victim.request())
            await trio.sleep(0.5)
        assert peer.address.endswith(f":{viewer.sock.getsockname()[1]}")
        for number in range(10):
            peer.send_run(run_of(number))
        assert all(stun.is_stun(data) for data in await got(victim))


@pytest.mark.parametrize("lie", ["transaction", "password"])
async def test_an_answer_that_was_guessed_proves_nothing(lie):
    async with playing() as (peer, viewer, victim):
        before = peer.address
        victim.answers = False
        await victim.prove()
        challenge = victim.challenged[-1]
        transaction = bytes(12) if lie == "transaction" else challenge.transaction
        password = "q" * 24 if lie == "password" else "p" * 24
        victim.send(stun.build_success(transaction, ("192.0.2.1", 1), password))
        await victim.check()
        assert peer.address == before
        await heard_from(peer, viewer)


async def test_what_a_check_of_ours_says_is_what_a_full_agent_expects():
    async with playing() as (peer, viewer, _):
        viewer.move()
        viewer.answers = False
        await viewer.prove()
        challenge = viewer.challenged[-1]
        assert challenge.username == f"client:{peer.local.ufrag}"
        assert challenge.proves("p" * 24)
        assert challenge.controlled is not None
        assert challenge.controlling is None
        assert not challenge.use_candidate
        assert challenge.priority
        assert len(challenge.raw) <= len(viewer.request())


async def test_a_selected_address_that_fell_silent_gives_way_to_one_that_lives(autojump_clock):
    patiently(autojump_clock)
    async with playing() as (peer, viewer, other):
        await other.prove(use_candidate=False)
        assert peer.address.endswith(f":{viewer.sock.getsockname()[1]}")
        for _ in range(10):
            await trio.sleep(1)
            await other.check(use_candidate=False)
        assert peer.address.endswith(f":{other.sock.getsockname()[1]}")


async def test_of_several_addresses_before_the_handshake_each_proves_itself():
    async with (
        transport() as gateway,
        gateway.open_peer(remote_of(), name="a peer") as peer,
        ice_client(peer.local, address_of(gateway)) as one,
        ice_client(peer.local, address_of(gateway)) as two,
    ):
        await one.check(use_candidate=False)
        await two.connect()
        with trio.fail_after(5):
            await peer.connected.wait()
        await two.prove() if not two.challenged else await two.check()
        assert peer.address.endswith(f":{two.sock.getsockname()[1]}")
        assert peer.send_run(run_of(1))
        assert await two.receive_rtp() == run_of(1).packets[0]


async def test_what_one_peer_has_proven_of_an_address_does_not_count_for_another(autojump_clock):
    patiently(autojump_clock)
    async with (
        transport() as gateway,
        gateway.open_peer(remote_of(), name="gone quiet") as old,
        gateway.open_peer(remote_of(), name="a thief") as thief,
        ice_client(old.local, address_of(gateway)) as victim,
        ice_client(thief.local, address_of(gateway)) as viewer,
    ):
        await victim.connect()
        await viewer.connect()
        await trio.sleep(6)
        await heard_from(thief, viewer)
        victim.credentials, victim.answers = thief.local, False
        await victim.check()  # the thief's, with the victim's address on it
        assert not old.address
        served = thief.address
        here = f":{viewer.sock.getsockname()[1]}"
    assert served.endswith(here)


async def test_a_new_ice_generation_is_checked_with_its_own_credentials():
    async with playing() as (peer, viewer, _):
        viewer.credentials = peer.restart_ice(
            type(remote_of())("again", "r" * 24, remote_of().fingerprints, "active")
        )
        viewer.move()
        viewer.answers = False
        await viewer.prove()
        assert viewer.challenged[-1].username == f"again:{peer.local.ufrag}"
        assert viewer.challenged[-1].proves("r" * 24)
