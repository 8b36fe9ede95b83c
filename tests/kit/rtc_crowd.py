"""Fifty browsers' worth of WebRTC clients inside the test's own process, and one that publishes.

Each asks over HTTP, checks, shakes hands and decrypts what it gets; they end with their server.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass

import trio
from OpenSSL import SSL

from kit.http import http_client
from kit.ice_client import CERTIFICATE, IceClient, ice_client
from kit.rtp_source import RtpSource, avc_units, h264_payloads
from kit.sdp import offer
from livetrio.webrtc.ice import IceCredentials

__all__ = ["RtcCrowd", "credentials_in", "with_our_fingerprint"]

_ENDED = (OSError, EOFError, SSL.Error, trio.BrokenResourceError)
"""How the end of a server is met, at whatever point of a conversation."""
_H264 = 102
"""Payload type of the first H.264 in Chromium's recorded offer."""


def with_our_fingerprint(sdp: str) -> str:
    """A recorded description with the fingerprint of the kit's clients."""
    name, value = CERTIFICATE.fingerprint
    return re.sub(r"a=fingerprint:[^\r\n]*", f"a=fingerprint:{name} {value}", sdp)


def credentials_in(sdp: str) -> IceCredentials:
    """The server's, out of its answer."""
    found = [re.search(rf"a=ice-{word}:(\S+)", sdp) for word in ("ufrag", "pwd")]
    return IceCredentials(*(match[1] for match in found if match))


@dataclass(slots=True)
class RtcCrowd:
    """Peers of one server; each is an async function for a nursery, and ends with the server."""

    web_port: int
    webrtc_port: int
    name: str = "live/x"
    connected: int = 0
    received: int = 0
    """Media packets that viewers could decrypt."""

    async def publish(self) -> None:
        """Thirty small pictures a second, a key frame each second."""
        with suppress(*_ENDED):
            text = await self._ask("whip", "chromium-publish")
            async with ice_client(credentials_in(text), self._address) as client:
                await client.connect()
                source, number = RtpSource(0x1234, _H264), 0
                while True:
                    units = avc_units(key=number % 30 == 0, number=number % 30)
                    for packet in source.frame(h264_payloads(units)):
                        client.send_rtp(packet)
                    number += 1
                    await trio.sleep(1 / 30)

    async def watch(self) -> None:
        """From the offer on, until the server is gone."""
        with suppress(*_ENDED):
            text = await self._ask("whep", "chromium-play")
            async with ice_client(credentials_in(text), self._address) as client:
                await client.connect()
                self.connected += 1
                await self._count(client)

    async def _count(self, client: IceClient) -> None:
        while True:
            await client.receive_rtp()
            self.received += 1

    async def _ask(self, verb: str, recorded: str) -> str:
        body = with_our_fingerprint(offer(recorded)).encode()
        head = f"POST /{self.name}/{verb} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}"
        async with http_client(self.web_port) as client:
            await client.send(f"{head}\r\nContent-Type: application/sdp\r\n\r\n".encode() + body)
            answer = (await client.until(b"\r\n\r\n")).decode("latin-1").lower()
            size = re.search(r"content-length: (\d+)", answer)
            if not answer.startswith("http/1.1 201") or size is None:
                raise OSError(answer)
            return (await client.exactly(int(size[1]))).decode()

    @property
    def _address(self) -> tuple[str, int]:
        return "127.0.0.1", self.webrtc_port
