"""The room page in windows of a real Chromium: people meet, and see, hear and lose each other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode

import jwt
import pytest
from kit.browser_media import FAKE_DEVICES, place
from kit.chromium import chromium
from kit.ffmpeg import publishing
from kit.node import node
from kit.programs import eventually
from kit.room_page import RoomPage, room_pages

from livetrio.app import Running
from livetrio.config import ImTokenConfig
from livetrio.packet import StreamKey

pytestmark = pytest.mark.e2e

EXAMPLE = Path(__file__).parents[2] / "examples" / "room.html"
SECRET = "what the site signs its tokens with, 32 bytes or more"
RED, GREEN, BLUE = ("#b03030", 440), ("#30b030", 880), ("#3030b0", 1320)
VIDEO = "/room?room=live/party&kind=video&free=1"
STRICT = "/room?room=live/party&kind=video"
VOICE = "/room?room=live/party&kind=voice"


@asynccontextmanager
async def pages(
    path: str, *devices: tuple[str, int], **changes: object
) -> AsyncIterator[tuple[Running, list[RoomPage]]]:
    """A server on which every guest may open a room, and visitors who are not there yet."""
    token = ImTokenConfig(secret=SECRET)
    async with (
        node(token=token, guests=True, guest_roles=("host",), **changes) as server,
        chromium("--lang=en", *FAKE_DEVICES) as browser,
    ):
        yield server, await room_pages(browser, place(server, "web", path), *devices)


def is_near(colour: list[int] | None, wanted: str) -> bool:
    """Is this pixel of the decoded picture of that colour ("#b03030")?"""
    if colour is None:
        return False
    exact = [int(wanted[at : at + 2], 16) for at in (1, 3, 5)]
    return all(abs(one - other) < 24 for one, other in zip(colour, exact, strict=True))


def is_another(colour: list[int] | None, than: str) -> bool:
    """Is there a picture, and of another colour?"""
    return colour is not None and not is_near(colour, than)


def example(server: Running) -> str:
    """The address of the example's page, for the room of these tests."""
    asked = {"server": place(server, "web", ""), "room": "live/party"}
    return f"{EXAMPLE.as_uri()}?{urlencode(asked)}"


async def sees(page: RoomPage, **seats: str) -> None:
    """Wait until the pictures of seats ("seat1") have these colours, and there are no others."""
    wanted = {name.removeprefix("seat"): colour for name, colour in seats.items()}

    def right(seen: dict) -> bool:
        return seen.keys() == wanted.keys() and all(
            is_near(seen[seat]["colour"], colour) for seat, colour in wanted.items()
        )

    await page.until(page.seats, right)


async def hears(page: RoomPage, *tones: int) -> None:
    """Wait until exactly these of all tones are to be heard on a page."""
    await page.until(lambda: page.hears(440, 880, 1320), set(tones).__eq__)


async def test_three_pages_make_a_room_in_which_everybody_hears_and_sees_the_others() -> None:
    async with pages(VIDEO, RED, GREEN, BLUE) as (server, (ann, bob, carl)):
        await ann.enter("Ann <b>")
        await bob.enter("Bob")
        await carl.enter("Carl")
        for page in (ann, bob, carl):
            await sees(page, seat1=RED[0], seat2=GREEN[0], seat3=BLUE[0])
        await hears(ann, 880, 1320)
        await hears(bob, 440, 1320)
        await hears(carl, 440, 880)
        assert await carl.names() == {"1": "Ann <b>", "2": "Bob", "3": "Carl (you)"}
        assert {"party/1", "party/2", "party/3"} <= {key.name for key in server.registry.streams}
        # whom the host mutes nobody hears, and he cannot change that
        await ann.act(2, "mute-microphone")
        await hears(carl, 440)
        await hears(ann, 1320)
        await bob.until(bob.has("#controls [data-key=microphone][disabled]"), bool)
        await ann.act(2, "allow-microphone")
        await bob.until(bob.has("#controls [data-key=microphone]:not([disabled])"), bool)
        await bob.press("microphone")
        await hears(carl, 440, 880)
        # whom the host removes is gone for all, and may come again
        await ann.act(2, "kick")
        for page in (ann, bob, carl):
            await sees(page, seat1=RED[0], seat3=BLUE[0])
        await hears(bob, 440, 1320)
        await bob.press("join")
        await sees(carl, seat1=RED[0], seat2=GREEN[0], seat3=BLUE[0])
        said = await ann.browser.console()  # of all windows
        # the room is looked for before it is open, and a session after it was ended
        assert [line for line in said if "404" not in line] == []


