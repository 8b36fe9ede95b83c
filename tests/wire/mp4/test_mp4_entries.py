"""Sample entries, read: each codec's configuration survives, and what lies is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kit.media import aac_track, avc_config, avc_track

from livetrio.errors import RemoteProtocolError
from livetrio.packet import Codec, Kind, Track
from livetrio.wire.fmp4.boxes import box, full_box
from livetrio.wire.fmp4.sample_entry import sample_entry
from livetrio.wire.mp4.boxes import Box
from livetrio.wire.mp4.entries import read_entry
from livetrio.wire.opus import OpusHead
from livetrio.wire.tracks import track_from_record
from livetrio.wire.vp import VpConfig

AV1 = bytes.fromhex("81000c000a0b000000043d06d4daf90040")
HEVC = bytes.fromhex(
    "0101600000009000000000003cf000fcfdf8f800000f03200001001840010c01ffff0160000003009000000300000300"
    "3c959809210001002a42010101600000030090000003000003003ca00a480b9c9596566924caf0168080000003008000"
    "000c8422000100074401c172b46240"
)
FLAC = bytes.fromhex("1000100000000000000000bb8003700000000000000000000000000000000000" + "0000")
SURROUND = OpusHead(6, family=1, mapping=bytes((4, 2, 0, 4, 1, 2, 3, 5)))
VP9 = VpConfig(0, 31, 8, 1).build()


def read(entry: bytes) -> Track | None:
    data = full_box(b"stsd", 0, 0, b"\x00\x00\x00\x01", entry)
    return read_entry(data, Box(b"stsd", 8, len(data)))


@pytest.mark.parametrize(
    "track",
    [
        avc_track(128, 96),
        track_from_record(Codec.HEVC, HEVC),
        track_from_record(Codec.AV1, AV1),
        replace(track_from_record(Codec.VP9, VP9), width=320, height=180),
        aac_track(44_100, 1),
        track_from_record(Codec.OPUS, OpusHead(2).build()),
        track_from_record(Codec.OPUS, SURROUND.build()),
        track_from_record(Codec.FLAC, FLAC),
    ],
    ids=lambda track: track.codec.value,
)
def test_a_track_that_was_written_is_read_as_it_was(track):
    found = read(sample_entry(track))
    assert found is not None
    about = ("kind", "codec", "config", "width", "height", "sample_rate", "channels", "profile")
    for name in about:
        assert getattr(found, name) == getattr(track, name), name


def test_codecs_without_a_record_have_what_the_entry_says():
    vp8 = read(sample_entry(Track(Kind.VIDEO, Codec.VP8, width=64, height=48)))
    assert (vp8.codec, vp8.width, vp8.height, vp8.config) == (Codec.VP8, 64, 48, b"")
    mp3 = read(sample_entry(Track(Kind.AUDIO, Codec.MP3, sample_rate=44_100, channels=2)))
    assert (mp3.codec, mp3.sample_rate, mp3.channels) == (Codec.MP3, 44_100, 2)
    for kind, codec in ((b"ac-3", Codec.AC3), (b"ec-3", Codec.EAC3), (b".mp3", Codec.MP3)):
        sound = read(box(kind, sound_fields()))
        assert (sound.codec, sound.sample_rate, sound.channels) == (codec, 48_000, 2)


@pytest.mark.parametrize("kind", [b"tx3g", b"encv", b"drac"])
def test_what_nobody_relays_is_no_track(kind):
    assert read(box(kind, bytes(100))) is None


def test_a_description_without_an_entry_is_no_track():
    assert read(b"") is None


def sound_fields(version: int = 0) -> bytes:
    extra = {1: 16, 2: 36}.get(version, 0)
    return (
        bytes(8) + version.to_bytes(2, "big") + bytes(6) + b"\x00\x02\x00\x10" + bytes(4)
        + (48_000 << 16).to_bytes(4, "big") + bytes(extra)
    )  # fmt: skip


def esds(*content: bytes, flags: int = 0) -> bytes:
    return full_box(b"esds", 0, 0, descriptor(3, bytes((0, 0, flags)), *content))


def descriptor(tag: int, *parts: bytes, short: bool = True) -> bytes:
    body = b"".join(parts)
    size = bytes((len(body),)) if short else b"\x80\x80\x80" + bytes((len(body),))
    return bytes((tag,)) + size + body


def decoder(object_type: int = 0x40, info: bytes = b"\x11\x90") -> bytes:
    inner = descriptor(5, info, short=False) if info else b""
    return descriptor(4, bytes((object_type, 0x15)), bytes(11), inner)


@pytest.mark.parametrize("version", [0, 1, 2])
def test_quicktimes_versions_of_the_sound_entry_are_read(version):
    found = read(box(b"mp4a", sound_fields(version), esds(decoder())))
    assert (found.codec, found.sample_rate, found.channels) == (Codec.AAC, 48_000, 2)


def test_quicktimes_wave_box_is_looked_into():
    wave = box(b"wave", box(b"frma", b"mp4a"), esds(decoder()))
    assert read(box(b"mp4a", sound_fields(1), wave)).codec is Codec.AAC


@pytest.mark.parametrize("object_type", [0x20, 0xDD])
def test_an_mp4a_entry_of_another_codec_is_no_track(object_type):
    assert read(box(b"mp4a", sound_fields(), esds(decoder(object_type)))) is None


def test_aac_without_its_configuration_is_no_track():
    assert read(box(b"mp4a", sound_fields(), esds(decoder(info=b"")))) is None


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (box(b"mp4a", sound_fields()), "without esds"),
        (box(b"mp4a", bytes(20)), "cut"),
        (box(b"mp4a", sound_fields(3)), "version 3"),
        (box(b"Opus", sound_fields()), "without dOps"),
        (box(b"Opus", sound_fields(9)), "version 9"),
        (box(b"Opus", sound_fields(), box(b"dOps", bytes(4))), "cut"),
        (box(b"Opus", sound_fields(), box(b"dOps", bytes(11))), "0 channels"),
        (box(b"fLaC", sound_fields(), box(b"dfLa", bytes(8))), "STREAMINFO of 0"),
        (box(b"avc1", bytes(78)), "without avcC"),
        (box(b"avc1", bytes(20)), "cut"),
        (box(b"avc1", bytes(78), box(b"avcC", b"\x01")), "configuration|AVC|avc"),
        (box(b"mp4a", sound_fields(), full_box(b"esds", 0, 0)), "without descriptor 3"),
        (box(b"mp4a", sound_fields(), full_box(b"esds", 0, 0, b"\x03")), "cut"),
        (box(b"mp4a", sound_fields(), full_box(b"esds", 0, 0, b"\x03\x7f")), "cut"),
        (box(b"mp4a", sound_fields(), full_box(b"esds", 0, 0, b"\x03\x01\x00")), "cut"),
        (box(b"mp4a", sound_fields(), full_box(b"esds", 0, 0, b"\x03" + b"\xff" * 9)), "cut"),
        (box(b"mp4a", sound_fields(), esds(decoder(), flags=0x40)), "not supported"),
        (box(b"mp4a", sound_fields(), esds(descriptor(4, bytes(5)))), "cut"),
    ],
)
def test_entries_that_lie_are_refused(entry, reason):
    with pytest.raises(RemoteProtocolError, match=reason):
        read(entry)


def test_a_record_that_hides_the_size_leaves_it_to_the_entry():
    record = avc_config()
    hidden = record[:6] + record[6:].replace(record[8:12], bytes(4))
    entry = sample_entry(Track(Kind.VIDEO, Codec.H264, config=record, width=320, height=180))
    found = read(entry.replace(record, hidden))
    assert found is not None
    assert (found.width, found.height) == (320, 180)
