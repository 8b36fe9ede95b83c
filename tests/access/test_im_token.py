"""Tokens of messaging: HMAC, public keys, published keys; and what does not get in."""

from __future__ import annotations

import base64
import json
import time
import warnings

import jwt
import pytest
import trio
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from livetrio.access.im_token import ImTokens, TokenExpired
from livetrio.config import ImTokenConfig
from livetrio.errors import ConfigError, RefusalCode, Refused

SECRET = "a secret of thirty-two characters or more, so that nobody warns of it " * 2
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
URL = "https://site.example/jwks"


def signed(claims, key=SECRET, algorithm="HS256", **headers):
    return jwt.encode(claims, key, algorithm=algorithm, headers=headers)


def pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


async def refusal(tokens, token):
    with pytest.raises(Refused) as caught:
        await tokens.verify(token)
    return caught.value.code


@pytest.fixture
def tokens():
    return ImTokens(ImTokenConfig(secret=SECRET))


async def test_a_token_says_who_its_bearer_is(tokens):
    exp = int(time.time()) + 60
    claims = await tokens.verify(
        signed(
            {
                "sub": "42",
                "exp": exp,
                "info": {"name": "安娜"},
                "channels": ["news"],
                "subs": {"pm": {}, "news": {}},
                "roles": ["moderator"],
                "device": "tv",
            }
        )
    )
    assert (claims.sub, claims.exp, claims.device) == ("42", exp, "tv")
    assert json.loads(claims.info) == {"name": "安娜"}
    assert claims.channels == ("news", "pm")
    assert claims.roles == {"moderator"}


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("size", [1, 31, 32, 63, 64, 65, 127, 128, 129, 200])
async def test_a_secret_of_any_length_verifies_what_it_signed(size, algorithm):
    secret = "s" * size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the library about the length: ours must not warn
        token = jwt.encode({"sub": "42"}, secret, algorithm=algorithm)
    tokens = ImTokens(ImTokenConfig(secret=secret))
    assert (await tokens.verify(token)).sub == "42"
    other = ImTokens(ImTokenConfig(secret=secret + "x"))
    assert await refusal(other, token) is RefusalCode.UNAUTHORIZED


async def test_a_subscription_token_says_what_may_be_joined(tokens):
    claims = await tokens.verify(signed({"sub": "1", "channel": "$x", "client": "c"}))
    assert (claims.channel, claims.client) == ("$x", "c")


async def test_b64info_is_decoded_and_numbers_are_names(tokens):
    b64 = base64.b64encode(b'{"a":1}').decode()
    claims = await tokens.verify(signed({"sub": 7, "b64info": b64}))
    assert (claims.sub, claims.info) == ("7", b'{"a":1}')


async def test_a_token_that_is_only_too_old_is_told_apart(tokens):
    with pytest.raises(TokenExpired):
        await tokens.verify(signed({"sub": "1", "exp": int(time.time()) - 60}))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b.c",
        "." * 3,
        "x" * 20_000,
        signed({"sub": "1"}, "another secret of more than thirty-two characters"),
        jwt.encode({"sub": "1"}, None, algorithm="none"),
        signed({"sub": "1"}, RSA, "RS256"),
        signed({"sub": "1", "nbf": int(time.time()) + 600}),
        signed({"sub": ["list"]}),
        signed({"sub": "x" * 300}),
        signed({"sub": True}),
        signed({"sub": "1", "channels": "news"}),
        signed({"sub": "1", "subs": ["news"]}),
        signed({"sub": "1", "exp": 10**400}),
        signed({"sub": "1", "b64info": "%%%"}),
    ],
    ids=range(15),
)
async def test_what_proves_nothing_is_refused(tokens, token):
    assert await refusal(tokens, token) is RefusalCode.UNAUTHORIZED


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (RSA, "PS512"), (EC, "ES256")])
async def test_public_keys_verify_their_own_family(tmp_path, key, algorithm):
    file = tmp_path / "key.pem"
    file.write_bytes(pem(key))
    tokens = ImTokens(ImTokenConfig(public_key=file))
    assert (await tokens.verify(signed({"sub": "1"}, key, algorithm))).sub == "1"


