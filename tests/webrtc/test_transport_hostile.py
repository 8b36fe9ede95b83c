"""Raw datagrams and frames that no honest peer sends (groups 42, 43, 44, 48)."""

from __future__ import annotations

import random
import secrets
import socket
from contextlib import asynccontextmanager, suppress

import pytest
import trio
from kit.gateway import address_of, heard_from, run_of, transport
from kit.ice_client import IceClient, ice_client, remote_of
from kit.node import patiently
from OpenSSL import SSL

from livetrio.wire import stun
from livetrio.wire.stun import ERROR, build_request, is_stun, parse_stun

HELLO_RECORD = bytes.fromhex("16fefd0000000000000000")


@asynccontextmanager
async def one_peer(*, connect=False, tcp=False, **changes):
    async with (
        transport(**changes) as gateway,
        gateway.open_peer(remote_of(), name="a peer") as peer,
        ice_client(peer.local, address_of(gateway), tcp=tcp) as client,
    ):
        if connect:
            await client.connect()
        yield gateway, peer, client


async def silence(client: IceClient) -> None:
    """Nothing is answered."""
    with trio.move_on_after(0.1):
        data = await client.receive()
        pytest.fail(f"answered with {data[:20].hex()}")


async def client_hello(client: IceClient) -> bytes:
    return client.step()[0]


async def test_dtls_from_an_address_without_a_valid_check_is_not_answered():
    async with one_peer() as (gateway, peer, client):
        client.send(await client_hello(client))
        await silence(client)
        assert gateway.unknown == 1
        assert not peer.handshaking


async def test_media_and_garbage_from_strangers_are_dropped_and_counted():
    async with one_peer(connect=True) as (gateway, peer, client):
        dice = random.Random(3)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for size in (1, 2, 19, 20, 28, 100, 2048, 2049, 9000):
                for first in (0, 1, 3, 4, 20, 22, 63, 64, 127, 128, 191, 192, 255):
                    data = bytes((first,)) + dice.randbytes(size - 1)
                    stranger.sendto(data, client.server)
        await heard_from(peer, client)
        assert gateway.unknown > 60


async def test_garbage_from_a_connected_peer_harms_nobody():
    async with one_peer(connect=True) as (_, peer, client):
        dice = random.Random(4)
        for size in (1, 2, 3, 12, 13, 14, 27, 28, 60, 1200):
            for first in (0, 1, 20, 21, 22, 23, 63, 64, 128, 144, 159, 191, 255):
                client.send((bytes((first,)) + dice.randbytes(size - 1))[:size])
        await heard_from(peer, client)
        assert peer.refused


@pytest.mark.parametrize(
    "changes", [{"password": "guessed" * 4}, {"username": "nobody0:x"}, {"username": ""}]
)
async def test_checks_that_are_not_authentic_get_no_answer(changes):
    async with one_peer() as (gateway, peer, client):
        client.send(request(client, **changes))
        await silence(client)
        assert gateway.unknown == 1
        assert not peer.address


def request(client, *, username=None, password=""):
    return build_request(
        secrets.token_bytes(12),
        f"{client.credentials.ufrag}:client" if username is None else username,
        password or client.credentials.pwd,
        priority=1,
        controlling=7,
    )


async def test_the_password_of_another_session_does_not_fit():
    async with one_peer() as (gateway, peer, client):
        async with gateway.open_peer(remote_of(), name="other") as other:
            client.send(request(client, password=other.local.pwd))
            await silence(client)
            assert not peer.address
            assert not other.address


async def test_the_wrong_role_is_told_so():
    async with one_peer() as (_, peer, client):
        answer = await client.check(controlled=2**64 - 1)
        assert (answer.kind, answer.error) == (ERROR, (487, "Role Conflict"))
        assert answer.proves(peer.local.pwd)
        assert not peer.address


async def test_an_attribute_that_must_be_understood_is_refused():
    async with one_peer() as (_, peer, client):
        data = stun.build_message(
            stun.REQUEST,
            bytes(12),
            [
                (0x0006, f"{client.credentials.ufrag}:client".encode()),
                (0x0024, bytes(4)),
                (0x0077, bytes(12)),
                (0x802A, bytes(8)),
            ],
            client.credentials.pwd,
        )
        client.send(data)
        answer = parse_stun(await client.receive())
        assert answer.error == (420, "Unknown Attribute")
        assert not peer.address


