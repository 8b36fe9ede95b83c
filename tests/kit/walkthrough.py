"""Markdown documents as programs: every `$ command` is run, what stands below it is expected.

The rules, small enough to keep in mind while writing a document:

- In a ```console block a line `$ command` is a command (a trailing backslash continues it on the
  next line); the lines up to the next one must appear in its output, in this order, other lines
  between them allowed. `…` stands for any text within a line.
- A command that ends in `&` stays in the background until the end of the document; the next
  command waits until its expected lines have come.
- Any other command must end with exit code 0. Variables it sets are there for the later ones.
- A block with a file's name after its language (```html player.html) becomes that file.
- `chromium PAGE` means: this page's video plays, with sound.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from kit.programs import Program, ProgramError, run, running

__all__ = ["Command", "File", "WalkthroughError", "parse", "walk"]

FENCE = re.compile(r"^```(\w+)[ \t]*(\S*)[^\n]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
STEP_SECONDS = 60
BROWSER = Path(__file__).with_name("watch_page.py")


class WalkthroughError(AssertionError):
    """A command did not do what its document says."""


@dataclass(slots=True)
class Command:
    """One `$` line, without the dollar, and the lines below it."""

    line: int
    """Where in the document, counted from 1."""
    text: str
    expected: list[str] = field(default_factory=list)

    @property
    def background(self) -> bool:
        return self.text.endswith("&")


@dataclass(frozen=True, slots=True)
class File:
    """A block that is a file's content."""

    name: str
    content: str


def parse(document: str) -> list[Command | File]:
    """The steps of a Markdown document, in order."""
    steps: list[Command | File] = []
    for block in FENCE.finditer(document):
        language, name, content = block.groups()
        if name:
            steps.append(File(name, content))
        elif language == "console":
            first = document.count("\n", 0, block.start(3)) + 1
            steps += commands(content, first)
    return steps


def commands(content: str, first: int) -> list[Command]:
    """The commands of one console block whose first line is line `first` of the document."""
    found: list[Command] = []
    continued = False
    for number, line in enumerate(content.splitlines(), first):
        if continued:
            found[-1].text += "\n" + line
        elif line.startswith("$ "):
            found.append(Command(number, line.removeprefix("$ ")))
        elif line.strip():
            if not found:
                raise WalkthroughError(f"line {number}: output before any command: {line!r}")
            found[-1].expected.append(line.rstrip())
            continue
        continued = bool(found) and found[-1].text.endswith("\\")
    return found


def pattern(expected: str) -> str:
    """The regular expression of an expected line."""
    return "^" + ".*".join(re.escape(part) for part in expected.split("…")) + r"\s*$"


async def walk(
    document: str, folder: Path, *, env: Mapping[str, str], instead: Mapping[str, str]
) -> int:
    """Do what the document says, in `folder`; returns the number of commands run.

    Args:
        env: environment variables for every command (livetrio takes its ports from there).
        instead: texts of the document and what to use for them (`:1935` -> `:40123`); in
            commands, expected lines and files alike.

    Raises:
        WalkthroughError: a command failed, or its output misses an expected line.
    """
    shell = Shell(folder, env)
    behind: list[Program] = []
    count = 0
    async with AsyncExitStack() as stack:
        for step in parse(document):
            if isinstance(step, File):
                text = replaced(step.content, instead)
                (folder / step.name).write_text(text, encoding="utf-8")
                continue
            count += 1
            command = replaced(step.text, instead)
            expected = [pattern(replaced(line, instead)) for line in step.expected]
            where = f"line {step.line}: $ {command}"
            try:
                if step.background:
                    argv = shell.argv(f"exec {command.removesuffix('&')}", keep=False)
                    program = await stack.enter_async_context(
                        running(*argv, env=shell.env, cwd=folder)
                    )
                    behind.append(program)
                    for line in expected:
                        await program.line(line, deadline=STEP_SECONDS)
                else:
                    argv = shell.argv(command, keep=True)
                    output = await run(*argv, env=shell.env, cwd=folder, deadline=STEP_SECONDS)
                    in_order(expected, output.splitlines())
            except ProgramError as error:
                told = "".join(f"\n--- in the background:\n{one.output}" for one in behind)
                raise WalkthroughError(f"{where}\n{error}{told}") from None
    return count


def in_order(expected: list[str], lines: list[str]) -> None:
    """Check that each pattern matches a line after the one before; ProgramError if not."""
    rest = iter(lines)
    for wanted in expected:
        if not any(re.search(wanted, line) for line in rest):
            raise ProgramError(f"no line {wanted!r} (in this order) in\n" + "\n".join(lines))


def replaced(text: str, instead: Mapping[str, str]) -> str:
    """`text` with every key of `instead` replaced in one pass (no replacement is replaced)."""
    if not instead:
        return text
    keys = sorted(instead, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, keys)), lambda found: instead[found[0]], text)


class Shell:
    """bash, started anew for each command, with the variables of the commands before it."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self._variables = folder / ".variables"
        self._variables.touch()
        programs = folder / ".bin"
        programs.mkdir()
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        browser = programs / "chromium"
        lines = [
            "#!/bin/sh",
            f"PATH={shlex.quote(path)}",  # without this folder: it would find itself as chromium
            f'exec {shlex.join([sys.executable, str(BROWSER)])} "$@"',
        ]
        browser.write_text("\n".join(lines) + "\n", encoding="utf-8")
        browser.chmod(0o755)
        path = os.pathsep.join([str(programs), path])
        self.env = {**os.environ, **env, "PATH": path, "LC_ALL": "C.UTF-8"}

    def argv(self, command: str, *, keep: bool) -> tuple[str, ...]:
        """bash and its arguments for one command; `keep` hands its variables on."""
        file = shlex.quote(str(self._variables))
        lines = [f"source {file}", "set -a -o pipefail", command]
        if keep:
            lines += ["code=$?", f"export -p > {file}", "exit $code"]
        return ("bash", "-c", "\n".join(lines))
