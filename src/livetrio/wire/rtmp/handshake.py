"""RTMP's handshake from both sides (RTMP 1.0, section 5.2), with and without the digest.

Both classes are fed until `done`; whatever came behind the handshake is then in `rest`. Memory
is bounded by the 3073 bytes a side has to wait for.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Final

from livetrio.errors import RemoteProtocolError
from livetrio.wire.rtmp import digest as digests

__all__ = ["PACKET_SIZE", "ClientHandshake", "RandomBytes", "ServerHandshake"]

RandomBytes = Callable[[int], bytes]
"""Gives that many random bytes: `os.urandom`, or something repeatable in a test."""

VERSION: Final = 3
PACKET_SIZE: Final = 1536
"""Bytes of each of C1, C2, S1 and S2."""

_SERVER_VERSION: Final = bytes((4, 5, 0, 1))
"""Flash Media Server 4.5.0.1. From 3 on, clients check that S1 and S2 are signed; they are."""

_CLIENT_VERSION: Final = bytes((9, 0, 124, 2))
"""Flash Player 9.0.124.2, the first with the digest, and what FFmpeg claims to be."""

_ZERO: Final = bytes(4)


class _Handshake(abc.ABC):
    """What both sides do alike: one byte of version, one packet to answer, one to wait for."""

    def __init__(self, random: RandomBytes) -> None:
        self._random = random
        self._buffer = bytearray()
        self._answered = False
        self.done = False
        self.rest = b""
        """Once done: the bytes that came behind the handshake."""

    def feed(self, data: bytes) -> bytes:
        """Take what the peer sent, while not `done`; returns what to send to it.

        Raises:
            RemoteProtocolError: the first byte is not the version of plain RTMP.
        """
        buffer = self._buffer
        buffer += data
        reply = b""
        if buffer and not self._answered:
            self._check_version(buffer[0])
            if len(buffer) > PACKET_SIZE:
                reply = self._answer(bytes(buffer[1 : 1 + PACKET_SIZE]))
                self._answered = True
                del buffer[: 1 + PACKET_SIZE]
        if self._answered and len(buffer) >= PACKET_SIZE:
            self.done = True
            self.rest = bytes(buffer[PACKET_SIZE:])
            buffer.clear()
        return reply

    @abc.abstractmethod
    def _check_version(self, version: int) -> None:
        """Raise RemoteProtocolError, naming what arrived, unless `version` is plain RTMP's."""

    @abc.abstractmethod
    def _answer(self, packet: bytes) -> bytes:
        """What to send on the peer's C1 or S1."""


class ServerHandshake(_Handshake):
    """The side that is connected to: waits for C0 and C1, answers S0 S1 S2, waits for C2.

    C1 decides the flavour: with a valid digest in either schema the answer is signed, otherwise
    it is the plain one of the specification, which echoes C1. What C2 says is not looked at
    (too many clients send nonsense there), only that it came.
    """

    def _check_version(self, version: int) -> None:
        _check_client_version(version)

    def _answer(self, packet: bytes) -> bytes:
        noise = self._random(PACKET_SIZE - 8)
        # A client of the specification leaves bytes 4 to 7 zero: no digest to be looked for.
        found = None
        if packet[4:8] != _ZERO:
            found = digests.find_digest(packet, digests.CLIENT_KEY)
        if found is None:
            return bytes((VERSION,)) + _ZERO + _ZERO + noise + packet
        schema, digest = found
        s1, _ = digests.sign(_ZERO + _SERVER_VERSION + noise, digests.SERVER_KEY, schema)
        s2 = digests.answer(self._random(PACKET_SIZE - 32), digest, digests.SERVER_KEY)
        return bytes((VERSION,)) + s1 + s2


class ClientHandshake(_Handshake):
    """The side that connects: C0 and C1 at once (`start`), C2 on S1, done after S2.

    C1 carries a digest in schema 0, which servers that know nothing of it take for random
    bytes; `signed=False` sends the plain C1 for those that choke on the version field. A server
    without a digest of its own gets S1 echoed, as the specification has it. S2 is not judged.
    """

    def __init__(self, random: RandomBytes, *, signed: bool = True) -> None:
        super().__init__(random)
        c1 = _ZERO + (_CLIENT_VERSION if signed else _ZERO) + random(PACKET_SIZE - 8)
        if signed:
            c1, _ = digests.sign(c1, digests.CLIENT_KEY, 0)
        self.start = bytes((VERSION,)) + c1
        """C0 and C1: what to send before anything arrives."""

    def _check_version(self, version: int) -> None:
        if version != VERSION:
            raise RemoteProtocolError(
                f"handshake: the server answers with version {version}, not RTMP's {VERSION}"
            )

    def _answer(self, packet: bytes) -> bytes:
        found = None
        if packet[4:8] != _ZERO:
            found = digests.find_digest(packet, digests.SERVER_KEY)
        if found is None:
            return packet
        _, digest = found
        return digests.answer(self._random(PACKET_SIZE - 32), digest, digests.CLIENT_KEY)


def _check_client_version(version: int) -> None:
    """Raise RemoteProtocolError, naming what arrived, unless C0 asks for plain RTMP.

    Only the first byte is judged, so that the reason does not depend on how the bytes were cut.
    """
    match version:
        case 3:
            return
        case 0x16:
            what = "a TLS hello on the plain RTMP port (use rtmp://, or the RTMPS port)"
        case 6 | 8 | 9:
            what = "RTMPE (encrypted RTMP), which is not supported"
        case 0 | 1 | 2:
            what = "an obsolete RTMP version"
        case _ if chr(version) in "ABCDEFGHIJKLMNOPQRSTUVWXYZ":
            what = "HTTP or RTMPT (RTMP tunnelled in HTTP) by its looks, on the RTMP port"
        case _ if version < 32:
            what = "a reserved RTMP version"
        case _:
            what = "not RTMP"
    raise RemoteProtocolError(f"handshake: first byte 0x{version:02x} is {what}")
