"""Too many, too long, too dear: floods at the gateway's socket (groups 42, 44, 45)."""

from __future__ import annotations

from contextlib import asynccontextmanager

import trio
import trio.testing
from kit.gateway import address_of, heard_from, rtp, transport
from kit.ice_client import ice_client, remote_of

from livetrio.webrtc.run import Run
from livetrio.wire.stun import build_request


@asynccontextmanager
async def a_client(*, connect=False):
    finished = False
    async with (
        transport() as gateway,
        gateway.open_peer(remote_of(), name="a peer") as peer,
        ice_client(peer.local, address_of(gateway)) as client,
    ):
        if connect:
            await client.connect()
        yield gateway, peer, client
        finished = True
    assert finished, peer.scope.reason  # who is ended leaves the block quietly


async def test_guesses_in_somebodys_name_do_not_shut_him_out():
    """Whoever forges a source address knows no fragment of that address's session."""
    async with a_client() as (gateway, peer, client):
        stranger = build_request(
            bytes(12), "nobody00:x", client.credentials.pwd, priority=1, controlling=7
        )
        for _ in range(60):
            client.send(stranger)
        client.send(client.request())
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert gateway.unknown == 60
        assert peer.address


async def test_a_datagram_longer_than_any_of_ours_ends_nobody():
    got = b""
    async with (
        transport() as gateway,
        gateway.open_peer(remote_of(), name="a peer") as peer,
        ice_client(peer.local, address_of(gateway), profiles=("SRTP_AES128_CM_SHA1_80",)) as client,
    ):
        await client.connect()
        for kind in (96, 200):
            client.send(bytes((0x80, kind)) + bytes(1_598))
        await heard_from(peer, client)
        assert peer.refused == 2
        long = Run([rtp(7, bytes(1_400)), rtp(8)], [7, 8])
        assert peer.send_run(long)
        got = await client.receive_rtp()
    assert got == rtp(8), peer.scope.reason  # who is ended leaves the block quietly


async def test_a_flood_of_what_is_dear_to_handle_leaves_others_their_turn(mock_clock):
    async with a_client(connect=True) as (_, peer, client):
        handled, turns = [], []

        def dear(compound):
            handled.append(len(turns))
            mock_clock.jump(0.001)

        await heard_from(peer, client)
        peer.on_rtcp = dear
        for _ in range(60):
            client.send_rtcp(b"\x80\xc9\0\1\0\0\0\7")
        with trio.fail_after(5):
            while len(handled) < 60:
                turns.append(None)
                await trio.lowlevel.checkpoint()
        assert len(set(handled)) >= 10


class Restless:
    """A peer that was connected long ago, and repeats the end of its handshake for ever."""

    def __init__(self) -> None:
        self.peer = self
        self.source = ("127.0.0.1", 9)
        self.handshaking = True
        self.connected = trio.Event()
        self.connected.set()
        self.heard = float("inf")
        self.repeats = 0

    def receive_dtls(self, path: object, data: bytes) -> None:
        """As `Peer.receive_dtls`."""

    def tick_dtls(self) -> None:
        self.repeats += 1

    def look_at_paths(self, now: float) -> None:
        """As `Peer.look_at_paths`."""

    def settle(self) -> None:
        """As `Peer.settle`."""


async def test_who_repeats_his_handshake_for_ever_stops_nobodys_deadline(autojump_clock):
    async with transport() as gateway:
        restless = Restless()

        async def repeat() -> None:
            while True:
                gateway.receive_tcp(restless, b"\x16\xfe\xfd")
                await trio.sleep(0.04)

        gateway.scope.nursery.start_soon(repeat)
        async with gateway.open_peer(remote_of(), name="silent") as silent:
            begun = trio.current_time()
            with trio.move_on_after(60):
                await trio.sleep_forever()
        assert "ICE not finished" in silent.scope.reason
        assert trio.current_time() - begun < 12
        assert restless.repeats > 100
