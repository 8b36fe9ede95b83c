"""Pull relays: what another server plays is published here, for ever, whatever that server does."""

from __future__ import annotations

import os
import socket
import struct

import pytest
import trio
import trio.testing
import trustme
from kit.logs import lines
from kit.relay import (
    KEY,
    RtmpServer,
    flv_file,
    media,
    node,
    packets,
    publisher,
    rtmp_server,
    tcp_server,
    viewer,
)

from livetrio.errors import RefusalCode, Refused
from livetrio.ingest.backoff import Backoff
from livetrio.ingest.relay_attempt import Timeouts
from livetrio.media.ring import EndOfStream
from livetrio.net.connection import Connection
from livetrio.net.listen import Address
from livetrio.net.scope import tree
from livetrio.net.tls import ServerTls
from livetrio.packet import StreamKey
from livetrio.wire import amf0
from livetrio.wire.rtmp.chunk_writer import encode_message
from livetrio.wire.rtmp.commands import encode_command, status
from livetrio.wire.rtmp.events import PlayRequested
from livetrio.wire.rtmp.session import ServerSession

OTHER = StreamKey("live", "other")
QUICK = Timeouts(dial=5, handshake=0.2, read=0.2, write=0.2)


def data_of(found) -> list[bytes]:
    return [packet.data for packet in found]


async def seen(stream, count: int) -> list[bytes]:
    """The first packets of a stream."""
    cursor = stream.ring.cursor()
    found: list[bytes] = []
    with trio.fail_after(10):
        while len(found) < count:
            found += data_of(await cursor.read())
    return found


# -- what works --------------------------------------------------------------------------------


async def test_a_stream_pulled_over_rtmp_is_published_here_byte_for_byte():
    async with rtmp_server(play=media(5)) as upstream, node() as here:
        info = here.relays.start("pull", KEY, upstream.url("x?token=s3cret"))
        assert (info.kind, info.app, info.name) == ("pull", "live", "movie")
        assert info.url == upstream.url("x?token=…")
        async with viewer(here.registry) as stream:
            assert await seen(stream, 10) == data_of(packets(5))
        (request,) = upstream.requests
        assert isinstance(request, PlayRequested)
        assert (request.app, request.name, request.query) == ("app", "x", {"token": "s3cret"})
        await here.heard("relay.running")
        (info,) = here.relays.list()
        assert (info.state, info.attempts, info.last_error) == ("running", 1, "")
        assert info.bytes > 3073
        (client,) = here.registry.streams[KEY].clients.values()
        assert (client.role, client.protocol, client.url) == ("publisher", "relay", info.url)


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
async def test_a_stream_pulled_over_http_flv_is_published_here_byte_for_byte(version: bytes):
    heads: list[bytes] = []

    async def serve(connection: Connection) -> None:
        heads.append(await connection.receive())
        connection.outbox.send(b"HTTP/%b 200 OK\r\nContent-Type: video/x-flv\r\n\r\n" % version)
        connection.outbox.send(flv_file(5))
        await trio.sleep_forever()

    async with tcp_server(serve) as port, node() as here:
        here.relays.start("pull", KEY, f"http://me:pw@127.0.0.1:{port}/live/a%20b.flv?x=s3cret")
        async with viewer(here.registry) as stream:
            assert await seen(stream, 10) == data_of(packets(5))
        (info,) = here.relays.list()
        assert info.url == f"http://127.0.0.1:{port}/live/a%20b.flv?x=…"
    (head,) = heads
    assert head.startswith(b"GET /live/a%20b.flv?x=s3cret HTTP/1.1\r\n")
    assert b"\r\nHost: 127.0.0.1:%d\r\n" % port in head
    assert b"\r\nAuthorization: Basic bWU6cHc=\r\n" in head


async def test_a_chunked_body_in_odd_pieces_is_the_same_stream():
    async def serve(connection: Connection) -> None:
        await connection.receive()
        connection.outbox.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        body = flv_file(5)
        for at in range(0, len(body), 7):
            piece = body[at : at + 7]
            connection.outbox.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            await trio.lowlevel.checkpoint()
        await trio.sleep_forever()

    async with tcp_server(serve) as port, node() as here:
        here.relays.start("pull", KEY, f"http://127.0.0.1:{port}/x.flv")
        async with viewer(here.registry) as stream:
            assert await seen(stream, 10) == data_of(packets(5))


