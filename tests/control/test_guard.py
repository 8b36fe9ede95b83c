"""Who may ask the operator's port: tokens, other sites' pages, rebound names."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

import jwt
import pytest
import trio
from kit.control import body_of, control, publishing
from quart.testing.connections import WebsocketResponseError

from livetrio.config import ControlConfig, JwtConfig
from livetrio.control.operator import operator_app

SECRET = "s3cret"
LATER, EARLIER = time.time() + 3600, time.time() - 3600


def with_token(algorithm="HS256") -> ControlConfig:
    return ControlConfig(jwt=JwtConfig(secret=SECRET, algorithm=algorithm))


def token(claims=None, *, secret=SECRET, algorithm="HS256") -> str:
    """Made by hand, so that it owes nothing to the library that checks it."""
    hashes = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
    head = b64({"alg": algorithm, "typ": "JWT"}) + b"." + b64(claims or {})
    kind = hashes.get(algorithm, hashlib.sha256)
    mac = hmac.new(secret.encode(), head, kind).digest()
    return (head + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


def b64(value) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")


async def ask(parts, path="/control/get?room=a", *, bearer=None, method="GET", **headers):
    if bearer is not None:
        headers["Authorization"] = f"Bearer {bearer}"
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    client = operator_app(parts.context).test_client()
    return await client.open(path, method=method, headers=headers)


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_a_token_of_the_configured_algorithm_opens(algorithm: str) -> None:
    async with control(config=with_token(algorithm)) as parts:
        assert (await ask(parts, bearer=token(algorithm=algorithm))).status_code == 200


@pytest.mark.parametrize("algorithm", ["", "HS1", "none", "RS256"])
async def test_an_unknown_configured_algorithm_means_hs256(algorithm: str) -> None:
    async with control(config=with_token(algorithm)) as parts:
        assert (await ask(parts, bearer=token())).status_code == 200


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (token(secret="other"), "signature is invalid"),
        (token({"exp": EARLIER}), "Token is expired"),
        (token({"nbf": LATER}), "Token is not valid yet"),
        (token({"iat": LATER}), "Token used before issued"),
        (token({"exp": "soon"}), "The token isn't valid"),
        (token([1]), "The token isn't valid"),
        ("a.b", "token contains an invalid number of segments"),
        (token({"exp": float("inf")}), "The token isn't valid"),
        (token({"exp": None}), "The token isn't valid"),
        (base64.urlsafe_b64encode(b"[" * 9000).decode() + ".e30.", "The token isn't valid"),
        ((b64(["HS256"]) + b".e30.").decode(), "The token isn't valid"),
        (
            (b64({"alg": ["HS256"]}) + b".e30.").decode(),
            ("Expected HS256 signing method but token specified ['HS256']"),
        ),
        ("x", "token contains an invalid number of segments"),
        ("a.b.c", "The token isn't valid"),
        ("..", "The token isn't valid"),
        (
            token(algorithm="HS512"),
            "Expected HS256 signing method but token specified HS512",
        ),
        (
            token(algorithm="RS256"),
            "Expected HS256 signing method but token specified RS256",
        ),
        (
            (b64({"alg": "none"}) + b"." + b64({}) + b".").decode(),
            "Expected HS256 signing method but token specified none",
        ),
        (
            (b64({"alg": "nOnE" * 20}) + b"." + b64({}) + b".").decode(),
            "Expected HS256 signing method but token specified " + "nOnE" * 8,
        ),
    ],
)
async def test_a_token_that_proves_nothing_is_a_403_in_livegos_words(bad, message) -> None:
    async with control(config=with_token()) as parts:
        response = await ask(parts, bearer=bad)
        assert response.status_code == 403
        body = json.dumps({"status": 403, "data": message}, separators=(",", ":"))
        assert await response.get_data() == body.encode()
        assert parts.keys.rooms == {}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (None, "Required authorization token not found"),
        ("Basic YTpi", "Authorization header format must be Bearer {token}"),
        ("Bearer", "Authorization header format must be Bearer {token}"),
        (f"Bearer {token()} x", "Authorization header format must be Bearer {token}"),
    ],
)
async def test_a_missing_or_misspelt_token_is_named_so(header, message: str) -> None:
    async with control(config=with_token()) as parts:
        extra = {"Authorization": header} if header else {}
        response = await ask(parts, **extra)
        assert response.status_code == 403
        assert (await body_of(response))["data"] == message


async def test_the_token_may_be_a_query_parameter_behind_the_header() -> None:
    async with control(config=with_token()) as parts:
        assert (await ask(parts, f"/control/get?room=a&jwt={token()}")).status_code == 200
        both = await ask(parts, f"/control/get?room=a&jwt={token()}", bearer="a.b")
        assert both.status_code == 403


async def test_bearer_is_not_case_sensitive_and_good_times_pass() -> None:
    async with control(config=with_token()) as parts:
        good = token({"exp": LATER, "nbf": EARLIER, "iat": EARLIER, "aud": "someone", "sub": 7})
        assert (await ask(parts, Authorization=f"bEARER {good}")).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/control/get", "/control/reset?room=a", "/stat/livestat", "/v1/streams", "/v1/tree",
     "/metrics", "/openapi.json", "/statics/x", "/nothing", "/v1/nothing"],
)  # fmt: skip
async def test_the_whole_port_asks_for_the_token(path: str) -> None:
    async with control(config=with_token()) as parts:
        response = await ask(parts, path)
        assert response.status_code == (401 if path.startswith("/v1/") else 403)
        assert (await ask(parts, path, bearer=token())).status_code not in {401, 403}


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/", "/console/", "/docs"])
async def test_health_and_the_pages_that_ask_for_a_token_need_none(path: str) -> None:
    async with control(config=with_token()) as parts:
        assert (await ask(parts, path)).status_code in {200, 302}


async def test_v1_says_401_and_how_to_come_in() -> None:
    async with control(config=with_token()) as parts:
        response = await ask(parts, "/v1/streams")
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert response.content_type == "application/problem+json"


async def test_options_skips_the_check_and_does_nothing() -> None:
    async with control(config=with_token()) as parts:
        response = await ask(parts, "/control/reset?room=a", method="OPTIONS")
        assert response.status_code == 204
        assert parts.keys.rooms == {}


async def test_a_token_is_checked_by_pyjwts_own_tokens_too() -> None:
    async with control(config=with_token()) as parts:
        made = jwt.encode({"a": 1}, SECRET.ljust(64, "\0"), "HS256")
        assert (await ask(parts, bearer=made)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": "http://localhost:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site", "Origin": "http://localhost"},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/control/reset?room=a"),
        ("POST", "/control/get?room=a"),
        ("POST", "/v1/relays"),
        ("DELETE", "/v1/streams/live/movie"),
    ],
)
async def test_another_sites_page_changes_nothing(method, path, headers) -> None:
    async with control() as parts, publishing(parts):
        response = await ask(parts, path, method=method, **headers)
        assert response.status_code == 403
        assert parts.keys.rooms == {}
        assert len(parts.context.registry.streams) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost"},
        {"Sec_Fetch_Site": "same-origin", "Origin": "https://behind.a.proxy"},
        {"Sec_Fetch_Site": "none"},
    ],
)
async def test_programs_and_our_own_pages_may_change_things(headers) -> None:
    async with control() as parts:
        response = await ask(parts, "/control/reset?room=a", method="POST", **headers)
        assert response.status_code == 200


async def test_another_sites_page_may_not_listen_to_events() -> None:
    async with control() as parts:
        client = operator_app(parts.context).test_client()
        origin = {"Origin": "https://evil.example"}
        async with client.websocket("/v1/events", headers=origin) as socket:
            with pytest.raises(WebsocketResponseError) as refused:
                await socket.receive()
        assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8090", 200), ("[::1]:8090", 200), ("localhost", 200), ("livego:8090", 200),
        ("box.local", 200), ("10.0.0.7", 200), ("evil.example", 421), ("evil.example:8090", 421),
        ("127.0.0.1.nip.io", 421), ("evil.localhost.example", 421),
    ],
)  # fmt: skip
async def test_without_a_token_a_foreign_name_is_not_answered(host: str, status: int) -> None:
    async with control() as parts:
        assert (await ask(parts, "/v1/streams", Host=host)).status_code == status


@pytest.mark.parametrize("config", [with_token(), ControlConfig(api_open=True)])
async def test_with_a_token_or_declared_open_any_name_will_do(config: ControlConfig) -> None:
    async with control(config=config) as parts:
        response = await ask(parts, "/v1/streams", bearer=token(), Host="live.example")
        assert response.status_code == 200


async def test_other_sites_may_read_v1_only_where_that_takes_a_token() -> None:
    async with control() as parts:
        response = await ask(parts, "/v1/streams", Origin="https://other.example")
        assert "Access-Control-Allow-Origin" not in response.headers
    async with control(config=with_token()) as parts:
        origin = {"Origin": "https://other.example", "bearer": token()}
        response = await ask(parts, "/v1/streams", **origin)
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in response.headers
        preflight = await ask(parts, "/v1/streams", method="OPTIONS", Origin="https://o.example")
        assert preflight.headers["Access-Control-Allow-Methods"] == "GET"
        assert preflight.headers["Access-Control-Allow-Headers"] == "Authorization"
        control_ = await ask(parts, "/control/get?room=a", bearer=token())
        assert "Access-Control-Allow-Origin" not in control_.headers


async def test_a_flood_of_bad_tokens_is_one_line_a_second(autojump_clock, caplog) -> None:
    async with control(config=with_token()) as parts:
        client = operator_app(parts.context).test_client()
        for _ in range(20):
            await client.get("/v1/streams")
        assert [record.message for record in caplog.records] == ["request refused"]
        await trio.sleep(1.1)
        await client.get("/v1/streams")
    assert caplog.records[-1].fields["more"] == 19
