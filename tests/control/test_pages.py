"""The pages' files: safe headers, revalidation, nothing inline, nothing missing, two languages."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from kit.control import body_of, control, publishing

from livetrio.control.context import Bound
from livetrio.control.operator import operator_app
from livetrio.control.pages import STATIC
from livetrio.control.public import public_app

HTML = sorted(STATIC.rglob("*.html"))
SCRIPTS = sorted(path for path in STATIC.rglob("*.js") if "vendor" not in path.parts)
PAGES = [(operator_app, "/console/"), (operator_app, "/docs"), (public_app, "/"),
         (public_app, "/publish"), (public_app, "/room?room=live%2Fparty"),
         (public_app, "/player?stream=live%2Fmovie")]  # fmt: skip


@pytest.mark.parametrize(("face", "path"), PAGES)
async def test_a_page_comes_with_a_strict_policy_and_is_revalidated(face, path: str) -> None:
    async with control() as parts:
        client = face(parts.context).test_client()
        first = await client.get(path)
        assert first.content_type == "text/html; charset=utf-8"
        policy = first.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert first.headers["X-Content-Type-Options"] == "nosniff"
        assert first.headers["X-Frame-Options"] == "DENY"
        again = await client.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert again.status_code == 304
        assert await again.get_data() == b""


@pytest.mark.parametrize(
    ("host", "sources"),
    [
        ("live.example:8000", "http://live.example:7001 ws://live.example:7001"),
        ("live.example", "http://live.example:7001 ws://live.example:7001"),
        ("[::1]:8000", "http: https: ws: wss:"),
        ("a;script-src *", "http: https: ws: wss:"),
    ],
)
async def test_the_player_may_fetch_media_from_its_own_host_only(host: str, sources: str) -> None:
    async with control() as parts:
        response = await public_app(parts.context).test_client().get("/", headers={"Host": host})
        assert f"connect-src 'self' {sources}; " in response.headers["Content-Security-Policy"]


async def test_media_over_tls_are_allowed_as_such_and_from_every_port_that_has_them() -> None:
    bound = {"httpflv": Bound(7443, tls=True), "hls": Bound(7002)}
    async with control(bound=bound) as parts:
        client = public_app(parts.context).test_client()
        response = await client.get("/", headers={"Host": "h"})
        policy = response.headers["Content-Security-Policy"]
        assert "https://h:7443 wss://h:7443 http://h:7002 ws://h:7002" in policy


async def test_the_player_may_talk_to_the_port_of_messaging_and_is_told_it() -> None:
    async with control(bound={"im": Bound(3102)}) as parts:
        client = public_app(parts.context).test_client()
        response = await client.get("/", headers={"Host": "h"})
        assert (
            "connect-src 'self' http://h:3102 ws://h:3102;"
            in (response.headers["Content-Security-Policy"])
        )
        told = await body_of(await client.get("/v1/public/streams"))
        assert told["ports"] == {"im": {"port": 3102, "tls": False}}


async def test_the_public_list_leaves_out_what_only_one_seat_may_play() -> None:
    async with control() as parts, publishing(parts, "party"), publishing(parts, "party~1"):
        response = await public_app(parts.context).test_client().get("/v1/public/streams")
        told = await body_of(response)
    assert ([stream["name"] for stream in told["items"]], told["total"]) == (["party"], 1)


async def test_the_public_list_tells_no_addresses() -> None:
    async with control() as parts, publishing(parts, "<b>"):
        response = await public_app(parts.context).test_client().get("/v1/public/streams")
        told = await body_of(response)
    assert told["ports"]["httpflv"] == {"port": 7001, "tls": False}
    (stream,) = told["items"]
    assert stream.pop("since") > 0
    assert stream == {
        "app": "live", "name": "<b>", "viewers": 0, "codecs": ["h264", "aac"],
        "width": 0, "height": 0, "playable": True,
    }  # fmt: skip
    assert response.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("path", ["/v1/streams", "/control/get?room=a", "/v1/tree", "/metrics"])
async def test_the_public_face_has_nothing_of_the_operators(path: str) -> None:
    async with control() as parts:
        assert (await public_app(parts.context).test_client().get(path)).status_code == 404


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline = ""
        self._open = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._open = tag

    def handle_endtag(self, tag):
        self._open = ""

    def handle_data(self, data):
        if self._open in {"script", "style"}:
            self.inline += data


@pytest.mark.parametrize("page", HTML, ids=lambda path: path.parent.name)
async def test_a_page_has_nothing_inline_and_loads_only_what_exists(page) -> None:
    tags = Tags()
    tags.feed(page.read_text(encoding="utf-8"))
    assert tags.inline == ""
    for _, attributes in tags.tags:
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href"):
            target = attributes.get(name) or ""
            assert not target.startswith(("http", "//")), "no CDN"
            if target.startswith("/assets/"):
                assert (STATIC / target.removeprefix("/assets/")).is_file(), target


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_makes_no_html_of_text_and_imports_what_exists(script) -> None:
    code = script.read_text(encoding="utf-8")
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function"
    assert not re.findall(forbidden, code)
    for target in re.findall(r'from "([^"]+)"', code):
        file = STATIC / target.removeprefix("/assets/")
        assert (file if target.startswith("/") else script.parent / target).is_file(), target


def test_every_text_exists_in_both_languages() -> None:
    files = [STATIC / "shared" / name for name in ("texts.js", "room_texts.js")]
    source = "".join(file.read_text(encoding="utf-8") for file in files)
    entries = re.findall(
        r'^  "([^"]+)": \["((?:[^"\\]|\\.)+)", "((?:[^"\\]|\\.)+)"\],$', source, re.M
    )
    known = {name for name, _, _ in entries}
    assert len(known) == len(entries) == len(re.findall(r'^  "', source, re.M))
    for _, english, chinese in entries:
        assert sorted(re.findall(r"{\w+}", english)) == sorted(re.findall(r"{\w+}", chinese))
    used: set[str] = set()
    for file in [*HTML, *SCRIPTS]:
        text = file.read_text(encoding="utf-8")
        used |= set(re.findall(r'data-t(?:-label)?="([^"]+)"', text))
        used |= set(re.findall(r'\bt\("([^"]+)"', text))
    assert used <= known, used - known


def test_every_verdict_has_its_texts() -> None:
    source = (STATIC / "shared" / "texts.js").read_text(encoding="utf-8")
    verdict = (STATIC.parent / "verdict.py").read_text(encoding="utf-8")
    ids = re.findall(r'Finding\("\w+", "([\w-]+)"', verdict)
    assert len(ids) > 8
    assert [text_id for text_id in ids if f'"verdict.{text_id}"' not in source] == []


@pytest.mark.parametrize(
    "path",
    ["/assets/../context.py", "/assets/%2e%2e/context.py", "/assets/..%2fcontext.py",
     "/assets//etc/passwd", "/assets/%2fetc%2fpasswd", "/assets/a%00b", "/assets/shared",
     "/assets/", "/assets/" + "x/" * 3000],
)  # fmt: skip
async def test_assets_lead_nowhere_else(path: str) -> None:
    async with control() as parts:
        assert (await operator_app(parts.context).test_client().get(path)).status_code == 404


async def test_livegos_statics_are_served_and_lead_nowhere_else(tmp_path) -> None:
    folder = tmp_path / "statics"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.txt").write_text("hello")
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "loop").symlink_to(folder / "loop")
    async with control(statics=folder) as parts:
        client = operator_app(parts.context).test_client()
        good = await client.get("/statics/sub/a.txt")
        assert await good.get_data() == b"hello"
        assert good.headers["Content-Security-Policy"] == "sandbox"
        for path in ("../secret", "%2e%2e/secret", "..%2fsecret", "link", "loop", "sub", "a%00b",
                     "/etc/passwd", "x" * 5000):  # fmt: skip
            response = await client.get(f"/statics/{path}")
            assert response.status_code == 404, path
            assert b"secret" not in await response.get_data()


async def test_without_a_folder_of_statics_there_are_none(tmp_path) -> None:
    async with control(statics=tmp_path / "none") as parts:
        response = await operator_app(parts.context).test_client().get("/statics/a")
        assert response.status_code == 404


def test_vendored_files_come_with_their_licences() -> None:
    vendor = STATIC / "vendor"
    notices = (vendor / "THIRD-PARTY.txt").read_text(encoding="utf-8")
    for folder in vendor.iterdir():
        if folder.is_dir():
            assert folder.name in notices
            assert (folder / "LICENSE").is_file()
