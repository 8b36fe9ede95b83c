"""The composition root: reads a configuration, builds everything, owns the one nursery."""

from __future__ import annotations

import resource
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, fields
from functools import partial

import trio

from livetrio.access.gate import FlvGate, Gate
from livetrio.config import Address, Config, Endpoint
from livetrio.control.context import Bound, ControlContext
from livetrio.control.gauges import Gauges
from livetrio.control.operator import operator_app
from livetrio.control.public import public_app
from livetrio.control.serve import serve_app
from livetrio.delivery.flv import FlvPlayers
from livetrio.errors import StartError
from livetrio.ingest.flv_push import FlvPublishers
from livetrio.ingest.relay import open_relays
from livetrio.ingest.relay_attempt import Timeouts
from livetrio.ingest.rtmp import RtmpService, reading_pacer
from livetrio.ingest.static_push import push_statically
from livetrio.logs import get_logger
from livetrio.media.registry import Registry, open_registry
from livetrio.media.ring import RingLimits
from livetrio.net.beat import Beat
from livetrio.net.fanout import Pacer
from livetrio.net.http import HttpServer
from livetrio.net.listen import Caps, Listener, bind, serve_listener
from livetrio.net.outbox import OutboxLimits
from livetrio.net.scope import open_scope
from livetrio.net.tls import ServerTls
from livetrio.packet import StreamKey
from livetrio.store.keys import RoomKeys
from livetrio.store.sqlite import open_sqlite_keys

__all__ = ["Running", "serve", "serve_until_signal", "stop_on_signal"]

log = get_logger(__name__)

_STOPPING = "the server is stopping"


@dataclass(frozen=True)
class Running:
    """A server that is up."""

    addresses: Mapping[str, Address]
    """Where it listens: rtmp, rtmps, httpflv, web, api."""
    keys: RoomKeys
    registry: Registry
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
    ended = trio.Event()
    beat = Beat()
    with _listeners(config, replace_busy=replace_busy_ports) as listeners:
        async with (
            # Outside of every nursery: an error of its start is raised as it is, in no group.
            _room_keys(config) as keys,
            open_scope("server", "livetrio") as root,
            open_registry(
                limits=RingLimits(gops=config.media.gop_num),
                pacer=Pacer(cap=config.media.merge_window, beat=beat),
                resume_window=config.media.resume_window,
            ) as registry,
            open_relays(
                registry,
                listeners=[listeners[name].address for name in _STREAM_PLANE if name in listeners],
                verify_tls=config.relay.verify_tls,
                timeouts=Timeouts(
                    read=config.connection.read_timeout, write=config.connection.write_timeout
                ),
                published_as=_published_as(config, keys),
            ) as relays,
            trio.open_nursery() as services,
        ):
            ready = False
            context = ControlContext(
                root=root,
                registry=registry,
                keys=keys,
                relays=relays,
                gauges=Gauges(registry),
                config=config.control,
                access=config.access,
                apps=config.apps,
                bound={
                    name: Bound(listener.address.port, listener.tls is not None)
                    for name, listener in listeners.items()
                },
                ready=lambda: ready,
            )
            services.start_soon(beat.run, name="beat")
            services.start_soon(context.gauges.run, name="gauges")
            targets = {name: app.static_push for name, app in config.apps.items()}
            services.start_soon(push_statically, registry, relays, targets, name="static push")
            addresses = {}
            gate = Gate(config.apps, config.access, keys)
            for name, serve_one in _services(config, context, gate, beat, listeners).items():
                addresses[name] = await services.start(serve_one, name=name)
            running = Running(addresses, keys, registry, ended=ended)
            ready = True
            for name, address in addresses.items():
                log.info("listening", name=name, address=str(address))
            task_status.started(running)
            await running.stop.wait()
            ready = False
            log.info("stopping", grace=config.connection.grace_period)
            with trio.move_on_after(config.connection.grace_period) as grace:
                relays.shut(_STOPPING)
                for listener in listeners.values():
                    listener.accepting.cancel()
                await registry.drain(_STOPPING)
            if grace.cancelled_caught:
                log.warning("the grace period is over", clients=len(list(registry.clients())))
            services.cancel_scope.cancel()
    log.info("stopped")
    ended.set()