async def test_a_source_that_goes_is_dialled_again_and_viewers_stay():
    async with (
        rtmp_server(play=media(2)) as upstream,
        node(free=1, resume_window=60.0) as here,
    ):
        here.relays.start("pull", KEY, upstream.url())
        await here.heard("relay.running")
        async with viewer(here.registry) as stream:
            cursor = stream.ring.cursor()
            upstream.hang_up()
            failed = await here.heard("relay.failed")
            assert failed["reason"] == "the server closed the connection"
            await here.heard("relay.running")
            found: list[bytes] = []
            with trio.fail_after(10):
                while len(found) < 8:
                    found += data_of(await cursor.read())
            assert found == data_of(packets(2)) * 2
        (info,) = here.relays.list()
        assert (info.attempts, info.state) == (2, "running")
        assert info.last_error == "the server closed the connection"


async def test_a_name_that_somebody_publishes_is_waited_for_without_dialling():
    async with rtmp_server(play=media()) as upstream, node(free=3) as here:
        async with publisher(here.registry) as other:
            other.publish(packets(1))
            here.relays.start("pull", KEY, upstream.url())
            waiting = await here.heard("relay.waiting")
            assert waiting["reason"] == "stream live/movie is being published already"
            await trio.testing.wait_all_tasks_blocked()
            assert upstream.connections == 0
            assert here.registry.streams[KEY].publication is other
        (info,) = here.relays.list()
        assert info.state == "waiting"


async def test_a_publisher_who_came_while_the_relay_dialled_was_first():
    async with rtmp_server() as upstream, node() as here:
        here.relays.start("pull", KEY, upstream.url())
        await upstream.until(lambda server: server.requests)
        async with publisher(here.registry) as other:
            upstream.send(media())
            waiting = await here.heard("relay.waiting")
            assert waiting["reason"] == "stream live/movie is being published already"
            assert here.registry.streams[KEY].publication is other
        await upstream.until(lambda server: not server.open)


async def test_a_publisher_that_takes_over_is_given_way_to():
    async with rtmp_server(play=media()) as upstream, node(free=1) as here:
        here.relays.start("pull", KEY, upstream.url())
        await here.heard("relay.running")
        async with publisher(here.registry, takeover=True) as other:
            failed = await here.heard("relay.failed")
            assert failed["reason"] == "another publisher took over"
            await here.heard("relay.waiting")
            assert here.registry.streams[KEY].publication is other


async def test_a_server_without_the_stream_makes_none_here():
    """nginx-rtmp agrees to play what is not there and sends nothing."""
    async with rtmp_server() as upstream, node(timeouts=Timeouts(read=0.2)) as here:
        here.relays.start("pull", KEY, upstream.url())
        failed = await here.heard("relay.failed")
        assert failed["reason"] == "no media for 0.2 s"
        assert here.registry.streams == {}


async def test_a_source_that_falls_silent_is_given_up():
    async with rtmp_server(play=media()) as upstream, node(timeouts=Timeouts(read=0.5)) as here:
        here.relays.start("pull", KEY, upstream.url())
        await here.heard("relay.running")
        assert (await here.heard("relay.failed"))["reason"] == "no media for 0.5 s"


async def test_the_end_of_the_source_is_told():
    async with rtmp_server(play=media(), end_after_play=True) as upstream, node() as here:
        here.relays.start("pull", KEY, upstream.url())
        failed = await here.heard("relay.failed")
        assert str(failed["reason"]).startswith("the server ended the stream")


async def test_a_refusal_is_told_with_the_servers_words_but_not_with_our_token():
    async with (
        rtmp_server(refuse=RefusalCode.NOT_FOUND, reason="nobody is s3cret") as upstream,
        node(free=2) as here,
    ):
        here.relays.start("pull", KEY, upstream.url("x?token=s3cret"))
        failed = await here.heard("relay.failed")
        assert failed["reason"] == "the server refuses: NetStream.Play.StreamNotFound nobody is …"
        await upstream.until(lambda server: server.connections == 3)


# -- waiting, starting, stopping ---------------------------------------------------------------


