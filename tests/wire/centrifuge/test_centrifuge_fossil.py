"""Fossil deltas, against the decoder of Centrifugo's Python SDK; and the table of codes."""

from __future__ import annotations

import json

from centrifuge.fossil import apply_delta
from hypothesis import given
from hypothesis import strategies as st

from livetrio.wire.centrifuge.codes import DisconnectCode, ErrorCode, UnsubscribeCode, may_reconnect
from livetrio.wire.centrifuge.fossil import create_delta

PIECES = st.lists(st.binary(min_size=1, max_size=90), min_size=1, max_size=6)


@given(PIECES, st.data())
def test_the_sdk_makes_the_target_from_every_delta(pieces: list[bytes], data: st.DataObject):
    source = b"".join(pieces)
    target = b"".join(
        data.draw(st.lists(st.sampled_from(pieces) | st.binary(max_size=9), max_size=9))
    )
    delta = create_delta(source, target)
    if delta is not None:
        assert len(delta) < len(target)
        assert apply_delta(source, delta) == target


def test_a_small_change_is_a_small_delta():
    state = {f"field {n}": n for n in range(60)}
    source = json.dumps(state).encode()
    target = json.dumps(state | {"field 30": "changed"}).encode()
    delta = create_delta(source, target)
    assert delta is not None
    assert len(delta) < 50
    assert apply_delta(source, delta) == target


def test_a_copy_reaches_back_before_the_block_it_was_found_by():
    text = bytes(range(40))
    delta = create_delta(b"....." + text, b"!" + text)
    assert delta is not None
    assert delta.startswith(b"e\n1:!d@5,")


def test_what_would_not_be_shorter_is_no_delta():
    assert create_delta(b"", b"a" * 100) is None
    assert create_delta(b"a" * 100, b"") is None
    assert create_delta(b"a" * 100, b"b" * 100) is None
    assert create_delta(b"x" * 16, b"x" * 17 + b"y" * 3) is not None
    assert create_delta(b"a" * 20_000, b"a" * 20_000) is None  # too long to compare


def test_codes_say_who_comes_again():
    assert [code.code for code in ErrorCode] == list(range(100, 114))
    assert [code.code for code in ErrorCode if code.temporary] == [100, 111, 113]
    assert {code.code for code in DisconnectCode if not may_reconnect(code.code)} == set(
        range(3500, 3510)
    )
    assert [may_reconnect(code) for code in (3999, 4000, 4499, 4500, 4999)] == [
        False, True, True, False, False,
    ]  # fmt: skip
    assert [code.code for code in UnsubscribeCode] == [2000, 2500, 2501, 2502]
