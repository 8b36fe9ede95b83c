"""The DTLS certificate: made once, kept, never readable by others."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest

from livetrio.errors import StartError
from livetrio.webrtc import certificate
from livetrio.webrtc.certificate import load_certificate, make_certificate
from livetrio.webrtc.dtls import matches


def test_it_is_made_once_and_kept_in_a_private_file(tmp_path):
    made = load_certificate(tmp_path / "data")
    (file,) = (tmp_path / "data").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert load_certificate(tmp_path / "data").fingerprint == made.fingerprint
    assert "PRIVATE" not in repr(made)


@pytest.mark.parametrize("content", ["", "rubbish", "-----BEGIN PRIVATE KEY-----\nAAAA\n"])
def test_a_broken_file_is_replaced(tmp_path, content):
    (tmp_path / "webrtc.pem").write_text(content)
    made = load_certificate(tmp_path)
    assert load_certificate(tmp_path).fingerprint == made.fingerprint


def test_a_certificate_with_another_key_is_replaced(tmp_path):
    load_certificate(tmp_path / "a")
    load_certificate(tmp_path / "b")
    one, other = ((tmp_path / name / "webrtc.pem").read_text() for name in "ab")
    end = one.index("-----BEGIN CERT")
    mixed = one[:end] + other[other.index("-----BEGIN CERT") :]
    (tmp_path / "webrtc.pem").write_text(mixed)
    load_certificate(tmp_path)
    assert (tmp_path / "webrtc.pem").read_text() != mixed


def test_one_that_is_about_to_expire_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(certificate, "_LIFETIME", timedelta(days=3))
    old = load_certificate(tmp_path)
    assert old.certificate.not_valid_after_utc < datetime.now(tz=UTC) + timedelta(days=4)
    monkeypatch.undo()
    assert load_certificate(tmp_path).fingerprint != old.fingerprint


def test_a_key_that_others_could_read_is_closed(tmp_path):
    kept = load_certificate(tmp_path)
    (tmp_path / "webrtc.pem").chmod(0o644)
    assert load_certificate(tmp_path).fingerprint == kept.fingerprint
    assert (tmp_path / "webrtc.pem").stat().st_mode & 0o777 == 0o600


def test_a_folder_that_cannot_be_made_stops_the_start(tmp_path):
    (tmp_path / "data").write_text("a file in the way")
    with pytest.raises(StartError, match="cannot keep the WebRTC certificate"):
        load_certificate(tmp_path / "data")
    assert os.listdir(tmp_path) == ["data"]


def test_fingerprints_match_by_the_strongest_hash_announced():
    made = make_certificate()
    name, value = made.fingerprint
    assert (name, len(value)) == ("sha-256", 95)
    own = made.certificate
    assert matches(own, [("SHA-256", value.lower())])
    assert matches(own, [("sha-256", "00:" * 31 + "00"), ("sha-256", value)])
    assert not matches(own, [("sha-512", "00:" * 63 + "00"), ("sha-256", value)])
    assert not matches(own, [("sha-1", "00:" * 19 + "00"), ("md5", "00")])
    assert not matches(own, [])
