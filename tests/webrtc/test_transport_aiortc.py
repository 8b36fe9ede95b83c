"""Transport against aiortc: an ICE agent and a DTLS-SRTP stack that others wrote."""

from __future__ import annotations

import pytest
import trio
from kit.aiortc_peer import aiortc_peer
from kit.gateway import Inbox, address_of, rtp, run_of, transport
from kit.lossy import Weather, lossy_relay


async def test_media_go_both_ways_and_goodbye_is_heard():
    async with transport() as gateway, aiortc_peer() as client:
        async with gateway.open_peer(client.remote, name="aiortc") as peer:
            inbox = Inbox(peer)
            with trio.fail_after(20):
                await client.connect(gateway, peer.local.ufrag, peer.local.pwd, gateway.port)
                await peer.connected.wait()
                for number in range(20):
                    await client.send(rtp(number))
                    assert await inbox.get() == rtp(number)
                run = run_of(65_530, 20, size=1000)
                assert peer.send_run(run)
                assert [await client.receive() for _ in run.packets] == run.packets
                await client.stop()
                await trio.sleep_forever()
        assert peer.scope.reason == "the peer said goodbye"


@pytest.mark.parametrize("seed", [1])
async def test_it_connects_through_bad_weather(seed):
    async with (
        transport() as gateway,
        lossy_relay(address_of(gateway), Weather(jitter=0.05), seed=seed) as relay,
        aiortc_peer() as client,
        gateway.open_peer(client.remote, name="aiortc") as peer,
    ):
        inbox = Inbox(peer)
        with trio.fail_after(30):
            await client.connect(gateway, peer.local.ufrag, peer.local.pwd, relay.address[1])
            for number in range(50):
                await client.send(rtp(number))
            assert await inbox.get()
            for number in range(0, 500, 10):
                peer.send_run(run_of(number, 10))
            assert await client.receive()
