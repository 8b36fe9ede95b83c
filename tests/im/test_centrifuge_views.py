"""What Centrifugo's clients are written: one frame per batch, deltas that stand by themselves."""

from __future__ import annotations

import json

import pytest
from centrifuge.codecs import _JsonCodec, _ProtobufCodec
from centrifuge.fossil import apply_delta
from kit.centrifuge import centrifuge

from livetrio.im.centrifuge_views import sse_view, stream_view, websocket_view
from livetrio.im.words import Lane, Move, Publication, Sender

LONG = {"players": [{"name": f"player {n}", "score": n} for n in range(20)]}


def said(offset: int, data: bytes, **fields) -> Publication:
    return Publication(offset, 1_700_000_000_000, data, **fields)


def states(count: int) -> list[Publication]:
    return [
        said(n, json.dumps({**LONG, "tick": n, "中文": "早"}, ensure_ascii=False).encode())
        for n in range(count)
    ]


def test_a_batch_is_one_text_frame_of_lines():
    view = websocket_view(protobuf=False, deflate=False)
    sender = Sender("u", "c", info=b'{"name":"x"}')
    frame = view.batch("a", [said(1, b"1", sender=sender, tags={"t": "v"}), said(2, b'{"x":2}')])
    assert frame[0] == 0x81
    first, second = _JsonCodec.decode_replies(frame[4:].decode())
    assert first["push"] == {
        "channel": "a",
        "pub": {
            "data": 1, "info": {"user": "u", "client": "c", "conn_info": {"name": "x"}},
            "offset": 1, "tags": {"t": "v"}, "time": 1_700_000_000_000,
        },
    }  # fmt: skip
    assert second["push"]["pub"]["data"] == {"x": 2}


def test_a_batch_is_one_binary_frame_of_delimited_pushes():
    frame = websocket_view(protobuf=True, deflate=False).batch(
        "a", [said(1, b"\xff"), said(2, b"x")]
    )
    assert frame[0] == 0x82
    pushes = [reply["push"]["pub"] for reply in _ProtobufCodec.decode_replies(frame[2:])]
    assert [pub["data"] for pub in pushes] == ["/w==", "eA=="]


def test_a_large_batch_is_compressed_once_for_all_who_agreed():
    view = websocket_view(protobuf=False, deflate=True)
    frame = view.batch("a", states(10))
    assert frame[0] == 0xC1
    assert (
        len(frame) < len(websocket_view(protobuf=False, deflate=False).batch("a", states(10))) / 3
    )


def test_a_body_goes_in_chunks_or_raw():
    one = [said(1, b'"x"')]
    line = stream_view(protobuf=False, chunked=False).batch("a", one)
    assert line.endswith(b"\n")
    chunk = stream_view(protobuf=False, chunked=True).batch("a", one)
    assert chunk == b"%x\r\n%b\r\n" % (len(line), line)
    events = sse_view(chunked=False).batch("a", one * 2)
    assert events == b"data: " + line + b"\ndata: " + line + b"\n"
    assert sse_view(chunked=True).batch("a", one * 2).split(b"\r\n")[1] == events


def test_joins_and_leaves_are_pushes():
    view = websocket_view(protobuf=False, deflate=False)
    frame = view.moves("a", [Move(True, Sender("u", "c")), Move(False, Sender("u", "c"))])
    pushes = [reply["push"] for reply in _JsonCodec.decode_replies(frame[4:].decode())]
    info = {"info": {"user": "u", "client": "c"}}
    assert pushes == [{"channel": "a", "join": info}, {"channel": "a", "leave": info}]


def test_those_who_want_the_same_deltas_share_one_view():
    view = websocket_view(protobuf=False, deflate=False)
    ours, theirs = view.with_delta("a").with_delta("b"), view.with_delta("b").with_delta("a")
    assert ours.without_delta("a").name == theirs.name == "centrifuge-json+delta"
    assert view.without_delta("a") is view
    assert view.with_delta("a") is view.with_delta("a")


@pytest.mark.parametrize("protobuf", [False, True])
def test_a_batch_of_deltas_needs_nothing_that_came_before(protobuf: bool):
    view = websocket_view(protobuf=protobuf, deflate=False).with_delta("a")
    known = states(6)
    told = view.publications("a", known)
    assert [pub.delta for pub in told] == [False] + [True] * 5
    text = b""
    for pub, original in zip(told, known, strict=True):
        data = pub.data if protobuf else json.loads(pub.data).encode()
        text = apply_delta(text, data) if pub.delta else data
        assert text == original.data
    assert sum(len(pub.data) for pub in told[1:]) < len(known[0].data)
    assert [pub.delta for pub in view.publications("other", known)] == [False] * 6


def test_a_delta_that_cuts_a_character_in_half_is_not_made():
    view = websocket_view(protobuf=False, deflate=False).with_delta("a")
    base = "一" * 40
    pubs = [said(n, json.dumps(text, ensure_ascii=False).encode())
            for n, text in enumerate([base + "丁", base + "七", base + "?"])]  # fmt: skip
    told = view.publications("a", pubs)
    text = b""
    for pub, original in zip(told, pubs, strict=True):
        data = json.loads(pub.data).encode()
        text = apply_delta(text, data) if pub.delta else data
        assert text == original.data
    assert [pub.delta for pub in told] == [False, False, True]


async def test_a_subscriber_gets_deltas_where_it_asked_and_history_whole():
    async with centrifuge() as here, here.connected() as client:
        result = await client.subscribe("a", delta="fossil", recoverable=True)
        assert result["delta"]
        await client.subscribe("b")
        for publication in states(3):
            for channel in ("a", "b"):
                await here.hub.publish(channel, publication.data, lane=Lane.P0)
        got = {"a": [], "b": []}
        for _ in range(6):
            push = await client.push()
            got[push["channel"]].append(push["pub"])
        text = b""
        for pub, original in zip(got["a"], states(3), strict=True):
            data = pub["data"].encode()
            text = apply_delta(text, data) if pub.get("delta") else data
            assert json.loads(text) == json.loads(original.data)
        assert [pub["data"]["tick"] for pub in got["b"]] == [0, 1, 2]
        page = (await client.ask(history={"channel": "a", "limit": 3}))["history"]
        assert [pub["data"]["tick"] for pub in page["publications"]] == [0, 1, 2]
        where = {"epoch": result["epoch"], "offset": 0, "recover": True}
        await client.ask(unsubscribe={"channel": "a"})
        again = await client.subscribe("a", delta="fossil", **where)
        assert [pub.get("delta", False) for pub in again["publications"]] == [False, True, True]
        (member,) = here.hub.members.all()
        member.outbox.send(member.view.lost("a", 1))
        assert json.loads((await client.push())["pub"]["data"]) == {"type": "lost", "count": 1}