async def test_a_check_without_a_role_is_a_bad_request():
    async with one_peer() as (_, _, client):
        answer = await client.check(controlling=None)
        assert answer.error == (400, "Bad Request")


async def test_no_reply_is_larger_than_its_request():
    async with one_peer() as (_, _, client):
        for changes in ({}, {"controlled": 1}, {"controlling": None}, {"use_candidate": False}):
            data = client.request(**changes)
            client.send(data)
            with trio.move_on_after(0.1):
                answer = await client.receive()
                assert is_stun(answer)
                assert len(answer) <= len(data)


async def test_an_answer_larger_than_the_check_is_kept_back():
    async with one_peer() as (_, _, client):
        # authentic, without PRIORITY, role or FINGERPRINT: 400 would be longer
        data = stun.build_message(
            stun.REQUEST,
            bytes(12),
            [(0x0006, f"{client.credentials.ufrag}:".encode())],
            client.credentials.pwd,
        )[:-8]
        data = data[:2] + (len(data) - 20).to_bytes(2, "big") + data[4:]
        client.send(data)
        await silence(client)


async def test_whoever_guesses_too_often_is_not_listened_to_for_a_moment():
    async with one_peer() as (gateway, peer, client):
        for _ in range(60):
            client.send(request(client, password="guessed" * 4))
        client.send(client.request())
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert gateway.unknown == 61
        assert not peer.address
        with trio.fail_after(5):
            await client.check()  # repeated: in the next second it is heard


async def test_an_address_in_use_is_not_taken_over_by_another_session():
    async with one_peer(connect=True) as (gateway, peer, client):
        async with gateway.open_peer(remote_of(), name="thief") as thief:
            mine = client.credentials
            client.credentials = thief.local
            client.send(client.request())  # from the very address of the first
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert not thief.address
            client.credentials = mine
            await heard_from(peer, client)


async def test_answers_and_indications_nobody_asked_for_are_dropped():
    async with one_peer() as (_, peer, client):
        for kind in (stun.INDICATION, stun.SUCCESS, stun.ERROR):
            body = [(0x0006, f"{client.credentials.ufrag}:client".encode())]
            client.send(stun.build_message(kind, bytes(12), body, client.credentials.pwd))
        await silence(client)
        assert not peer.address


@pytest.mark.parametrize(
    "version",
    [b"\xfe\xff", b"\x01\x00", b"\xfe\xfc", b"\x03\x03"],
    ids=["1.0", "bad", "1.3", "tls"],
)
async def test_hellos_of_other_versions_end_or_bore_that_peer(version):
    async with one_peer() as (_, peer, client):
        await client.check()
        hello = await client_hello(client)
        # in the record and in the message itself
        client.send(hello[:1] + version + hello[3:25] + version + hello[27:])
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert not peer.connected.is_set()


def fragment(length: int, offset: int, size: int, *, number: int = 0) -> bytes:
    """A record with a piece of a ClientHello that lies about itself."""
    body = (
        b"\1"
        + length.to_bytes(3, "big")
        + b"\0\0"
        + offset.to_bytes(3, "big")
        + size.to_bytes(3, "big")
        + bytes(min(size, 1000))
    )
    return b"\x16\xfe\xfd\0\0" + number.to_bytes(6, "big") + len(body).to_bytes(2, "big") + body


async def test_lying_fragments_cost_that_peer_its_handshake_at_most():
    async with one_peer() as (gateway, peer, client):
        await client.check()
        lies = [(2**24 - 1, 0, 10), (100, 90, 100), (200, 0, 1000), (100, 2**24 - 1, 1), (0, 0, 0)]
        for number, (length, offset, size) in enumerate(lies):
            client.send(fragment(length, offset, size, number=number))
            client.send(fragment(500, number * 50, 100, number=100 + number))
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert not peer.connected.is_set()
    assert not gateway.peers


async def test_a_handshake_of_endless_datagrams_is_ended():
    with trio.fail_after(10):
        async with one_peer() as (_, peer, client):
            await client.check()
            hello = await client_hello(client)
            for number in range(400):
                client.send(hello[:5] + number.to_bytes(6, "big") + hello[11:])
                await trio.lowlevel.checkpoint()
            await trio.sleep_forever()
    assert "too many datagrams" in peer.scope.reason


