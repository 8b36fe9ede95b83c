"""Coturn with turn/coturn.conf: our credentials open it, and it relays to nobody inside."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest
import trio
from kit.coturn import CONFIGURATION, SECRET, turnserver

from livetrio.config import Config, TurnConfig
from livetrio.doctor.turn_line import connected
from livetrio.doctor.turn_server import check_turn
from livetrio.webrtc.turn import Turn
from livetrio.wire.turn import TurnDialogue

pytestmark = pytest.mark.e2e

DENIED = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255",
    "100.64.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1",
    "192.168.0.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255",
    "240.0.0.1", "255.255.255.255",
]  # fmt: skip
DENIED_IPV6 = [
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::",
    "2002:a00:1::1", "3fff::1", "fc00::1", "fd12:3456::1", "fe80::1", "febf::1", "fec0::1",
    "ff02::1", "ff0e::1",
]  # fmt: skip


async def ask(port: int, peers: list[str], *, ip: int, secret: str = SECRET) -> dict[str, int]:
    """What CreatePermission for each of these is answered with; "allocate" for the allocation."""
    turn = Turn(TurnConfig(urls=("turn:localhost",), secret=secret))
    grant = turn.grant("192.0.2.1", proven=True)
    with trio.fail_after(20):
        return await _ask(port, peers, TurnDialogue(grant.username, grant.password), ip)


async def _ask(port: int, peers: list[str], dialogue: TurnDialogue, ip: int) -> dict[str, int]:
    async with connected("127.0.0.1", port, "udp", secure=False) as line:
        allocated = await line.ask(dialogue, lambda: dialogue.allocate(ip=ip))
        found = {"allocate": allocated.error}
        if allocated.error:
            return found
        for peer in peers:
            reply = await line.ask(dialogue, lambda peer=peer: dialogue.permit(peer))
            found[peer] = reply.error
        await line.send(dialogue.release())
        return found


@pytest.mark.parametrize(("ip", "denied"), [(4, DENIED), (6, DENIED_IPV6)])
async def test_no_peer_inside_is_relayed_to_and_one_outside_is(tmp_path, ip, denied) -> None:
    outside = "8.8.4.4" if ip == 4 else "2600::1"
    async with turnserver(tmp_path) as (port, _):
        found = await ask(port, [*denied, outside], ip=ip)
    assert found.pop("allocate") == 0
    assert found.pop(outside) == 0  # so that the test could fail
    assert found == dict.fromkeys(denied, 403)


async def test_nobody_gets_in_without_the_secret(tmp_path) -> None:
    async with turnserver(tmp_path) as (port, _):
        assert await ask(port, [], ip=4, secret="another") == {"allocate": 401}


async def test_as_it_stands_in_the_repository_nobody_gets_in_at_all(tmp_path) -> None:
    async with turnserver(tmp_path, static_auth_secret="") as (port, _):
        for guess in ("", "REPLACE-ME", "secret"):
            assert await ask(port, [], ip=4, secret=guess) == {"allocate": 401}


async def test_every_option_of_it_is_known_to_coturn(tmp_path) -> None:
    async with turnserver(tmp_path) as (port, program):
        assert await ask(port, [], ip=4) == {"allocate": 0}
    assert "unknown" not in program.output.lower()
    assert "bad configuration" not in program.output.lower()
    denied = CONFIGURATION.read_text("utf-8").count("\ndenied-peer-ip=")
    assert program.output.count("Black listing") == denied


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_the_doctor_allocates_and_finds_loopback_closed(tmp_path, transport) -> None:
    async with turnserver(tmp_path) as (port, _):
        url = f"turn:127.0.0.1:{port}?transport={transport}"
        config = Config(turn=TurnConfig(urls=(url,), secret=SECRET))
        found = [finding async for finding in check_turn(config)]
        assert [finding.level for finding in found] == ["ok", "ok"], found
        assert "relay addresses" in found[0].text
        wrong = replace(config, turn=replace(config.turn, secret="wrong"))
        (refused,) = [finding async for finding in check_turn(wrong)]
        assert refused.level == "error"
        assert "static-auth-secret" in refused.advice


async def test_the_doctor_tells_an_open_relay(tmp_path) -> None:
    async with turnserver(tmp_path, allowed_peer_ip="127.0.0.1", allow_loopback_peers=" ") as (
        port,
        _,
    ):
        config = Config(turn=TurnConfig(urls=(f"turn:127.0.0.1:{port}",), secret=SECRET))
        found = [finding async for finding in check_turn(config)]
    assert any(finding.level == "error" and "loopback" in finding.text for finding in found)


def test_the_list_of_the_denied_covers_every_range_that_is_not_global() -> None:
    lines = CONFIGURATION.read_text("utf-8").splitlines()
    ranges = [
        tuple(map(ipaddress.ip_address, line.partition("=")[2].split("-")))
        for line in lines
        if line.startswith("denied-peer-ip=")
    ]
    for text in {*DENIED, *DENIED_IPV6} - {"::"}:  # Coturn refuses that one by itself
        address = ipaddress.ip_address(text)
        assert any(
            first <= address <= last for first, last in ranges if first.version == address.version
        ), text
