"""Offers of a whole room: many m-lines, answered or offered once."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from kit.sdp import LOCAL, offer
from kit.slots import hall

from livetrio.errors import RemoteProtocolError
from livetrio.packet import Kind
from livetrio.webrtc.negotiation import (
    NotAcceptable,
    agree_answer,
    agree_play,
    answer,
    offer_play,
)
from livetrio.wire.sdp.session import parse_sdp


def many(video: int, audio: int) -> str:
    """Chromium's offer with so many m-lines."""
    head, sound, picture = re.split(r"(?=^m=)", offer("chromium-play"), flags=re.MULTILINE)
    lines = [picture] * video + [sound] * audio
    named = [re.sub(r"a=mid:.*", f"a=mid:{mid}\r", line) for mid, line in enumerate(lines)]
    bundle = " ".join(str(mid) for mid in range(len(named)))
    return re.sub(r"a=group:BUNDLE.*", f"a=group:BUNDLE {bundle}\r", head) + "".join(named)


async def tracks(video: int, audio: int):
    async with hall(video=video, audio=audio) as room:
        return room.feed.tracks


@pytest.mark.parametrize(("video", "audio"), [(10, 10), (5, 5), (0, 4)])
async def test_each_slot_has_an_m_line_of_its_own_in_order(autojump_clock, video, audio):
    slots = await tracks(video, audio)
    agreed = agree_play(many(video, audio), slots)
    assert [media.track for media in agreed.media] == slots
    text = answer(agreed, LOCAL)
    said = parse_sdp(text)
    msids = [line.value("msid").split()[0] for line in said.media]
    assert msids == [*(f"slot-{n}" for n in range(video)), *(f"slot-{n}" for n in range(audio))]
    assert len(text) < 64 * 1024


async def test_fewer_m_lines_get_the_first_slots_and_more_stay_inactive(autojump_clock):
    slots = await tracks(4, 4)
    few = agree_play(many(2, 1), slots)
    assert [media.track for media in few.media] == [slots[0], slots[1], slots[4]]
    more = agree_play(many(6, 5), slots)
    assert [media.track for media in more.media] == [*slots[:4], None, None, *slots[4:], None]


async def test_an_offer_without_pictures_is_agreed_for_sound_alone(autojump_clock):
    slots = await tracks(4, 4)
    agreed = agree_play(many(0, 4), slots)
    assert {media.kind for media in agreed.active} == {Kind.AUDIO}


async def test_an_offer_of_data_alone_is_refused(autojump_clock):
    slots = await tracks(2, 2)
    with pytest.raises(NotAcceptable):
        agree_play(many(2, 2).replace("a=recvonly", "a=sendonly"), slots)
    with pytest.raises(RemoteProtocolError):
        agree_play(re.split(r"(?=^m=)", offer("chromium-play"), flags=re.MULTILINE)[0], slots)


async def test_our_offer_of_ten_and_ten_says_each_codec_once_and_is_answered(autojump_clock):
    slots = await tracks(10, 10)
    text = offer_play(LOCAL, slots)
    assert len(parse_sdp(text).media) == 20
    assert {number for line in parse_sdp(text).media for number in line.formats} == {"96", "97"}
    reply = text.replace("a=sendonly", "a=recvonly").replace("a=setup:actpass", "a=setup:active")
    reply = re.sub(r"a=(ice-lite|candidate:.*|ssrc:.*|msid:.*)\r\n", "", reply)
    agreed = agree_answer(text, reply, slots)
    assert [media.track for media in agreed.media] == slots
    assert {codec.payload_type for media in agreed.media for codec in media.codecs} == {96, 97}
    partly = agree_answer(text, reply.replace("a=recvonly", "a=inactive", 3), slots)
    assert [media.track for media in partly.active] == slots[3:]


async def test_a_viewer_that_takes_no_h264_is_refused_with_the_reason(autojump_clock):
    slots = await tracks(2, 2)
    text = many(2, 2).replace(" H264/90000", " H263/90000")
    with pytest.raises(NotAcceptable) as refused:
        agree_play(text, slots)
    assert "h264" in refused.value.reason
    assert replace(slots[0]).fmtp == {"profile-level-id": "42e01f"}