async def test_the_audience_applies_is_admitted_and_leaves_again() -> None:
    async with pages(STRICT, RED, GREEN) as (server, (ann, bob)):
        await ann.enter("Ann")
        await bob.enter("Bob", seat=False)
        await sees(bob, seat1=RED[0])
        await hears(bob, 440)
        await bob.press("join")
        await ann.until(lambda: ann.text("#applicants"), lambda text: "Bob" in text)
        user = await bob.browser.js(
            "return JSON.parse(atob(sessionStorage['livetrio.im-token'].split('.')[1]"
            ".replaceAll('-', '+').replaceAll('_', '/'))).sub"
        )
        await ann.press(f"#applicants [data-key='admit {user}']")
        await sees(ann, seat1=RED[0], seat2=GREEN[0])
        await hears(ann, 880)
        assert await ann.text("#applicants") == ""
        await bob.press("hand")
        await ann.until(ann.seats, lambda seats: "hand raised" in seats["2"]["said"])
        await bob.press("stand")
        await sees(ann, seat1=RED[0])
        await ann.until(lambda: ann.text("#chat"), lambda text: "Bob has left seat 2" in text)
        await bob.press("exit")
        await bob.until(bob.has("#lobby:not([hidden])"), bool)
        # and the end of it for everybody
        await ann.act_of_owner("end")
        await ann.until(ann.has("#lobby:not([hidden])"), bool)
        assert await ann.text("#lobby-notice") == "The room has ended."
        assert not [key for key in server.registry.streams if key.name.startswith("party")]


async def test_an_invited_visitor_is_asked_and_comes_or_does_not() -> None:
    async with pages(STRICT, RED, GREEN) as (_, (ann, bob)):
        await ann.enter("Ann")
        await bob.enter("Bob", seat=False)
        await sees(bob, seat1=RED[0])
        for answer, comes in ((".push", False), (".primary", True)):
            await ann.act(4, "invite")
            await ann.until(ann.has("dialog .choice button"), bool)
            await ann.press("dialog .choice button")
            await bob.until(bob.has("dialog[open] form"), bool)
            await bob.press(f"dialog {answer}")
            if comes:
                await sees(ann, seat1=RED[0], seat4=GREEN[0])
            else:
                await ann.until(ann.has(".chip.empty [data-key='invite 4']"), bool)


async def test_who_only_watches_sits_on_no_seat_and_is_asked_for_no_device() -> None:
    async with pages(VIDEO, RED, GREEN) as (_, (ann, bob)):
        await ann.enter("Ann")
        await bob.browser.prepare(
            "navigator.mediaDevices.getUserMedia = async () => { window.asked = true; throw 1; };"
            "navigator.permissions.query = async () => ({state: 'prompt'});"
        )
        await bob.enter("Bob", seat=False)
        await sees(bob, seat1=RED[0])
        assert not await bob.browser.js("return window.asked")
        await ann.enter("Ann", seat=False)  # the owner had a seat before she loaded the page anew
        await bob.until(bob.names, {}.__eq__)
        assert await ann.names() == {}
        assert await ann.text("#sending") == ""


async def test_who_has_no_devices_stays_in_the_lobby_and_is_told_why() -> None:
    async with pages(VIDEO, RED) as (_, (ann,)):
        await ann.browser.prepare(
            "navigator.mediaDevices.getUserMedia = async () => {"
            "  throw new DOMException('not today', 'NotAllowedError'); };"
        )
        await ann.browser.open(ann.url)
        await ann.until(ann.has("#lobby:not([hidden]) #name"), bool)
        await ann.browser.js("document.getElementById('name').value = 'Ann'")
        await ann.press("#join")
        await ann.until(lambda: ann.text("#lobby-notice"), lambda text: "not today" in text)


async def test_a_page_that_lost_its_connections_is_back_on_its_seat() -> None:
    async with pages(VIDEO, RED, GREEN) as (server, (ann, bob)):
        await ann.enter("Ann")
        await bob.enter("Bob")
        await sees(ann, seat1=RED[0], seat2=GREEN[0])
        for _, client in list(server.registry.clients()):  # what they send
            await server.registry.end_client(client.id, "an operator")
        await ann.until(lambda: ann.text("#sending"), lambda text: "trying again" in text)
        await ann.until(lambda: ann.text("#sending"), "You are on air".__eq__)
        await sees(ann, seat1=RED[0], seat2=GREEN[0])
        await bob.browser.cdp(
            "Network.emulateNetworkConditions",
            offline=True, latency=0, downloadThroughput=0, uploadThroughput=0,
        )  # fmt: skip
        await ann.press("microphone")  # an event that bob misses
        await ann.until(ann.seats, lambda seats: "microphone off" in seats["1"]["said"])
        await bob.browser.cdp(
            "Network.emulateNetworkConditions",
            offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1,
        )  # fmt: skip
        await bob.until(bob.seats, lambda seats: "microphone off" in seats["1"]["said"])


