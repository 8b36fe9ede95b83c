"""Transport: whole connections over loopback, with media both ways."""

from __future__ import annotations

import pytest
import trio
from kit.gateway import CERTIFICATE, Inbox, address_of, heard_from, rtp, run_of, transport
from kit.ice_client import PROFILES, ice_client, remote_of

REPORT = b"\x80\xc9\0\1\0\0\0\7"


async def check_media(peer, client):
    inbox = Inbox(peer)
    with trio.fail_after(20):
        await client.connect()
        client.send_rtp(rtp(7))
        assert await inbox.get() == rtp(7)
        client.send_rtcp(REPORT)
        assert await inbox.get() == REPORT
        for run in (run_of(100, 5), run_of(105, 1), run_of(106, 64, size=800)):
            assert peer.send_run(run)
            assert [await client.receive_rtp() for _ in run.packets] == run.packets
        peer.send_rtcp(REPORT)
        assert await client.receive_rtcp() == REPORT


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
async def test_media_go_both_ways_after_ice_and_dtls(profile, tcp):
    async with (
        transport() as gateway,
        gateway.open_peer(remote_of(), name="a peer") as peer,
        ice_client(peer.local, address_of(gateway), profiles=(profile,), tcp=tcp) as client,
    ):
        await check_media(peer, client)
        assert peer.profile == profile
        assert peer.transport == ("tcp" if tcp else "udp")
        assert peer.packets_sent == 70
        assert peer.packets_received == 1


async def test_gcm_with_128_bits_is_preferred():
    async with (
        transport() as gateway,
        gateway.open_peer(remote_of(), name="a peer") as peer,
        ice_client(peer.local, address_of(gateway), profiles=tuple(reversed(PROFILES))) as client,
    ):
        await client.connect()
        assert client.profile == "SRTP_AEAD_AES_128_GCM"


async def test_a_peer_that_waits_for_our_hello_gets_it():
    async with (
        transport() as gateway,
        gateway.open_peer(remote_of(setup="passive"), name="a peer") as peer,
        ice_client(peer.local, address_of(gateway), dtls_server=True) as client,
    ):
        await check_media(peer, client)


async def test_ipv6_works_the_same():
    async with (
        transport("::1") as gateway,
        gateway.open_peer(remote_of(), name="a peer") as peer,
        ice_client(peer.local, address_of(gateway, "::1")) as client,
    ):
        await check_media(peer, client)
        assert peer.address.startswith("[::1]:")


async def test_the_address_is_told_back_as_it_was_seen():
    async with (
        transport() as gateway,
        gateway.open_peer(remote_of(), name="a peer") as peer,
        ice_client(peer.local, address_of(gateway)) as client,
    ):
        answer = await client.check()
        assert answer.mapped == client.sock.getsockname()
        assert answer.proves(peer.local.pwd)


async def test_the_peers_description_may_come_after_its_handshake():
    async with (
        transport() as gateway,
        gateway.open_peer(None, name="a peer") as peer,
        ice_client(peer.local, address_of(gateway)) as client,
    ):
        await client.connect()
        assert not peer.connected.is_set()
        assert not peer.send_run(run_of(0))
        peer.accept(remote_of())
        assert peer.connected.is_set()
        await heard_from(peer, client)


@pytest.mark.parametrize("late", [False, True])
async def test_another_certificate_than_the_announced_one_ends_the_peer(late):
    wrong = remote_of(CERTIFICATE.fingerprint)
    async with (
        transport() as gateway,
        gateway.open_peer(None if late else wrong, name="a peer") as peer,
        ice_client(peer.local, address_of(gateway)) as client,
    ):
        await client.connect()
        if late:
            peer.accept(wrong)
        with trio.fail_after(5):
            await trio.sleep_forever()
    assert "fingerprint" in peer.scope.reason
    assert not peer.connected.is_set()


async def test_whoever_joins_late_counts_roll_overs_from_zero():
    for profiles in (("SRTP_AEAD_AES_128_GCM",), ("SRTP_AES128_CM_SHA1_80",)):
        async with (
            transport() as gateway,
            gateway.open_peer(remote_of(), name="a peer") as peer,
            ice_client(peer.local, address_of(gateway), profiles=profiles) as client,
        ):
            await client.connect()
            before_the_turn = run_of((5 << 16) - 3, 6)
            assert peer.send_run(before_the_turn)
            got = [await client.receive_rtp() for _ in range(6)]
            assert got == before_the_turn.packets
            assert peer.send_run(run_of(0))  # older than all it was sent: kept back
            other = run_of((900 << 16) + 1, 2, ssrc=7)  # another stream, another count
            assert peer.send_run(other)
            assert [await client.receive_rtp() for _ in range(2)] == other.packets


async def test_the_same_packet_may_be_sent_again():
    async with (
        transport() as gateway,
        gateway.open_peer(remote_of(), name="a peer") as peer,
        ice_client(peer.local, address_of(gateway)) as client,
    ):
        await client.connect()
        peer.send_run(run_of(1, 3))
        first = [await client.receive_encrypted() for _ in range(3)]
        peer.send_run(run_of(2))
        assert await client.receive_encrypted() == first[1]


async def test_a_publishers_numbers_may_roll_over():
    async with (
        transport() as gateway,
        gateway.open_peer(remote_of(), name="a peer") as peer,
        ice_client(peer.local, address_of(gateway)) as client,
    ):
        await client.connect()
        inbox = Inbox(peer)
        for number in range(0, 3 << 16, 20_000):
            client.send_rtp(rtp(number))
            assert await inbox.get() == rtp(number)


async def test_an_answer_that_leaves_the_hello_to_us_may_come_after_the_checks():
    async with (
        transport() as gateway,
        gateway.open_peer(None, name="a peer") as peer,
        ice_client(peer.local, address_of(gateway), dtls_server=True) as client,
    ):
        await client.check()
        peer.accept(remote_of(setup="passive"))
        await check_media(peer, client)
