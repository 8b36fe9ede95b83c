"""A room of a real server process, and visitors of it in windows of one Chromium.

Each visitor's camera has one colour and his microphone one tone (room_visitor.html), so that every
test can tell what reaches whom: by what the page decodes, not by what the server says it sends.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import trio
from selenium.common.exceptions import WebDriverException

from kit.centrifuge import SECRET, token
from kit.chromium import chromium
from kit.http import Response, http_client
from kit.room_page import Window
from kit.server import Server, livetrio_server

__all__ = [
    "MIX",
    "NEAR",
    "PEOPLE",
    "ROOM",
    "RoomSite",
    "Sight",
    "Visitor",
    "Way",
    "room_server",
    "visitors",
]

PAGE: Final = Path(__file__).with_name("room_visitor.html")
ROOM: Final = "live/talk"
PEOPLE: Final = {
    "anna": ("#b03030", 469),
    "bob": ("#30b030", 797),
    "carl": ("#3030b0", 1313),
    "dora": ("#b0b030", 2203),
}
"""By user: the colour of his camera and the pitch of his microphone, Hz; no pitch is a harmonic of
another's."""
RECENT: Final = 300
"""Milliseconds: heard so long ago is heard now. Twenty looks of the page on a busy machine."""
NEAR: Final = 30
"""Of 255: how much of a colour is lost on the way."""
MIX: Final = {"width": 320, "height": 180, "fps": 10, "linger": 2}
"""A small composed picture: beside Chromium and its encoders there is little of a machine left."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a visitor's media go."""

    policy: str = "all"
    """iceTransportPolicy."""
    ice_servers: Sequence[Mapping[str, object]] = ()
    port: int | None = None
    """Of a relay that stands before the gateway's UDP port."""

    def view(self) -> dict[str, object]:
        """As the page takes it."""
        return {
            "policy": self.policy, "iceServers": list(self.ice_servers), "port": self.port,
        }  # fmt: skip


@dataclass(frozen=True)
class Sight:
    """What a visitor's page has received; times are milliseconds of the browser's one clock."""

    now: float
    slots: Mapping[str, Mapping[str, Any]]
    """By stream id: colour, shown (when it was decoded), frames, heard (by tone: when last)."""
    state: Mapping[str, Any] | None
    """Of the room, as its events tell it."""
    events: Sequence[Mapping[str, Any]]
    """All so far, each with the time at which it came."""
    longest: float
    """Between two looks of the page at what it hears, ever: how long the machine held it up."""

    def heard(self, user: str) -> float:
        """When somebody's tone was heard last, in any slot; 0: never."""
        tone = str(PEOPLE[user][1])
        return max((slot["heard"].get(tone, 0) for slot in self.slots.values()), default=0)

    def shown(self, user: str) -> float:
        """When a picture of his colour came last, in a slot that shows him still."""
        return max((slot["shown"] for slot in self.slots.values() if _is(slot, user)), default=0)

    @property
    def voices(self) -> set[str]:
        """Who is heard right now."""
        return {user for user in PEOPLE if self.now - self.heard(user) < RECENT}

    @property
    def faces(self) -> set[str]:
        """Of whom there is a picture, moving or not."""
        return {user for user in PEOPLE if self.shown(user)}

    def slot_of(self, seat: int) -> Mapping[str, Any]:
        """What is in the slot in which the state says that a seat is."""
        assert self.state is not None
        number = self.state["slots"]["video"].index(seat)
        assert self.state["slots"]["audio"].index(seat) == number
        return self.slots[f"slot-{number}"]

    def event(self, kind: str, **about: object) -> Mapping[str, Any] | None:
        """The newest of a type, about this."""
        for event in reversed(self.events):
            if event["type"] == kind and about.items() <= event.items():
                return event
        return None


class VisitorWindow(Window):
    """A window that others can be opened beside."""

    async def another(self) -> VisitorWindow:
        """One more of this browser."""
        driver = self.driver
        async with self._turn:
            # from the first one, which nobody visits: another may have crashed
            await trio.to_thread.run_sync(driver.switch_to.window, driver.window_handles[0])
            await trio.to_thread.run_sync(driver.switch_to.new_window, "window")
            return VisitorWindow(self, driver.current_window_handle, self._turn)


