"""The walkthroughs of docs/ are executed as they stand; and their runner does what it says."""

from __future__ import annotations

import shutil
from pathlib import Path

import psutil
import pytest
from kit.pages import FLV_JS
from kit.programs import free_ports
from kit.walkthrough import Command, File, WalkthroughError, parse, walk

from livetrio.config.settings import LISTENERS

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = ROOT / "docs" / "walkthroughs"
VENDORED = ROOT / "src" / "livetrio" / "control" / "static" / "vendor"

PORTS = {
    setting.environment: setting.default.port
    for setting in (keys.address for keys in LISTENERS.values())
    if setting.default is not None
}
"""livetrio's listeners, by the variable that moves each, and the port the documents name."""
OTHERS = (1936, 1937)
"""Ports of second servers in the documents."""


def moved_ports() -> tuple[dict[str, str], dict[str, str]]:
    """(environment, replacements) that take a document from its ports to free ones."""
    moved = (*PORTS.values(), *OTHERS)
    free = dict(zip(moved, free_ports(len(moved)), strict=True))
    env = {name: f":{free[port]}" for name, port in PORTS.items()}
    instead = {f":{port}": f":{number}" for port, number in free.items()}
    # an RTMP address without a port means 1935
    instead["rtmp://localhost/"] = f"rtmp://localhost:{free[1935]}/"
    return env, instead


@pytest.mark.parametrize("name", ["livego.md", "nginx-rtmp.md"])
async def test_the_walkthrough_does_what_it_says(tmp_path: Path, name: str) -> None:
    shutil.copy(FLV_JS, tmp_path)
    (script,) = VENDORED.rglob("mpegts.js/*.js")
    shutil.copy(script, tmp_path / "mpegts.js")
    env, instead = moved_ports()
    document = (DOCUMENTS / name).read_text(encoding="utf-8")
    assert await walk(document, tmp_path, env=env, instead=instead)


def test_no_walkthrough_is_left_out() -> None:
    assert sorted(p.name for p in DOCUMENTS.glob("*.md")) == ["livego.md", "nginx-rtmp.md"]


DOCUMENT = """
# Title

Text with `$ inline` code.

```html page.html
<p>:1935</p>
```

```console
$ echo one; \\
  echo two
one
$ NAME=$(echo value)
$ echo $NAME :1935
value …35
```

```sh
$ not run
```
"""


def test_a_document_is_parsed_into_files_and_commands() -> None:
    page, echo, assign, use = parse(DOCUMENT)
    assert page == File("page.html", "<p>:1935</p>\n")
    assert echo == Command(11, "echo one; \\\n  echo two", ["one"])
    assert assign == Command(14, "NAME=$(echo value)")
    assert use == Command(15, "echo $NAME :1935", ["value …35"])


async def test_commands_share_variables_and_ports_are_replaced_everywhere(tmp_path: Path) -> None:
    document = DOCUMENT.replace("…35", "…36")
    assert await walk(document, tmp_path, env={}, instead={":1935": ":1936"}) == 3
    assert (tmp_path / "page.html").read_text() == "<p>:1936</p>\n"


@pytest.mark.parametrize(
    ("block", "why"),
    [
        ("$ echo one\ntwo", "no line '^two"),
        ("$ printf 'a\\nb\\n'\nb\na", "no line '^a"),
        ("$ echo 'a b'\na", "no line '^a"),
        ("$ echo oops >&2; false", "oops"),
        ("$ echo ok | false | cat", "exited 1"),
        ("$ echo one &\ntwo", "ended without"),
        ("$ true\n$ false", "line 3: "),
        ("words\n$ true", "output before any command"),
    ],
)
async def test_a_document_that_lies_fails(tmp_path: Path, block: str, why: str) -> None:
    with pytest.raises(WalkthroughError) as caught:
        await walk(f"```console\n{block}\n```\n", tmp_path, env={}, instead={})
    assert why in str(caught.value)


async def test_a_background_command_lives_until_the_end_of_the_document(tmp_path: Path) -> None:
    lines = [
        "$ sh -c 'echo $$ > pid; echo ready; exec sleep 60' &",
        "ready",
        "$ kill -0 $(cat pid) && echo alive",
        "alive",
    ]
    document = "```console\n" + "\n".join(lines) + "\n```\n"
    assert await walk(document, tmp_path, env={}, instead={}) == 2
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))
