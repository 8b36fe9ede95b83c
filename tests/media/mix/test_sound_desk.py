"""SoundDesk: real coded sound of all kinds in, AAC and Opus out; bad input hurts nobody else."""

from __future__ import annotations

from itertools import pairwise

import av
import numpy as np
import pytest
from kit.coded import coded_sound, heard

from livetrio.errors import RemoteProtocolError
from livetrio.media.mix.lanes import AAC, OPUS, announcement, lane_of
from livetrio.media.mix.scene import Part, Scene
from livetrio.media.mix.seat_audio import BLOCK, RATE
from livetrio.media.mix.sound_desk import SoundDesk
from livetrio.media.mix.sound_input import SoundInput
from livetrio.media.transcode.pipe import Message, Word
from livetrio.packet import Codec, Kind, Packet, StreamKey
from livetrio.wire.tracks import track_from_record

CODECS = {AAC: Codec.AAC, OPUS: Codec.OPUS}


def scene(*gains: float) -> tuple[Scene, dict[str, int]]:
    """Parts "0", "1" ...; a gain of 0 is a muted one."""
    parts = tuple(
        Part(str(n), StreamKey("live", str(n)), "", sound=gain > 0, picture=False, gain=gain)
        for n, gain in enumerate(gains)
    )
    return Scene(parts), {part.id: n for n, part in enumerate(parts)}


def messages(number, packets):
    """Packets of one track as they come to the worker, by the time of each."""
    lane = lane_of(number, Kind.AUDIO)
    return [
        (p.dts, announcement(p.track, lane))
        if p.config
        else (p.dts, Message(Word.KEY, p.dts, p.pts, p.data, lane))
        for p in packets
    ]


def mixed(desk, coming, seconds):
    """What the desk makes of messages, each fed when its time has come, by lane."""
    waiting = sorted(coming, key=lambda pair: pair[0])
    made = desk.configurations()
    for block in range(round(seconds * 50)):
        while waiting and waiting[0][0] <= block * 20_000:
            desk.feed(waiting.pop(0)[1])
        made += desk.mix(block * BLOCK)
    return {lane: [m for m in made if m.lane == lane] for lane in (AAC, OPUS)}


def tones(made):
    """Hertz that are clearly there in the last second of each output."""
    found = {}
    for lane, codec in CODECS.items():
        track = track_from_record(codec, made[lane][0].data)
        packets = [Packet(track, m.dts, m.pts, m.data) for m in made[lane][1:]]
        sound = np.array([value for _, value in heard(packets)][-RATE:])
        spectrum = np.abs(np.fft.rfft(sound * np.hanning(RATE))) * 4 / RATE
        loud = (hertz for hertz in np.flatnonzero(spectrum > 0.05))
        found[lane] = [
            int(round(hertz, -1))
            for hertz in loud
            if spectrum[hertz] == spectrum[hertz - 20 : hertz + 21].max()
        ]
    assert found[AAC] == found[OPUS]
    return found[AAC]


def desk_for(*gains: float) -> SoundDesk:
    desk = SoundDesk(96_000)
    desk.show(*scene(*gains))
    return desk


def test_everybody_is_heard_in_both_outputs_whatever_he_sends():
    made = mixed(
        desk_for(1.0, 1.0, 1.0),
        [
            *messages(0, coded_sound(Codec.OPUS, hertz=440)),
            *messages(1, coded_sound(Codec.AAC, hertz=1000)),
            *messages(2, coded_sound(Codec.AAC, hertz=700, rate=8000, channels=1)),
        ],
        2.0,
    )
    assert tones(made) == [440, 700, 1000]


def test_what_comes_out_lies_on_an_even_grid():
    made = mixed(desk_for(1.0), messages(0, coded_sound(Codec.OPUS)), 1.0)
    opus = [m.pts for m in made[OPUS][1:]]
    assert {b - a for a, b in pairwise(opus)} == {20_000}
    aac = [m.pts for m in made[AAC][1:]]
    assert {round((b - a) / 100) for a, b in pairwise(aac)} == {213}


def test_a_muted_one_is_not_heard_and_one_at_half_gain_half_as_loud():
    coming = [
        *messages(0, coded_sound(Codec.OPUS, hertz=440)),
        *messages(1, coded_sound(Codec.OPUS, hertz=1000)),
    ]
    assert tones(mixed(desk_for(1.0, 0.0), coming, 2.0)) == [440]
    assert tones(mixed(desk_for(1.0, 0.1), coming, 2.0)) == [440]


def test_garbage_of_one_is_counted_and_the_others_do_not_notice():
    junk = [
        Packet(p.track, p.dts, p.pts, b"" if n % 3 == 0 else b"\xff\x41" * n, config=p.config)
        for n, p in enumerate(coded_sound(Codec.AAC))
    ]
    desk = desk_for(1.0, 1.0)
    coming = [*messages(0, coded_sound(Codec.OPUS, hertz=440)), *messages(1, junk)]
    assert tones(mixed(desk, coming, 2.0)) == [440]
    assert desk.faults[1] > 50
    assert 0 not in desk.faults


@pytest.mark.parametrize("data", [b"aac 0 0\0", b"aac 48000 2\0\xff\xff", b"script 0 0\0"])
def test_a_configuration_that_makes_no_sense_is_silence(data):
    desk = desk_for(1.0)
    coming = messages(0, coded_sound(Codec.AAC))
    coming[0] = 0, Message(Word.CONFIG, data=data, lane=lane_of(0, Kind.AUDIO))
    assert tones(mixed(desk, coming, 2.0)) in ([], [440])
    assert desk.faults or data.startswith(b"aac")


def test_a_codec_that_changes_in_midstream_goes_on():
    opus = coded_sound(Codec.OPUS, hertz=440, seconds=1.0)
    aac = coded_sound(Codec.AAC, hertz=1000, seconds=2.0)
    coming = messages(0, opus) + [(at + 1_000_000, m) for at, m in messages(0, aac)]
    assert tones(mixed(desk_for(1.0), coming, 3.0)) == [1000]


def test_one_who_ends_is_silent_and_is_heard_when_he_comes_again():
    first = messages(0, coded_sound(Codec.OPUS, hertz=440, seconds=1.0))
    end = (1_000_000, Message(Word.END, lane=lane_of(0, Kind.AUDIO)))
    again = [
        (at + 1_500_000, m) for at, m in messages(0, coded_sound(Codec.OPUS, hertz=600, seconds=2))
    ]
    assert tones(mixed(desk_for(1.0), [*first, end, *again], 3.2)) == [600]


def test_parts_that_are_not_in_the_scene_cost_nothing():
    desk = desk_for(1.0)
    assert tones(mixed(desk, messages(5, coded_sound(Codec.OPUS)), 1.5)) == []
    desk.show(*scene(1.0))
    assert desk.times() == {}


def test_the_clock_of_each_part_is_told():
    desk = desk_for(1.0)
    mixed(desk, messages(0, coded_sound(Codec.OPUS)), 1.0)
    time = desk.times()[0]
    assert time is not None
    assert 800_000 < time < 1_000_000


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_samples_that_are_no_sound_are_an_error_of_that_packet(value):
    samples = np.zeros((2, 960), np.float32)
    samples[0, 3] = value
    frame = av.AudioFrame.from_ndarray(samples, "fltp", "stereo")
    frame.sample_rate = RATE
    with pytest.raises(RemoteProtocolError):
        list(SoundInput()._samples(frame))
