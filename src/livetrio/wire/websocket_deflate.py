"""permessage-deflate without context takeover (RFC 7692), for WebSockets.

Without a context a message's compressed form depends on nothing but the message: one compressed
frame is right for everybody who agreed on the extension, and an idle connection holds no window.
"""

from __future__ import annotations

import zlib

__all__ = ["agreed_extension", "deflate", "inflate"]

_AGREED = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
_TAIL = b"\x00\x00\xff\xff"
"""What a sync flush ends in; it is left out on the wire (section 7.2.1)."""
_WINDOW = 15
_LEVEL = 6
_FLAGS = frozenset({"server_no_context_takeover", "client_no_context_takeover"})


def agreed_extension(header: str) -> str | None:
    """What to answer to a Sec-WebSocket-Extensions header; None if nothing in it suits us.

    An offer that wants a smaller window of the server is declined: the shared frame is made with
    the largest (section 7.1.2.1 lets a server decline).
    """
    for offer in header.split(","):
        name, *parameters = (part.strip() for part in offer.split(";"))
        if name.lower() == "permessage-deflate" and _suits(parameters):
            return _AGREED
    return None


def _suits(parameters: list[str]) -> bool:
    seen = set()
    for parameter in parameters:
        name, equals, value = (part.strip() for part in parameter.partition("="))
        value = value.removeprefix('"').removesuffix('"')
        if name in seen:
            return False
        seen.add(name)
        if name in _FLAGS and not equals:
            continue
        if name == "client_max_window_bits" and (not equals or _is_bits(value)):
            continue  # it may use fewer; our window is large enough for any
        if name == "server_max_window_bits" and value == str(_WINDOW):
            continue
        return False
    return True


def _is_bits(value: str) -> bool:
    return value in {"8", "9", "10", "11", "12", "13", "14", "15"}


def deflate(payload: bytes) -> bytes:
    """A message's payload as it goes into a frame with RSV1 (section 7.2.1)."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, -_WINDOW)
    data = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return data.removesuffix(_TAIL)


def inflate(payload: bytes, limit: int) -> bytes | None:
    """A whole message's payload; None if it is longer than `limit` bytes. No more than that is
    ever inflated.

    Raises:
        ValueError: not deflate's.
    """
    inflater = zlib.decompressobj(-_WINDOW)
    try:
        data = inflater.decompress(payload + _TAIL, limit + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    return data if len(data) <= limit else None
