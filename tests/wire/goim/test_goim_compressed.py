"""Bilibili's compressed bodies: out and in again, and bombs that do not go off."""

from __future__ import annotations

import zlib

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetrio.errors import LocalProtocolError, RemoteProtocolError
from livetrio.wire.goim.compressed import MAX_INFLATED, deflated, unpacked
from livetrio.wire.goim.frame import Frame, Version, encode

MESSAGES = [Frame(0, 5, 0, b'{"cmd":"DANMU_MSG"}'), Frame(0, 5, 0, "弹幕".encode() * 50)]
RUN = b"".join(map(encode, MESSAGES))
COMPRESSED = [Version.ZLIB, Version.BROTLI]


@pytest.mark.parametrize("version", COMPRESSED)
def test_what_is_deflated_is_unpacked_again(version: Version):
    assert list(unpacked(Frame(version, 5, 0, deflated(version, RUN)))) == MESSAGES


def test_a_zlib_body_is_what_any_zlib_reads():
    assert zlib.decompress(deflated(Version.ZLIB, RUN)) == RUN
    assert brotli.decompress(deflated(Version.BROTLI, RUN)) == RUN


@pytest.mark.parametrize("version", [Version.JSON, Version.INT32, 102])
def test_other_versions_are_taken_as_they_are(version: int):
    frame = Frame(version, 2, 1, b"body")
    assert list(unpacked(frame)) == [frame]
    with pytest.raises(LocalProtocolError):
        deflated(version, b"")


@pytest.mark.parametrize("version", COMPRESSED)
def test_an_empty_body_is_no_compressed_one(version: Version):
    heartbeat = Frame(version, 2, 1)
    assert list(unpacked(heartbeat)) == [heartbeat]
    packed = Frame(version, 0, 0, deflated(version, encode(heartbeat)))
    assert list(unpacked(packed)) == [heartbeat]


@pytest.mark.parametrize("version", COMPRESSED)
@pytest.mark.parametrize("size", [MAX_INFLATED + 1, 50_000_000])
def test_a_bomb_is_refused(version: Version, size: int):
    with pytest.raises(RemoteProtocolError, match="inflates to more than"):
        list(unpacked(Frame(version, 5, 0, deflated(version, bytes(size)))))


@pytest.mark.parametrize("version", COMPRESSED)
def test_what_is_cut_or_garbage_is_refused(version: Version):
    body = deflated(version, RUN)
    for broken in (body[:-3], b"\xff" * 40, body + b"more"):
        with pytest.raises(RemoteProtocolError, match="goim: body of version"):
            list(unpacked(Frame(version, 5, 0, broken)))


@pytest.mark.parametrize("version", COMPRESSED)
def test_compressed_within_compressed_is_refused(version: Version):
    inner = encode(Frame(version, 5, 0, deflated(version, RUN)))
    with pytest.raises(RemoteProtocolError, match="within a compressed"):
        list(unpacked(Frame(version, 5, 0, deflated(version, inner))))


def test_a_frame_longer_than_a_client_may_send_is_refused_inside_too():
    inner = encode(Frame(0, 4, 0, bytes(5000)))
    with pytest.raises(RemoteProtocolError, match="5000 bytes in a batch"):
        list(unpacked(Frame(Version.ZLIB, 5, 0, deflated(Version.ZLIB, inner))))


@given(st.sampled_from(COMPRESSED), st.binary(min_size=1, max_size=300))
def test_noise_is_refused_and_never_anything_else(version: Version, noise: bytes):
    try:
        list(unpacked(Frame(version, 5, 0, noise)))
    except RemoteProtocolError:
        return
