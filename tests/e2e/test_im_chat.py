"""The chat of the player page, in two real browsers."""

from __future__ import annotations

from contextlib import asynccontextmanager

import jwt
from kit.browser_media import place
from kit.chat_page import SECRET, ChatPage, token
from kit.chromium import chromium
from kit.node import node

from livetrio.config import ImTokenConfig

STREAM = "/player?stream=live/x"


@asynccontextmanager
async def two_browsers():
    """A server, and two browsers that have nothing in common."""
    async with (
        node(allow_anonymous=True, token=ImTokenConfig(secret=SECRET)) as server,
        chromium("--lang=en") as one,
        chromium("--lang=en") as other,
    ):
        yield server, ChatPage(one), ChatPage(other)


def page(server, user: str = "", **claims: object) -> str:
    fragment = f"#token={token(user, **claims)}" if user else ""
    return place(server, "web", STREAM) + fragment


async def test_two_browsers_talk_and_a_newcomer_sees_what_was_said() -> None:
    async with two_browsers() as (server, alice, guest):
        await alice.open(page(server, "alice", info={"name": "Alice <b>"}))
        await alice.say("hello")
        await alice.until(alice.texts, ["hello"].__eq__)
        await guest.open(page(server))
        assert await guest.lines() == [("Alice <b>", "hello")]
        await guest.say("你好 <script>")
        seen = await alice.until(alice.lines, lambda lines: len(lines) == 2)
        assert seen[1][0].startswith("guest ")
        assert seen[1][1] == "你好 <script>"
        assert "你好 <script>" in await alice.flying()
        assert "token" not in await alice.browser.js("return location.href")


async def test_a_browser_that_loses_its_network_catches_up() -> None:
    async with two_browsers() as (server, alice, bob):
        await alice.open(page(server, "alice", roles=["moderator"]))
        await bob.open(page(server, "bob"))
        await alice.say("1")
        await bob.until(bob.texts, ["1"].__eq__)
        await bob.offline(away=True)
        await bob.until(bob.status, "Connecting …".__eq__)
        for number in range(2, 6):
            await alice.say(str(number))
            await alice.until(alice.texts, lambda texts, n=number: texts[-1] == str(n))
        await bob.offline(away=False)
        await bob.until(bob.texts, ["1", "2", "3", "4", "5"].__eq__)
        assert await bob.notices() == []
        await bob.until(bob.ready, bool)


async def test_what_cannot_be_recovered_is_told_with_its_number() -> None:
    async with (
        node(allow_anonymous=True, token=ImTokenConfig(secret=SECRET), history_size=3) as server,
        chromium("--lang=en") as one,
        chromium("--lang=en") as other,
    ):
        alice, bob = ChatPage(one), ChatPage(other)
        await alice.open(page(server, "alice", roles=["moderator"]))
        await bob.open(page(server, "bob"))
        await alice.say("1")
        await bob.until(bob.texts, ["1"].__eq__)
        await bob.offline(away=True)
        await bob.until(bob.status, "Connecting …".__eq__)
        for number in range(2, 10):
            await alice.say(str(number))
            await alice.until(alice.texts, lambda texts, n=number: texts[-1] == str(n))
        await bob.offline(away=False)
        await bob.until(bob.texts, ["1", "7", "8", "9"].__eq__)
        assert await bob.notices() == ["5 messages lost"]


async def test_a_moderator_mutes_somebody_and_pardons_him() -> None:
    async with two_browsers() as (server, boss, troll):
        await boss.open(page(server, "boss", roles=["moderator"]))
        await troll.open(page(server, "troll"))
        await troll.say("spam")
        await boss.until(boss.texts, ["spam"].__eq__)
        await boss.moderate("troll")
        await boss.until(boss.status, "troll is muted for ten minutes".__eq__)
        await troll.say("more spam")
        told = await troll.until(troll.status, lambda text: text.startswith("Not sent"))
        assert told == "Not sent: muted for 600 s"
        await boss.moderate("troll")
        await boss.until(boss.status, "troll may speak again".__eq__)
        await troll.say("sorry")
        await boss.until(boss.texts, ["spam", "sorry"].__eq__)


async def test_others_have_no_button_to_mute_with() -> None:
    async with two_browsers() as (server, alice, bob):
        await alice.open(page(server, "alice"))
        await bob.open(page(server, "bob"))
        await bob.say("hi")
        await alice.until(alice.texts, ["hi"].__eq__)
        hidden = 'return !document.querySelector("#chat .line button").checkVisibility()'
        assert await alice.browser.js(hidden)


async def test_without_a_token_where_one_is_needed_the_page_says_so() -> None:
    async with node() as server, chromium("--lang=en") as browser:
        chat = ChatPage(browser)
        await browser.open(page(server))
        told = await chat.until(chat.status, lambda text: "token" in text)
        assert told == "This chat is for signed-in people: open the page with #token=…"
        assert not await chat.ready()


async def test_where_guests_are_welcome_everybody_chats_without_a_token() -> None:
    async with (
        node(token=ImTokenConfig(secret=SECRET), guests=True) as server,
        chromium("--lang=en") as one,
    ):
        visitor = ChatPage(one)
        await visitor.open(page(server))
        await visitor.say("hello")
        ((who, text),) = await visitor.until(visitor.lines, bool)
        assert who.startswith("guest ")
        assert text == "hello"
        kept = "return sessionStorage.getItem('livetrio.im-token')"
        first = await one.js(kept)
        await visitor.open(page(server))
        assert await one.js(kept) == first  # still the same guest
        # of a server that has another secret by now
        forged = jwt.encode({"sub": "guest-forged"}, "the secret of another day, of another run")
        await one.js("sessionStorage.setItem('livetrio.im-token', arguments[0])", forged)
        await visitor.open(page(server))
        await visitor.say("me again")
        await visitor.until(visitor.texts, lambda texts: "me again" in texts)
