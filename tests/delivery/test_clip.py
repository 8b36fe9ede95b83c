"""Clips and HLS of files whose configuration changes: both parts are there, and decode."""

from __future__ import annotations

import io
from contextlib import AsyncExitStack

import av
import m3u8
import pytest
from kit.http import OpenGate, get, serving
from kit.media import aac_frame, aac_track, avc_frame, avc_track
from kit.ts import ts_file

from livetrio.delivery.archive import _runs
from livetrio.delivery.clip import ClipWriter
from livetrio.delivery.hls_sessions import HlsSessions
from livetrio.delivery.vod import VodPlayers
from livetrio.delivery.vod_hls import samples_of
from livetrio.media.registry import open_registry
from livetrio.media.vod.library import Library
from livetrio.net.scope import open_scope
from livetrio.packet import Codec, Kind, Packet, Track
from livetrio.wire.flv import file_header, tag
from livetrio.wire.tracks import track_from_record

SECOND = 1_000_000
SMALL, BIG = avc_track(64, 64), avc_track(128, 96)
STEREO, MONO = aac_track(), aac_track(channels=1)


def part(video: Track, audio: Track, begin: int, seconds: int) -> list[Packet]:
    """Frames of that configuration, announced."""
    found = [Packet(t, begin, begin, t.config, config=True) for t in (video, audio)]
    for number in range(seconds * 25):
        time, key = begin + number * 40_000, number % 25 == 0
        size = {"width": video.width, "height": video.height}
        data = avc_frame(key=key, number=number % 25, **size)
        found.append(Packet(video, time, time, data, key=key))
    for number in range(seconds * 46):
        time = begin + number * 21_333
        found.append(Packet(audio, time, time, aac_frame(audio.channels), key=True))
    return sorted(found, key=lambda packet: (packet.dts, not packet.config))


TWO = [*part(SMALL, STEREO, 0, 8), *part(BIG, MONO, 8 * SECOND, 8)]


def sizes(data: bytes) -> list[int]:
    with av.open(io.BytesIO(data)) as container:
        return [frame.width for frame in container.decode(video=0)]


@pytest.mark.parametrize("suffix", ["flv", "ts"])
async def test_hls_of_a_file_with_two_configurations_has_both(tmp_path, suffix):
    flv = file_header(audio=True, video=True) + b"".join(map(tag, TWO))
    (tmp_path / f"two.{suffix}").write_bytes(flv if suffix == "flv" else ts_file(TWO))
    gate = OpenGate()
    async with open_scope("test", "vod"), open_registry() as registry, AsyncExitStack() as stack:
        library, sessions = Library({"vod": tmp_path}), HlsSessions(registry)
        routes = VodPlayers(library, gate, registry, sessions, flv=gate, hls=gate).routes()
        port = await stack.enter_async_context(serving(*routes))
        text = (await get(port, "/vod/two.m3u8")).body.decode()
        playlist = m3u8.loads(text)
        headers = list(dict.fromkeys(s.init_section.uri for s in playlist.segments))
        assert [s.discontinuity for s in playlist.segments] == [False, False, True, False]
        assert [round(s.duration) for s in playlist.segments] == [6, 2, 6, 2]
        assert len(headers) == 2
        for header, width in zip(headers, (64, 128), strict=True):
            data = (await get(port, f"/vod/{header}")).body
            for segment in playlist.segments:
                if segment.init_section.uri == header:
                    data += (await get(port, f"/vod/{segment.uri}")).body
            assert sizes(data) == [width] * 200
            with av.open(io.BytesIO(data)) as container:
                (channels,) = {f.layout.nb_channels for f in container.decode(audio=0)}
                assert channels == (2 if width == 64 else 1)
        wrong = headers[1].replace("init1", "init2")
        assert (await get(port, f"/vod/{wrong}")).status == 404


def clip(*parts: list[Packet]) -> bytes:
    frames = [[p for p in packets if not p.config] for packets in parts]
    tracks = [[packets[0].track, packets[1].track] for packets in parts]
    writer = ClipWriter(tracks)
    data = writer.header()
    for packets, own in zip(frames, tracks, strict=True):
        if writer.takes(own):
            data += writer.piece(own, [samples_of(packets, track, None) for track in own], 0)
    return data


def test_a_clip_has_both_configurations_and_every_picture_decodes():
    data = clip(part(SMALL, STEREO, 0, 2), part(BIG, STEREO, 2 * SECOND, 2))
    assert sizes(data) == [64] * 50 + [128] * 50
    back = clip(
        part(SMALL, STEREO, 0, 1), part(BIG, STEREO, SECOND, 1), part(SMALL, STEREO, 2 * SECOND, 1)
    )
    assert sizes(back) == [64] * 25 + [128] * 25 + [64] * 25
    assert back.count(b"avc1") == 2  # an entry for each


def test_another_codec_and_what_mp4_does_not_know_are_left_out():
    speex = Track(Kind.AUDIO, Codec.SPEEX)
    vp9 = track_from_record(Codec.VP9, bytes.fromhex("010000000010820202020000"))
    assert ClipWriter([[speex]]).is_empty
    writer = ClipWriter([[SMALL, speex], [vp9, STEREO], [BIG, MONO]])
    assert not writer.is_empty
    assert writer.takes([BIG, MONO])
    assert not writer.takes([vp9, STEREO])
    assert sizes(clip(part(SMALL, STEREO, 0, 1))) == [64] * 25


def test_memory_is_divided_where_a_configuration_changes():
    packets = [p for p in TWO if not p.config]
    runs = _runs(packets, Kind.VIDEO)
    assert [[track.width for track in tracks] for tracks, _ in runs] == [
        [64, 0],
        [128, 0],
        [128, 0],
    ]
    assert [tracks[1].channels for tracks, _ in runs] == [2, 2, 1]
    assert sum(len(own) for _, own in runs) == len(packets)