async def test_alert_storms_are_left_aside():
    async with one_peer(connect=True) as (_, peer, client):
        for number in range(300):
            head = b"\x15\xfe\xfd\0\0" + number.to_bytes(6, "big")
            client.send(head + b"\0\2\2\x28")  # in the clear, fatal: forged
            client.send(head[:3] + b"\0\1" + head[5:] + b"\0\x1a" + bytes(26))
            await trio.lowlevel.checkpoint()
        await heard_from(peer, client)
        peer.settle()
        client.send(b"\x15\xfe\xfd\0\1" + bytes(6) + b"\0\x1a" + bytes(26))
        client.send(b"\x15\xfe\xfd\0\1" + bytes(6) + b"\xff\xff" + bytes(26))
        await heard_from(peer, client)


async def test_a_client_without_a_common_srtp_profile_is_ended():
    async with (
        transport() as gateway,
        gateway.open_peer(remote_of(), name="a peer") as peer,
        ice_client(peer.local, address_of(gateway), profiles=("SRTP_AES128_CM_SHA1_32",)) as client,
    ):
        await client.check()
        for datagram in client.step():
            client.send(datagram)
        with trio.fail_after(10):
            while True:
                client.dtls.bio_write(await client.receive())
                with suppress(SSL.Error):
                    client.dtls.do_handshake()
                for datagram in client.said():
                    client.send(datagram)
    assert peer.scope.reason.startswith("DTLS")


@pytest.mark.parametrize("head", [b"\0\0", b"\xff\xff"])
async def test_ice_tcp_frames_of_nothing_or_everything_end_the_connection(head):
    async with one_peer(tcp=True) as (gateway, peer, client):
        await client.check()
        assert peer.transport == "tcp"
        client.sock.sendall(head)
        with trio.fail_after(5), pytest.raises(EOFError):  # noqa: PT012
            while True:
                await client.receive()
        assert peer.address == ""
        async with ice_client(peer.local, address_of(gateway)) as other:
            await other.connect()  # the peer itself may come on another way
            await heard_from(peer, other)


async def test_an_ice_tcp_connection_that_proves_nothing_is_closed(autojump_clock):
    patiently(autojump_clock)
    async with transport() as gateway:
        with socket.create_connection(address_of(gateway)) as sock:
            sock.setblocking(False)
            sock.sendall(b"\0\x03abc")
            begun = trio.current_time()
            await trio.lowlevel.wait_readable(sock)
            assert sock.recv(10) == b""
            assert trio.current_time() - begun < 13


async def test_a_full_tcp_connection_drops_whole_runs_and_never_blocks():
    async with one_peer(tcp=True, connect=True) as (_, peer, client):
        taken = [peer.send_run(run_of(10 * number, 10, size=1100)) for number in range(1500)]
        assert not all(taken)
        assert peer.dropped
        assert peer.dropped + peer.packets_sent == 15_000
        got = []
        with trio.move_on_after(1):
            while True:
                got.append(await client.receive_rtp())
        assert all(len(packet) == 1112 for packet in got)  # none was torn
        assert len(got) > 10


async def test_malformed_checks_are_dropped_and_counted():
    async with one_peer() as (gateway, peer, client):
        good = client.request()
        for data in (good[:-1] + b"x", good + bytes(4), good[:2] + b"\0\1" + good[4:]):
            client.send(data)
        await silence(client)
        assert gateway.unknown == 3
        assert not peer.address


async def test_a_peer_with_endless_addresses_keeps_a_few():
    async with one_peer(connect=True) as (_, peer, client):
        for _ in range(20):
            client.move()
            await client.check()
        await client.prove()
        assert len(peer._paths) <= 4
        await heard_from(peer, client)
        assert peer.send_run(run_of(1))
        assert await client.receive_rtp() == run_of(1).packets[0]


async def test_an_address_that_fell_silent_may_become_another_sessions(autojump_clock):
    patiently(autojump_clock)
    async with one_peer(connect=True) as (gateway, peer, client):
        async with gateway.open_peer(remote_of(), name="next behind that NAT") as other:
            await trio.sleep(6)
            client.credentials = other.local
            await client.check()
            assert other.address
            assert not peer.address
