"""AudioTranscoder: the tone is still there, the grid is exact, the lips are in sync."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from kit.coded import announce, click_time, coded_sound, heard, pitch, shifted

from livetrio.errors import Refused, RemoteProtocolError
from livetrio.media.transcode.audio import AudioTranscoder
from livetrio.packet import Codec, Kind, Packet, Track
from livetrio.wire.aac import AacConfig
from livetrio.wire.opus import OpusHead, packet_duration
from livetrio.wire.tracks import track_from_record

BITRATE = {Codec.OPUS: 96_000, Codec.AAC: 128_000}


def transcoder(target: Codec = Codec.OPUS) -> AudioTranscoder:
    return AudioTranscoder(target, BITRATE[target])


def frames(packets):
    return [packet for packet in packets if not packet.config]


def steps(packets):
    return {b.pts - a.pts for a, b in pairwise(frames(packets))}


@pytest.mark.parametrize("rate", [48_000, 44_100, 22_050])
@pytest.mark.parametrize("channels", [1, 2])
def test_aac_becomes_opus_with_the_same_tone_and_as_many_channels(rate, channels):
    made = transcoder().feed(coded_sound(rate=rate, channels=channels))
    head = OpusHead.parse(made[0].track.config)
    assert made[0].config
    assert made[0].data == made[0].track.config
    assert (made[0].track.codec, head.channels, made[0].track.channels) == (
        Codec.OPUS,
        channels,
        channels,
    )
    assert all(packet_duration(packet.data) == 20_000 for packet in frames(made))
    assert pitch(heard(made)[9600:]) == pytest.approx(440, abs=1)


def test_opus_becomes_aac_lc_with_the_same_tone():
    made = transcoder(Codec.AAC).feed(coded_sound(Codec.OPUS))
    config = AacConfig.parse(made[0].track.config)
    assert (config.object_type, config.sample_rate, config.channels) == (2, 48_000, 2)
    assert steps(made) <= {21_333, 21_334}
    assert pitch(heard(made)[9600:]) == pytest.approx(440, abs=1)


@pytest.mark.parametrize("rate", [48_000, 44_100])
def test_opus_packets_lie_on_multiples_of_20_milliseconds_whatever_the_source_s_stamps(rate):
    made = transcoder().feed(shifted(coded_sound(rate=rate), 1_234_567))
    assert steps(made) == {20_000}
    assert made[1].pts % 20_000 == 0


def test_no_sound_is_lost_or_invented():
    source = coded_sound(seconds=4)
    made = transcoder().feed(source)
    assert abs(len(frames(made)) * 20_000 - frames(source)[-1].pts) < 60_000


@pytest.mark.parametrize("rate", [48_000, 44_100])
@pytest.mark.parametrize(("source", "target"), [(Codec.AAC, Codec.OPUS), (Codec.OPUS, Codec.AAC)])
def test_a_click_is_heard_when_it_was_heard_before(source, target, rate):
    if source is Codec.OPUS:
        rate = 48_000
    packets = shifted(coded_sound(source, rate=rate, click_at=1.0), 3_000_000)
    made = transcoder(target).feed(packets)
    assert click_time(heard(made)) == pytest.approx(click_time(heard(packets)), abs=0.010)


def test_a_stuttering_clock_of_the_source_moves_nothing():
    source = list(coded_sound(seconds=3))
    for number, packet in enumerate(source):
        source[number] = replace(packet, pts=packet.pts + (number * 7 % 5) * 1000)
    assert steps(transcoder().feed(source)) == {20_000}


def test_a_short_gap_is_filled_with_silence_and_sound_after_it_is_on_time():
    source = list(coded_sound(seconds=2.5, click_at=2.0))
    gap = [p for p in source if not 1_000_000 <= p.pts < 1_500_000]
    made = transcoder().feed(gap)
    assert steps(made) == {20_000}
    assert click_time(heard(made)) == pytest.approx(click_time(heard(source)), abs=0.010)


def test_a_long_gap_stays_a_gap_and_the_grid_holds_behind_it():
    source = coded_sound(seconds=1)
    made = transcoder().feed([*source, *shifted(source[1:], 60_000_000)])
    times = [packet.pts for packet in frames(made)]
    assert all(pts % 20_000 == 0 for pts in times)
    assert max(steps(made)) > 58_000_000
    assert len(times) < 110
    assert len([packet for packet in made if packet.config]) == 1


def test_a_clock_that_runs_away_from_the_samples_is_followed_smoothly():
    drift = 1.001  # a thousandth: 20 ms in 20 s
    source = [
        replace(p, pts=round(p.pts * drift), dts=round(p.dts * drift))
        for p in coded_sound(seconds=25, click_at=23.0)
    ]
    made = transcoder().feed(source)
    assert steps(made) == {20_000}
    assert click_time(heard(made)) == pytest.approx(23.0 * drift, abs=0.020)


def test_a_new_configuration_restarts_the_codec_and_is_announced_only_if_it_shows():
    a, b, mono = coded_sound(rate=44_100), coded_sound(), coded_sound(channels=1)
    made = transcoder().feed([*a, *shifted(b, 2_000_000), *shifted(mono, 4_000_000)])
    assert [packet.track.channels for packet in made if packet.config] == [2, 1]
    tracks = {id(packet.track) for packet in made}
    assert len(tracks) == 2
    assert steps(made) <= {20_000, 40_000, 60_000}
    assert all(b.pts > a.pts for a, b in pairwise(frames(made)))


def test_what_is_coded_so_already_passes_untouched():
    opus = list(coded_sound(Codec.OPUS))
    assert transcoder().feed(opus) == opus


def test_sound_before_time_zero_is_not_given_out():
    made = transcoder(Codec.AAC).feed(coded_sound(Codec.OPUS))
    assert frames(made)[0].pts >= 0


@pytest.mark.parametrize(
    ("codec", "rate", "size"),
    [(Codec.G711A, 8_000, 160), (Codec.G711U, 8_000, 160), (Codec.PCM_LE, 44_100, 1764)],
)
def test_uncompressed_sound_of_old_publishers_becomes_opus(codec, rate, size):
    track = Track(Kind.AUDIO, codec, config=b"\x02", sample_rate=rate, channels=1)
    packets = [Packet(track, n * 20_000, n * 20_000, b"\x55" * size, key=True) for n in range(50)]
    made = transcoder().feed(packets)
    assert steps(made) == {20_000}
    assert made[0].track.channels == 1


def test_garbage_among_good_packets_is_passed_over():
    source = list(coded_sound())
    source[20] = replace(source[20], data=b"")
    source[21] = replace(source[21], data=b"\xff" * 9)
    subject = transcoder()
    assert len(frames(subject.feed(source))) > 90


def test_nothing_but_garbage_is_an_error_with_a_reason():
    track = coded_sound()[0].track
    garbage = [Packet(track, n, n, b"\xff\xf1garbage", key=True) for n in range(0, 10**7, 20_000)]
    with pytest.raises(RemoteProtocolError, match="cannot be decoded"):
        transcoder().feed([announce(track), *garbage])


def test_a_configuration_that_makes_no_sense_is_an_error_with_a_reason():
    track = Track(Kind.AUDIO, Codec.AAC, config=b"\xff\xff\xff\xff")
    with pytest.raises(RemoteProtocolError, match="aac"):
        transcoder().feed([announce(track), Packet(track, 0, 0, b"a" * 50, key=True)])


def test_a_codec_without_decoder_is_refused():
    track = Track(Kind.AUDIO, Codec.SCRIPT)
    with pytest.raises(Refused, match="cannot be decoded here"):
        transcoder().feed([announce(track)])


def test_an_opus_record_with_many_channels_is_mixed_down_or_refused_with_a_reason():
    record = track_from_record(Codec.AAC, AacConfig.build(48_000, 6))
    with pytest.raises((RemoteProtocolError, Refused)):
        transcoder().feed(
            [announce(record)] + [Packet(record, n, n, b"\0" * 3, key=True) for n in range(200)]
        )
