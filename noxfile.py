"""The gates: `nox` runs lint, types, tests and e2e; `nox -s NAME` runs one of them."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"  # nox.project.dependency_groups
nox.options.sessions = ["lint", "types", "tests", "e2e"]
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = True

PYPROJECT = nox.project.load_toml("pyproject.toml")

PROGRAMS = {
    "ffmpeg": "ffmpeg",
    "ffprobe": "ffmpeg",
    "rtmpdump": "rtmpdump",
    "chromium": "chromium",
    "chromedriver": "chromium-driver",
    "curl": "curl",
    "obs": "obs-studio",
    "Xvfb": "xvfb",
    "redis-cli": "redis-tools",
    "redis-server": "redis-server",
    "nginx": "nginx",
    "turnserver": "coturn",
    "mkvmerge": "mkvtoolnix",
    "node": "nodejs",
    "npm": "npm",
}
"""Program the e2e tests start, and the Debian package that brings it."""

FILES = {
    "/usr/lib/*/obs-plugins/obs-x264.so": "obs-plugins",
    "/usr/lib/*/dri/swrast_dri.so": "libgl1-mesa-dri",
    "/usr/lib/nginx/modules/ngx_rtmp_module.so": "libnginx-mod-rtmp",
}
"""What they load (only recommended by Debian, so named here), and its package."""

SYSTEM_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
"""Where to look: /usr/sbin (nginx) is not on everybody's PATH."""


def install(session: nox.Session, *groups: str) -> None:
    """livetrio, editable, and the named dependency groups of pyproject.toml."""
    session.install("--editable", ".", *nox.project.dependency_groups(PYPROJECT, *groups))


@nox.session
def lint(session: nox.Session) -> None:
    """ruff: rules and formatting."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """mypy --strict over src (configured in pyproject.toml)."""
    install(session, "types")
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """Everything that needs no other program; branch coverage, 100 % of it on wire/."""
    install(session, "test")
    # "not e2e" here and "e2e" there: between the two sessions no test can fall through.
    marked = ("-m", "not e2e", *session.posargs)
    session.run("coverage", "run", "-m", "pytest", "--ignore=tests/e2e", *marked)
    session.run("coverage", "report")
    if not session.posargs:  # a run of some tests says nothing about coverage
        session.run("coverage", "report", "--include=*/wire/*", "--fail-under=100")


@nox.session
def e2e(session: nox.Session) -> None:
    """The tests with real programs at the other end: ffmpeg, OBS, Chromium, nginx, Redis."""
    bring_programs(session)
    install(session, "test", "e2e")
    session.run("pytest", "-m", "e2e", *session.posargs)


def bring_programs(session: nox.Session) -> None:
    """Install the missing Debian packages when root; else fail with the line that does."""
    if not (missing := missing_packages()):
        return
    line = f"apt-get install -y --no-install-recommends {' '.join(missing)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        session.error(f"e2e needs programs that are not here; run as root: {line}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    with services_kept_down():
        session.run("apt-get", "update", "-qq", external=True, env=quiet)
        session.run(*line.split(), external=True, silent=True, env=quiet)
    if missing := missing_packages():
        session.error(f"still missing after the installation: {' '.join(missing)}")


def missing_packages() -> list[str]:
    """Debian packages whose program or file is not on this machine, each once."""
    packages = [pkg for name, pkg in PROGRAMS.items() if not shutil.which(name, path=SYSTEM_PATH)]
    packages += [pkg for glob, pkg in FILES.items() if not any(Path("/").glob(glob[1:]))]
    return sorted(set(packages))


@contextlib.contextmanager
def services_kept_down() -> Iterator[None]:
    """Let no package start its service: a redis or nginx on its default port is not ours to run.

    Debian's own switch for that (invoke-rc.d's policy layer): exit code 101 is "forbidden".
    """
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():  # the machine (a container, mostly) has its own
        yield
        return
    with tempfile.NamedTemporaryFile("w", dir=policy.parent, delete=False) as file:
        file.write("#!/bin/sh\nexit 101\n")
    Path(file.name).chmod(0o755)
    Path(file.name).rename(policy)
    try:
        yield
    finally:
        policy.unlink()
