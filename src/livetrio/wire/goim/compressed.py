"""Bilibili's versions 2 and 3: a body that is a run of frames, deflated by zlib or brotli.

What a peer sends is inflated within a bound, step by step: the bomb of an attacker costs him as
much as us.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import brotli  # type: ignore[import-untyped]

from livetrio.errors import LocalProtocolError, RemoteProtocolError
from livetrio.wire.goim.frame import MAX_PACKAGE, Frame, Version, frames_within

__all__ = ["MAX_INFLATED", "deflated", "unpacked"]

MAX_INFLATED = 16 * MAX_PACKAGE
"""Bytes that one client's package may inflate to."""
_ZLIB_LEVEL = 6
_BROTLI_QUALITY = 5
"""About zlib's speed; the default of 11 is fifty times slower."""


def deflated(version: int, body: bytes) -> bytes:
    """A run of frames as the body of version ZLIB or BROTLI."""
    if version == Version.ZLIB:
        return zlib.compress(body, _ZLIB_LEVEL)
    if version == Version.BROTLI:
        return bytes(brotli.compress(body, quality=_BROTLI_QUALITY))
    raise LocalProtocolError(f"version {version} is not compressed")


def unpacked(frame: Frame) -> Iterator[Frame]:
    """The frames in a frame of version ZLIB or BROTLI; any other frame itself.

    Compressed frames within compressed ones are refused: nobody sends them, and they multiply.

    Raises:
        RemoteProtocolError: not what its version says, or more than MAX_INFLATED bytes.
    """
    if frame.version not in {Version.ZLIB, Version.BROTLI} or not frame.body:
        yield frame
        return
    inflate = _unzipped if frame.version == Version.ZLIB else _unbrotlied
    for inner in frames_within(inflate(frame.body)):
        if inner.version in {Version.ZLIB, Version.BROTLI} and inner.body:
            raise RemoteProtocolError("goim: compressed frames within a compressed frame")
        if len(inner.body) > MAX_PACKAGE:
            raise RemoteProtocolError(f"goim: a frame of {len(inner.body)} bytes in a batch")
        yield inner


def _unzipped(body: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(body, MAX_INFLATED)
    except zlib.error as error:
        raise RemoteProtocolError(f"goim: body of version 2 is not zlib's: {error}") from None
    if inflater.unconsumed_tail:
        raise RemoteProtocolError(f"goim: a body inflates to more than {MAX_INFLATED} bytes")
    if not inflater.eof or inflater.unused_data:
        raise RemoteProtocolError("goim: body of version 2 ends too early or too late")
    return data


def _unbrotlied(body: bytes) -> bytes:
    inflater = brotli.Decompressor()
    try:
        data = bytes(inflater.process(body, output_buffer_limit=MAX_INFLATED))
    except brotli.error as error:
        raise RemoteProtocolError(f"goim: body of version 3 is not brotli's: {error}") from None
    if len(data) > MAX_INFLATED or not inflater.can_accept_more_data():
        raise RemoteProtocolError(f"goim: a body inflates to more than {MAX_INFLATED} bytes")
    if not inflater.is_finished():
        raise RemoteProtocolError("goim: body of version 3 ends too early")
    return data
