"""Push relays: a stream of ours goes to other servers, and never waits for them."""

from __future__ import annotations

import pytest
import trio
import trio.lowlevel
import trio.testing
from kit.relay import KEY, Node, RtmpServer, node, packets, publisher, rtmp_server, tcp_server

from livetrio.errors import RefusalCode, Refused, StoreError
from livetrio.ingest.relay_attempt import Timeouts
from livetrio.ingest.static_push import push_statically
from livetrio.media.ring import RingLimits
from livetrio.net.connection import Connection
from livetrio.net.listen import Address
from livetrio.net.scope import tree
from livetrio.packet import Codec, Kind, Packet, StreamKey, Track
from livetrio.wire import amf0
from livetrio.wire.flv import tag_body
from livetrio.wire.rtmp.events import CloseReason, PublishRequested
from livetrio.wire.rtmp.media import SET_DATA_FRAME

QUICK = Timeouts(dial=5, handshake=0.2, read=0.2, write=0.2)


def bodies(found) -> list[tuple[int, int, bytes]]:
    return [(event.type_id, event.timestamp, event.body) for event in found]


def expected(found: list[Packet]) -> list[tuple[int, int, bytes]]:
    tags = [(packet.dts // 1000, tag_body(packet)) for packet in found]
    return [(tag[0], ms, tag[1]) for ms, tag in tags if tag is not None]


# -- what works --------------------------------------------------------------------------------


async def test_a_stream_is_pushed_byte_for_byte_with_its_cached_pictures_first():
    async with rtmp_server() as target, node() as here, publisher(here.registry) as source:
        source.publish(packets(3))
        info = here.relays.start("push", KEY, target.url("secret-key-1?token=s3cret"))
        assert info.url == target.url("secr…?token=…")
        await target.until(lambda server: len(server.received) == 6)
        source.publish(packets(3, start=3))
        await target.until(lambda server: len(server.received) == 12)
        assert bodies(target.received) == expected(packets(6))
        (request,) = target.requests
        assert isinstance(request, PublishRequested)
        assert (request.app, request.name, request.query) == (
            "app",
            "secret-key-1",
            {"token": "s3cret"},
        )
        (info,) = here.relays.list()
        assert (info.state, info.attempts, info.jumps) == ("running", 1, 0)
        assert info.bytes > 3073
        clients = [c for _, c in here.registry.clients() if c.role == "player"]
        assert [(c.protocol, c.url) for c in clients] == [("relay", info.url)]
        assert clients[0].numbers().bytes_out == info.bytes


async def test_a_push_waits_for_its_stream_and_for_the_next_one():
    async with rtmp_server() as target, node() as here:
        info = here.relays.start("push", KEY, target.url("movie"))
        assert info.state == "waiting"
        for turn in (1, 2):
            await trio.testing.wait_all_tasks_blocked()
            assert target.connections == turn - 1  # nobody is dialled without need
            async with publisher(here.registry) as source:
                await here.heard("relay.running")
                source.publish(packets(2))
            await target.until(lambda server: not server.open)
            assert [event.reason for event in target.closed][-1] is not CloseReason.DISCONNECTED
            assert bodies(target.received) == expected(packets(2)) * turn
            await here.heard("relay.waiting")
        assert here.pauses.asked == []  # the end of our own stream is no failure


async def test_metadata_is_announced_as_a_publisher_does():
    track = Track(Kind.DATA, Codec.SCRIPT)
    body = amf0.encode("onMetaData", {"title": "x"})
    raw: list[bytes] = []

    async def serve(connection: Connection) -> None:
        server = RtmpServer()
        receive = connection.receive

        class Tap:
            outbox = connection.outbox

            @staticmethod
            async def receive() -> bytes:
                raw.append(await receive())
                return raw[-1]

        await server.serve(Tap())  # type: ignore[arg-type]

    async with tcp_server(serve) as port, node() as here, publisher(here.registry) as source:
        source.publish([Packet(track, 0, 0, body, config=True), *packets(1)])
        here.relays.start("push", KEY, f"rtmp://127.0.0.1:{port}/app/x")
        await here.heard("relay.running")
        with trio.fail_after(10):
            while SET_DATA_FRAME + body not in b"".join(raw):
                await trio.lowlevel.checkpoint()


async def test_a_stream_has_as_many_targets_as_are_asked_for_but_each_once():
    async with rtmp_server() as first, rtmp_server() as second, node() as here:
        one = here.relays.start("push", KEY, first.url())
        two = here.relays.start("push", KEY, second.url())
        again = here.relays.start("push", KEY, first.url())
        assert {info.id for info in here.relays.list()} == {two.id, again.id}
        assert one.id != again.id
        found = here.relays.find("push", KEY)
        assert found is not None
        assert found.id == again.id
        async with publisher(here.registry) as source:
            source.publish(packets(2))
            for target in (first, second):
                await target.until(lambda server: len(server.received) == 4)
                assert target.connections == 1


async def test_a_target_that_goes_is_dialled_again_and_starts_with_a_key_frame():
    async with (
        rtmp_server() as target,
        node(free=1) as here,
        publisher(here.registry) as source,
    ):
        source.publish(packets(7))  # key frames: 0 and 5
        here.relays.start("push", KEY, target.url())
        await target.until(lambda server: len(server.received) == 4)
        target.received.clear()
        target.hang_up()
        await here.heard("relay.failed")
        await here.heard("relay.running")
        await target.until(lambda server: len(server.received) == 4)
        assert bodies(target.received) == expected(packets(2, start=5))


async def test_a_target_that_refuses_is_told_without_the_name_we_publish_by():
    reason = "wrong: secret-key-1"
    async with (
        rtmp_server(refuse=RefusalCode.FORBIDDEN, reason=reason) as target,
        node() as here,
        publisher(here.registry),
    ):
        here.relays.start("push", KEY, target.url("secret-key-1"))
        failed = await here.heard("relay.failed")
        assert failed["reason"] == "the server refuses: NetStream.Publish.Denied wrong: …"
        assert "secret-key-1" not in str(failed)


async def test_stopping_a_push_says_goodbye_to_the_target():
    async with rtmp_server() as target, node() as here, publisher(here.registry) as source:
        source.publish(packets(2))
        info = here.relays.start("push", KEY, target.url())
        await target.until(lambda server: len(server.received) == 4)
        ended = await here.relays.stop(info.id)
        assert ended is not None
        assert (ended.tasks, ended.sockets) == (2, 1)  # one sends, one listens
        await target.until(lambda server: not server.open)
        assert [event.reason for event in target.closed] == [CloseReason.UNPUBLISH]
        assert [c.role for _, c in here.registry.clients()] == ["publisher"]


async def test_ending_the_stream_for_good_ends_the_push_and_it_waits_again():
    async with rtmp_server() as target, node(free=1) as here, publisher(here.registry) as source:
        source.publish(packets(2))
        here.relays.start("push", KEY, target.url())
        await target.until(lambda server: len(server.received) == 4)
        await here.registry.end_stream(KEY, "operator")
        assert (await here.heard("relay.failed"))["reason"] == "operator"
        await here.heard("relay.waiting")
        await target.until(lambda server: not server.open)


# -- slow and hostile targets ------------------------------------------------------------------


async def test_a_target_that_reads_nothing_never_holds_up_the_publisher_and_is_given_up():
    async with (
        rtmp_server(deaf=True) as target,
        node(timeouts=Timeouts(write=0.2)) as here,
        publisher(here.registry) as source,
    ):
        here.relays.start("push", KEY, target.url())
        source.publish(packets(1))
        await target.until(lambda server: server.requests)
        await here.heard("relay.running")
        for number in range(100):
            source.publish(packets(1, start=number, size=200_000))  # a plain call: cannot wait
        failed = await here.heard("relay.failed")
        assert failed["reason"] == "stalled: took nothing for 0.2 s"
        assert source.stream.packets_in == 202


async def test_a_slow_target_is_moved_to_the_newest_key_frame_and_that_is_counted():
    limits = RingLimits(lag=2.5)
    async with (
        rtmp_server(deaf=True) as target,
        node(limits=limits) as here,
        publisher(here.registry) as source,
    ):
        here.relays.start("push", KEY, target.url())
        source.publish(packets(1))
        await here.heard("relay.running")
        source.publish(packets(50, start=1, size=200_000))  # more than the sockets hold
        await trio.testing.wait_all_tasks_blocked(0.01)
        for number in range(51, 200):
            source.publish(packets(1, start=number, size=1000))
        assert here.relays.list()[0].jumps == 0
        target.hear()
        await target.until(
            lambda server: server.received[-1:] and server.received[-1].timestamp == 7960
        )
        times = [event.timestamp for event in target.received if event.type_id == 9]
        assert times == [40 * n for n in (*range(51), *range(195, 200))]
        assert here.relays.list()[0].jumps == 1


@pytest.mark.parametrize("answer", [b"", b"\x03" + bytes(3072), b"HTTP/1.1 400 Bad\r\n\r\n"])
async def test_a_target_that_never_comes_to_the_point_is_given_up(answer: bytes):
    async def serve(connection: Connection) -> None:
        connection.outbox.send(answer)
        while await connection.receive():
            pass

    async with (
        tcp_server(serve) as port,
        node(timeouts=QUICK) as here,
        publisher(here.registry),
    ):
        here.relays.start("push", KEY, f"rtmp://127.0.0.1:{port}/app/x")
        assert (await here.heard("relay.failed"))["reason"]


async def hang_up(connection: Connection) -> None:
    """Has no time for anybody."""


async def test_nobody_at_the_address_is_told():
    async with tcp_server(hang_up) as port:
        pass
    async with node() as here, publisher(here.registry):
        here.relays.start("push", KEY, f"rtmp://127.0.0.1:{port}/app/x")
        failed = await here.heard("relay.failed")
        assert failed["reason"] == "cannot connect: Connection refused"


# -- loops -------------------------------------------------------------------------------------


async def test_a_push_onto_itself_is_refused_at_the_start():
    async with node(listeners=[Address(None, 1935)]) as here:
        with pytest.raises(Refused, match="live/movie would be relayed onto itself"):
            here.relays.start("push", KEY, "rtmp://localhost:1935/live/movie")


async def test_a_push_onto_itself_by_its_own_secret_key_is_refused_before_it_dials():
    async def published_as(key: StreamKey) -> StreamKey:
        return KEY if key.name == "k3y" else key

    async with rtmp_server() as target:
        own = Address("127.0.0.1", target.port)
        async with (
            node(listeners=[own], published_as=published_as) as here,
            publisher(here.registry),
        ):
            here.relays.start("push", KEY, f"rtmp://127.0.0.1:{own.port}/live/k3y")
            failed = await here.heard("relay.failed")
            assert failed["reason"] == "loop: live/movie would be relayed onto itself"
        assert target.connections == 0


async def test_a_push_to_ourselves_waits_for_a_key_store_that_is_down():
    async def published_as(key: StreamKey) -> StreamKey:
        raise StoreError("the key store does not answer")

    async with node(listeners=[Address("127.0.0.1", 1)], published_as=published_as) as here:
        async with publisher(here.registry):
            here.relays.start("push", KEY, "rtmp://127.0.0.1:1/live/k3y")
            failed = await here.heard("relay.failed")
            assert failed["reason"] == "the key store does not answer"


async def test_a_push_that_came_from_a_hook_reaches_no_private_address():
    async with rtmp_server() as target, node() as here, publisher(here.registry):
        here.relays.start("push", KEY, target.url(), operator=False)
        failed = await here.heard("relay.failed")
        assert failed["reason"] == "the address is not on the public internet"
        assert target.connections == 0


# -- static push -------------------------------------------------------------------------------


async def pushing(here: Node, nursery: trio.Nursery, **targets: list[str]) -> None:
    nursery.start_soon(push_statically, here.registry, here.relays, targets)
    await trio.testing.wait_all_tasks_blocked()


async def test_every_stream_of_an_application_goes_to_all_its_targets_while_it_is_online():
    async with (
        rtmp_server() as first,
        rtmp_server() as second,
        node() as here,
        trio.open_nursery() as nursery,
    ):
        bases = [f"rtmp://127.0.0.1:{server.port}/app/" for server in (first, second)]
        await pushing(here, nursery, live=bases)
        other = StreamKey("other", "x")
        async with publisher(here.registry) as source, publisher(here.registry, other):
            source.publish(packets(2))
            for target in (first, second):
                await target.until(lambda server: len(server.received) == 4)
                assert [request.name for request in target.requests] == ["movie"]
            infos = here.relays.list()
            assert [(info.kind, info.app, info.name) for info in infos] == [
                ("push", "live", "movie")
            ] * 2
            assert {info.url for info in infos} == {base + "movie" for base in bases}
            source.publish(packets(2, start=2))
            source.finish()
        for target in (first, second):
            await target.until(lambda server: not server.open)
            assert bodies(target.received) == expected(packets(4))  # to the last packet
            assert target.closed[-1].reason is CloseReason.UNPUBLISH
        await here.heard("relay.stopped")
        await trio.testing.wait_all_tasks_blocked()
        assert here.relays.list() == []
        nursery.cancel_scope.cancel()


async def test_streams_that_were_online_before_are_pushed_too():
    async with rtmp_server() as target, node() as here, trio.open_nursery() as nursery:
        async with publisher(here.registry) as source:
            source.publish(packets(1))
            await pushing(here, nursery, live=[f"rtmp://127.0.0.1:{target.port}/app"])
            await target.until(lambda server: len(server.received) == 2)
        nursery.cancel_scope.cancel()


async def test_a_flood_of_events_costs_no_stream_its_push():
    async with node() as here, trio.open_nursery() as nursery:
        await pushing(here, nursery, live=["rtmp://127.0.0.1:1/app"])
        for _ in range(1000):  # more than the queue of events holds
            here.registry.events.publish("client.opened")
        async with publisher(here.registry):
            await trio.testing.wait_all_tasks_blocked()
            assert [info.name for info in here.relays.list()] == ["movie"]
            for _ in range(1000):
                here.registry.events.publish("client.opened")
        await trio.testing.wait_all_tasks_blocked()
        assert here.relays.list() == []
        nursery.cancel_scope.cancel()


async def test_a_name_cannot_change_the_address_it_is_pushed_to():
    async with rtmp_server() as target, node() as here, trio.open_nursery() as nursery:
        await pushing(here, nursery, live=[f"rtmp://127.0.0.1:{target.port}/app"])
        key = StreamKey("live", "x?token=y#z%41/w")
        async with publisher(here.registry, key):
            await target.until(lambda server: server.requests)
            (request,) = target.requests
            assert (request.app, request.name, request.query) == ("app", key.name, {})
        nursery.cancel_scope.cancel()


async def test_a_static_target_that_cannot_be_is_said_once_and_harms_nothing(caplog):
    async with rtmp_server() as target, node() as here, trio.open_nursery() as nursery:
        await pushing(here, nursery, live=["http://no", f"rtmp://127.0.0.1:{target.port}/app"])
        async with publisher(here.registry) as source:
            source.publish(packets(1))
            await target.until(lambda server: len(server.received) == 2)
        nursery.cancel_scope.cancel()
    assert [r.getMessage() for r in caplog.records].count("static push refused") == 1


async def test_a_push_that_is_retired_before_it_runs_goes_at_once():
    async with node() as here:
        info = here.relays.start("push", KEY, "rtmp://127.0.0.1:1/app/x")
        await trio.testing.wait_all_tasks_blocked()
        here.relays.retire(info.id)
        here.relays.retire(info.id)
        assert here.relays.list() == []
        await trio.testing.wait_all_tasks_blocked()
        assert tree(here.relays.scope).children == []
