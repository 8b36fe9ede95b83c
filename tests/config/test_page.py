"""docs/configuration.md against the table of keys."""

from __future__ import annotations

import re
from pathlib import Path

from livetrio.config import SETTINGS

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_every_key_is_on_the_page_and_no_other():
    named = set(re.findall(r"`([a-z]+(?:[_.][a-z]+)*)`", PAGE.read_text(encoding="utf-8")))
    listeners = {key for key in SETTINGS if re.fullmatch(r"\w+_addr\.\w+", key)}
    assert SETTINGS.keys() - listeners <= named
    keys = {word for word in named if "_" in word or "." in word} - {"static_push"}
    assert {key for key in keys if not key.startswith("livetrio.") and key != "livego.yaml"} <= (
        SETTINGS.keys()
    )