async def test_attempts_come_later_and_later_and_early_again_after_a_long_success():
    async with rtmp_server(play=media()) as upstream:
        port = upstream.port
        async with node(free=4, backoff=lambda: Backoff(draw=lambda low, high: high)) as here:
            upstream.refuse = RefusalCode.NOT_FOUND
            here.relays.start("pull", KEY, upstream.url())
            for _ in range(5):
                await here.heard("relay.failed")
            assert here.pauses.asked == [3.0, 9.0, 27.0, 30.0, 30.0]
        async with node(
            free=2, steady=0.0, backoff=lambda: Backoff(draw=lambda low, high: high)
        ) as here:
            upstream.refuse = None
            here.relays.start("pull", KEY, upstream.url())
            for _ in range(2):
                await here.heard("relay.running")
                upstream.hang_up()
                await here.heard("relay.failed")
            assert here.pauses.asked == [3.0, 3.0]
        assert upstream.port == port


async def test_what_cannot_change_soon_is_tried_as_late_as_possible():
    async with node(free=1) as here:
        here.relays.start("pull", KEY, "rtmp://127.0.0.1/app/x", operator=False)
        failed = await here.heard("relay.failed")
        assert failed["reason"] == "the address is not on the public internet"
        await here.heard("relay.failed")
        assert here.pauses.asked == [30.0, 30.0]


async def test_stopping_answers_when_all_of_it_is_gone():
    async with rtmp_server(play=media()) as upstream, node() as here:
        info = here.relays.start("pull", KEY, upstream.url())
        await here.heard("relay.running")
        ended = await here.relays.stop(info.id)
        assert ended is not None
        assert (ended.scopes, ended.tasks, ended.sockets) == (3, 1, 1)  # relay, attempt, connection
        assert here.relays.list() == []
        assert here.relays.find("pull", KEY) is None
        assert await here.relays.stop(info.id) is None
        await here.heard("relay.stopped")
        await trio.testing.wait_all_tasks_blocked()
        assert here.registry.streams == {}
        assert tree(here.relays.scope).children == []
        await upstream.until(lambda server: not server.open)


async def test_a_relay_can_be_stopped_before_it_has_begun():
    async with node() as here:
        info = here.relays.start("pull", KEY, "rtmp://192.0.2.1/app/x")
        with trio.fail_after(10):
            assert await here.relays.stop(info.id) is not None
        assert here.relays.list() == []


async def test_a_pull_replaces_the_one_of_the_same_name():
    async with (
        rtmp_server(play=media(2)) as first,
        rtmp_server(play=media(2, start=50)) as second,
        node() as here,
    ):
        old = here.relays.start("pull", KEY, first.url())
        await here.heard("relay.running")
        new = here.relays.start("pull", KEY, second.url())
        assert [info.id for info in here.relays.list()] == [new.id]
        assert (await here.heard("relay.stopped"))["id"] == old.id
        assert (await here.heard("relay.running"))["id"] == new.id
        assert here.relays.find("pull", KEY) is not None
        await first.until(lambda server: not server.open)
        (info,) = here.relays.list()
        assert (info.attempts, info.last_error) == (1, "")  # the old one was out of the way


async def test_leaving_the_block_ends_every_relay():
    async with rtmp_server(play=media()) as upstream:
        async with node() as here:
            for name in "abcd":
                here.relays.start("pull", StreamKey("live", name), upstream.url())
            await upstream.until(lambda server: len(server.requests) == 4)
        await upstream.until(lambda server: not server.open)


@pytest.mark.parametrize(
    ("key", "url"),
    [
        (KEY, "file:///etc/passwd"),
        (KEY, "rtmp://h"),
        (StreamKey("live", "../x"), "rtmp://h/a/b"),
        (StreamKey("", "x"), "rtmp://h/a/b"),
    ],
)
async def test_what_cannot_be_is_refused_at_once(key: StreamKey, url: str):
    async with node() as here:
        with pytest.raises(Refused) as refused:
            here.relays.start("pull", key, url)
        assert refused.value.code is RefusalCode.BAD_REQUEST
        assert here.relays.list() == []


