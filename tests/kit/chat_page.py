"""The chat panel of the player page, as its user meets it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jwt
import trio

from kit.chromium import Browser

__all__ = ["SECRET", "ChatPage", "token"]

SECRET = "what the site signs its tokens with, 32 bytes or more"

_LINES = """
return [...document.querySelectorAll("#chat .line")].map((line) => ({
  who: line.querySelector(".who").textContent,
  text: [...line.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data).join("").trim(),
}));
"""
_SAY = """
const input = document.querySelector("#chat input");
input.value = arguments[0];
input.form.requestSubmit();
"""


def token(user: str, **claims: object) -> str:
    """As a site signs it."""
    about = {"sub": user, "exp": int(time.time()) + 3600, **claims}
    return jwt.encode(about, SECRET, algorithm="HS256")


class ChatPage:
    """One browser's chat."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser

    async def open(self, url: str) -> None:
        """Load the page and wait until something can be said."""
        await self.browser.open(url)
        await self.until(self.ready, bool)

    async def ready(self) -> bool:
        script = 'return document.querySelector("#chat input")?.disabled === false'
        return bool(await self.browser.js(script))

    async def lines(self) -> list[tuple[str, str]]:
        """Who said what, as it is seen."""
        return [(line["who"], line["text"]) for line in await self.browser.js(_LINES)]

    async def texts(self) -> list[str]:
        return [text for _, text in await self.lines()]

    async def notices(self) -> list[str]:
        script = 'return [...document.querySelectorAll("#chat .told")].map((n) => n.textContent)'
        return list(await self.browser.js(script))

    async def status(self) -> str:
        return str(
            await self.browser.js('return document.querySelector("#chat .status").textContent')
        )

    async def flying(self) -> list[str]:
        """What is over the picture now."""
        script = 'return [...document.querySelectorAll(".danmaku span")].map((n) => n.textContent)'
        return list(await self.browser.js(script))

    async def say(self, text: str) -> None:
        await self.browser.js(_SAY, text)

    async def moderate(self, who: str) -> None:
        """Press the button beside the last line of somebody."""
        script = """
        const his = (line) => line.querySelector(".who").textContent === arguments[0];
        const line = [...document.querySelectorAll("#chat .line")].filter(his).pop();
        const button = line.querySelector("button");
        if (!button.checkVisibility()) throw new Error("there is no button to be seen");
        button.click();
        """
        await self.browser.js(script, who)

    async def offline(self, *, away: bool) -> None:
        """Cut the network of this browser, or mend it."""
        rate = 0 if away else -1
        await self.browser.cdp(
            "Network.emulateNetworkConditions",
            offline=away, latency=0, downloadThroughput=rate, uploadThroughput=rate,
        )  # fmt: skip

    async def until(
        self, look: Callable[[], Any], right: Callable[[Any], Any], *, deadline: float = 30
    ) -> Any:
        """Look until what is seen is right; with what was seen last if it never is."""
        seen = None
        with trio.move_on_after(deadline):
            while not right(seen := await look()):  # noqa: ASYNC110 - another program's state
                await trio.sleep(0.1)
            return seen
        said = "\n".join(await self.browser.console())
        raise AssertionError(f"still {seen!r}\n{await self.status()}\n{said}")
