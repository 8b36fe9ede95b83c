"""What a busy room costs: one channel, N members on real sockets, M messages a second.

Run: python bench/im_fanout.py [members] [messages per second] [seconds]
The members are socket pairs in this process; their other ends are drained by a child process
that does not parse. Printed: CPU of delivery, socket writes and messages per second of it, and
how late a task is that asks to run every millisecond (what a media stream would feel).
"""

from __future__ import annotations

import os
import resource
import select
import socket
import sys
import time
from collections.abc import Sequence

import trio

from livetrio.im.hub import Hub, open_hub
from livetrio.im.member import Member
from livetrio.im.options import ChannelOptions, Namespaces
from livetrio.im.words import Goodbye, Move, Publication, Sender
from livetrio.net.fanout import Pacer
from livetrio.net.outbox import Outbox, OutboxLimits
from livetrio.net.scope import Scope, open_scope

ROOM = "room:live/bench"


class Frames:
    """About what goim's WebSocket batches cost to make."""

    name = "bench"

    def batch(self, _channel: str, publications: Sequence[Publication]) -> bytes:
        body = b"".join(
            (16 + len(p.data)).to_bytes(4, "big") + bytes(12) + p.data for p in publications
        )
        return b"\x82\x7e" + len(body).to_bytes(4, "big") + body

    def direct(self, publications: Sequence[Publication]) -> bytes:
        return self.batch("", publications)

    def lost(self, _channel: str, _count: int) -> bytes:
        return b""

    def moves(self, _channel: str, _moves: Sequence[Move]) -> bytes:
        return b""


class Viewer(Member):
    """Nobody."""

    __slots__ = ("scope",)

    def __init__(self, id_: str, view: Frames, sock: socket.socket, scope: Scope) -> None:
        super().__init__(id_, Sender(id_, id_), view, Outbox(sock, scope, OutboxLimits()))
        self.scope = scope

    def on_goodbye(self, goodbye: Goodbye, reason: str) -> None:
        print("goodbye", goodbye, reason)


def drain(socks: list[socket.socket]) -> None:
    """The child: reads and forgets."""
    poll = select.epoll()
    for sock in socks:
        poll.register(sock.fileno(), select.EPOLLIN | select.EPOLLET)
    while True:
        for fd, _ in poll.poll():
            try:
                while len(os.read(fd, 1 << 16)) == 1 << 16:
                    pass
            except BlockingIOError:
                pass
            except OSError:
                return


async def feel(stalls: list[float]) -> None:
    while True:
        due = time.perf_counter() + 0.001
        await trio.sleep(0.001)
        stalls.append(time.perf_counter() - due)


async def talk(hub: Hub, rate: float, seconds: float) -> int:
    begun, count = trio.current_time(), 0
    while (now := trio.current_time()) < begun + seconds:
        while count < (now - begun) * rate:
            await hub.publish(ROOM, b'{"text":"a line of danmaku like any other, %d"}' % count)
            count += 1
        await trio.sleep(max(1 / rate, 0.001))
    return count


async def main(members: int, rate: float, seconds: float) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    ours, theirs = [], []
    for _ in range(members):
        theirs.append(socket.create_connection(listener.getsockname()))
        ours.append(listener.accept()[0])
    for sock in (*ours, *theirs):
        sock.setblocking(False)
    child = os.fork()
    if not child:
        drain(theirs)
        os._exit(0)
    for sock in theirs:
        sock.close()
    view = Frames()
    rooms = Namespaces([("room:*", ChannelOptions(live=True))])
    stalls: list[float] = []
    pacer = Pacer(cap=0.25)
    async with (
        open_hub(namespaces=rooms, pacer=pacer) as hub,
        open_scope("bench", "members") as scope,
    ):
        for n, sock in enumerate(ours):
            member = Viewer(f"m{n}", view, sock, scope)
            hub.members.add(member)
            await hub.join(member, ROOM)
        scope.nursery.start_soon(feel, stalls)
        await trio.sleep(1)
        stalls.clear()
        sends, ticks, spent = hub.ticker.sends, hub.ticker.deliveries, pacer.seconds
        begun = time.perf_counter()
        count = await talk(hub, rate, seconds)
        await trio.sleep(0.5)
        wall = time.perf_counter() - begun
        sends, ticks = hub.ticker.sends - sends, hub.ticker.deliveries - ticks
        spent = pacer.seconds - spent
        stalls.sort()
        worst, most = stalls[-1] * 1e3, stalls[len(stalls) * 99 // 100] * 1e3
        print(f"{members} members, {count / wall:.0f} messages/s, {wall:.1f} s")
        print(f"delivery takes {spent / wall:.1%} of a core; {ticks / wall:.1f} ticks/s")
        each = f"{sends / spent:,.0f} socket writes/s"
        print(f"per core: {each}, {count * members / spent:,.0f} messages/s")
        print(f"a task is late by {worst:.1f} ms at most, 99 % by less than {most:.1f} ms")
        scope.nursery.cancel_scope.cancel()
    os.kill(child, 15)
    await trio.to_thread.run_sync(os.waitpid, child, 0)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    arguments = [float(word) for word in sys.argv[1:]]
    members, rate, seconds = [*arguments, *(9_000.0, 40.0, 10.0)[len(arguments) :]]
    trio.run(main, int(members), rate, seconds)
