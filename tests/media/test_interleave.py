"""Interleaver: what overtook a slow track waits for it, but not for ever."""

from __future__ import annotations

from kit.packets import AUDIO, VIDEO, audio, config, letters, video

from livetrio.media.interleave import Interleaver


def test_sound_waits_until_its_picture_has_come_as_far():
    subject = Interleaver()
    assert subject.pass_by([audio(0, b"a"), audio(20, b"b"), audio(60, b"c")]) == []
    assert letters(subject.merge([video(0, key=True), video(40)])) == "aVbv"
    assert letters(subject.merge([video(80)])) == "cv"


def test_a_picture_that_never_comes_holds_sound_up_for_a_while_only():
    subject = Interleaver(patience=100_000)
    assert subject.pass_by([audio(0, b"a"), audio(50, b"b")]) == []
    assert letters(subject.pass_by([audio(150, b"c")])) == "ab"


def test_order_within_what_passes_by_is_kept():
    subject = Interleaver()
    subject.pass_by([audio(20, b"a"), config(AUDIO), audio(30, b"b")])
    assert letters(subject.merge([config(VIDEO), video(30, key=True)])) == "(avcC)a(asc)bV"


def test_a_clock_that_stands_still_does_not_fill_the_memory():
    subject = Interleaver()
    held = 0
    for _ in range(10_000):
        held += 1 - len(subject.pass_by([audio(0)]))
        assert held <= 4096
    assert len(subject.rest()) == held
    assert subject.rest() == []


def test_nothing_in_nothing_out():
    assert Interleaver().pass_by([]) == []
    assert Interleaver().merge([]) == []
