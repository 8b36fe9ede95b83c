"""TURN: allocate on every configured server, and try to send where nobody may."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import parse_qsl

import trio

from livetrio.config import Config
from livetrio.doctor.finding import Finding
from livetrio.doctor.turn_line import connected
from livetrio.errors import RemoteProtocolError
from livetrio.webrtc.turn import Turn
from livetrio.wire.turn import TurnDialogue, TurnReply

__all__ = ["TurnUrl", "check_turn"]

_PATIENCE = 5.0
"""Seconds for a name, a connection and an allocation together."""
_LOOPBACK = "127.0.0.1"
_FORBIDDEN = 403


@dataclass(frozen=True, slots=True)
class TurnUrl:
    """A URI of RFC 7065 (or 7064) taken apart."""

    scheme: str
    host: str
    port: int
    transport: str
    """ "udp" or "tcp"; with TLS for turns and stuns."""

    @classmethod
    def parse(cls, url: str) -> TurnUrl:
        """The parts of a URL that configuration has checked."""
        scheme, _, rest = url.partition(":")
        address, _, query = rest.partition("?")
        secure = scheme.endswith("s")
        if address.startswith("["):
            host, _, port = address[1:].partition("]")
        else:
            host, _, port = address.partition(":")
        usual = "tcp" if secure else "udp"
        transport = dict(parse_qsl(query)).get("transport", usual)
        return cls(scheme, host, int(port.lstrip(":") or (5349 if secure else 3478)), transport)


async def check_turn(config: Config) -> AsyncIterator[Finding]:
    """Each server that clients are told of."""
    if not config.turn.urls:
        yield Finding(
            "warning",
            "turn.urls",
            "no TURN server: browsers behind strict firewalls cannot publish or watch by WebRTC",
            "turn/coturn.conf is ready for Coturn; docs/webrtc.md says how",
        )
        return
    grant = Turn(config.turn).grant("livetrio doctor", proven=True)
    for text in config.turn.urls:
        url = TurnUrl.parse(text)
        if url.scheme.startswith("stun"):
            continue
        if url.scheme == "turns" and url.transport == "udp":
            yield Finding("ok", text, "not tried: DTLS is for browsers")
            continue
        found = [_silent(text, url)]
        with trio.move_on_after(_PATIENCE):
            found = await _try(text, url, TurnDialogue(grant.username, grant.password))
        for finding in found:
            yield finding


async def _try(text: str, url: TurnUrl, dialogue: TurnDialogue) -> list[Finding]:
    try:
        async with connected(
            url.host, url.port, url.transport, secure=url.scheme == "turns"
        ) as line:
            reply = await line.ask(dialogue, dialogue.allocate)
            if reply.error:
                return [_refused(text, reply)]
            host, port = reply.relayed or ("", 0)
            found = [Finding("ok", text, f"gives relay addresses ({host}:{port})")]
            found += _permission(text, await line.ask(dialogue, lambda: dialogue.permit(_LOOPBACK)))
            with suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                await line.send(dialogue.release())
            return found
    except socket.gaierror:
        advice = "look at the name in turn.urls, and at this host's DNS"
        return [Finding("error", text, f"{url.host} is no known name", advice)]
    except ssl.SSLError as error:
        advice = "its certificate has to be in force and for that name"
        return [Finding("error", text, f"TLS: {error.reason or error}", advice)]
    except RemoteProtocolError as error:
        return [Finding("error", text, str(error), "is it a TURN server?")]
    except (OSError, trio.BrokenResourceError, EOFError) as error:
        cause = error.__cause__ or error
        if isinstance(cause, ssl.SSLError):
            advice = "its certificate has to be in force and for that name"
            return [Finding("error", text, f"TLS: {cause.reason or cause}", advice)]
        advice = f"is Coturn running, and {url.transport.upper()} port {url.port} open?"
        return [Finding("error", text, f"no connection: {cause}", advice)]


def _permission(text: str, reply: TurnReply) -> Iterator[Finding]:
    """Coturn answers 403 where denied-peer-ip has the range."""
    if reply.error == _FORBIDDEN:
        yield Finding("ok", text, "relays nothing to loopback addresses")
    elif not reply.error:
        yield Finding(
            "error",
            text,
            "relays to loopback addresses: its users can reach what listens inside its host",
            "take the denied-peer-ip lines of turn/coturn.conf, and remove allow-loopback-peers",
        )


def _refused(text: str, reply: TurnReply) -> Finding:
    advice = f"the server's log says why it answers {reply.error}"
    if reply.error == 401:
        advice = "turn.secret has to be Coturn's static-auth-secret (with use-auth-secret), and "
        advice += "the clocks of both hosts have to agree"
    elif reply.error == 486:
        advice = "user-quota or total-quota of Coturn is used up"
    return Finding("error", text, f"no allocation: {reply.error} {reply.reason}", advice)


def _silent(text: str, url: TurnUrl) -> Finding:
    advice = f"is Coturn running on {url.host}, and {url.transport.upper()} port {url.port} open?"
    return Finding("error", text, f"no answer within {_PATIENCE:g} s", advice)