class Visitor:
    """One person's page."""

    def __init__(self, browser: VisitorWindow, site: RoomSite, user: str) -> None:
        self.browser = browser
        self.user = user
        self._site = site

    async def arrive(self, room: str = ROOM) -> None:
        """Open the page and follow the room's events."""
        server = self._site.server
        colour, tone = PEOPLE[self.user]
        about = {
            "web": server.web("/"), "im": f"ws://127.0.0.1:{server.ports['im']}"
            "/connection/websocket", "room": room, "token": token(self.user), "colour": colour,
            "tone": tone, "tones": [pitch for _, pitch in PEOPLE.values()],
        }  # fmt: skip
        await self.browser.open(PAGE.as_uri())
        await self.browser.js("visit(arguments[0]); await follow();", about)

    async def receive(self, path: Way | None = None) -> None:
        """The whole room, in one session."""
        url = f"/v1/rooms/{await self._room()}/whep"
        await self.browser.js("await receive(...arguments)", url, (path or Way()).view())

    async def play(self, stream: str) -> None:
        """A stream of the registry by WHEP, in place of the room; its slot is "stream"."""
        view = Way().view()
        await self.browser.js(
            "await receive(...arguments)", f"/{stream}/whep", view, ["video", "audio"]
        )

    async def publish(self, seat: int, path: Way | None = None) -> None:
        """From a seat, by WHIP, with the user's token."""
        stream = f"{await self._room()}/{seat}"
        await self.browser.js("await publish(...arguments)", stream, (path or Way()).view())

    async def join(self, seat: int, path: Way | None = None) -> None:
        """Arrive, sit down (on seat 1 sits who opened the room), send and receive."""
        await self.arrive()
        if seat > 1:
            await self.command("POST", f"/seats/{seat}/take")
        await self.publish(seat, path)
        await self.receive(path)

    async def command(self, method: str, path: str, body: object = None) -> float:
        """A command of the page's own; when it was sent, by the browser's clock."""
        return float(
            await self.browser.js("return command(...arguments)", method, path, body or {})
        )

    async def look(self) -> Sight:
        """What it has received so far."""
        return Sight(**await self.browser.js("return found()"))

    async def until(
        self, right: Callable[[Sight], object], *, what: str = "", deadline: float = 60
    ) -> Sight:
        """Look until what is seen and heard is right; AssertionError with what was, if never."""
        sight: Sight | None = None
        with trio.move_on_after(deadline):
            while not right(sight := await self.look()):  # noqa: ASYNC110 - another program's
                await trio.sleep(0.1)
            return sight
        said = "\n".join(await self.browser.console())
        about = f"{sight.voices} heard, {sight.faces} seen, {sight.slots}" if sight else ""
        events = [event["type"] for event in sight.events] if sight else []
        state = sight.state and (sight.state["seats"], sight.state["slots"]) if sight else None
        raise AssertionError(f"{self.user}: never {what}: {about}\n{state}\n{events}\n{said}")

    async def meets(self, *others: str, deadline: float = 60) -> Sight:
        """Wait until exactly these are heard, and their pictures come."""

        def right(sight: Sight) -> bool:
            moving = {user for user in PEOPLE if sight.now - sight.shown(user) < 1000}
            return sight.voices == moving == set(others)

        return await self.until(right, what=f"exactly {others}", deadline=deadline)

    async def close(self) -> None:
        """Kill the page with all it has: its process is gone, and says no goodbye."""
        with suppress(WebDriverException):  # there is nobody left to answer
            await self.browser.cdp("Page.crash")

    async def anew(self) -> Visitor:
        """The same person in a new window."""
        return Visitor(await self.browser.another(), self._site, self.user)

    async def _room(self) -> str:
        return str(await self.browser.js("return visitor.room"))


@dataclass
class RoomSite:
    """A server process whose REST is asked as anybody."""

    server: Server

    async def ask(self, method: str, path: str, who: str, body: Any = None) -> Response:
        """A request to `web_addr`, or to `api_addr` by nobody known."""
        port = self.server.web_port if who else self.server.api_port
        data = json.dumps(body or {}).encode()
        async with http_client(port) as client:
            head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n"
            if who:
                head += f"Authorization: Bearer {token(who)}\r\n"
            await client.send(f"{head}Content-Type: application/json\r\n\r\n".encode() + data)
            return await client.response()

    async def do(self, method: str, path: str, who: str, body: Any = None) -> Any:
        """The same; what it answers."""
        answer = await self.ask(method, path, who, body)
        assert answer.status < 300, (path, answer.body)
        return json.loads(answer.body)

    async def room(
        self, owner: str = "anna", room: str = ROOM, *, kind: str = "video", seats: int = 3
    ) -> str:
        """Open one in which everybody may sit; its REST path."""
        app, _, name = room.partition("/")
        body = {"app": app, "room": name, "kind": kind, "seats": seats, "free": True}
        await self.do("POST", "/v1/rooms", owner, body)
        return f"/v1/rooms/{room}"

    async def key(self, who: str, room: str = ROOM) -> dict[str, Any]:
        """What OBS is told of somebody's seat."""
        answer: dict[str, Any] = await self.do("POST", f"/v1/rooms/{room}/seats/own/key", who)
        return answer


@asynccontextmanager
async def room_server(folder: Path, **settings: object) -> AsyncIterator[RoomSite]:
    """livetrio in a process of its own, where everybody may open rooms.

    Args:
        folder: for its files.
        settings: keys of the configuration file; `rooms` adds to what is said here.
    """
    rooms = {"create": "anyone", "mix": MIX, **dict(settings.pop("rooms", {}))}  # type: ignore[call-overload]
    im = {"token": {"secret": SECRET}}
    async with livetrio_server(folder, rtmp_noauth=True, rooms=rooms, im=im, **settings) as server:
        yield RoomSite(server)


@asynccontextmanager
async def visitors(site: RoomSite, *users: str) -> AsyncIterator[list[Visitor]]:
    """People who have not come yet, each in a window of one browser."""
    async with chromium() as browser:
        first = VisitorWindow(browser, browser.driver.current_window_handle, trio.Lock())
        yield [Visitor(await first.another(), site, user) for user in users]


def _is(slot: Mapping[str, Any], user: str) -> bool:
    """Is its picture of the user's colour?"""
    colour, wanted = slot["colour"], PEOPLE[user][0]
    exact = [int(wanted[at : at + 2], 16) for at in (1, 3, 5)]
    return colour is not None and all(
        abs(one - other) < NEAR for one, other in zip(colour, exact, strict=True)
    )
