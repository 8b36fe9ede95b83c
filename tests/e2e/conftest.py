"""What the tests with real programs share: their mark, and the clips, made once per run."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.ffmpeg import make_clip

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything below tests/e2e is e2e, said or not: no test runs in the wrong session."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of H.264 with B-frames and AAC in FLV, a key frame each second."""
    return make_clip(tmp_path_factory.mktemp("clips") / "h264-aac.flv")
