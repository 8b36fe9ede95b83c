"""STUN and TURN servers for our own peer connections: those that are configured, and no others."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from typing import Final

import trio
from aiortc import RTCIceServer

from livetrio.logs import get_logger
from livetrio.webrtc.turn import IceServer, Turn

__all__ = ["ice_servers"]

log = get_logger(__name__)

_DNS: Final = 2.0
"""Seconds: without an answer the server is left out, and the rest works."""
_PLAIN: Final = re.compile(r"(?P<scheme>stun|turn):(?P<host>\[[^\]]+\]|[^:?]+)(?P<rest>.*)")
"""RFC 7064 and 7065 without TLS; with TLS the name has to be that of the certificate."""


async def ice_servers(turn: Turn | None) -> Sequence[RTCIceServer]:
    """The configured servers with credentials of our own, their names resolved.

    aiortc would resolve a name in a thread that nobody can cancel; here a dead DNS costs two
    seconds, once for each description, and no thread that anything waits for.
    """
    found = []
    for server in turn.servers("livetrio", proven=True) if turn else ():
        url = await _resolved(server)
        if url:
            found.append(RTCIceServer(url, server.username or None, server.credential or None))
    return found


async def _resolved(server: IceServer) -> str:
    match = _PLAIN.fullmatch(server.url)
    if match is None:
        return server.url
    host = match["host"].strip("[]")
    with trio.move_on_after(_DNS):
        try:
            found = await trio.socket.getaddrinfo(host, None, type=trio.socket.SOCK_DGRAM)
        except OSError as error:
            log.warning("ICE server left out", host=host, reason=str(error))
            return ""
        # aiortc's reader of URLs knows no IPv6 literals.
        addresses = [place[0] for family, _, _, _, place in found if family == socket.AF_INET]
        return f"{match['scheme']}:{addresses[0]}{match['rest']}" if addresses else ""
    log.warning("ICE server left out", host=host, reason=f"no DNS answer within {_DNS:g} s")
    return ""
