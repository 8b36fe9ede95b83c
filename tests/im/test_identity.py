"""Who a new connection is: token, hook, nobody."""

from __future__ import annotations

import json
import math

import jwt
import pytest

from livetrio.access.im_token import ImTokens
from livetrio.config import ImTokenConfig
from livetrio.errors import RefusalCode, Refused
from livetrio.im.identity import Identities

SECRET = "a secret of thirty-two characters or more, so that nobody warns of it " * 2
TOKENS = ImTokens(ImTokenConfig(secret=SECRET))
ABOUT = {"client": "c1", "ip": "1.2.3.4", "protocol": "goim"}


def token(**claims):
    return jwt.encode(claims, SECRET, algorithm="HS256")


class Hook:
    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    async def __call__(self, url, body):
        self.asked.append((url, json.loads(body)))
        return self.answer if isinstance(self.answer, bytes) else json.dumps(self.answer).encode()


def hooked(answer):
    return Identities(TOKENS, connect_url="https://site.example/connect", post=Hook(answer))


async def code_of(identities, text="", **about):
    with pytest.raises(Refused) as refused:
        await identities.identify(text, **{**ABOUT, **about})
    return refused.value.code


async def test_a_token_names_user_device_and_roles():
    text = token(sub="42", info={"n": 1}, roles=["owner"], channels=["news"], device="tv")
    identity = await Identities(TOKENS).identify(text, **ABOUT, device="said")
    assert (identity.user, identity.device, identity.channels) == ("42", "tv", ("news",))
    sender = identity.sender("c1", "1.2.3.4")
    assert (sender.user, sender.client, sender.ip) == ("42", "c1", "1.2.3.4")
    assert sender.roles == {"owner"}
    assert sender.info == b'{"n":1}'
    assert identity.expires == math.inf


async def test_a_subscriptions_token_does_not_connect():
    assert await code_of(Identities(TOKENS), token(sub="42", channel="$vip")) is (
        RefusalCode.UNAUTHORIZED
    )


async def test_without_a_token_only_the_allowed_are_anonymous():
    assert await code_of(Identities(TOKENS)) is RefusalCode.UNAUTHORIZED
    anonymous = Identities(TOKENS, allow_anonymous=True)
    assert (await anonymous.identify("", **ABOUT)).user == ""
    assert await code_of(anonymous, "broken") is RefusalCode.UNAUTHORIZED
    assert await code_of(Identities(TOKENS), token(info=1)) is RefusalCode.UNAUTHORIZED
    assert (await anonymous.identify(token(), **ABOUT)).user == ""


async def test_the_hook_is_asked_and_says_who_it_is():
    hook = hooked({"result": {"user": "7", "channels": ["a"], "info": {}, "data": {"hi": 1}}})
    identity = await hook.identify("", **ABOUT, data={"q": 1})
    assert (identity.user, identity.channels, identity.data) == ("7", ("a",), {"hi": 1})
    assert hook._post.asked == [
        (
            "https://site.example/connect",
            {**ABOUT, "device": "", "data": {"q": 1}},
        )
    ]


@pytest.mark.parametrize(
    "answer",
    [
        {"disconnect": {"code": 4501, "reason": "go away"}},
        {"error": {"code": 1000, "message": "go away"}},
    ],
)
async def test_the_hook_may_say_no(answer):
    identities = hooked(answer)
    assert await code_of(identities) is RefusalCode.FORBIDDEN


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        [],
        {},
        {"result": None},
        {"result": {"user": 7}},
        {"result": {"user": "x" * 300}},
        {"result": {"channels": "news"}, "x": 1} | {"result": {"channels": [1]}},
        {"result": {"channels": ["x"] * 1000}},
        {"result": {"info": "x" * 5000}},
        {"result": {"expire_at": "soon"}},
        {"error": "text"},
    ],
)
async def test_an_answer_that_is_no_use_lets_nobody_in(answer):
    assert await code_of(hooked(answer)) is RefusalCode.UNAVAILABLE
