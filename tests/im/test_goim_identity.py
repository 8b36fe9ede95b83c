"""Who goim's clients are, and which rooms their ids mean."""

from __future__ import annotations

import time

import jwt
import pytest
from kit.goim import goim

from livetrio.access.im_token import ImTokens
from livetrio.config import ImTokenConfig
from livetrio.errors import Refused
from livetrio.im.goim_identity import GoimIdentities
from livetrio.im.goim_rooms import channel_of_room, room_of_channel
from livetrio.im.identity import Identities
from livetrio.im.moderation import Subject
from livetrio.wire.goim.login import Dialect, Login

SECRET = "a secret of thirty-two characters"


def identities(secret: str = SECRET, *, trust_mid: bool = False, anonymous: bool = False):
    tokens = ImTokens(ImTokenConfig(secret=secret))
    return GoimIdentities(Identities(tokens, allow_anonymous=anonymous), trust_mid=trust_mid)


def token(**claims: object) -> str:
    return jwt.encode(claims, SECRET, "HS256")


async def ask(who: GoimIdentities, **fields) -> str:
    login = Login(fields.pop("dialect", Dialect.GOIM), **fields)
    return (await who(login, "goim:k", "192.0.2.1")).user


async def test_a_token_says_who_it_is():
    assert await ask(identities(), token=token(sub="7")) == "7"
    assert await ask(identities(), token=token(sub="7"), mid=7) == "7"
    assert await ask(identities(), token=token(sub="7"), dialect=Dialect.BILIBILI) == "7"


@pytest.mark.parametrize("trust_mid", [False, True])
async def test_another_users_token_is_refused(trust_mid: bool):
    with pytest.raises(Refused, match="another user's"):
        await ask(identities(trust_mid=trust_mid), token=token(sub="7"), mid=8)


@pytest.mark.parametrize("trust_mid", [False, True])
async def test_a_token_that_is_not_valid_is_refused_even_where_the_mid_is_trusted(trust_mid: bool):
    for wrong in ("x", token(sub="7", exp=1), jwt.encode({"sub": "7"}, "other" * 8, "HS256")):
        with pytest.raises(Refused):
            await ask(identities(trust_mid=trust_mid), token=wrong, mid=7)


async def test_a_mid_alone_is_believed_only_where_that_is_asked_for():
    assert await ask(identities(trust_mid=True), mid=7) == "7"
    assert await ask(identities(trust_mid=True)) == ""
    assert await ask(identities(anonymous=True), mid=7) == ""
    with pytest.raises(Refused, match="a token is needed"):
        await ask(identities(), mid=7)


async def test_tokens_that_nobody_can_check_are_refused_but_bilibilis_keys_are_nothing():
    with pytest.raises(Refused, match="not checked here"):
        await ask(identities("", anonymous=True), token="abc")
    who = identities("", anonymous=True)
    assert await ask(who, token="abc", dialect=Dialect.BILIBILI) == ""
    assert await ask(identities("", trust_mid=True), token="abc", mid=7) == "7"


async def test_a_tokens_channels_are_joined_beside_the_room_and_it_ends_with_its_time():
    who = identities()
    expires = int(time.time()) + 3600
    async with goim(identify=who) as here, here.tcp() as client:
        claims = {"sub": "7", "channels": ["$news", "live://1"], "exp": expires}
        await client.auth(token=token(**claims), room_id="live://1")
        await here.hub.publish("$news", b"news", op=1)
        assert (await client.frame()).body == b"news"
        assert await client.beat() == 1
        (member,) = here.hub.members.all()
        assert member.expires == expires
        member.expires = time.time() - 1
        await client.send(2)
        assert await client.closed()


async def test_a_ban_from_one_channel_of_the_token_leaves_the_others():
    async with goim(identify=identities()) as here, here.tcp() as client:
        here.hub.moderation.ban("bad", Subject("user", "7"))
        await client.auth(token=token(sub="7", channels=["bad", "news"]), room_id="live://1")
        assert await client.beat() == 1
        assert here.hub.online("news").clients == 1


@pytest.mark.parametrize(
    ("room", "channel", "parts"),
    [
        ("live://1000", "live://1000", ("live", "1000")),
        ("test://a b", "test://a b", ("test", "a b")),
        ("room://live/movie", "room:live/movie", ("room", "live/movie")),
    ],
)
def test_a_room_id_is_a_channel_and_back(room: str, channel: str, parts: tuple[str, str]):
    assert channel_of_room(room) == channel
    assert room_of_channel(channel) == parts


@pytest.mark.parametrize("room", ["", "live", "://x", "live://", "room:live/movie", "a://\n"])
def test_what_is_no_room_id_is_refused(room: str):
    with pytest.raises(Refused):
        channel_of_room(room)


def test_other_channels_have_no_room_id():
    assert room_of_channel("news") is None
    assert room_of_channel("chat:1") is None