async def test_there_is_a_limit_to_the_number_of_relays(monkeypatch):
    monkeypatch.setattr("livetrio.ingest.relay.MAX_RELAYS", 2)
    async with node() as here:
        for name in "ab":
            here.relays.start("pull", StreamKey("live", name), "rtmp://127.0.0.1:1/a/b")
        with pytest.raises(Refused) as refused:
            here.relays.start("pull", StreamKey("live", "c"), "rtmp://127.0.0.1:1/a/b")
        assert refused.value.code is RefusalCode.TOO_MANY
        here.relays.start("pull", StreamKey("live", "b"), "rtmp://127.0.0.1:1/a/b")  # replaces


# -- addresses and loops -----------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0"])
@pytest.mark.parametrize("url", ["rtmp://{}:1935/live/movie?x=1", "http://{}:7001/live/movie.flv"])
async def test_a_relay_onto_itself_is_refused_at_the_start(host: str, url: str):
    async with node(listeners=[Address(None, 1935), Address(None, 7001)]) as here:
        with pytest.raises(Refused, match="live/movie would be relayed onto itself"):
            here.relays.start("pull", KEY, url.format(host))
        assert here.relays.list() == []


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.1"])
async def test_a_relay_onto_itself_in_disguise_is_refused_when_it_dials(host: str):
    async with rtmp_server(play=media()) as upstream:
        own = Address("127.0.0.1", upstream.port)
        async with node(listeners=[own]) as here:
            here.relays.start("pull", KEY, f"rtmp://{host}:{own.port}/live/movie")
            failed = await here.heard("relay.failed")
            assert failed["reason"] == "loop: live/movie would be relayed onto itself"
            assert here.pauses.asked == [30.0]
        assert upstream.connections == 0


async def test_two_relays_that_feed_each_other_are_refused():
    async with node(listeners=[Address(None, 1935)]) as here:
        first, second = StreamKey("live", "a"), StreamKey("live", "b")
        here.relays.start("pull", first, "rtmp://127.0.0.1:1935/live/b")
        with pytest.raises(Refused, match="from live/a to live/b to live/a"):
            here.relays.start("pull", second, "rtmp://127.0.0.1:1935/live/a")
        with pytest.raises(Refused, match="loop"):
            here.relays.start("push", first, "rtmp://127.0.0.1:1935/live/b")
        here.relays.start("push", second, "rtmp://127.0.0.1:1935/live/a")  # the same direction
        info = here.relays.find("pull", first)
        assert info is not None
        await here.relays.stop(info.id)


async def test_another_stream_of_our_own_may_be_pulled():
    async with rtmp_server(play=media()) as upstream:
        own = Address("127.0.0.1", upstream.port)
        async with node(listeners=[own]) as here:
            here.relays.start("pull", KEY, upstream.url())
            await here.heard("relay.running")


@pytest.mark.parametrize(
    "location",
    ["http://127.0.0.1:{port}/x.flv", "http://[::ffff:127.0.0.1]:{port}/x.flv", "/x.flv"],
)
async def test_a_redirect_is_checked_like_the_address_itself(location: str, monkeypatch):
    """The first hop is let through as if it were public; the second is not."""
    asked: list[str] = []

    def check(self, ip: str) -> None:
        asked.append(ip)
        if len(asked) > 1:
            raise Refused(RefusalCode.FORBIDDEN, "the address is not on the public internet")

    monkeypatch.setattr("livetrio.net.dial.AddressPolicy.check", check)

    async def serve(connection: Connection) -> None:
        await connection.receive()
        target = location.format(port=port).encode()
        connection.outbox.send(b"HTTP/1.1 302 Found\r\nLocation: %b\r\n\r\n" % target)

    async with tcp_server(serve) as port, node() as here:
        here.relays.start("pull", KEY, f"http://127.0.0.1:{port}/", operator=False)
        failed = await here.heard("relay.failed")
        assert failed["reason"] == "the address is not on the public internet"
        assert len(asked) == 2


@pytest.mark.parametrize("location", ["file:///etc/passwd", "rtmp://127.0.0.1/a/b", "gopher://x"])
async def test_a_redirect_to_another_scheme_is_refused(location: str):
    async def serve(connection: Connection) -> None:
        await connection.receive()
        connection.outbox.send(b"HTTP/1.1 302 Found\r\nLocation: %b\r\n\r\n" % location.encode())

    async with tcp_server(serve) as port, node() as here:
        here.relays.start("pull", KEY, f"http://127.0.0.1:{port}/")
        failed = await here.heard("relay.failed")
        assert failed["reason"] == "HTTP URL: does not begin with http:// or https://"


