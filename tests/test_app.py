"""The composition root: how a server starts, its goodbyes, and what it leaves behind: nothing."""

from __future__ import annotations

import logging
import random
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.lowlevel
import trustme
from kit.control import soon
from kit.http import http_client
from kit.logs import lines
from kit.node import FREE, Traces, node, node_config, patiently
from kit.rtmp_peers import RtmpPeer, clip, peer, player, publisher

from livetrio.app import Running, serve, stop_on_signal
from livetrio.config import (
    Address,
    AppConfig,
    Endpoint,
    ListenConfig,
    RedisConfig,
    TlsConfig,
    WebrtcConfig,
    load,
)
from livetrio.errors import StartError, StoreError, StoreUnavailable
from livetrio.packet import StreamKey

X = StreamKey("live", "x")
FLV_HEADER = b"FLV\x01"


async def settled(before: Traces) -> None:
    """Return when this process holds what it held; Trio's own helpers may take a moment."""
    with trio.fail_after(10):
        while Traces.now() != before:  # noqa: ASYNC110 - the kernel sends no event
            await trio.sleep(0.01)


@pytest.fixture
async def once_served():
    """What is made once per process is made."""
    async with node():
        pass


# -- starting ----------------------------------------------------------------------------------


async def test_a_port_in_use_is_one_line_and_leaves_nothing(tmp_path, once_served):
    before = Traces.now()
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = Endpoint(address=Address(*other.getsockname()))
        listen = ListenConfig(rtmp=FREE, httpflv=FREE, web=FREE, api=taken)
        with pytest.raises(StartError, match=rf"^api cannot listen on {taken.address}: Address"):
            await serve(node_config(tmp_path, listen=listen))
    assert Traces.now() == before
    assert not (tmp_path / "data").exists()


