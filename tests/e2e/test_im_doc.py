"""The examples of docs/im.md and docs/goim.md, copied and pasted."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import trio
from kit.browser_media import place
from kit.chromium import chromium
from kit.node import node
from kit.programs import eventually, run, running

from livetrio.app import Running
from livetrio.config import ImTokenConfig

DOCS = Path(__file__).parents[2] / "docs"
KEY = "the key in im.api_key"
PORTS = {"3101": "goim_tcp", "3102": "im", "3111": "goim_push", "8000": "web", "8090": "api"}


def examples(document: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    text = (DOCS / document).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def here(example: str, server: Running) -> str:
    """An example with this server's ports."""

    def port(match: re.Match[str]) -> str:
        return f"{match[1]}{server.addresses[PORTS[match[2]]].port}"

    example = example.replace("localhost", "127.0.0.1")
    return re.sub(rf'(127\.0\.0\.1(?::|", ))({"|".join(PORTS)})', port, example)


@pytest.fixture
async def server():
    about = {"allow_anonymous": True, "goim_trust_mid": True, "api_key": KEY}
    async with node(**about, guests=True, token=ImTokenConfig(secret="a secret " * 4)) as server:
        yield server


async def push(server: Running) -> None:
    """goim's push as the documentation has it."""
    (example,) = [e for e in examples("im.md", "sh") if "/goim/push/room" in e]
    await run("sh", "-c", here(example, server))


async def test_centrifuge_python_talks(server: Running) -> None:
    example = here(examples("im.md", "python")[0], server)
    async with running(sys.executable, "-c", example) as program:
        await eventually(lambda: "{'text': 'hello'}" in program.output)


async def test_cent_publishes(server: Running) -> None:
    python = examples("im.md", "python")
    async with running(sys.executable, "-c", here(python[0], server)) as program:
        await eventually(lambda: "hello" in program.output)
        await run(sys.executable, "-c", here(python[1], server))
        await eventually(lambda: "server {'text': 'welcome'}" in program.output)


async def test_goim_over_tcp_hears_a_push(server: Running) -> None:
    (example,) = examples("goim.md", "python")
    async with running(sys.executable, "-u", "-c", here(example, server)) as program:
        await eventually(lambda: program.output.startswith("8 "))
        await push(server)
        await eventually(lambda: '1000 b\'{"text": "welcome"}\'' in program.output)


@pytest.mark.parametrize("index", [0, 1])
async def test_pages_hear_what_is_said(server: Running, tmp_path: Path, index: int) -> None:
    page = tmp_path / "page.html"
    page.write_text(here(examples("im.md", "html")[index], server), encoding="utf-8")
    heard = ["guest: hello", '1000 {"text": "welcome"}'][index]
    async with chromium() as browser:
        await browser.open(page.as_uri())
        with trio.fail_after(20):
            while heard not in (
                text := await browser.js("return document.querySelector('ul, pre').textContent")
            ):
                if index == 1 and text:  # the reply to its login
                    await push(server)
                await trio.sleep(0.2)


async def test_every_curl_of_the_operator_is_answered(server: Running) -> None:
    script = "\n".join(e for e in examples("im.md", "sh") if "curl" in e)
    script = here(script.replace("localhost", "http://127.0.0.1"), server)
    script = script.replace("curl ", "curl --fail-with-body --silent --show-error ")
    assert script.count("curl ") > 12
    await run("sh", "-e", "-c", script)


async def test_the_token_that_is_made_is_one() -> None:
    (example,) = [e for e in examples("im.md", "sh") if "jwt.encode" in e]
    folder = str(Path(sys.executable).parent)
    made = await run("sh", "-c", f'PATH="{folder}:$PATH"; {example}')
    assert made.strip().count(".") == 2


async def test_places_are_right(server: Running) -> None:
    assert here("http://localhost:8000/x", server) == place(server, "web", "/x")