@pytest.mark.parametrize(("redirects", "reason"), [(3, None), (4, "more than 3 redirects")])
async def test_three_redirects_are_followed_and_no_more(redirects: int, reason: str | None):
    hits = 0

    async def serve(connection: Connection) -> None:
        nonlocal hits
        await connection.receive()
        hits += 1
        if hits <= redirects:
            connection.outbox.send(b"HTTP/1.1 307 Moved\r\nLocation: /%d\r\n\r\n" % hits)
        else:
            connection.outbox.send(b"HTTP/1.1 200 OK\r\n\r\n" + flv_file())
            await trio.sleep_forever()

    async with tcp_server(serve) as port, node() as here:
        here.relays.start("pull", KEY, f"http://127.0.0.1:{port}/0")
        if reason is None:
            await here.heard("relay.running")
        else:
            assert (await here.heard("relay.failed"))["reason"] == reason


# -- hostile sources ---------------------------------------------------------------------------


def raw(*answers: bytes, then_close: bool = False):
    """A server that sends these whatever it hears, one per read."""

    async def serve(connection: Connection) -> None:
        for answer in answers:
            await connection.receive()
            connection.outbox.send(answer)
        if not then_close:
            while await connection.receive():
                pass

    return serve


def http(head: bytes, body: bytes = b"") -> bytes:
    return b"HTTP/1.1 " + head + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"garbage\r\n\r\n", "the other end broke the protocol: HTTP: "),
        (http(b"200 OK\r\nX: " + b"x" * 200_000), "the other end broke the protocol: HTTP: "),
        (http(b"404 Not Found"), "the source answers 404"),
        (http(b"302 Found"), "the source answers 302"),
        (http(b"200 OK\r\nContent-Length: 0"), "the source has ended"),
        (http(b"200 OK", b"<html>not a stream</html>"), "the other end broke the protocol: "),
        (
            http(b"200 OK\r\nTransfer-Encoding: chunked", b"zz\r\n"),
            "the other end broke the protocol: HTTP: ",
        ),
        (http(b"100 Continue") * 3, "no answer to the request in time"),
        (b"HTTP/1.1 200 OK\r\n", "no answer to the request in time"),
        (b"", "no answer to the request in time"),
        (http(b"200 OK"), "no media for 0.2 s"),
        (http(b"200 OK", flv_file(0)), "no media for 0.2 s"),
    ],
)
async def test_a_broken_http_source_is_told_by_its_fault(answer: bytes, reason: str):
    late = reason.endswith(("in time", " s"))  # else no deadline may come first
    timeouts = QUICK if late else None
    async with tcp_server(raw(answer)) as port, node(timeouts=timeouts) as here:
        here.relays.start("pull", KEY, f"http://127.0.0.1:{port}/x.flv")
        failed = await here.heard("relay.failed")
        assert str(failed["reason"]).startswith(reason)
        assert here.registry.streams == {}


@pytest.mark.parametrize(
    "answer",
    [b"", b"\x03", b"\x03" + bytes(1536), b"\x06" + bytes(3072), b"HTTP/1.1 400 Bad\r\n\r\n", b"S"],
)
@pytest.mark.parametrize("then_close", [True, False])
async def test_a_server_that_gets_lost_in_the_handshake_is_given_up(
    answer: bytes, then_close: bool
):
    async with tcp_server(raw(answer, then_close=then_close)) as port, node(timeouts=QUICK) as here:
        here.relays.start("pull", KEY, f"rtmp://127.0.0.1:{port}/app/x")
        assert (await here.heard("relay.failed"))["reason"]
        assert [info.state for info in here.relays.list()] == ["failed"]


@pytest.mark.parametrize("kind", ["pull", "push"])
@pytest.mark.parametrize("reads", range(1, 5))
async def test_a_server_that_hangs_up_at_any_step_is_tried_again(kind, reads: int):
    server = RtmpServer(play=media(), patience=reads)
    async with (
        tcp_server(server.serve) as port,
        node(free=1) as here,
        publisher(here.registry, OTHER),
    ):
        server.port = port
        here.relays.start(kind, KEY if kind == "pull" else OTHER, server.url())
        await server.until(lambda server: server.connections == 1)
        assert (await here.heard("relay.failed"))["reason"]
        await server.until(lambda server: server.connections == 2)


