"""`livetrio demo`: a server, a test picture published to it over real RTMP, and where to look."""

from __future__ import annotations

import ipaddress
import secrets
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import segno
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from livetrio.app import Running, serve, stop_on_signal
from livetrio.config import Address, Config, Endpoint, ImConfig, ListenConfig, TlsConfig
from livetrio.demo_source import FPS, demo_flv
from livetrio.ingest.rtmp_peer import RtmpPeer
from livetrio.logs import get_logger
from livetrio.net.dial import AddressPolicy, Remote, dial
from livetrio.net.guard import guarded
from livetrio.net.outbox import OutboxLimits
from livetrio.wire.flv import FileReader
from livetrio.wire.rtmp.client import ClientSession
from livetrio.wire.rtmp.url import RtmpUrl

__all__ = ["demo"]

log = get_logger(__name__)

_ROOM = "demo"
_OBS_ROOM = "movie"
_COHOST_ROOM = "live/party"
_PAUSE = 2.0
"""Seconds until an ended demo stream is published again."""


async def demo(config: Config, lan: bool) -> None:
    """Run until SIGTERM or SIGINT.

    Args:
        config: what flags and environment say; the data folder is a temporary one.
        lan: serve page and video over HTTPS on the LAN address, with a QR code for a phone.
    """
    with _prepared(config, lan) as place:
        async with trio.open_nursery() as nursery:
            with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                running: Running = await nursery.start(
                    partial(serve, place.config, replace_busy_ports=True)
                )
                nursery.start_soon(stop_on_signal, signals, running, nursery.cancel_scope)
                key = await running.keys.get(_ROOM)
                nursery.start_soon(_publish, running.addresses["rtmp"].port, key)
                print(await _announcement(place, running), flush=True)
                await running.ended.wait()
                nursery.cancel_scope.cancel()


@dataclass(frozen=True)
class _Place:
    config: Config
    host: str
    """As others reach this machine."""
    secure: bool


@contextmanager
def _prepared(config: Config, lan: bool) -> Iterator[_Place]:
    with tempfile.TemporaryDirectory(prefix="livetrio-demo-") as folder:
        store = replace(config.store, data_dir=Path(folder) / "data")
        config = replace(config, store=store, im=_for_guests(config.im))
        host = _lan_address() if lan else "127.0.0.1"
        if not lan:
            yield _Place(_on_loopback(config), host, False)
            return
        tls = _self_signed(Path(folder), host)
        # A page that came by HTTPS may ask nothing of a port without it.
        asked = ("web", "httpflv", "hls", "im")
        secured = {name: replace(getattr(config.listen, name), tls=tls) for name in asked}
        listen = replace(config.listen, **secured)
        yield _Place(replace(config, listen=listen), host, True)


def _for_guests(im: ImConfig) -> ImConfig:
    """Whoever opens a page may chat, and open a room: nobody has a site's token here. Without
    tokens of its own the demo has a new secret each time."""
    token = replace(im.token, secret=im.token.secret or secrets.token_urlsafe(32))
    return replace(im, token=token, guests=True, guest_roles=im.guest_roles or ("host",))


def _on_loopback(config: Config) -> Config:
    """Somebody who tries a demo has not asked to open ports to the whole network."""

    def local(endpoint: Endpoint) -> Endpoint:
        if endpoint.address is None or endpoint.address.host is not None:
            return endpoint
        return replace(endpoint, address=Address("127.0.0.1", endpoint.address.port))

    places = {place.name: getattr(config.listen, place.name) for place in fields(config.listen)}
    webrtc = config.webrtc
    if webrtc.address is not None and webrtc.address.host is None:
        webrtc = replace(webrtc, address=webrtc.address._replace(host="127.0.0.1"))
    return replace(
        config,
        listen=ListenConfig(**{name: local(endpoint) for name, endpoint in places.items()}),
        webrtc=webrtc,
    )


