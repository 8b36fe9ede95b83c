"""The composition root: reads a configuration, builds everything, owns the one nursery."""

from __future__ import annotations

import gc
import resource
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import trio

from livetrio.access.gate import Gate
from livetrio.access.im_token import ImTokens
from livetrio.access.seats import SeatBook
from livetrio.compose.gateway import opened_gateway
from livetrio.compose.keys import names_published_as, opened_room_keys
from livetrio.compose.listeners import bound_listeners, bound_media_sockets
from livetrio.compose.messaging import opened_messaging
from livetrio.compose.node import Node
from livetrio.compose.recordings import opened_recordings
from livetrio.compose.rooms import opened_rooms
from livetrio.compose.streams import STREAM_PLANE, Serve, hls_windows, serve_streams
from livetrio.config import Address, Config
from livetrio.control.context import Bound, ControlContext
from livetrio.control.gauges import Gauges
from livetrio.control.guests import Guests
from livetrio.control.operator import operator_app
from livetrio.control.public import public_app
from livetrio.control.recordings import RecordingsApi
from livetrio.control.serve import serve_app
from livetrio.delivery.archive import Archive
from livetrio.delivery.hls_renditions import HlsRenditions
from livetrio.delivery.recordings import Recordings
from livetrio.ingest.relay import open_relays
from livetrio.ingest.relay_attempt import Timeouts
from livetrio.ingest.static_push import push_statically
from livetrio.logs import get_logger
from livetrio.media.registry import Registry, open_registry
from livetrio.media.renditions import Renditions
from livetrio.media.ring import RingLimits
from livetrio.net.beat import Beat
from livetrio.net.fanout import Pacer
from livetrio.net.fetch import Fetcher
from livetrio.net.listen import Caps, Listener
from livetrio.net.scope import open_scope
from livetrio.store.keys import RoomKeys
from livetrio.webrtc.editions import Editions
from livetrio.webrtc.relays import outbound_webrtc
from livetrio.webrtc.rooms.room_service import Rooms
from livetrio.webrtc.turn import Turn

__all__ = ["Running", "serve", "serve_until_signal", "stop_on_signal"]

log = get_logger(__name__)

_STOPPING = "the server is stopping"
_OURS = (*STREAM_PLANE, "web")
"""Listeners that a relay could call by mistake: a loop."""


@dataclass(frozen=True)
class Running:
    """A server that is up."""

    addresses: Mapping[str, Address]
    """Where it listens, by name: rtmp, httpflv, hls, web, webrtc, api, im ..."""
    keys: RoomKeys
    registry: Registry
    rooms: Rooms
    stop: trio.Event = field(default_factory=trio.Event)
    """Set it to end the server with goodbyes."""
    ended: trio.Event = field(default_factory=trio.Event)
    """Everything is gone."""