async def serve_until_signal(config: Config) -> None:
    """`serve` as a process runs it: SIGTERM or SIGINT ends it with goodbyes, a second at once.

    Raises:
        StartError: as `serve`.
    """
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


_STREAM_PLANE = ("rtmp", "rtmps", "httpflv")
_Serve = Callable[..., Awaitable[object]]


def _services(
    config: Config,
    context: ControlContext,
    gate: Gate,
    beat: Beat,
    listeners: Mapping[str, Listener],
) -> dict[str, _Serve]:
    """By listener: what to start in the nursery."""
    registry, connection, media = context.registry, config.connection, config.media
    rtmp = RtmpService(
        registry,
        gate,
        play_wait=media.play_wait,
        read_timeout=connection.read_timeout,
        pacer=reading_pacer(beat),
    )
    flv_gate = FlvGate(gate, config.apps)
    players = FlvPlayers(registry, flv_gate, play_wait=media.play_wait)
    publishers = FlvPublishers(registry, flv_gate, read_timeout=connection.read_timeout)
    http = HttpServer(
        [*players.routes(), *publishers.routes(), players.fallback()],
        trusted=connection.trusted_proxies,
        caps=listeners["httpflv"].caps if "httpflv" in listeners else None,
    )
    handlers: dict[str, _Serve] = {
        "rtmp": partial(serve_listener, handler=rtmp.serve),
        "rtmps": partial(serve_listener, handler=rtmp.serve),
        "httpflv": partial(serve_listener, handler=http),
        "web": partial(serve_app, public_app(context)),
        "api": partial(serve_app, operator_app(context)),
    }
    return {
        name: partial(handlers[name], listener=listener) for name, listener in listeners.items()
    }


@contextmanager
def _listeners(config: Config, *, replace_busy: bool) -> Iterator[dict[str, Listener]]:
    """Bind every address before anything is started: a port in use leaves no trace."""
    connection = config.connection
    caps = Caps(connection.max_connections, connection.max_connections_per_ip)
    limits = OutboxLimits(lag=connection.max_lag, stall=connection.write_timeout)
    with ExitStack() as bound:
        listeners = {}
        for place in fields(config.listen):
            endpoint: Endpoint = getattr(config.listen, place.name)
            if endpoint.address is None:
                continue
            sock = bound.enter_context(
                _bind_or_replace(place.name, endpoint.address, replace_busy=replace_busy)
            )
            listeners[place.name] = Listener(
                place.name,
                sock,
                tls=ServerTls(endpoint.tls.cert, endpoint.tls.key) if endpoint.tls else None,
                trusted=connection.trusted_proxies,
                limits=limits,
                caps=caps,
            )
        yield listeners


def _bind_or_replace(name: str, address: Address, *, replace_busy: bool) -> socket.socket:
    try:
        return bind(name, address)
    except StartError as error:
        if not replace_busy:
            raise
        sock = bind(name, Address(address.host, 0))
        log.warning("using a free port instead", reason=str(error), port=sock.getsockname()[1])
        return sock


@asynccontextmanager
async def _room_keys(config: Config) -> AsyncIterator[RoomKeys]:
    redis = config.store.redis
    if redis is None:
        async with open_sqlite_keys(config.store.data_dir) as sqlite_keys:
            yield sqlite_keys
    else:
        # Its client costs 70 ms and 9 MB to import: only for those who use it.
        from livetrio.store.redis import open_redis_keys

        host = redis.address.host or "127.0.0.1"
        async with open_redis_keys(host, redis.address.port, redis.password) as redis_keys:
            yield redis_keys


def _published_as(config: Config, keys: RoomKeys) -> Callable[[StreamKey], Awaitable[StreamKey]]:
    """What `access` makes of a name that somebody publishes to us under."""

    async def published_as(key: StreamKey) -> StreamKey:
        if (room := await keys.room_of(key.name)) is not None:
            return key._replace(name=room)
        app = config.apps.get(key.app)
        if app is not None and app.auth == "key" and not config.access.rtmp_noauth:
            return key._replace(name=await keys.key_of(key.name) or key.name)
        return key

    return published_as


def _raise_file_limit() -> None:
    """A connection is a file; the soft limit of 1,024 is for programs that use select()."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