async def test_a_port_in_use_may_be_replaced_and_that_is_said(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = Endpoint(address=Address(*other.getsockname()))
        config = node_config(tmp_path, httpflv=taken)
        async with trio.open_nursery() as nursery:
            running = await nursery.start(lambda task_status: replacing(config, task_status))
            port = running.addresses["httpflv"].port
            assert port != other.getsockname()[1]
            async with publisher(running) as source:
                await source.send_media(clip())
            nursery.cancel_scope.cancel()
    (line,) = [n for n in lines(caplog) if n.event == "using a free port instead"]
    assert line.fields["port"] == str(port)
    assert "Address already in use" in line.fields["reason"]


async def replacing(config, task_status) -> None:
    await serve(config, replace_busy_ports=True, task_status=task_status)


@pytest.mark.parametrize("broken", ["missing", "garbage", "another key"])
async def test_a_certificate_that_cannot_be_used_is_a_start_error(tmp_path, broken):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    one, two = (trustme.CA().issue_cert("localhost") for _ in range(2))
    if broken != "missing":
        cert.write_bytes(one.cert_chain_pems[0].bytes() if broken != "garbage" else b"?")
        key.write_bytes(two.private_key_pem.bytes())
    rtmps = replace(FREE, tls=TlsConfig(cert=cert, key=key))
    before = Traces.now()
    with pytest.raises(StartError, match=r"cert\.pem"):
        await serve(node_config(tmp_path, rtmps=rtmps))
    assert Traces.now() == before


async def test_a_redis_that_is_not_there_is_one_clear_error_and_leaves_nothing(
    tmp_path, once_served
):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    before = Traces.now()
    redis = RedisConfig(address=Address("127.0.0.1", port))
    with trio.fail_after(30), pytest.raises(StoreUnavailable, match=f"127.0.0.1:{port}"):
        await serve(node_config(tmp_path, redis=redis))
    await settled(before)


async def test_a_redis_that_does_not_answer_is_no_hang(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        redis = RedisConfig(address=Address(*deaf.getsockname()))
        with trio.fail_after(30), pytest.raises(StoreUnavailable, match="does not answer"):
            await serve(node_config(tmp_path, redis=redis))


async def test_a_data_dir_that_cannot_be_used_is_one_clear_error(tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StoreError, match=str(tmp_path / "data")):
        await serve(node_config(tmp_path))


async def test_the_api_is_on_loopback_while_anybody_could_use_it(tmp_path):
    path = tmp_path / "livetrio.yaml"
    addresses = "\n".join(f"{n}_addr: 127.0.0.1:0" for n in ("rtmp", "httpflv", "web"))
    for settings, host in (("", "127.0.0.1"), ("jwt: {secret: s}", None), ("api_open: yes", None)):
        path.write_text(f"{addresses}\napi_addr: ':0'\ndata_dir: {tmp_path / 'data'}\n{settings}\n")
        config = load({}, environ={}, file=str(path))
        async with trio.open_nursery() as nursery:
            running = await nursery.start(serve, config)
            assert running.addresses["api"].host == host
            assert running.addresses["api"].port
            nursery.cancel_scope.cancel()


async def test_a_listener_without_address_is_off():
    off = {name: Endpoint() for name in ("web", "httpflv", "hls", "im", "goim_tcp", "goim_push")}
    async with node(**off, webrtc=WebrtcConfig(address=None)) as running:
        assert set(running.addresses) == {"rtmp", "api"}


# -- HTTP-FLV at the door ----------------------------------------------------------------------


async def http(running: Running, head: str, body: bytes = b"", listener: str = "httpflv") -> bytes:
    """All that is answered to a request."""
    async with await trio.open_tcp_stream(*running.addresses[listener]) as stream:
        await stream.send_all(f"{head} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n".encode())
        await stream.send_all(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = b""
        with trio.fail_after(30):
            async for data in stream:
                answer += data
        return answer


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_an_app_with_flv_false_is_neither_played_nor_published_over_http(method, caplog):
    caplog.set_level(logging.INFO)
    apps = {"live": AppConfig(name="live", auth="none", flv=False)}
    async with node(apps=apps) as running, publisher(running) as source:
        await source.send_media(clip())
        answer = await http(running, f"{method} /live/x.flv", b"FLV" if method == "POST" else b"")
        assert answer.startswith(b"HTTP/1.1 403 ")
        if method != "HEAD":
            assert b"HTTP-FLV is off for this application" in answer
        assert "set flv: true for app 'live'" in str([n.fields for n in lines(caplog)])
        async with player(running) as viewer:  # RTMP is on
            await viewer.until(lambda: len(viewer.media[1]) == len(clip()))


async def test_an_app_with_api_false_is_not_stopped_through_the_api():
    apps = {"live": AppConfig(name="live", auth="none", api=False)}
    async with node(apps=apps) as running, publisher(running) as source:
        answer = await http(running, "DELETE /v1/streams/live/x", listener="api")
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b"api: false" in answer
        await source.send_media(clip())
        assert X in running.registry.streams


# -- stopping ----------------------------------------------------------------------------------


@asynccontextmanager
async def flv_player(running: Running) -> AsyncIterator[trio.SocketStream]:
    """Is sent what is published; the first bytes are read."""
    async with await trio.open_tcp_stream(*running.addresses["httpflv"]) as stream:
        await stream.send_all(b"GET /live/x.flv HTTP/1.1\r\nHost: h\r\n\r\n")
        heard = b""
        with trio.fail_after(30):
            while FLV_HEADER not in heard:
                heard += await stream.receive_some()
        yield stream


async def rest_of(stream: trio.SocketStream) -> bytes:
    heard = b""
    with trio.fail_after(30):
        async for data in stream:
            heard += data
    return heard


async def test_stopping_says_goodbye_to_everybody_within_the_grace_period_and_leaves_nothing(
    tmp_path, once_served
):
    before = Traces.now()
    async with trio.open_nursery() as nursery:
        running = await nursery.start(serve, node_config(tmp_path, grace_period=20))
        async with (
            publisher(running) as source,
            player(running) as viewer,
            player(running) as paused,
            player(running) as silent,
        ):
            await source.send_media(clip())
            await viewer.until(lambda: len(viewer.media[1]) == len(clip()))
            await paused.call("pause", None, True, 0, stream_id=1)
            await paused.status("NetStream.Pause.Notify")
            async with flv_player(running) as watching:
                running.stop.set()
                with trio.fail_after(10):
                    await running.ended.wait()
                for one in (source, viewer, paused, silent):
                    await one.hung_up()
                assert source.descriptions[-1] == "the server is stopping"
                for one in (viewer, paused, silent):
                    assert one.codes[-1] == "NetStream.Play.Stop"
                assert (await rest_of(watching)).endswith(b"0\r\n\r\n")  # an orderly end
    await settled(before)


async def test_who_will_not_go_is_cut_off_when_the_grace_period_is_over(
    tmp_path, autojump_clock, caplog
):
    caplog.set_level(logging.INFO)
    patiently(autojump_clock)
    async with trio.open_nursery() as nursery:
        config = node_config(tmp_path, grace_period=3, write_timeout=1000, read_timeout=1000)
        running = await nursery.start(serve, config)
        sock = trio.socket.socket()
        sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
        await sock.connect(tuple(running.addresses["rtmp"]))
        async with publisher(running) as source, trio.SocketStream(sock) as stream:
            deaf = RtmpPeer(stream)
            await deaf.connect()
            await deaf.play("x")
            for ms in range(0, 4000, 40):
                body = (b"\x22" if ms else b"\x12") + bytes(100_000)
                await source.send_media([clip()[0]._replace(type_id=9, timestamp=ms, body=body)])
            await soon(lambda: any(c.numbers().queued for _, c in running.registry.clients()))
            began = trio.current_time()
            running.stop.set()
            await running.ended.wait()
            assert trio.current_time() - began < 4
    assert "the grace period is over" in [line.event for line in lines(caplog)]


async def test_the_first_signal_asks_for_goodbyes_and_the_second_does_not_wait(tmp_path):
    async def signals() -> AsyncIterator[int]:
        yield signal.SIGTERM
        await first.wait()
        yield signal.SIGINT

    first = trio.Event()
    async with trio.open_nursery() as nursery:
        running = await nursery.start(serve, node_config(tmp_path, grace_period=1000))
        async with publisher(running):
            at_once = trio.CancelScope()
            nursery.start_soon(stop_on_signal, signals(), running, at_once)
            await running.stop.wait()
            assert not at_once.cancel_called
            first.set()
            await soon(lambda: at_once.cancel_called)
            nursery.cancel_scope.cancel()


async def test_while_stopping_nobody_new_is_taken_in(tmp_path):
    async with trio.open_nursery() as nursery:
        running = await nursery.start(serve, node_config(tmp_path))
        running.stop.set()
        await running.ended.wait()
        for address in running.addresses.values():
            with pytest.raises(OSError, match="all attempts to connect"):
                await trio.open_tcp_stream(*address)


async def crowd(running: Running, nursery: trio.Nursery) -> None:
    """A publisher, players of all kinds, and clients amid everything."""

    async def publish() -> None:
        async with publisher(running) as source:
            for _ in range(1000):
                await source.send_media(clip())
                await trio.lowlevel.checkpoint()

    async def play() -> None:
        async with player(running) as viewer:
            while not viewer.ended:
                await viewer.listen()

    async def flv() -> None:
        async with flv_player(running) as stream:
            await rest_of(stream)

    async def waiting() -> None:
        async with peer(running) as one:
            await one.connect()
            await one.create_stream()
            await one.call("play", None, "nothing", stream_id=1)
            await one.hung_up()

    async def survive(what) -> None:
        with suppress(trio.BrokenResourceError, OSError, AssertionError):
            await what()  # the server is cancelled under it

    for what in (publish, play, flv, waiting, play, flv):
        nursery.start_soon(survive, what)


async def test_cancelling_at_any_moment_leaves_no_task_file_or_thread(
    tmp_path: Path, once_served: None
):
    chance = random.Random(20261121)
    before = Traces.now()
    for _ in range(15):
        async with trio.open_nursery() as outside:
            async with trio.open_nursery() as house:
                running = await house.start(serve, node_config(tmp_path))
                await crowd(running, outside)
                for _ in range(chance.randrange(150)):
                    await trio.sleep(0.001)
                house.cancel_scope.cancel()
            outside.cancel_scope.cancel()
        await settled(before)


async def test_cancelling_while_it_starts_leaves_nothing(tmp_path, once_served):
    before = Traces.now()
    for steps in range(0, 40, 3):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(serve, node_config(tmp_path))
                for _ in range(steps):
                    await trio.lowlevel.checkpoint()
                scope.cancel()
        await settled(before)


async def test_back_ends_may_call_the_api_that_has_its_own_key_by_any_name():
    async with node() as running, http_client(running.addresses["api"].port) as client:
        await client.send(
            b"POST /api/info HTTP/1.1\r\nHost: live.example\r\nContent-Type: application/json\r\n"
            b"Content-Length: 2\r\n\r\n{}"
        )
        assert (await client.response()).status == 401  # the key is what is missing