async def serve(
    config: Config,
    *,
    replace_busy_ports: bool = False,
    task_status: trio.TaskStatus[Running] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a server until `Running.stop` is set, then say goodbye within the grace period.

    Cancelling it ends everything at once, without goodbyes.

    Args:
        config: what to run.
        replace_busy_ports: take a free port where the configured one is in use, and say so.

    Raises:
        StartError: it could not start; nothing was left running.
        StoreError: neither could it, because room keys cannot be read.
    """
    _raise_file_limit()
    with (
        bound_listeners(config, replace_busy=replace_busy_ports) as listeners,
        bound_media_sockets(config, replace_busy=replace_busy_ports) as media_sockets,
    ):
        async with (
            _foundations(config, listeners) as node,
            opened_messaging(config, node, listeners) as messaging,
            opened_rooms(config, node, messaging.hub, listeners) as rooms,
            opened_gateway(config, node, media_sockets, rooms) as gateway,
            opened_recordings(config, node) as recordings,
            trio.open_nursery() as services,
        ):
            ready = False
            windows = hls_windows(config, node, listeners)
            context = _control_context(
                config, node, listeners, recordings, windows, rooms.rooms, lambda: ready
            )
            services.start_soon(context.gauges.run, name="gauges")
            services.start_soon(recordings.run, name="recordings")
            archive = Archive(recordings, node.registry)
            targets = {name: app.static_push for name, app in config.apps.items()}
            services.start_soon(
                push_statically, node.registry, node.relays, targets, name="static push"
            )
            connection = config.connection
            guests = Guests(config.im, trusted=connection.trusted_proxies)
            operations = [
                *RecordingsApi(context, recordings, archive).operations(),
                *messaging.operations,
            ]
            handlers: dict[str, Serve] = {
                **serve_streams(config, node, services, archive, windows),
                **messaging.handlers,
                "web": partial(
                    serve_app,
                    public_app(
                        context,
                        [*gateway, *rooms.operations, *guests.operations()],
                        turn=bool(config.turn.urls),
                        trusted=connection.trusted_proxies,
                    ),
                ),
                "api": partial(serve_app, operator_app(context, operations)),
            }
            addresses = {}
            for name, listener in listeners.items():
                serve_one = partial(handlers[name], listener=listener)
                addresses[name] = await services.start(serve_one, name=name)
            if media_sockets is not None and config.webrtc.address is not None:
                addresses["webrtc"] = config.webrtc.address._replace(port=media_sockets.port)
            running = Running(addresses, node.keys, node.registry, rooms.rooms)
            ready = True
            for name, address in addresses.items():
                log.info("listening", name=name, address=str(address))
            task_status.started(running)
            await running.stop.wait()
            ready = False
            log.info("stopping", grace=config.connection.grace_period)
            with trio.move_on_after(config.connection.grace_period) as grace:
                node.relays.shut(_STOPPING)
                for listener in listeners.values():
                    listener.accepting.cancel()
                await messaging.hub.shut()
                await node.registry.drain(_STOPPING)
            if grace.cancelled_caught:
                count = len(list(node.registry.clients()))
                log.warning("the grace period is over", clients=count)
            services.cancel_scope.cancel()
    log.info("stopped")
    running.ended.set()


@asynccontextmanager
async def _foundations(config: Config, listeners: Mapping[str, Listener]) -> AsyncIterator[Node]:
    """What every service stands on."""
    beat = Beat()
    connection = config.connection
    renditions = Renditions(config.rendition)
    fetcher = Fetcher(verify_tls=config.relay.verify_tls)
    tokens = ImTokens(config.im.token, fetcher.get)
    seats = SeatBook(tokens.verify, open_seats=config.rooms.open_seats)
    async with (
        # Outside of every nursery: an error of its start is raised as it is, in no group.
        opened_room_keys(config) as keys,
        open_scope("server", "livetrio") as root,
        open_registry(
            limits=RingLimits(gops=config.media.gop_num),
            pacer=Pacer(cap=config.media.merge_window, beat=beat),
            resume_window=config.media.resume_window,
        ) as registry,
        open_relays(
            registry,
            listeners=[listeners[name].address for name in _OURS if name in listeners],
            verify_tls=config.relay.verify_tls,
            timeouts=Timeouts(read=connection.read_timeout, write=connection.write_timeout),
            published_as=names_published_as(config, keys),
            edition_of=renditions.for_relays,
            outbound=outbound_webrtc(Editions(renditions), beat, Turn(config.turn)),
        ) as relays,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(beat.run, name="beat")
        yield Node(
            root=root,
            keys=keys,
            registry=registry,
            relays=relays,
            gate=Gate(config.apps, config.access, keys, seats=seats),
            seats=seats,
            tokens=tokens,
            fetcher=fetcher,
            renditions=renditions,
            beat=beat,
            caps=next((listener.caps for listener in listeners.values()), Caps()),
        )
        nursery.cancel_scope.cancel()


def _control_context(
    config: Config,
    node: Node,
    listeners: Mapping[str, Listener],
    recordings: Recordings,
    windows: HlsRenditions | None,
    rooms: Rooms,
    ready: Callable[[], bool],
) -> ControlContext:
    return ControlContext(
        root=node.root,
        registry=node.registry,
        keys=node.keys,
        relays=node.relays,
        gauges=Gauges(node.registry, rooms),
        recorded=recordings.counts,
        hls=windows,
        rooms=rooms,
        config=config.control,
        access=config.access,
        apps=config.apps,
        bound={
            name: Bound(listener.address.port, listener.tls is not None)
            for name, listener in listeners.items()
        },
        ready=ready,
    )


async def serve_until_signal(config: Config) -> None:
    """`serve` as a process runs it: SIGTERM or SIGINT ends it with goodbyes, a second at once.

    Raises:
        StartError: as `serve`.
    """
    _spare_the_collector()
    async with trio.open_nursery() as nursery:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            running: Running = await nursery.start(serve, config)
            nursery.start_soon(stop_on_signal, signals, running, nursery.cancel_scope)
            await running.ended.wait()
            nursery.cancel_scope.cancel()


async def stop_on_signal(
    signals: AsyncIterator[int], running: Running, at_once: trio.CancelScope
) -> None:
    """The first signal asks for goodbyes, the second does not wait for them."""
    async for number in signals:
        log.info("signal received", signal=signal.Signals(number).name)
        if running.stop.is_set():
            at_once.cancel()
        running.stop.set()


def _spare_the_collector() -> None:
    """What is loaded by now stays for good: the garbage collector need not look at it again.
    A full collection with hundreds of viewers takes 20 to 40 ms, in which nothing is sent."""
    gc.collect()
    gc.freeze()
    # In small portions: 10,000 x 20 new objects at once are 90 ms while a crowd comes in.
    gc.set_threshold(1_000, 10, 1_000)


def _raise_file_limit() -> None:
    """A connection is a file; the soft limit of 1,024 is for programs that use select()."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