async def test_a_server_that_never_answers_the_knock_is_given_up():
    with socket.socket() as full:  # its backlog: the kernel drops further SYNs
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with socket.create_connection(full.getsockname()):
            async with node(timeouts=Timeouts(dial=0.2)) as here:
                here.relays.start("pull", KEY, f"rtmp://127.0.0.1:{full.getsockname()[1]}/app/x")
                failed = await here.heard("relay.failed")
                assert failed["reason"] == "no connection in time"


async def test_a_connection_that_is_reset_is_told():
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.setblocking(False)
        async with node() as here:
            here.relays.start("pull", KEY, f"rtmp://127.0.0.1:{door.getsockname()[1]}/app/x")
            await trio.lowlevel.wait_readable(door)
            client, _ = door.accept()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            failed = await here.heard("relay.failed")
            assert "reset by peer" in str(failed["reason"])


@pytest.mark.parametrize("kind", ["pull", "push"])
async def test_a_relay_speaks_tls_and_checks_the_certificate_unless_told_not_to(kind, tmp_path):
    certificate = trustme.CA().issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    tls = ServerTls(tmp_path / "cert.pem", tmp_path / "key.pem")
    key = KEY if kind == "pull" else OTHER
    async with rtmp_server(play=media(), tls=tls) as upstream:
        async with node() as here, publisher(here.registry, OTHER):
            here.relays.start(kind, key, upstream.url(scheme="rtmps"))
            failed = await here.heard("relay.failed")
            assert "CERTIFICATE_VERIFY_FAILED" in str(failed["reason"])
        assert upstream.connects == []
        async with node(verify_tls=False) as here, publisher(here.registry, OTHER) as source:
            source.publish(packets(2))
            here.relays.start(kind, key, upstream.url(scheme="rtmps"))
            await here.heard("relay.running")
            if kind == "push":
                await upstream.until(lambda server: len(server.received) == 4)


@pytest.mark.parametrize("kind", ["pull", "push"])
async def test_cancelling_at_any_moment_leaves_no_socket_and_no_task(kind):
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    tasks = trio.lowlevel.current_statistics().tasks_living
    before = descriptors()
    for moment in range(60):
        async with rtmp_server(play=media()) as upstream:
            with trio.CancelScope() as scope:
                async with node() as here, publisher(here.registry, OTHER) as source:
                    source.publish(packets(2))
                    here.relays.start(kind, KEY if kind == "pull" else OTHER, upstream.url())
                    for _ in range(moment):
                        await trio.lowlevel.checkpoint()
                    scope.cancel()
                    await trio.sleep_forever()
    assert descriptors() == before
    assert trio.lowlevel.current_statistics().tasks_living == tasks


def rtmp(script):
    """A server that shakes hands and lets connect, then sends what the script makes."""

    async def serve(connection: Connection) -> None:
        session = ServerSession()
        while data := await connection.receive():
            for event in session.feed(data):
                match event:
                    case PlayRequested():
                        session.accept(event)
                        connection.outbox.send(session.take())
                        await script(connection, event.stream_id)
                    case _ if hasattr(event, "tc_url"):
                        session.accept_connect()
            connection.outbox.send(session.take())

    return serve


def message(type_id: int, body: bytes, stream_id: int = 1) -> bytes:
    return encode_message(type_id, 0, stream_id, 5, body, 60_000)


async def endless(connection: Connection, data: bytes) -> None:
    while True:
        connection.outbox.send(data)
        await connection.outbox.flushed()
        await trio.lowlevel.checkpoint()


async def test_an_endless_stream_of_status_messages_is_no_sign_of_life():
    note = encode_command("onStatus", 0, None, status("status", "NetStream.Data.Start", "again"))

    async def script(connection: Connection, stream_id: int) -> None:
        await endless(connection, message(20, note, stream_id) * 10)

    async with tcp_server(rtmp(script)) as port, node(timeouts=Timeouts(read=0.2)) as here:
        here.relays.start("pull", KEY, f"rtmp://127.0.0.1:{port}/app/x")
        assert (await here.heard("relay.failed"))["reason"] == "no media for 0.2 s"