async def test_a_public_key_is_no_secret(tmp_path):
    file = tmp_path / "key.pem"
    file.write_bytes(pem(RSA))
    header = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=")
    body = base64.urlsafe_b64encode(b'{"sub":"1"}').rstrip(b"=")
    import hashlib
    import hmac

    mac = hmac.digest(pem(RSA), header + b"." + body, hashlib.sha256)
    token = b".".join([header, body, base64.urlsafe_b64encode(mac).rstrip(b"=")]).decode()
    for config in (
        ImTokenConfig(public_key=file),
        ImTokenConfig(public_key=file, secret=SECRET),
    ):
        assert await refusal(ImTokens(config), token) is RefusalCode.UNAUTHORIZED


async def test_algorithms_audience_and_issuer_are_checked_where_configured():
    tokens = ImTokens(
        ImTokenConfig(secret=SECRET, algorithms=("HS512",), audience="me", issuer="you")
    )
    good = {"sub": "1", "aud": "me", "iss": "you"}
    assert (await tokens.verify(signed(good, algorithm="HS512"))).sub == "1"
    for bad in (
        signed(good),
        signed({**good, "aud": "x"}, algorithm="HS512"),
        signed({**good, "iss": "x"}, algorithm="HS512"),
        signed({"sub": "1"}, algorithm="HS512"),
    ):
        assert await refusal(tokens, bad) is RefusalCode.UNAUTHORIZED


def test_what_is_no_public_key_is_an_error_of_the_configuration(tmp_path):
    private = tmp_path / "private.pem"
    private.write_bytes(RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    for config in (
        ImTokenConfig(public_key=tmp_path / "none"),
        ImTokenConfig(public_key=private),
        ImTokenConfig(secret="s", algorithms=("none",)),
    ):
        with pytest.raises(ConfigError, match=r"im\.token"):
            ImTokens(config)


def test_without_any_key_there_are_no_tokens():
    assert not ImTokens(ImTokenConfig()).enabled
    assert not ImTokens(ImTokenConfig(jwks_url=URL)).enabled
    assert ImTokens(ImTokenConfig(secret="s")).enabled


class Site:
    """Publishes keys, counts how often it is asked."""

    def __init__(self, **keys):
        self.keys = keys
        self.asked = 0
        self.down = False

    async def fetch(self, url):
        assert url == URL
        self.asked += 1
        await trio.sleep(1)
        if self.down:
            raise OSError("connection refused")
        return json.dumps(
            {
                "keys": [
                    {"kty": "oct", "kid": "bad", "k": "AAAA"},
                    "nonsense",
                    {"kty": "RSA", "kid": "broken"},
                    *(
                        {
                            **json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(k.public_key())),
                            "kid": kid,
                            "alg": "RS256",
                        }
                        for kid, k in self.keys.items()
                    ),
                ]
            }
        ).encode()


async def test_published_keys_are_fetched_once_and_again_for_a_new_one(autojump_clock):
    site = Site(a=RSA)
    tokens = ImTokens(ImTokenConfig(jwks_url=URL), site.fetch)
    good = signed({"sub": "1"}, RSA, "RS256", kid="a")
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(tokens.verify, good)
    assert site.asked == 1
    unknown = signed({"sub": "1"}, RSA, "RS256", kid="b")
    for _ in range(5):  # a flood of unknown ids is no flood of requests
        assert await refusal(tokens, unknown) is RefusalCode.UNAUTHORIZED
    assert site.asked == 1
    site.keys["b"] = RSA
    await trio.sleep(10)
    assert (await tokens.verify(unknown)).sub == "1"
    assert site.asked == 2
    site.down = True
    await trio.sleep(400)
    assert (await tokens.verify(good)).sub == "1"  # the old keys serve on
    assert site.asked == 3


async def test_symmetric_keys_are_not_taken_from_a_public_set(autojump_clock):
    tokens = ImTokens(ImTokenConfig(jwks_url=URL, secret=""), Site(a=RSA).fetch)
    assert await refusal(tokens, signed({"sub": "1"}, kid="bad")) is RefusalCode.UNAUTHORIZED
    assert (
        await refusal(tokens, signed({"sub": "1"}, RSA, "PS256", kid="a"))
        is RefusalCode.UNAUTHORIZED
    )


async def test_without_keys_tokens_cannot_be_checked_and_that_is_said(autojump_clock):
    site = Site()
    site.down = True
    tokens = ImTokens(ImTokenConfig(jwks_url=URL), site.fetch)
    token = signed({"sub": "1"}, RSA, "RS256", kid="a")
    assert await refusal(tokens, token) is RefusalCode.UNAVAILABLE
