"""No name leads out of a folder (group 37 of hostile input), and names mean what they did."""

from __future__ import annotations

import os

import pytest

from livetrio.media.vod.folder import candidates, open_below


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    inside = tmp_path / "vod"
    (inside / "films").mkdir(parents=True)
    (inside / "35.mp4").write_bytes(b"35")
    (inside / "films" / "a.flv").write_bytes(b"a")
    return inside


def opened(folder, *names: str) -> str | None:
    file = open_below(folder, names)
    if file is None:
        return None
    with file.file:
        return file.name


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("35.mp4", "35.mp4"),
        ("mp4:35", "35.mp4 35.m4v 35.mov 35.m4a 35.f4v"),
        ("mp4:35.mp4", "35.mp4 35.mp4.mp4 35.mp4.m4v 35.mp4.mov 35.mp4.m4a 35.mp4.f4v"),
        ("flv:35", "35.flv"),
        ("flv:35.mp4", "35.mp4.flv"),
        ("a/35", "a/35.flv a/35.mp4 a/35.m4v a/35.mov a/35.m4a a/35.f4v"),
    ],
)
def test_a_name_means_files_as_in_nginx_rtmp(name, files):
    assert list(candidates(name))[: len(files.split())] == files.split()


def test_the_first_of_the_files_that_is_there_is_opened(folder):
    assert opened(folder, "35.flv", "35.mp4") == "35.mp4"
    assert opened(folder, "films/a.flv") == "films/a.flv"
    assert opened(folder, "nothing.mp4") is None


@pytest.mark.parametrize(
    "name",
    ["../secret.mp4", "films/../../secret.mp4", "/etc/passwd", "..", ".", "", "films", "a\0b",
     "%2e%2e/secret.mp4", "..%2fsecret.mp4", "x" * 5_000, "films/a.flv/x.mp4"],
)  # fmt: skip
def test_no_name_leads_out_of_the_folder_or_to_what_is_no_file(folder, name):
    assert opened(folder, name) is None


def test_links_that_lead_out_are_not_followed_and_those_inside_are(folder):
    (folder / "out.mp4").symlink_to("../secret.mp4")
    (folder / "away").symlink_to("..")
    (folder / "in.mp4").symlink_to("35.mp4")
    (folder / "loop.mp4").symlink_to("loop.mp4")
    (folder / "also").symlink_to("films")
    assert opened(folder, "out.mp4") is None
    assert opened(folder, "away/secret.mp4") is None
    assert opened(folder, "loop.mp4") is None
    assert opened(folder, "in.mp4") == "in.mp4"
    assert opened(folder, "also/a.flv") == "also/a.flv"


def test_a_link_put_in_place_of_a_file_at_the_last_moment_is_not_followed(folder, monkeypatch):
    real = os.path.realpath

    def realpath(path):
        found = real(path)
        if str(path).endswith("35.mp4"):
            (folder / "35.mp4").unlink()
            (folder / "35.mp4").symlink_to("../secret.mp4")
        return found

    monkeypatch.setattr("livetrio.media.vod.folder.os.path.realpath", realpath)
    assert opened(folder, "35.mp4") is None


def test_a_pipe_does_not_hold_anybody_up(folder):
    os.mkfifo(folder / "pipe.mp4")
    assert opened(folder, "pipe.mp4") is None


def test_looking_leaves_no_file_open(folder):
    os.mkfifo(folder / "pipe.mp4")
    before = len(os.listdir("/proc/self/fd"))
    for name in ("pipe.mp4", "films/a.flv", "films/none.mp4", "35.mp4", "films"):
        opened(folder, name)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_folder_that_is_itself_a_link_is_followed(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    assert opened(tmp_path / "link", "35.mp4") == "35.mp4"
