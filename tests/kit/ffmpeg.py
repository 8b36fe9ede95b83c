"""ffmpeg as publisher, player and judge: Debian's, and a newer one for enhanced RTMP."""

from __future__ import annotations

import re
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg

from kit.programs import Program, find, run, running

__all__ = [
    "CodedPacket",
    "Recording",
    "contiguous",
    "make_clip",
    "newer_ffmpeg",
    "packets",
    "publishing",
    "record",
    "recording",
]

QUIET = ("-hide_banner", "-nostdin", "-loglevel", "warning")


def newer_ffmpeg() -> str:
    """Path of an ffmpeg that speaks enhanced RTMP v2 (Debian 12's 5.1 speaks none of it)."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def make_clip(
    path: Path,
    *encoding: str,
    seconds: float = 4,
    audios: int = 1,
    videos: int = 1,
    newer: bool = False,
) -> Path:
    """Write a small moving picture with a tone to `path` (its suffix decides the container).

    Args:
        encoding: ffmpeg output options; without any: H.264 with B-frames, a key frame each
            second, and AAC, as OBS would send.
        seconds: length.
        audios: number of audio tracks, each with another tone.
        videos: number of video tracks, each half as large as the one before.
        newer: encode with `newer_ffmpeg`.

    Synchronous, for session-scoped fixtures: the clips of a run are made once.
    """
    options = encoding or (
        *("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "25"),
        *("-c:a", "aac", "-b:a", "64k"),
    )
    sizes = [(320 >> i, 180 >> i & ~1) for i in range(videos)]
    sources = [f"testsrc2=s={w}x{h}:r=25:d={seconds}" for w, h in sizes]
    sources += [f"sine=f={440 * (i + 1)}:r=48000:d={seconds}" for i in range(audios)]
    argv = [newer_ffmpeg() if newer else find("ffmpeg"), *QUIET, "-y"]
    for source in sources:
        argv += ["-f", "lavfi", "-i", source]
    for number in range(len(sources)):
        argv += ["-map", str(number)]
    # -pix_fmt: what every decoder in the tests shows
    subprocess.run(
        [*argv, "-pix_fmt", "yuv420p", *options, str(path)],
        check=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
    )
    return path


def publishing(
    clip: Path, url: str, *, exe: str | None = None, loop: bool = False, options: Sequence[str] = ()
) -> AbstractAsyncContextManager[Program]:
    """ffmpeg publishing `clip` unchanged (`-c copy`) in real time, as a scope.

    Args:
        exe: which ffmpeg; Debian's by default.
        loop: start again at the end of the clip, timestamps going on.
        options: more output options (`-rtmp_enhanced_codecs ...`, `-method POST`, ...).
    """
    again = ("-stream_loop", "-1") if loop else ()
    # -map 0: every track, not the best of each kind
    argv = (
        exe or find("ffmpeg"),
        *QUIET,
        "-re",
        *again,
        "-i",
        str(clip),
        "-map",
        "0",
        "-c",
        "copy",
        *options,
        "-f",
        "flv",
        url,
    )
    return running(*argv)


async def record(
    url: str,
    path: Path,
    *,
    seconds: float = 3,
    exe: str | None = None,
    options: Sequence[str] = (),
    deadline: float = 40,
) -> Path:
    """Play `url` for `seconds` of media, store its packets unchanged in `path`.

    Args:
        options: more input options (`-tls_verify 0`, ...).

    Raises:
        ProgramError: the player failed, or needed more than `deadline` seconds.
    """
    argv = (
        exe or find("ffmpeg"),
        *QUIET,
        "-y",
        *options,
        "-i",
        url,
        "-t",
        str(seconds),
        "-map",
        "0",
        "-c",
        "copy",
        str(path),
    )
    await run(*argv, deadline=deadline)
    return path


@dataclass(slots=True)
class Recording:
    """A player that runs beside the test and stores what it gets."""

    path: Path
    program: Program

    async def finished(self, *, deadline: float = 40) -> Path:
        """Wait until the stream has ended for the player; the complete file."""
        await self.program.wait(deadline=deadline)
        return self.path


@asynccontextmanager
async def recording(
    url: str, path: Path, *, exe: str | None = None, options: Sequence[str] = ()
) -> AsyncIterator[Recording]:
    """A player from before the first to after the last packet: started while nobody publishes.

    Gives a `Recording`; leave the block after its `finished()`, or the player is stopped.
    """
    argv = (
        exe or find("ffmpeg"),
        *QUIET,
        "-y",
        *options,
        "-i",
        url,
        "-map",
        "0",
        "-c",
        "copy",
        str(path),
    )
    async with running(*argv) as program:
        yield Recording(path, program)


@dataclass(frozen=True, slots=True)
class CodedPacket:
    """One packet of a file: its time in milliseconds, size in bytes, and the MD5 of its payload."""

    dts: int
    pts: int
    size: int
    md5: str


async def packets(path: Path, *, exe: str | None = None) -> dict[str, list[CodedPacket]]:
    """The coded packets of each stream of a file, in order (ffmpeg's framemd5 over a copy).

    Streams are named as ffmpeg's stream specifiers name them, "v:0" or "a:1": which of them has
    the lower number in a live recording depends on what came first.
    """
    argv = (exe or find("ffmpeg"), *QUIET, "-i", str(path), "-map", "0", "-c", "copy",
            "-f", "framemd5", "-")  # fmt: skip
    names: dict[int, str] = {}
    units: dict[int, Fraction] = {}
    streams: dict[str, list[CodedPacket]] = {}
    for line in (await run(*argv)).splitlines():
        if head := re.match(r"#(tb|media_type) (\d+): (\S+)", line):
            what, number, value = head[1], int(head[2]), head[3]
            if what == "tb":
                units[number] = Fraction(value)  # seconds
            else:
                kind = value[0]
                names[number] = f"{kind}:{sum(name[0] == kind for name in names.values())}"
        elif not line.startswith("#") and line.strip():
            # what follows describes side data, made by the reader itself
            index, dts, pts, _, size, md5 = (field.strip() for field in line.split(",")[:6])
            unit = units[int(index)]
            times = [round(1000 * int(time) * unit) for time in (dts, pts)]
            of_stream = streams.setdefault(names[int(index)], [])
            of_stream.append(CodedPacket(times[0], times[1], int(size), md5))
    return streams


def contiguous(part: Sequence[CodedPacket], whole: Sequence[CodedPacket]) -> bool:
    """Whether `part` is a run of `whole` without gap, change, or doubling.

    Payloads must be equal, and times equal but for one offset (a player's clock starts where
    it likes).
    """
    if not part:
        return False
    for start in range(len(whole) - len(part) + 1):
        run_ = whole[start : start + len(part)]
        shift = part[0].dts - run_[0].dts
        if all(
            (a.md5, a.size, a.dts - shift, a.pts - shift) == (b.md5, b.size, b.dts, b.pts)
            for a, b in zip(part, run_, strict=True)
        ):
            return True
    return False