async def test_in_a_voice_room_everybody_hears_the_others_and_sees_who_speaks() -> None:
    async with pages(VOICE, RED, GREEN, BLUE) as (_, (ann, bob, carl)):
        await ann.enter("Ann")
        await bob.enter("Bob")
        await carl.enter("Carl", seat=False)
        await hears(carl, 440, 880)
        await hears(ann, 880)
        await hears(bob, 440)
        await carl.until(carl.seats, lambda seats: all(one["speaking"] for one in seats.values()))
        assert {one["width"] for one in (await carl.seats()).values()} == {0}
        await bob.press("microphone")
        await carl.until(carl.seats, lambda seats: not seats["2"]["speaking"])
        await hears(carl, 440)


async def test_in_a_pk_both_hosts_see_and_hear_each_other_until_one_gives_up() -> None:
    async with pages(VIDEO, RED, GREEN) as (_, (ann, bob)):
        bob.url = ann.url.replace("party", "other")
        await ann.enter("Ann")
        await bob.enter("Bob")
        await ann.browser.js("document.querySelector(\"#controls [data-key='pk']\").click()")
        await ann.until(ann.has("dialog[open] input"), bool)
        await ann.browser.js("document.querySelector('dialog input').value = 'other'")
        await ann.press("dialog .primary")
        await bob.until(lambda: bob.text("#battle"), lambda text: "Ann (live/party)" in text)
        await bob.press("#battle .primary")
        await sees(ann, seat1=RED[0], seat0=GREEN[0])
        await sees(bob, seat1=GREEN[0], seat0=RED[0])
        await hears(ann, 880)
        await hears(bob, 440)
        admin = jwt.encode({"sub": "site", "roles": ["admin"]}, SECRET)
        await ann.browser.js(
            "return fetch('/v1/rooms/live/party/pk/score', {method: 'POST',"
            "headers: {Authorization: `Bearer ${arguments[0]}`},"
            "body: JSON.stringify({points: 70, key: 'rocket'})})",
            admin,
        )
        await bob.until(lambda: bob.text("#battle .scores"), lambda text: "70" in text)
        await bob.press("#battle .danger")
        await ann.until(lambda: ann.text("#chat"), lambda text: "The PK is won, 70 : 0" in text)
        await sees(ann, seat1=RED[0])
        await hears(ann)


async def test_a_seat_may_be_published_by_a_program_and_by_the_page_again(clip: Path) -> None:
    async with pages(VIDEO, RED, GREEN) as (server, (ann, bob)):
        await ann.enter("Ann")
        await bob.enter("Bob")
        await sees(bob, seat1=RED[0], seat2=GREEN[0])
        await ann.browser.js("document.querySelector(\"#controls [data-key='program']\").click()")
        rows = "return [...document.querySelectorAll('dialog .value')].map((e) => e.textContent)"
        _, key, others = await ann.until(lambda: ann.browser.js(rows), lambda seen: len(seen) == 3)
        assert others.endswith(key.replace("/", "~"))
        await ann.press("dialog .push")
        await eventually(lambda: StreamKey("live", "party/1") not in server.registry.streams)
        rtmp = place(server, "rtmp", f"/live/{key}")
        async with publishing(clip, rtmp, loop=True):
            await bob.until(bob.seats, lambda seats: is_another(seats["1"]["colour"], RED[0]))
        await ann.browser.js("document.querySelector(\"#controls [data-key='program']\").click()")
        await sees(bob, seat1=RED[0], seat2=GREEN[0])


