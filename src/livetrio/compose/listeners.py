"""Every address is bound before anything is started: a port in use leaves no trace."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields

from livetrio.config import Address, Config, Endpoint
from livetrio.errors import StartError
from livetrio.logs import get_logger
from livetrio.net.listen import Caps, Listener, bind
from livetrio.net.outbox import OutboxLimits
from livetrio.net.tls import ServerTls
from livetrio.webrtc.candidates import Sockets, bind_sockets

__all__ = ["bound_listeners", "bound_media_sockets"]

log = get_logger(__name__)

_IM = frozenset({"im", "goim_tcp", "goim_push"})
_IM_QUEUE = 2 << 20
"""Bytes: more than `HubLimits.keep_all`, where the hub itself closes a member as slow."""


@contextmanager
def bound_listeners(config: Config, *, replace_busy: bool) -> Iterator[dict[str, Listener]]:
    """By name: those that the configuration does not turn off, until the block ends.

    replace_busy: take a free port where the configured one is in use, and say so.

    Raises:
        StartError: a port is in use, or no address of this host.
    """
    connection = config.connection
    caps = Caps(connection.max_connections, connection.max_connections_per_ip)
    limits = OutboxLimits(lag=connection.max_lag, stall=connection.write_timeout)
    im_limits = OutboxLimits(size=_IM_QUEUE, stall=connection.write_timeout)
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
                limits=im_limits if place.name in _IM else limits,
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


@contextmanager
def bound_media_sockets(config: Config, *, replace_busy: bool) -> Iterator[Sockets | None]:
    """WebRTC's, likewise; None where it is off, or has an engine that needs none."""
    webrtc = config.webrtc
    if webrtc.address is None or webrtc.engine != "gateway":
        yield None
        return
    with ExitStack() as bound:
        try:
            sockets = bound.enter_context(bind_sockets(webrtc.address, ice_tcp=webrtc.ice_tcp))
        except StartError as error:
            if not replace_busy:
                raise
            free = Address(webrtc.address.host, 0)
            sockets = bound.enter_context(bind_sockets(free, ice_tcp=webrtc.ice_tcp))
            log.warning("using a free port instead", reason=str(error), port=sockets.port)
        yield sockets
