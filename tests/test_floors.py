"""The floors hold in src/, and the checker that says so finds each kind of fault."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.floors import FLOORS, MAX_LINES, check_tree

SOURCE = Path(__file__).parent.parent / "src" / "livetrio"


def faults_of(root: Path, path: str, code: str) -> list[str]:
    """What the checker says of a tree with this one file in it."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'"""A module."""\n{code}\n', encoding="utf-8")
    return [str(fault) for fault in check_tree(root)]


def test_the_floors_of_livetrio_hold() -> None:
    assert [str(fault) for fault in check_tree(SOURCE)] == []


def test_the_checker_has_read_livetrio_and_not_an_empty_folder() -> None:
    assert (SOURCE / "packet.py").exists()


def test_every_module_and_package_of_livetrio_has_a_floor() -> None:
    names = {p.stem for p in SOURCE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert names - {"__init__"} <= FLOORS.keys()


@pytest.mark.parametrize(
    ("path", "code", "reason"),
    [
        ("wire/flv.py", "from livetrio.net.outbox import Outbox", "upward: wire (floor 1)"),
        ("packet.py", "import livetrio.wire.flv", "upward: packet (floor 0)"),
        ("media/ring.py", "from livetrio import ingest", "upward: media (floor 3)"),
        ("media/ring.py", "from ..control.rest import x", "upward: media (floor 3)"),
        ("media/ring.py", "from .. import app", "upward: media (floor 3)"),
        ("net/fanout.py", "def f():\n    import livetrio.media.ring", "upward: net (floor 2)"),
        ("control/rest.py", "from livetrio.app import serve", "upward: control (floor 5)"),
        ("ingest/rtmp.py", "from livetrio.delivery import flv", "sideways: ingest and delivery"),
        ("webrtc/player.py", "from livetrio.im.hub import Hub", "sideways: webrtc and im"),
        ("net/listen.py", "from livetrio.access.gate import Gate", "sideways: net and access"),
        ("store/keys.py", "import livetrio.cluster.bus", "sideways: store and cluster"),
        ("wire/flv.py", "import trio", "trio in wire"),
        ("wire/rtmp/chunks.py", "import h11", "h11 in wire"),
        ("wire/flv.py", "import socket", "socket in wire/"),
        ("wire/flv.py", "from time import monotonic", "time in wire/"),
        ("wire/flv.py", "import logging", "logging in wire/"),
        ("packet.py", "import yaml", "yaml in packet"),
        ("config/load.py", "import structlog", "structlog in config"),
        ("net/listen.py", "import asyncio", "asyncio belongs to store/redis.py"),
        ("store/sqlite.py", "import trio_asyncio", "trio_asyncio belongs to store/redis.py"),
        ("store/redis_keys.py", "from redis.asyncio import Redis", "redis belongs to store/redis"),
        ("delivery/flv.py", "from quart import Response", "quart belongs to control/"),
        ("app.py", "from hypercorn.trio import serve", "hypercorn belongs to control/"),
        ("media/stream.py", "import av", "av belongs to demo_source.py"),
        ("ingest/rtmp.py", "try: ...\nexcept Exception: ...", "a broad except"),
        ("ingest/rtmp.py", "try: ...\nexcept: ...", "a broad except"),
        ("ingest/rtmp.py", "try: ...\nexcept (OSError, BaseException): ...", "a broad except"),
        ("ingest/rtmp.py", "try: ...\nexcept* builtins.Exception: ...", "a broad except"),
        ("ingest/rtmp.py", "with contextlib.suppress(Exception): ...", "a broad except"),
        ("gossip.py", "", "gossip has no floor"),
        ("gossip/words.py", "", "gossip has no floor"),
        ("__init__.py", "from livetrio import app", "own __init__ imports nothing"),
        ("media/ring.py", "\n" * MAX_LINES, "split it by noun"),
    ],
)
def test_a_fault_is_found_and_named(tmp_path: Path, path: str, code: str, reason: str) -> None:
    faults = faults_of(tmp_path, path, code)
    assert len(faults) == 1
    assert faults[0].startswith(f"{path}:")
    assert reason in faults[0]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("wire/flv.py", "import struct\nfrom livetrio.packet import Packet\nfrom . import amf0"),
        ("wire/gim.py", "import google.protobuf\nimport brotli"),
        ("config/load.py", "import yaml\nfrom livetrio.errors import ConfigError"),
        ("logs.py", "import structlog\nimport logging"),
        ("net/listen.py", "import trio\nimport time\nfrom livetrio.wire import proxy"),
        ("net/listen.py", "from .outbox import Outbox\nfrom livetrio.net import tls"),
        ("store/redis.py", "import asyncio, trio_asyncio\nfrom redis.asyncio import Redis"),
        ("cluster/redis.py", "import redis"),
        ("control/rest.py", "import quart_trio, hypercorn\nfrom livetrio.ingest import rtmp"),
        ("demo_source.py", "import av"),
        ("__main__.py", "from livetrio import __version__, app"),
        ("net/connection.py", "try: ...\nexcept Exception: ..."),
        ("ingest/rtmp.py", "try: ...\nexcept (OSError, ValueError): ..."),
        ("ingest/rtmp.py", "with suppress(OSError): ..."),
        ("__init__.py", "import enum"),
    ],
)
def test_what_the_floors_allow_is_not_a_fault(tmp_path: Path, path: str, code: str) -> None:
    assert faults_of(tmp_path, path, code) == []


def test_a_second_guard_is_a_fault_even_in_net(tmp_path: Path) -> None:
    guard = "try: ...\nexcept Exception: ..."
    faults_of(tmp_path, "net/connection.py", guard)
    faults = faults_of(tmp_path, "net/listen.py", guard)
    assert [fault.split(":")[0] for fault in faults] == ["net/connection.py", "net/listen.py"]


def test_a_module_without_a_docstring_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "packet.py").write_text("x = 1\n", encoding="utf-8")
    assert [fault.path for fault in check_tree(tmp_path)] == ["packet.py"]