async def test_a_page_of_another_site_joins_with_a_hundred_lines() -> None:
    code = EXAMPLE.read_text(encoding="utf-8")
    assert len(code.splitlines()) <= 100
    async with pages(VIDEO, RED, GREEN) as (server, (ann, bob)):
        await ann.enter("Ann")
        await ann.browser.console()  # what was said before
        await bob.browser.open(example(server))
        caption = "return document.querySelector('figcaption')?.textContent ?? ''"
        await bob.until(lambda: bob.browser.js(caption), "1 Ann ".__eq__)
        await bob.browser.js("document.getElementById('join').click()")
        await sees(ann, seat1=RED[0], seat2=GREEN[0])
        await hears(ann, 880)
        playing = "const v = document.querySelector('video'); return v.videoWidth && v.currentTime"
        await bob.until(lambda: bob.browser.js(playing), bool)
        await bob.browser.js("document.getElementById('mute').click()")
        await hears(ann)
        said = "document.getElementById('text').value = 'hello'; document.forms[0].requestSubmit()"
        await bob.browser.js(said)
        await ann.until(lambda: ann.text("#chat"), lambda text: "hello" in text)
        assert await bob.browser.console() == []


async def test_a_page_of_another_site_says_that_there_is_no_room_and_waits_for_it() -> None:
    async with pages(VIDEO, RED, GREEN) as (server, (ann, bob)):
        await bob.browser.open(example(server))
        await bob.until(lambda: bob.text("#status"), lambda text: "no such room" in text)
        await bob.browser.js("document.getElementById('join').click()")
        assert [line for line in await bob.browser.console() if "404" not in line] == []
        await ann.enter("Ann")
        playing = "const v = document.querySelector('video'); return v?.videoWidth && v.currentTime"
        await bob.until(lambda: bob.browser.js(playing), bool)
        assert await bob.text("#status") == ""


async def test_who_waits_for_a_room_is_in_it_when_it_opens_and_hardly_asks_until_then() -> None:
    async with pages("/room?room=live/party", RED, GREEN) as (server, (ann, bob)):
        # a page that never looks again by itself has to be told
        await bob.browser.prepare(
            "const later = window.setTimeout;"
            "window.setTimeout = (run, wait, ...more) => wait < 1400 && later(run, wait, ...more);"
        )
        bob.url = place(server, "web", "/room?room=live/party")
        ann.url = place(server, "web", VIDEO)
        await bob.enter("Bob", seat=False)
        await bob.until(bob.has("dialog[open] .push"), bool)
        await bob.press("dialog .push")  # may open it, and does not
        await bob.until(lambda: bob.text("#chat"), lambda text: "connecting" not in text.lower())
        await ann.enter("Ann")
        await sees(bob, seat1=RED[0])


async def test_the_lobby_says_which_room_it_is_and_who_opens_it() -> None:
    async with pages(VIDEO, RED, GREEN) as (server, (ann, bob)):
        await bob.browser.open(bob.url)
        await bob.until(lambda: bob.text("#place"), "Enter live/party".__eq__)
        await ann.enter("Ann")
        await ann.browser.open(ann.url)  # with a token from now on
        await ann.until(lambda: ann.text("#about"), lambda text: "1 of 9 seats taken" in text)
        ann.url = place(server, "web", "/room?room=live/other")
        await ann.browser.open(ann.url)
        await ann.until(lambda: ann.text("#about"), lambda text: "you are its owner" in text)


async def test_an_invitation_has_the_rooms_address_as_text_and_as_code() -> None:
    async with pages(VIDEO, RED) as (server, (ann,)):
        await ann.enter("Ann")
        await ann.press("share")
        link = await ann.until(lambda: ann.text("dialog .link"), bool)
        assert link == place(server, "web", "/room?room=live/party")
        loaded = "const code = document.querySelector('dialog .code'); return code.naturalWidth"
        await ann.until(lambda: ann.browser.js(loaded), bool)


@pytest.mark.parametrize("path", [VIDEO, VOICE])
async def test_the_page_is_as_wide_as_its_screen(path: str) -> None:
    async with pages(path, RED, GREEN) as (_, (ann, bob)):
        for page, name in ((ann, "Ann"), (bob, "Bob")):  # owner and guest have other buttons
            await page.enter(f"{name} with a name that is as long as names of people may ever be")
            for wide in (1280, 390, 360):
                await page.screen(wide)
                assert await page.overhang() == [], (name, wide)
        await bob.press("stand")
        await bob.until(bob.has("#controls [data-key=join]"), bool)
        assert await bob.overhang() == []


async def test_what_a_phone_has_no_room_for_is_in_the_menu() -> None:
    async with pages(VIDEO, RED) as (_, (ann,)):
        await ann.enter("Ann")
        await ann.screen(360)
        for choice, shown in (("settings", "dialog .devices"), ("share", "dialog .link")):
            await ann.press("#controls summary")
            await ann.press(choice)
            await ann.until(ann.has(shown), bool)
            await ann.press("dialog .push")
            await ann.until(ann.has("body:not(:has(dialog))"), bool)