async def _announcement(place: _Place, running: Running) -> str:
    ports = {name: address.port for name, address in running.addresses.items()}
    host, scheme, ws = place.host, *(("https", "wss") if place.secure else ("http", "ws"))
    web = f"{scheme}://{host}:{ports['web']}"
    page = f"{web}/player?stream=live/{_ROOM}"
    lines = [
        "",
        "livetrio demo is on air. A test card with a clock is being published over RTMP.",
        "",
        f"  Open this page   {page}",
        f"  Talk together    {web}/room?room={_COHOST_ROOM}&kind=video&free=1",
        "                   (in two tabs: each is another guest; a name, Join in, and you meet)",
        f"  Console          http://127.0.0.1:{ports['api']}/console/",
        "",
        f"  Watch as RTMP      rtmp://{host}:{ports['rtmp']}/live/{_ROOM}",
        f"  Watch as HTTP-FLV  {scheme}://{host}:{ports['httpflv']}/live/{_ROOM}.flv",
        f"  Watch as WS-FLV    {ws}://{host}:{ports['httpflv']}/live/{_ROOM}.flv",
        "",
        "  Publish with OBS (Settings, Stream, Service: Custom)",
        f"    Server           rtmp://{host}:{ports['rtmp']}/live",
        f"    Stream Key       {await running.keys.get(_OBS_ROOM)}",
        f"    and watch it at  {web}/player?stream=live/{_OBS_ROOM}",
        "",
    ]
    if place.secure:
        lines += [
            "  For a phone in the same network (it will warn of a self-signed certificate: go on;",
            f"  then open {scheme}://{host}:{ports['httpflv']}/streams once, and accept that too):",
            "",
            _qr_code(page),
        ]
    lines.append("  Ctrl+C ends it.")
    return "\n".join(lines)


async def _publish(port: int, key: str) -> None:
    """Publish for ever: who ends the demo's stream from the console sees it come back."""
    while True:
        with guarded(lambda error: log.info("demo publisher ended", reason=str(error))):
            await _publish_once(port, key)
        await trio.sleep(_PAUSE)


async def _publish_once(port: int, key: str) -> None:
    """Encode and send in real time, as an encoder on another machine would."""
    url = RtmpUrl.parse(f"rtmp://127.0.0.1:{port}/live/{key}")
    remote = Remote("127.0.0.1", port)
    async with dial(remote, policy=AddressPolicy.ANY, limits=OutboxLimits()) as connection:
        peer = RtmpPeer(connection, ClientSession(url, publish=True))
        await peer.agree()
        connection.scope.nursery.start_soon(peer.listen, name="demo replies")
        reader = FileReader()
        pieces = demo_flv(time.time())
        begun = trio.current_time()
        number = 0
        while True:
            # next() in a thread: the encoder works there, and only one call is under way.
            peer.send(reader.feed(await trio.to_thread.run_sync(next, pieces)))
            number += 1
            await trio.sleep_until(begun + number / FPS)


def _lan_address() -> str:
    """The address by which this machine would reach others; nothing is sent to find out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1: only asks for the route
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def _self_signed(folder: Path, host: str) -> TlsConfig:
    """A certificate for one week and this address; camera and WebRTC need a secure context."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "livetrio demo")])
    now = datetime.now(UTC)
    names = [x509.IPAddress(ipaddress.ip_address(host)), x509.DNSName("localhost")]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=7))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = TlsConfig(cert=folder / "demo.crt", key=folder / "demo.key")
    files.cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


def _qr_code(text: str) -> str:
    """For a terminal: two modules per character, by half blocks."""
    rows = [
        [bool(module) for module in row]
        for row in segno.make(text, error="m").matrix_iter(border=2)
    ]
    rows += [[False] * len(rows[0])] * (len(rows) % 2)
    blocks = {(True, True): " ", (True, False): "▄", (False, True): "▀", (False, False): "█"}
    return "\n".join(
        "  " + "".join(blocks[above, below] for above, below in zip(upper, lower, strict=True))
        for upper, lower in zip(rows[::2], rows[1::2], strict=True)
    )
