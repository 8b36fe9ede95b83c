"""TURN credentials: Coturn's scheme, few names per caller, nobody asked for anything."""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket

import pytest
import trio
from kit.control import body_of, publishing
from kit.fake_engine import OFFER, stage

from livetrio.config import JwtConfig, TurnConfig
from livetrio.webrtc.turn import Turn

CONFIG = TurnConfig(
    urls=("turn:turn.example.com:3478?transport=udp", "stuns:turn.example.com"), secret="s", ttl=800
)
URL = "/v1/turn?app=keyed&stream=room"


def test_the_password_is_what_coturn_computes_from_name_and_secret() -> None:
    grant = Turn(CONFIG, clock=lambda: 1_700_000_000.0).grant("192.0.2.1")
    wanted = hmac.new(b"s", grant.username.encode(), hashlib.sha1).digest()
    assert base64.b64decode(grant.password) == wanted
    expiry = int(grant.username.partition(":")[0])
    assert expiry - 1_700_000_000 == grant.ttl
    assert 800 <= grant.ttl <= 900


def test_a_caller_keeps_its_name_for_a_while_so_that_quotas_count() -> None:
    now = 1_700_000_000.0
    turn = Turn(CONFIG, clock=lambda: now)
    names = set()
    for now in range(1_700_000_000, 1_700_000_080, 10):  # noqa: B007 - the clock
        names.add(turn.grant("192.0.2.1").username)
    assert len(names) <= 2
    assert turn.grant("192.0.2.2").username not in names


def test_the_name_does_not_tell_the_address() -> None:
    assert "192.0.2.1" not in Turn(CONFIG).grant("192.0.2.1").username


def test_stun_servers_take_no_credentials() -> None:
    turn, stun = Turn(CONFIG).servers("192.0.2.1")
    assert (turn.url, bool(turn.username), bool(turn.credential)) == (CONFIG.urls[0], True, True)
    assert stun.link == '<stuns:turn.example.com>; rel="ice-server"'


def test_nothing_configured_is_nothing_told() -> None:
    assert not Turn(TurnConfig())
    assert list(Turn(TurnConfig()).servers("192.0.2.1")) == []


async def ask(on, url=URL, token: str = ""):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return await on.app.test_client().get(url, headers=headers)


async def test_who_may_publish_is_given_credentials() -> None:
    async with stage(turn=CONFIG) as on:
        on.keys.rooms["room"] = key = "k" * 48
        answer = await ask(on, token=key)
        assert answer.status_code == 200
        told = await body_of(answer)
        assert told.keys() == {"username", "password", "ttl", "uris"}
        assert told["uris"] == list(CONFIG.urls)
        assert answer.headers["Cache-Control"] == "no-store"
        assert (await ask(on, token="wrong")).status_code == 401


async def test_who_may_watch_a_live_stream_too_and_of_no_stream_nobody() -> None:
    async with stage(turn=CONFIG) as on, publishing(on.parts):
        assert (await ask(on, "/v1/turn?app=live&stream=movie")).status_code == 200
        missing = await ask(on, "/v1/turn?app=live&stream=other")
        assert missing.status_code == 401
        assert missing.headers["WWW-Authenticate"].startswith("Bearer")
        assert (await ask(on, "/v1/turn")).status_code == 400


async def test_an_operators_token_opens_it() -> None:
    import jwt

    config = JwtConfig(secret="operator's secret of thirty-two bytes")
    async with stage(turn=CONFIG, jwt=config) as on:
        token = jwt.encode({"sub": "me"}, config.secret, "HS256")
        assert (await ask(on, "/v1/turn", token)).status_code == 200
        forged = jwt.encode({"sub": "me"}, "another secret of thirty-two bytes!", "HS256")
        assert (await ask(on, "/v1/turn", forged)).status_code == 401


async def test_without_a_server_it_is_404() -> None:
    async with stage() as on:
        assert (await ask(on)).status_code == 404


@pytest.mark.parametrize("way", ["dead", "slow"])
async def test_with_dns_dead_or_slow_everything_goes_on(way, monkeypatch) -> None:
    def resolve(*_, **__):
        if way == "slow":
            threading_forbidden()
        raise socket.gaierror("the network is unreachable")

    def threading_forbidden():
        raise AssertionError("a name was about to be resolved")

    async def resolve_in_trio(*_, **__):
        resolve()

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(trio.socket, "getaddrinfo", resolve_in_trio)
    async with stage(turn=CONFIG) as on, publishing(on.parts):
        assert (await ask(on, "/v1/turn?app=live&stream=movie")).status_code == 200
        answer = await on.app.test_client().post(
            "/live/other/whip", data=OFFER, headers={"Content-Type": "application/sdp"}
        )
        assert answer.status_code == 201
        assert "turn:turn.example.com" in answer.headers["Link"]
