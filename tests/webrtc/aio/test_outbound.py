"""Relays to WHIP and from WHEP endpoints: livetrio to livetrio over loopback."""

from __future__ import annotations

from contextlib import asynccontextmanager

import h11
import pytest
import trio
from kit.engines import ENGINES, engine_stage, publishing_peer, sent, served, until
from kit.node import Traces
from kit.relay import KEY, Node, node, publisher, tcp_server

from livetrio.errors import RefusalCode, Refused
from livetrio.ingest.relay_attempt import Timeouts
from livetrio.ingest.relay_url import local_key, parse_url, secrets_of, shown
from livetrio.media.renditions import Renditions
from livetrio.net.beat import Beat
from livetrio.net.dial import Remote
from livetrio.packet import Codec, StreamKey
from livetrio.webrtc.editions import Editions
from livetrio.webrtc.relays import outbound_webrtc

COPY = StreamKey("live", "copy")
OUTBOUND = ("whip", "whips", "whep", "wheps")


@asynccontextmanager
async def relays(**options):
    """A node whose relays speak WHIP and WHEP."""
    beat = Beat()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(beat.run)
        outbound = outbound_webrtc(Editions(Renditions()), beat)
        async with node(outbound=outbound, **options) as here:
            yield here
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def on_air(here: Node):
    """A stream that goes on and on."""

    async def play(publication) -> None:
        number = 0
        while True:
            publication.publish(sent(number))
            number += 1
            await trio.sleep(0.01)

    async with publisher(here.registry) as publication, trio.open_nursery() as nursery:
        nursery.start_soon(play, publication)
        yield publication
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_stream_is_pushed_to_a_whip_endpoint_until_the_relay_is_stopped(engine) -> None:
    async with engine_stage(engine) as there, served(there.app) as port, relays() as here:
        async with on_air(here):
            url = f"whip://127.0.0.1:{port}/live/copy/whip"
            relay = here.relays.start("push", KEY, url)
            await until(lambda: COPY in there.registry.streams)
            stream = there.registry.streams[COPY]
            await until(lambda: {t.codec for t in stream.tracks} == {Codec.H264, Codec.OPUS})
            (info,) = here.relays.list()
            assert (info.state, info.last_error) == ("running", "")
            assert info.bytes > 0
            await here.relays.stop(relay.id)
            assert len(there.sessions) == 0  # it was deleted, not left to time out


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_whep_endpoint_is_pulled_and_its_stream_is_one_of_ours(engine) -> None:
    async with engine_stage(engine) as there, served(there.app) as port, relays() as here:
        async with publishing_peer(there):
            await until(lambda: KEY in there.registry.streams)
            here.relays.start("pull", COPY, f"whep://127.0.0.1:{port}/live/movie/whep")
            await until(lambda: COPY in here.registry.streams)
            stream = here.registry.streams[COPY]
            await until(lambda: {t.codec for t in stream.tracks} == {Codec.H264, Codec.OPUS})
            assert stream.publication.client.protocol == "whep"
            (info,) = here.relays.list()
            assert info.state == "running"
            assert info.bytes > 0


async def test_the_end_of_the_stream_is_the_end_of_the_session_and_the_relay_waits() -> None:
    async with engine_stage("gateway") as there, served(there.app) as port, relays() as here:
        here.relays.start("push", KEY, f"whip://127.0.0.1:{port}/live/copy/whip")
        async with on_air(here) as publication:
            await until(lambda: COPY in there.registry.streams)
            publication.finish()
        await until(lambda: len(there.sessions) == 0)
        await until(lambda: here.relays.list()[0].state == "waiting")


async def test_a_stream_that_is_not_there_is_asked_for_again() -> None:
    async with engine_stage("gateway", play_wait=0) as there, served(there.app) as port:
        async with relays(free=1) as here:
            here.relays.start("pull", COPY, f"whep://127.0.0.1:{port}/live/movie/whep")
            assert "404" in str((await here.heard("relay.failed"))["reason"])
            assert "404" in str((await here.heard("relay.failed"))["reason"])
            assert here.relays.list()[0].attempts == 2


async def test_a_source_that_ends_is_dialled_anew() -> None:
    async with engine_stage("gateway") as there, served(there.app) as port, relays() as here:
        async with publishing_peer(there):
            await until(lambda: KEY in there.registry.streams)
            here.relays.start("pull", COPY, f"whep://127.0.0.1:{port}/live/movie/whep")
            await until(lambda: COPY in here.registry.streams)
        await here.heard("relay.failed")
        assert COPY not in here.registry.streams


async def test_a_source_that_falls_silent_is_dialled_anew() -> None:
    timeouts = Timeouts(read=0.3)
    async with engine_stage("gateway") as there, served(there.app) as port:
        async with relays(timeouts=timeouts) as here, publishing_peer(there) as peer:
            await until(lambda: KEY in there.registry.streams)
            here.relays.start("pull", COPY, f"whep://127.0.0.1:{port}/live/movie/whep")
            await until(lambda: COPY in here.registry.streams)
            for seat in peer._seats:
                seat.track.put = lambda packet, time: None
            reason = (await here.heard("relay.failed"))["reason"]
            assert reason == "no media for 0.3 s"


