"""OBS Studio under Xvfb, publishing for real with the x264 settings it comes with.

The profile, service and scene are files in a HOME of the test's own; only what OBS would ask a
person (its first-run questions, the picture's size, where to stream) is written into them.
Everything about encoding stays unsaid, hence OBS's default.
"""

from __future__ import annotations

import json
import os
import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from kit.programs import Program, find, running

__all__ = ["obs_publishing", "xvfb"]

WIDTH, HEIGHT = 640, 360
"""Software OpenGL draws it, beside the rest of the test, on two cores."""

GLOBAL_INI = """\
[General]
FirstRun=true
LastVersion=486539266
InfoIncrement=100
EnableAutoUpdates=false
HotkeyFocusType=NeverDisableHotkeys

[Basic]
Profile=livetrio
ProfileDir=livetrio
SceneCollection=livetrio
SceneCollectionFile=livetrio

[BasicWindow]
SysTrayEnabled=false
WarnBeforeStartingStream=false
WarnBeforeStoppingStream=false
"""

BASIC_INI = f"""\
[General]
Name=livetrio

[Video]
BaseCX={WIDTH}
BaseCY={HEIGHT}
OutputCX={WIDTH}
OutputCY={HEIGHT}
FPSCommon=30
"""


@asynccontextmanager
async def xvfb() -> AsyncIterator[str]:
    """An X server without a screen; gives its DISPLAY. The server picks a free number itself."""
    argv = (find("Xvfb"), "-displayfd", "1", "-screen", "0", "1280x720x24", "-nolisten", "tcp")
    async with running(*argv) as server:
        number = await server.line(r"^(\d+)$")  # file descriptor 1 is its standard output
        yield f":{number[1]}"


@asynccontextmanager
async def obs_publishing(server: str, key: str, clip: Path) -> AsyncIterator[Program]:
    """OBS, streaming `clip` (looped, picture and sound) to `server` with stream key `key`.

    Entered once OBS says that it streams. OBS is stopped as by closing its window.

    Args:
        server: what OBS calls Server: `rtmp://127.0.0.1:1935/live`.
        key: what it calls Stream Key.
        clip: any file with video and audio that ffmpeg can read.
    """
    with tempfile.TemporaryDirectory(prefix="livetrio-obs-") as home:
        write_home(Path(home), server, key, clip)
        async with xvfb() as display:
            env = {
                "PATH": os.environ["PATH"],
                "HOME": home,
                "XDG_CONFIG_HOME": f"{home}/.config",
                "XDG_RUNTIME_DIR": home,
                "DISPLAY": display,
                "QT_QPA_PLATFORM": "xcb",
                "LIBGL_ALWAYS_SOFTWARE": "1",
                "LC_ALL": "C.UTF-8",
                # its list of services is not to be fetched from the Internet: nobody there
                "https_proxy": "http://127.0.0.1:9",
            }
            argv = (find("obs"), "--startstreaming", "--multi", "--disable-updater", "--verbose")
            async with running(*argv, env=env) as program:
                await program.line(r"==== Streaming Start", deadline=60)
                yield program


def write_home(home: Path, server: str, key: str, clip: Path) -> None:
    """The files that OBS would have written after a person's first visit."""
    folder = home / ".config" / "obs-studio"
    profile = folder / "basic" / "profiles" / "livetrio"
    scenes = folder / "basic" / "scenes"
    profile.mkdir(parents=True)
    scenes.mkdir(parents=True)
    home.chmod(0o700)  # what Qt asks of XDG_RUNTIME_DIR
    (folder / "global.ini").write_text(GLOBAL_INI, encoding="utf-8")
    (profile / "basic.ini").write_text(BASIC_INI, encoding="utf-8")
    service = {"settings": {"server": server, "key": key}, "type": "rtmp_custom"}
    (profile / "service.json").write_text(json.dumps(service), encoding="utf-8")
    (scenes / "livetrio.json").write_text(json.dumps(scene(clip)), encoding="utf-8")


def scene(clip: Path) -> dict[str, object]:
    """A scene collection: one scene, in it one media source that plays `clip` for ever."""
    media = {
        "id": "ffmpeg_source",
        "name": "Clip",
        "uuid": str(uuid.uuid4()),
        "settings": {"is_local_file": True, "local_file": str(clip), "looping": True},
        "mixers": 255,
    }
    item = {"name": "Clip", "id": 1, "visible": True, "bounds_type": 2,
            "bounds": {"x": float(WIDTH), "y": float(HEIGHT)}}  # fmt: skip
    return {
        "name": "livetrio",
        "current_scene": "Scene",
        "current_program_scene": "Scene",
        "scene_order": [{"name": "Scene"}],
        "sources": [
            media,
            {"id": "scene", "name": "Scene", "settings": {"items": [item], "id_counter": 1}},
        ],
    }
