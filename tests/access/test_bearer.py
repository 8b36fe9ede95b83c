"""The gate for WHIP: keys as bearer tokens."""

from __future__ import annotations

import pytest

from livetrio.access.bearer import BearerGate
from livetrio.access.gate import Gate
from livetrio.config import AccessConfig, AppConfig
from livetrio.errors import RefusalCode, Refused
from livetrio.packet import StreamKey

KEY, OTHER = "k" * 48, "o" * 48
APPS = {
    "free": AppConfig(name="free", auth="none"),
    "keyed": AppConfig(name="keyed"),
    "dark": AppConfig(name="dark", live=False),
}


class Keys:
    rooms = {"room": KEY, "other": OTHER}  # noqa: RUF012

    async def key_of(self, room):
        return self.rooms.get(room)

    async def room_of(self, key):
        return next((room for room, known in self.rooms.items() if known == key), None)


async def ask(app, name, token="", **access):
    gate = BearerGate(Gate(APPS, AccessConfig(**access), Keys(), clock=lambda: 0.0), APPS)
    try:
        grant = await gate.may_publish(app, name, token, {}, "192.0.2.1")
    except Refused as refusal:
        return refusal.code
    return grant.key, grant.takeover


@pytest.mark.parametrize(
    ("app", "name", "token", "expected"),
    [
        ("keyed", "room", KEY, (StreamKey("keyed", "room"), True)),
        ("keyed", KEY, "", (StreamKey("keyed", "room"), True)),
        ("keyed", KEY, KEY, (StreamKey("keyed", "room"), True)),
        ("keyed", "room", "", (StreamKey("keyed", KEY), False)),  # livego's rule
        ("keyed", "room", OTHER, RefusalCode.FORBIDDEN),
        ("keyed", "room", "other", RefusalCode.FORBIDDEN),
        ("keyed", "room", "wrong", RefusalCode.UNAUTHORIZED),
        ("keyed", "room", "\0", RefusalCode.UNAUTHORIZED),
        ("keyed", "nobody", "", RefusalCode.UNAUTHORIZED),
        ("free", "any", "", (StreamKey("free", "any"), False)),
        ("free", "any", "leftover", (StreamKey("free", "any"), False)),
        ("free", "any", "x" * 300, (StreamKey("free", "any"), False)),
        ("free", "room", KEY, (StreamKey("free", "room"), True)),
        ("free", "any", KEY, RefusalCode.FORBIDDEN),
        ("dark", "room", KEY, RefusalCode.FORBIDDEN),
        ("nowhere", "room", KEY, RefusalCode.FORBIDDEN),
    ],
)
async def test_a_token_and_a_name_decide_together(app, name, token, expected) -> None:
    assert await ask(app, name, token) == expected


async def test_strict_keys_want_the_key_and_not_the_rooms_name() -> None:
    assert await ask("keyed", "room", strict_keys=True) is RefusalCode.UNAUTHORIZED
    assert await ask("keyed", "room", KEY, strict_keys=True) == (StreamKey("keyed", "room"), True)


async def test_always_taking_over_does_not_make_a_leftover_token_a_key() -> None:
    found = await ask("free", "any", "leftover", override_publisher="always")
    assert found == (StreamKey("free", "any"), True)
