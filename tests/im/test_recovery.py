"""Recovery as a state machine: publish, disconnect, restart, stall at random; nobody is misled.

A client keeps what the protocol's clients keep: its position, and what it was delivered. For
each it must hold, whatever happens: what it was delivered is contiguous, without duplicates,
and what was published at that position; or it was told `recovered=False`.
"""

from __future__ import annotations

import json
from contextlib import ExitStack

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.im import LineView, Listener
from trio.testing import MockClock

from livetrio.errors import Refused, StoreUnavailable
from livetrio.im.hub import Hub, open_hub
from livetrio.im.options import ChannelOptions, HubLimits, Kind, Namespaces
from livetrio.im.words import Lane, Position
from livetrio.store.log import MemoryLog

LIMITS = HubLimits(keep_counters=100, keep_chat=300, keep_all=2000)


class Flaky(MemoryLog):
    """Fails when told to: before the commit, or after it (the answer is lost)."""

    fails = ""

    async def append(self, entries):
        await trio.sleep(0.01)
        if self.fails == "before":
            raise StoreUnavailable("down")
        appended = await super().append(entries)
        await trio.sleep(0.01)
        if self.fails == "after":
            raise StoreUnavailable("the answer was lost")
        return appended

    async def read(self, channel, after, limit):
        await trio.sleep(0.02)
        return await super().read(channel, after, limit)


class Costly:
    """A pacer to whom every tick was dear: what is published waits for the next."""

    def window(self, spender, spent):
        return 0.25

    def forget(self, spender):
        pass


class Client:
    """What a client's library does."""

    def __init__(self, name: str, channel: str, view: LineView) -> None:
        self.name, self.channel, self.view = name, channel, view
        self.position: Position | None = None
        self.member: Listener | None = None
        self.read = 0
        self.history: list[tuple[Position, str]] = []
        """What it was delivered since it was last told that something is missing."""
        self.present = ExitStack()

    async def connect(self, hub: Hub) -> None:
        self.member = Listener(self.name, view=self.view, strict=True)
        self.read = 0
        self.present.enter_context(hub.present(self.member))
        await self.join(hub)

    async def join(self, hub: Hub) -> None:
        joined = await hub.join(self.member, self.channel, recover_from=self.position, backlog=3)
        if not joined.recovered:
            self.history.clear()
            first = joined.publications[0].offset if joined.publications else None
            start = joined.position.offset if first is None else first - 1
            self.position = joined.position._replace(offset=start)
        assert joined.position.epoch == self.position.epoch
        for publication in joined.publications:
            self.take(publication.offset, publication.data.decode())
        assert self.position == joined.position

    def take(self, offset: int, data: str) -> None:
        assert offset == self.position.offset + 1, "a gap or a duplicate, unannounced"
        self.position = self.position._replace(offset=offset)
        self.history.append((self.position, data))

    async def hear(self, hub: Hub) -> None:
        """Read what has arrived; come again where the server says that something is missing."""
        if self.member is None:
            return
        lines = bytes(self.member.crate.taken).splitlines()
        for line in lines[self.read :]:
            words = json.loads(line)
            assert "lost" not in words, "a strict member loses nothing"
            if words["offset"]:
                self.take(words["offset"], words["data"])
        self.read = len(lines)
        if self.member.goodbyes:
            self.disconnect()
        elif self.member.gaps and not self.member.crate.stalled:
            self.member.gaps.clear()
            await self.join(hub)

    def disconnect(self) -> None:
        self.present.close()
        self.member = None


OPS = st.one_of(
    st.tuples(st.just("publish"), st.integers(1, 6), st.sampled_from(Lane)),
    st.tuples(st.just("say"), st.integers(1, 6)),
    st.tuples(st.just("sleep"), st.just(0.3)),
    st.tuples(st.just("skip")),
    st.tuples(st.just("sleep"), st.sampled_from([0.0, 0.01, 0.3, 0.3, 0.3, 20.0])),
    st.tuples(st.just("connect"), st.integers(0, 2)),
    st.tuples(st.just("disconnect"), st.integers(0, 2)),
    st.tuples(st.just("stall"), st.integers(0, 2)),
    st.tuples(st.just("resume"), st.integers(0, 2)),
    st.tuples(st.just("restart")),
    st.tuples(st.just("fail"), st.sampled_from(["", "before", "after"])),
)
OPTIONS = {
    "room:x": ChannelOptions(history_size=8, history_ttl=15, recovery_limit=20, live=True),
    "log:x": ChannelOptions(kind=Kind.DURABLE, history_size=4, recovery_limit=20),
}


@pytest.mark.parametrize("channel", OPTIONS)
@given(script=st.lists(OPS, min_size=30, max_size=80))
@settings(max_examples=200)
def test_what_is_delivered_is_contiguous_or_the_client_is_told(channel, script):
    trio.run(live_through, channel, script, clock=MockClock(autojump_threshold=0))


async def live_through(channel, script):
    truth: dict[Position, str] = {}
    view = LineView()
    log = Flaky()
    clients = [Client(f"c{n}", channel, view) for n in range(3)]
    count = 0
    steps = iter([*(("connect", n) for n in range(3)), *script, ("fail", ""), ("settle",)])
    more = True
    while more:
        more = False
        async with (
            open_hub(
                namespaces=Namespaces(list(OPTIONS.items())), limits=LIMITS, log=log, pacer=Costly()
            ) as hub,
            trio.open_nursery() as publishers,
        ):

            async def publish(data, lane, hub=hub):
                try:
                    position = await hub.publish(channel, data.encode(), lane=lane)
                except Refused:
                    return
                if position.offset:
                    assert truth.setdefault(position, data) == data

            for step in steps:
                match step:
                    case ("publish", times, lane):
                        for _ in range(times):
                            count += 1
                            publishers.start_soon(publish, f"{count:040}", lane)
                    case ("say", times):
                        for _ in range(times):
                            count += 1
                            await publish(f"{count:040}", Lane.P1)
                    case ("skip",):
                        await hub.publish("room:x", b"unnumbered", skip_history=True)
                    case ("sleep", seconds):
                        await trio.sleep(seconds)
                    case ("connect", n) if clients[n].member is None:
                        await clients[n].connect(hub)
                    case ("disconnect", n) if clients[n].member is not None:
                        clients[n].disconnect()
                    case ("stall", n) if clients[n].member is not None:
                        clients[n].member.crate.stalled = True
                    case ("resume", n) if clients[n].member is not None:
                        clients[n].member.crate.resume()
                    case ("fail", how):
                        log.fails = how
                    case ("restart",):
                        more = True
                        break
                    case ("settle",):
                        await settle(hub, clients, channel, log)
                for client in clients:
                    await client.hear(hub)
            for client in clients:
                client.disconnect()
            publishers.cancel_scope.cancel()
    for client in clients:
        for position, data in client.history:
            assert truth.get(position, data) == data


async def settle(hub, clients, channel, log):
    """In the end everybody is connected and reads: then nobody is behind."""
    await trio.sleep(1)
    await hub.publish(channel, b"last", lane=Lane.P0)
    for client in clients:
        if client.member is None:
            await client.connect(hub)
        client.member.crate.resume()
    for _ in range(4):
        await trio.sleep(1)
        for client in clients:
            await client.hear(hub)
            if client.member is None:
                await client.connect(hub)
    top = (await hub.history(channel)).position
    assert {client.position for client in clients} == {top}
    if channel == "log:x":
        assert top == await log.top(channel)
