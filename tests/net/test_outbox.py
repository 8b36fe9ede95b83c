"""Outboxes: the slow one pays, in bounded memory, and nobody else."""

from __future__ import annotations

from contextlib import suppress

import trio
import trio.testing
from kit.peers import connected, read_exactly

from livetrio.net.outbox import Block, OutboxLimits, TlsOutbox


def block(data: bytes, *, key_at: int = -1, headers: bytes = b"", at: float = 0.0) -> Block:
    return Block(data, key_at, headers, at)


async def test_what_the_socket_takes_goes_out_at_once_without_a_task():
    async with connected() as (connection, peer):
        connection.outbox.send(b"hello")
        assert connection.scope.nursery.child_tasks == set()
        assert await read_exactly(peer, 5) == b"hello"
        assert connection.outbox.sent == 5


async def test_what_would_block_is_drained_in_order_by_a_task_that_then_ends():
    data = bytes(range(256)) * 400
    async with connected() as (connection, peer):
        connection.outbox.send(data)
        connection.outbox.send(b"tail")
        assert connection.outbox.queued > 0
        assert len(connection.scope.nursery.child_tasks) == 1
        assert await read_exactly(peer, len(data) + 4) == data + b"tail"
        await trio.testing.wait_all_tasks_blocked()
        assert connection.outbox.queued == 0
        assert connection.scope.nursery.child_tasks == set()
        assert connection.outbox.sent == len(data) + 4


async def test_flushed_returns_when_the_queue_is_empty():
    async with connected() as (connection, peer):
        connection.outbox.send(bytes(100_000))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_exactly, peer, 100_000)
            await connection.outbox.flushed()
            assert connection.outbox.queued == 0


async def test_a_late_viewer_jumps_to_the_newest_key_frame_that_waits():
    limits = OutboxLimits(lag=2.0)
    filler = bytes(200_000)
    async with connected(limits=limits) as (connection, peer):
        outbox = connection.outbox
        outbox.send_block(block(filler, at=0.0))  # half sent: must arrive whole
        outbox.send_block(block(b"old delta", at=0.5))
        outbox.send(b"<status>")
        outbox.send_block(block(b"gone|KEY", key_at=5, headers=b"[conf]", at=1.0))
        outbox.send_block(block(b"delta", at=1.5))
        assert outbox.jumps == 0
        outbox.send_block(block(b"newest", at=3.0))
        assert outbox.jumps == 1
        expected = b"<status>" + b"[conf]KEY" + b"delta" + b"newest"
        received = await read_exactly(peer, len(filler) + len(expected))
        assert received[len(filler) :] == expected
        assert outbox.dropped > 0


async def test_without_a_key_frame_in_the_queue_media_wait_for_the_next():
    async with connected(limits=OutboxLimits(lag=2.0)) as (connection, peer):
        outbox = connection.outbox
        filler = bytes(200_000)
        outbox.send_block(block(filler, at=0.0))
        outbox.send_block(block(b"delta", at=1.0))
        outbox.send_block(block(b"delta", at=3.0))
        assert outbox.skipping
        outbox.send_block(block(b"delta", at=3.1))
        outbox.send(b"<ping>")
        outbox.send_block(block(b"gone|KEY", key_at=5, headers=b"[conf]", at=3.2))
        assert not outbox.skipping
        expected = b"<ping>[conf]KEY"
        assert (await read_exactly(peer, len(filler) + len(expected)))[len(filler) :] == expected


async def test_a_viewer_that_never_reads_costs_bounded_memory():
    limits = OutboxLimits(lag=1e9, size=1 << 20)
    async with connected(limits=limits) as (connection, _):
        for number in range(1000):
            connection.outbox.send_block(block(bytes(65536), key_at=number % 50 - 1))
            assert connection.outbox.queued <= (1 << 20) + 65536 * 2
        assert connection.outbox.jumps > 0


async def test_a_peer_that_takes_nothing_is_closed_after_the_stall_time(autojump_clock):
    async with connected(limits=OutboxLimits(stall=10.0)) as (connection, _):
        connection.outbox.send(bytes(200_000))
        await trio.sleep_forever()
    assert "stalled: took nothing for 10 s" in connection.scope.reason
    assert trio.current_time() >= 10


async def test_a_peer_that_must_be_sent_more_than_fits_is_closed():
    async with connected(limits=OutboxLimits(size=100_000)) as (connection, _):
        for _ in range(10):
            connection.outbox.send(bytes(60_000))
        await trio.sleep_forever()
    assert "queue is full" in connection.scope.reason


async def test_sending_to_a_peer_that_is_gone_ends_its_scope_only():
    async with connected() as (connection, peer):
        peer.close()
        connection.outbox.send(b"anybody there?")
        connection.outbox.send(b"anybody there?")
        await trio.sleep_forever()
    assert connection.scope.reason.startswith("gone: ")


async def test_finish_closes_when_the_last_byte_is_out():
    async with connected() as (connection, peer):
        connection.outbox.send(bytes(100_000))
        connection.outbox.finish("the stream has ended")
        received = trio.Event()

        async def read() -> None:
            with trio.CancelScope(shield=True):
                await read_exactly(peer, 100_000)
                received.set()

        connection.scope.nursery.start_soon(read)
        await trio.sleep_forever()
    assert received.is_set()
    assert connection.scope.reason == "the stream has ended"


async def test_finish_with_nothing_queued_closes_at_once():
    async with connected() as (connection, _):
        connection.outbox.finish("done")
        await trio.sleep_forever()
    assert connection.scope.reason == "done"


async def test_the_last_words_have_a_deadline_of_their_own_and_say_so(autojump_clock):
    async with connected(limits=OutboxLimits(stall=10.0)) as (connection, peer):
        connection.outbox.send(bytes(1_000_000))
        connection.outbox.finish("the stream has ended")

        async def sip() -> None:
            while True:  # enough now and then never to be taken for stalled
                await trio.sleep(5)
                with suppress(BlockingIOError):
                    peer.recv(16384)

        connection.scope.nursery.start_soon(sip)
        await trio.sleep_forever()
    assert connection.scope.reason == "slow: took more than 30 s for the last of it"
    assert 30 <= trio.current_time() < 41


class Taker(trio.abc.SendStream):
    """A TLS peer that takes a piece every few seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.taken = b""

    async def send_all(self, data) -> None:
        await trio.sleep(self.seconds)
        self.taken += data

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def test_a_slow_tls_viewer_that_goes_on_taking_is_not_stalled(autojump_clock):
    data = bytes(range(256)) * 1024
    async with connected() as (connection, _):
        taker = Taker(5)
        outbox = TlsOutbox(taker, connection.scope, OutboxLimits(stall=10.0))
        outbox.send(data)
        await outbox.flushed()
        assert trio.current_time() > 10
        assert (taker.taken, outbox.sent, outbox.queued) == (data, len(data), 0)


async def test_a_tls_viewer_that_takes_nothing_is_closed(autojump_clock):
    async with connected() as (connection, _):
        outbox = TlsOutbox(Taker(60), connection.scope, OutboxLimits(stall=10.0))
        outbox.send(b"anybody there?")
        await trio.sleep_forever()
    assert connection.scope.reason == "stalled: took nothing for 10 s"