async def test_a_flood_of_pings_cannot_fill_our_memory():
    ping = encode_message(4, 0, 0, 2, b"\x00\x06\x00\x00\x00\x00", 128)

    async def script(connection: Connection, stream_id: int) -> None:
        await endless(connection, ping * 1000)  # and reads no answer

    async with tcp_server(rtmp(script)) as port, node(timeouts=QUICK) as here:
        here.relays.start("pull", KEY, f"rtmp://127.0.0.1:{port}/app/x")
        assert (await here.heard("relay.failed"))["reason"]


@pytest.mark.parametrize(
    "data",
    [
        encode_message(1, 0, 0, 2, b"\x00\x00\x00\x00", 128),  # chunk size 0
        encode_message(1, 0, 0, 2, b"\x00", 128),
        b"\x45" + bytes(100),  # type 1 on a chunk stream never begun
        message(20, b"\x0a\xff\xff\xff\xff"),  # strict array of 4 billion
        message(20, b"\x0a\x00\x00\x00\x01" * 70_000),
        message(17, b"\x00\x11" + b"\x09\x03\x01" * 5_000),  # AMF3 arrays in arrays
        message(15, b"\x00\x11\x0a\xff\xff\xff\xff"),
        message(22, b"\x09\xff\xff\xff" + bytes(20)),  # a tag longer than its aggregate
        message(18, amf0.encode("onMetaData", {"a" * 100: "b" * 60_000}) * 3),
    ],
    ids=range(9),
)
async def test_a_server_that_breaks_the_protocol_ends_only_the_attempt(data: bytes, caplog):
    async def script(connection: Connection, stream_id: int) -> None:
        connection.outbox.send(data)

    async with tcp_server(rtmp(script)) as port, node(timeouts=QUICK) as here:
        here.relays.start("pull", KEY, f"rtmp://127.0.0.1:{port}/app/x")
        failed = await here.heard("relay.failed")
        assert failed["reason"]
        assert "internal error" not in str(failed["reason"])
    assert not [line for line in lines(caplog) if line.event.startswith("bug")]


async def test_many_giant_messages_at_once_are_not_held():
    """16 MB announced on each of many chunk streams: the relay holds what one message may have."""
    header = b"\x00\x00\x00\xff\xff\xff\x09\x01\x00\x00\x00"

    async def script(connection: Connection, stream_id: int) -> None:
        connection.outbox.send(encode_message(1, 0, 0, 2, (1 << 20).to_bytes(4, "big"), 128))
        for csid in range(6, 60):
            connection.outbox.send(bytes([csid]) + header + bytes(1 << 20))
            await connection.outbox.flushed()

    async with tcp_server(rtmp(script)) as port, node() as here:
        here.relays.start("pull", KEY, f"rtmp://127.0.0.1:{port}/app/x")
        failed = await here.heard("relay.failed")
        assert str(failed["reason"]).startswith("the other end broke the protocol")


async def test_a_bug_met_by_one_relay_is_logged_and_harms_no_other(monkeypatch, caplog):
    from livetrio.wire.rtmp.client import ClientSession

    feed = ClientSession.feed

    def broken(self, data: bytes):
        if self._url.name == "bad":
            raise ZeroDivisionError("a bug")
        return feed(self, data)

    monkeypatch.setattr(ClientSession, "feed", broken)
    async with rtmp_server(play=media()) as upstream, node() as here:
        here.relays.start("pull", StreamKey("live", "bad"), upstream.url("bad"))
        failed = await here.heard("relay.failed")
        assert failed["reason"] == "internal error (ZeroDivisionError)"
        (line,) = [line for line in lines(caplog) if line.event.startswith("bug")]
        assert line.fields["relay"] == "pull live/bad"
        here.relays.start("pull", KEY, upstream.url("good"))
        await here.heard("relay.running")


async def test_viewers_are_told_when_a_stopped_relay_leaves_them_without_a_stream():
    async with rtmp_server(play=media(1)) as upstream, node() as here:
        info = here.relays.start("pull", KEY, upstream.url())
        async with viewer(here.registry) as stream:
            cursor = stream.ring.cursor()
            await cursor.read()
            await here.relays.stop(info.id)
            with trio.fail_after(10), pytest.raises(EndOfStream):
                await cursor.read()
