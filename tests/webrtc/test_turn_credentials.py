"""TURN credentials: Coturn's scheme, few names per caller, nobody asked for anything."""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import time
from dataclasses import replace

import pytest
import trio
from kit.control import body_of, publishing
from kit.fake_engine import OFFER, stage

from livetrio.config import JwtConfig, TurnConfig
from livetrio.errors import Refused
from livetrio.webrtc.turn import Turn

CONFIG = TurnConfig(
    urls=("turn:turn.example.com:3478?transport=udp", "stuns:turn.example.com"), secret="s", ttl=800
)
URL = "/v1/turn?app=keyed&stream=room"


def test_the_password_is_what_coturn_computes_from_name_and_secret() -> None:
    grant = Turn(CONFIG, clock=lambda: 1_700_000_000.0).grant("192.0.2.1", proven=True)
    wanted = hmac.new(b"s", grant.username.encode(), hashlib.sha1).digest()
    assert base64.b64decode(grant.password) == wanted
    expiry = int(grant.username.partition(":")[0])
    assert expiry - 1_700_000_000 == grant.ttl
    assert 700 <= grant.ttl <= 800


@pytest.mark.parametrize("now", [1_700_000_000.0, 1_700_000_001.5, 1_700_000_099.9])
def test_what_is_configured_is_the_longest_life_and_a_viewers_is_short(now) -> None:
    turn = Turn(replace(CONFIG, ttl=86_400, viewer_ttl=600), clock=lambda: now)
    for proven, most in ((True, 86_400), (False, 600)):
        grant = turn.grant("192.0.2.1", proven=proven)
        assert int(grant.username.partition(":")[0]) <= now + most
        assert most * 7 / 8 - 1 <= grant.ttl <= most


def test_viewers_are_given_none_where_so_configured_but_stun_servers_are_for_all() -> None:
    turn = Turn(replace(CONFIG, viewers=False))
    with pytest.raises(Refused):
        turn.grant("192.0.2.1", proven=False)
    assert [server.url for server in turn.servers("192.0.2.1", proven=False)] == [CONFIG.urls[1]]
    assert len(turn.servers("192.0.2.1", proven=True)) == 2


def test_one_ipv6_line_has_one_name() -> None:
    turn = Turn(CONFIG, clock=lambda: 1_700_000_000.0)
    names = {
        turn.grant(address, proven=False).username
        for address in ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:0:1::")
    }
    assert len(names) == 1
    assert turn.grant("2001:db8:0:1::1", proven=False).username not in names


def test_a_caller_keeps_its_name_for_a_while_so_that_quotas_count() -> None:
    now = 1_700_000_000.0
    turn = Turn(CONFIG, clock=lambda: now)
    names = set()
    for now in range(1_700_000_000, 1_700_000_080, 10):  # noqa: B007 - the clock
        names.add(turn.grant("192.0.2.1", proven=True).username)
    assert len(names) <= 2
    assert turn.grant("192.0.2.2", proven=True).username not in names


def test_the_name_does_not_tell_the_address() -> None:
    assert "192.0.2.1" not in Turn(CONFIG).grant("192.0.2.1", proven=True).username


def test_stun_servers_take_no_credentials() -> None:
    turn, stun = Turn(CONFIG).servers("192.0.2.1", proven=True)
    assert (turn.url, bool(turn.username), bool(turn.credential)) == (CONFIG.urls[0], True, True)
    assert stun.link == '<stuns:turn.example.com>; rel="ice-server"'


def test_nothing_configured_is_nothing_told() -> None:
    assert not Turn(TurnConfig())
    assert list(Turn(TurnConfig()).servers("192.0.2.1", proven=True)) == []


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


def life_of(link: str) -> float:
    """Seconds, out of a Link header."""
    return int(link.partition('username="')[2].partition(":")[0]) - time.time()


async def test_a_made_up_token_proves_nothing_where_the_app_wants_no_key() -> None:
    config = replace(CONFIG, ttl=86_400, viewer_ttl=600)
    async with stage(turn=config) as on:
        client = on.app.test_client()
        url = "/live/movie/whip"
        headers = {"Authorization": "Bearer made-up", "Content-Type": "application/sdp"}
        asked = await client.options(url, headers=headers)
        assert "Link" not in asked.headers
        assert (await ask(on, "/v1/turn?app=live&stream=movie", "made-up")).status_code == 401
        created = await client.post(url, data=OFFER, headers=headers)
        assert created.status_code == 201
        assert 500 < life_of(created.headers["Link"]) <= 600


async def test_who_showed_its_stream_key_is_told_before_and_after_its_offer() -> None:
    config = replace(CONFIG, ttl=86_400, viewers=False)
    async with stage(turn=config) as on:
        on.keys.rooms["room"] = key = "k" * 48
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/sdp"}
        client = on.app.test_client()
        asked = await client.options("/keyed/room/whip", headers=headers)
        created = await client.post("/keyed/room/whip", data=OFFER, headers=headers)
        for answer in (asked, created):
            assert 70_000 < life_of(answer.headers["Link"]) <= 86_400


async def test_without_credentials_for_viewers_an_answer_names_stun_alone() -> None:
    config = replace(CONFIG, viewers=False)
    async with stage(turn=config) as on, publishing(on.parts):
        for body in (OFFER, ""):
            answer = await on.app.test_client().post(
                "/live/movie/whep", data=body, headers={"Content-Type": "application/sdp"}
            )
            assert answer.status_code == 201
            links = answer.headers.getlist("Link")
            assert not any("turn:" in link for link in links)
            assert any("stuns:" in link for link in links)
        assert (await ask(on, "/v1/turn?app=live&stream=movie")).status_code == 401


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
