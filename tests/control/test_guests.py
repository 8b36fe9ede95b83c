"""Tokens for everybody who asks, and codes for cameras: who gets them, and how many."""

from __future__ import annotations

import ipaddress
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import segno
from kit.control import body_of, control

from livetrio.access.im_token import ImTokens
from livetrio.config import ImConfig, ImTokenConfig
from livetrio.control.guests import Guests
from livetrio.control.public import public_app
from livetrio.errors import Refused

SECRET = "a secret of thirty-two characters"
GUESTS = ImConfig(guests=True, guest_roles=("host",), token=ImTokenConfig(secret=SECRET))


class Site:
    """The public face with guests."""

    def __init__(self, client, now: list[float]) -> None:
        self.client, self.now = client, now

    async def guest(self, body: Any = b"{}", **headers: str):
        data = body if isinstance(body, bytes) else json.dumps(body)
        return await self.client.post("/v1/guest", data=data, headers=headers)


@asynccontextmanager
async def site(config: ImConfig = GUESTS, *, trusted=()) -> AsyncIterator[Site]:
    now = [0.0]
    async with control() as parts:
        guests = Guests(config, trusted=trusted, clock=lambda: now[0])
        yield Site(public_app(parts.context, guests.operations()).test_client(), now)


async def test_a_guest_is_given_a_token_that_messaging_and_rooms_believe() -> None:
    async with site() as on:
        answer = await on.guest({"name": "Ann <b>"})
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        given = await body_of(answer)
    claims = await ImTokens(GUESTS.token).verify(given["token"])
    assert claims.sub == given["user"]
    assert claims.exp == given["expires"] > time.time() + 3600
    assert claims.roles == {"host"}
    assert json.loads(claims.info) == {"name": "Ann <b>"}


async def test_no_two_guests_are_the_same_user() -> None:
    async with site() as on:
        users = {(await body_of(await on.guest({"name": "Ann"})))["user"] for _ in range(5)}
    assert len(users) == 5
    assert all(user.startswith("guest-") and len(user) == 22 for user in users)


async def test_the_token_is_for_whom_the_server_asks_of_all_tokens() -> None:
    token = ImTokenConfig(
        secret="short", audience="chat", issuer="site", algorithms=("ES256", "HS512")
    )
    async with site(ImConfig(guests=True, token=token)) as on:
        given = await body_of(await on.guest())
    claims = await ImTokens(token).verify(given["token"])
    assert (claims.roles, claims.info) == (frozenset(), b"")
    with pytest.raises(Refused):
        await ImTokens(GUESTS.token).verify(given["token"])


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("  Ann ", "Ann"),
        ("a\u202eb\x00c\nd", "abcd"),
        ("\u200b\u2066", None),
        ("王芳 🎤", "王芳 🎤"),
    ],
)
async def test_a_name_is_data_without_what_cannot_be_seen(name: str, shown: str | None) -> None:
    async with site() as on:
        given = await body_of(await on.guest({"name": name}))
    claims = await ImTokens(GUESTS.token).verify(given["token"])
    assert (json.loads(claims.info)["name"] if claims.info else None) == shown


@pytest.mark.parametrize("body", [b"", b"[]", b"{", {"name": 5}, {"name": "x" * 65}, b"\xff"])
async def test_a_body_that_is_no_guests_is_refused(body: Any) -> None:
    async with site() as on:
        assert (await on.guest(body)).status_code == 400


async def test_without_the_setting_there_are_no_guests() -> None:
    async with site(ImConfig(token=GUESTS.token)) as on:
        assert (await on.guest()).status_code == 404
        assert (await body_of(await on.client.get("/v1/public/streams")))["guests"] is False


async def test_the_public_list_says_that_guests_are_welcome() -> None:
    async with site() as on:
        told = await body_of(await on.client.get("/v1/public/streams"))
        assert (told["guests"], told["rooms"]) == (True, False)
        preflight = await on.client.options("/v1/guest")
        assert "POST" in preflight.headers["Access-Control-Allow-Methods"]


async def test_an_address_that_asks_without_end_is_refused_and_welcome_later() -> None:
    async with site() as on:
        answers = [(await on.guest()).status_code for _ in range(31)]
        assert answers == [200] * 30 + [429]
        assert (await on.guest()).headers["Retry-After"]
        on.now[0] += 10
        assert (await on.guest()).status_code == 200


async def test_behind_a_proxy_each_address_has_its_own_share() -> None:
    async with site(trusted=[ipaddress.ip_network("127.0.0.0/8")]) as on:

        async def ask(client: str, proxy: str = "127.0.0.1") -> int:
            answer = await on.client.post(
                "/v1/guest", data=b"{}", headers={"X-Forwarded-For": client},
                scope_base={"client": (proxy, 1)},
            )  # fmt: skip
            return answer.status_code

        for _ in range(30):
            await ask("192.0.2.1")
        assert await ask("192.0.2.1") == 429
        assert await ask("192.0.2.2") == 200
        for number in range(30):  # who is no proxy is believed nothing
            await ask(f"192.0.2.{number}", proxy="198.51.100.1")
        assert await ask("192.0.2.99", proxy="198.51.100.1") == 429


async def test_an_invitation_becomes_a_code_that_is_the_text_and_nothing_else() -> None:
    text = "https://live.example:8000/room?room=live%2Fparty"
    async with site() as on:
        answer = await on.client.get("/v1/qr.svg", query_string={"text": text})
        assert answer.content_type == "image/svg+xml"
        image = await answer.get_data()
        assert b"<script" not in image
        assert b"live.example" not in image
    width = segno.make_qr(text, error="m").symbol_size(border=3)[0]
    assert f'viewBox="0 0 {width} {width}"'.encode() in image


@pytest.mark.parametrize("text", ["", "x" * 257, "字" * 86])
async def test_a_code_has_bounds(text: str) -> None:
    async with site() as on:
        answer = await on.client.get("/v1/qr.svg", query_string={"text": text})
        assert answer.status_code == 400


async def test_nobody_has_codes_without_end() -> None:
    async with site() as on:
        for _ in range(30):
            assert (await on.client.get("/v1/qr.svg?text=a")).status_code == 200
        assert (await on.client.get("/v1/qr.svg?text=a")).status_code == 429