def endpoint(answers: list[tuple[int, list[tuple[str, str]], bytes]], heard: list[h11.Request]):
    """An HTTP server that answers what it is told to."""

    async def serve(connection) -> None:
        http = h11.Connection(h11.SERVER)
        while not isinstance(event := http.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                http.receive_data(await connection.receive())
            elif isinstance(event, h11.Request):
                heard.append(event)
        status, headers, body = answers.pop(0)
        headers = [*headers, ("Content-Length", str(len(body)))]
        for event in (h11.Response(status_code=status, headers=headers), h11.Data(data=body)):
            connection.outbox.send(http.send(event))
        await connection.say_goodbye()

    return serve


async def test_the_token_goes_as_bearer_and_follows_no_redirect_to_another_host() -> None:
    heard: list[h11.Request] = []
    answers = [(307, [("Location", "/other?x=1")], b""), (403, [], b"wrong token tttt5678")]
    async with tcp_server(endpoint(answers, heard)) as port, relays() as here, on_air(here):
        here.relays.start("push", KEY, f"whip://tttt5678@127.0.0.1:{port}/live/copy/whip")
        reason = str((await here.heard("relay.failed"))["reason"])
    assert [request.target for request in heard] == [b"/live/copy/whip", b"/other?x=1"]
    assert all(dict(r.headers)[b"authorization"] == b"Bearer tttt5678" for r in heard)
    assert reason == "the endpoint answers 403 wrong token …"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((200, [], b"hello"), "the endpoint answers 200 hello"),
        ((302, [("Location", "/x")], b""), "more than 3 redirects"),
        ((201, [], b"no sdp"), "the other end broke the protocol: SDP"),
        ((201, [], b"x" * 70_000), "over 65536 bytes"),
        ((500, [], b"\x00\xff" * 500), "the endpoint answers 500"),
    ],
)
async def test_an_endpoint_that_makes_no_sense_is_a_failed_attempt(answer, reason) -> None:
    answers, heard = [answer] * 9, []
    async with tcp_server(endpoint(answers, heard)) as port, relays() as here, on_air(here):
        here.relays.start("push", KEY, f"whip://127.0.0.1:{port}/x")
        assert reason in str((await here.heard("relay.failed"))["reason"])


async def test_what_no_operator_asked_for_reaches_no_private_address() -> None:
    heard: list[h11.Request] = []
    async with tcp_server(endpoint([], heard)) as port, relays() as here, on_air(here):
        here.relays.start("push", KEY, f"whip://127.0.0.1:{port}/x", operator=False)
        assert "public internet" in str((await here.heard("relay.failed"))["reason"])
    assert heard == []


async def test_stopping_in_mid_stream_leaves_nothing() -> None:
    await trio.to_thread.run_sync(lambda: None)
    async with engine_stage("gateway") as there, served(there.app) as port:
        async with relays() as here, on_air(here):
            before = Traces.now()
            for _ in range(2):
                url = f"whip://127.0.0.1:{port}/live/copy/whip"
                relay = here.relays.start("push", KEY, url)
                await until(lambda: COPY in there.registry.streams)
                await here.relays.stop(relay.id)
                await until(lambda: COPY not in there.registry.streams)
            await until(lambda: Traces.now() == before)


class TestUrls:
    @pytest.mark.parametrize(
        ("kind", "text", "remote"),
        [
            ("push", "whip://h/live/a/whip", Remote("h", 80, False)),
            ("push", "whips://h/live/a/whip", Remote("h", 443, True)),
            ("pull", "whep://h:8000/live/a/whep", Remote("h", 8000, False)),
            ("pull", "WHEPS://h/live/a/whep", Remote("h", 443, True)),
        ],
    )
    def test_whip_is_to_push_and_whep_to_pull(self, kind, text, remote) -> None:
        url = parse_url(kind, text, OUTBOUND)
        assert Remote(url.host, url.port, url.tls) == remote
        other = "pull" if kind == "push" else "push"
        with pytest.raises(Refused) as refused:
            parse_url(other, text, OUTBOUND)
        assert refused.value.code is RefusalCode.BAD_REQUEST

    def test_without_webrtc_neither_is_known(self) -> None:
        with pytest.raises(Refused, match="needs an rtmp or rtmps URL"):
            parse_url("push", "whip://h/live/a/whip")
        with pytest.raises(Refused, match="rtmps, whip or whips"):
            parse_url("push", "srt://h/live/a", OUTBOUND)

    def test_keys_and_tokens_are_not_shown(self) -> None:
        url = parse_url("push", f"whips://t0ken@h/live/{'k' * 40}/whip?sign=secret", OUTBOUND)
        seen = shown(url, "push", KEY)
        assert seen == "whips://h/live/kkkk…/whip?sign=…"
        assert {"t0ken", "secret"} <= set(secrets_of(url, "push"))
        named = parse_url("push", "whip://h:8000/live/movie/whip", OUTBOUND)
        assert shown(named, "push", KEY) == "whip://h:8000/live/movie/whip"

    def test_our_own_endpoints_are_recognised(self) -> None:
        assert local_key(parse_url("push", "whip://h/live/a/b/whip", OUTBOUND)) == ("live", "a/b")
        assert local_key(parse_url("pull", "whep://h/live/a/whep", OUTBOUND)) == ("live", "a")
        assert local_key(parse_url("pull", "whep://h/elsewhere", OUTBOUND)) is None
