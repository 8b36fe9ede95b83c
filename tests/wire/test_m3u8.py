"""Playlists, written; a second parser (PyPI's m3u8) agrees with them in the e2e tests."""

from __future__ import annotations

import pytest

from livetrio.wire.m3u8 import (
    Audio,
    Key,
    MediaPlaylist,
    PlaylistPart,
    PlaylistSegment,
    Report,
    Variant,
    master,
    render,
)

SECOND = 1_000_000


def segments(count: int, **fields) -> list[PlaylistSegment]:
    return [PlaylistSegment(f"{n}.ts", 2 * SECOND, **fields) for n in range(count)]


def playlist(listed, **fields) -> MediaPlaylist:
    return MediaPlaylist(target=2 * SECOND, sequence=7, segments=listed, **fields)


def test_a_plain_playlist_is_what_any_player_reads():
    assert render(playlist(segments(2))) == (
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n"
        "#EXT-X-INDEPENDENT-SEGMENTS\n#EXTINF:2.00000,\n0.ts\n#EXTINF:2.00000,\n1.ts\n"
    )


def test_segments_without_key_frames_are_not_called_independent():
    assert "INDEPENDENT" not in render(playlist(segments(2), independent=False))


@pytest.mark.parametrize(
    ("duration", "written"), [(1_000, 1), (2_400_000, 2), (2_500_000, 3), (2_600_000, 3)]
)
def test_the_target_duration_is_rounded_as_segments_are(duration, written):
    text = render(MediaPlaylist(target=duration, sequence=0, segments=[]))
    assert f"#EXT-X-TARGETDURATION:{written}\n" in text


def test_an_ended_playlist_says_so_and_hints_at_nothing():
    text = render(playlist(segments(1), ended=True, kind="VOD", hint="x", part_target=200_000))
    assert text.endswith("#EXT-X-ENDLIST\n")
    assert "#EXT-X-PLAYLIST-TYPE:VOD\n" in text
    assert "PRELOAD" not in text
    assert "SERVER-CONTROL" not in text


def test_discontinuities_are_marked_and_those_that_left_are_counted():
    listed = segments(3)
    listed[1].discontinuity = True
    text = render(playlist(listed, discontinuities=4))
    assert "#EXT-X-DISCONTINUITY-SEQUENCE:4\n" in text
    assert "0.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:2.00000,\n1.ts" in text


def test_an_initialization_segment_stands_where_it_changes():
    listed = segments(2, map_uri="a.mp4") + segments(1, map_uri="b.mp4")
    text = render(playlist(listed))
    assert text.count("#EXT-X-MAP") == 2
    assert "#EXT-X-VERSION:6\n" in text


def test_a_key_stands_where_it_changes():
    key = Key("k1", bytes(16))
    listed = [*segments(2, key=key), *segments(1, key=Key("k2", bytes(15) + b"\1")), *segments(1)]
    text = render(playlist(listed))
    assert text.count("METHOD=AES-128") == 2
    assert 'URI="k1",IV=0x00000000000000000000000000000000\n' in text
    assert "METHOD=NONE" in text


def test_times_of_day_are_in_utc_with_milliseconds():
    text = render(playlist(segments(1, began=1_700_000_000.25)))
    assert "#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:20.250Z\n" in text


def low_latency(count: int, **fields) -> MediaPlaylist:
    parts = [PlaylistPart(f"p{n}", 200_000, n == 0) for n in range(10)]
    listed = segments(count, parts=parts, map_uri="i.mp4")
    listed.append(PlaylistSegment("", None, parts=parts[:3], map_uri="i.mp4"))
    return playlist(listed, part_target=208_000, hint="p3", skippable=True, **fields)


def test_a_low_latency_playlist_offers_blocking_parts_and_skipping():
    text = render(low_latency(2, reports=[Report("b.m3u8", 8, 2), Report("a.m3u8", 8, None)]))
    assert (
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.624,HOLD-BACK=6,"
        "CAN-SKIP-UNTIL=12\n" in text
    )
    assert "#EXT-X-PART-INF:PART-TARGET=0.20800\n" in text
    assert '#EXT-X-PART:DURATION=0.20000,URI="p0",INDEPENDENT=YES\n' in text
    assert text.rstrip().split("\n")[-4:] == [
        '#EXT-X-PART:DURATION=0.20000,URI="p2"',
        '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p3"',
        '#EXT-X-RENDITION-REPORT:URI="b.m3u8",LAST-MSN=8,LAST-PART=2',
        '#EXT-X-RENDITION-REPORT:URI="a.m3u8",LAST-MSN=8',
    ]


def test_parts_are_listed_for_the_newest_three_target_durations_only():
    text = render(low_latency(10))
    assert text.count("#EXT-X-PART:") == 3 * 10 + 3
    assert text.count("#EXTINF") == 10


def test_a_delta_update_leaves_out_what_is_older_than_six_target_durations():
    text = render(low_latency(20), skip=True)
    skipped = 20 - 6 + 1  # the newest segment has 0.6 s of the 12 s boundary
    assert f"#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped - 1}\n" in text
    assert text.count("#EXTINF") == 20 - (skipped - 1)
    assert "#EXT-X-MAP" not in text
    assert "#EXT-X-VERSION:9\n" in text


def test_a_delta_update_with_nothing_to_skip_is_the_whole_playlist():
    assert "#EXT-X-SKIP" not in render(low_latency(2), skip=True)
    assert "#EXT-X-SKIP" not in render(playlist(segments(20)), skip=True)


def test_a_delta_update_keeps_the_key_in_force():
    key = Key("k", bytes(16))
    text = render(playlist(segments(20, key=key), skippable=True), skip=True)
    assert "#EXT-X-KEY" not in text


def test_a_multivariant_playlist_names_qualities_and_sound():
    text = master(
        [
            Variant(
                uri="hi.m3u8",
                bandwidth=2_000_000,
                average=1_500_000,
                codecs=["avc1.64001f", "mp4a.40.2"],
                width=1280,
                height=720,
                frame_rate=30,
                audio="snd",
            ),
            Variant(uri="lo.m3u8", bandwidth=500_000),
        ],
        [
            Audio(group="snd", name="one", uri="a.m3u8", default=True, channels=2, language="zh"),
            Audio(group="snd", name="two"),
        ],
    )
    assert text == (
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n"
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="snd",NAME="one",LANGUAGE="zh",DEFAULT=YES,'
        'AUTOSELECT=YES,CHANNELS="2",URI="a.m3u8"\n'
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="snd",NAME="two",DEFAULT=NO,AUTOSELECT=YES\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=2000000,AVERAGE-BANDWIDTH=1500000,CODECS="avc1.64001f,'
        'mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=30.000,AUDIO="snd"\nhi.m3u8\n'
        "#EXT-X-STREAM-INF:BANDWIDTH=500000\nlo.m3u8\n"
    )
