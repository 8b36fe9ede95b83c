"""wire/rtmp/link.py."""

import pytest
from kit.rtmp import HANDSHAKE, noise

from livetrio.errors import RemoteProtocolError
from livetrio.wire.rtmp.chunk_writer import encode_message
from livetrio.wire.rtmp.chunks import ChunkReader, Message
from livetrio.wire.rtmp.handshake import ServerHandshake
from livetrio.wire.rtmp.link import DEFAULT_WINDOW, Link
from livetrio.wire.rtmp.messages import u32, user_control


def make_link(max_message: int = 16 << 20) -> Link:
    """A link behind its handshake, with nothing to say."""
    link = Link(ServerHandshake(noise), max_message=max_message)
    assert list(link.feed(HANDSHAKE)) == []
    assert len(link.take()) == 3073
    return link


def control(type_id: int, body: bytes) -> bytes:
    return encode_message(type_id, 0, 0, 2, body, 128)


def heard(link: Link) -> list[Message]:
    return list(ChunkReader().feed(link.take()))


def test_bytes_glued_to_the_handshake_are_read():
    link = Link(ServerHandshake(noise), max_message=1000)
    assert not link.shaken
    glued = encode_message(9, 0, 1, 6, b"x", 128)
    assert list(link.feed(HANDSHAKE + glued)) == [Message(9, 0, 1, b"x")]
    assert link.shaken
    assert link.received == len(glued)


def test_the_handshake_may_come_in_single_bytes():
    link = Link(ServerHandshake(noise), max_message=1000)
    for index in range(len(HANDSHAKE)):
        assert list(link.feed(HANDSHAKE[index : index + 1])) == []
    assert link.shaken
    assert link.received == 0


def test_take_gives_everything_once_and_in_order():
    link = make_link()
    link.send_raw(b"first ")
    link.send_raw(b"second")
    assert link.take() == b"first second"
    assert link.take() == b""


def test_what_is_sent_is_chunked_as_announced():
    link = make_link()
    link.send(20, bytes(300))
    assert link.take() == encode_message(20, 0, 0, 2, bytes(300), 128)
    link.announce_chunk_size(1000)
    link.send(20, bytes(300), stream_id=1, csid=5)
    assert link.take() == control(1, u32(1000)) + encode_message(20, 0, 1, 5, bytes(300), 1000)


def test_a_ping_is_answered_with_its_timestamp():
    link = make_link()
    assert list(link.feed(control(4, user_control(6, 0xFFFFFFFF)))) == []
    assert heard(link) == [Message(4, 0, 0, user_control(7, 0xFFFFFFFF))]


def test_a_thousand_pings_are_a_thousand_answers_and_no_more():
    link = make_link()
    flood = control(4, user_control(6, 1)) * 1000
    assert list(link.feed(flood)) == []
    assert len(link.take()) == len(flood)
    assert link.take() == b""


def test_other_user_control_messages_are_handed_out():
    link = make_link()
    body = user_control(3, 1, 0xFFFFFFFF)
    assert list(link.feed(control(4, body))) == [Message(4, 0, 0, body)]


def test_a_ping_of_ours_carries_32_bits():
    link = make_link()
    link.ping(2**32 + 5)
    assert heard(link) == [Message(4, 0, 0, user_control(6, 5))]


def test_acknowledgements_carry_the_total_once_the_window_has_passed():
    link = make_link()
    list(link.feed(control(5, u32(1000))))
    media = encode_message(9, 0, 1, 6, bytes(100), 128)
    totals = []
    for _ in range(30):
        list(link.feed(media))
        totals += [int.from_bytes(m.body, "big") for m in heard(link) if m.type_id == 3]
    assert totals == [1024, 2032, 3040]
    assert link.received == 16 + 30 * 112


def test_acknowledgements_count_modulo_2_to_the_32():
    link = make_link()
    list(link.feed(control(5, u32(1))))
    link.take()
    link.received = 2**32 + 100
    list(link.feed(encode_message(9, 0, 1, 6, b"", 128)))
    assert heard(link) == [Message(3, 0, 0, u32(112))]


def test_a_window_of_1_gives_one_acknowledgement_for_each_feed():
    link = make_link()
    list(link.feed(control(5, u32(1)) + encode_message(9, 0, 1, 6, bytes(100), 128) * 50))
    assert [m.type_id for m in heard(link)] == [3]


def test_a_window_of_0_means_the_default():
    link = make_link()
    list(link.feed(control(5, u32(1)) + control(5, u32(0))))
    assert link.take() == b""
    list(link.feed(encode_message(9, 0, 1, 6, bytes(DEFAULT_WINDOW), 128)))
    assert [m.type_id for m in heard(link)] == [3]


def test_a_bandwidth_is_answered_with_a_window_unless_it_is_the_announced_one():
    link = make_link()
    for _ in range(2):
        list(link.feed(control(6, u32(5000) + b"\0")))
    assert heard(link) == [Message(5, 0, 0, u32(5000))]


@pytest.mark.parametrize("total", [0, 1, 0xFFFFFFFF])
def test_acknowledgements_of_the_peer_are_noted_whatever_they_say(total):
    link = make_link()
    assert list(link.feed(control(3, u32(total)))) == []
    assert link.acknowledged == total
    assert link.take() == b""


@pytest.mark.parametrize("type_id", [0, 7])
def test_types_that_mean_nothing_are_ignored(type_id):
    link = make_link()
    assert list(link.feed(control(type_id, b"x"))) == []


@pytest.mark.parametrize("type_id", [3, 4, 5, 6])
@pytest.mark.parametrize("length", [0, 1])
def test_control_messages_that_are_too_short_are_errors(type_id, length):
    link = make_link()
    with pytest.raises(RemoteProtocolError, match="bytes"):
        list(link.feed(control(type_id, bytes(length))))
