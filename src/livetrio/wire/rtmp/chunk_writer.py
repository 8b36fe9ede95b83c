"""RTMP's chunk stream, writing: stateless, so that one encoding serves every player."""

from __future__ import annotations

from livetrio.wire.rtmp.chunks import EXTENDED

__all__ = ["encode_message"]


def encode_message(
    type_id: int, timestamp: int, stream_id: int, csid: int, body: bytes, chunk_size: int
) -> bytes:
    """One message as a type 0 chunk and as many type 3 chunks as its length needs.

    Nothing refers to an earlier message, so the same bytes are right for every peer that was
    told this `chunk_size`, wherever in its stream it is. Compressed headers would save 8 of
    some 1500 bytes and cost that.

    Args:
        type_id: message type.
        timestamp: milliseconds; taken modulo 2**32.
        stream_id: message stream id, 0 for the connection itself.
        csid: chunk stream id, 2 to 65599.
        body: at most 0xFFFFFF bytes.
        chunk_size: as announced to the peer.
    """
    timestamp &= 0xFFFF_FFFF
    size = len(body)
    if timestamp < EXTENDED:
        time, extended = timestamp.to_bytes(3, "big"), b""
    else:
        time, extended = b"\xff\xff\xff", timestamp.to_bytes(4, "big")
    header = b"".join(
        (
            _basic_header(0, csid),
            time,
            size.to_bytes(3, "big"),
            type_id.to_bytes(1, "big"),
            stream_id.to_bytes(4, "little"),
            extended,
        )
    )
    if size <= chunk_size:
        return header + body
    # Repeated in type 3, as Flash does and ours (and everybody's) reader expects first.
    between = _basic_header(3, csid) + extended
    pieces = [body[at : at + chunk_size] for at in range(0, size, chunk_size)]
    return header + between.join(pieces)


def _basic_header(kind: int, csid: int) -> bytes:
    if csid < 64:
        return bytes((kind << 6 | csid,))
    if csid < 320:
        return bytes((kind << 6, csid - 64))
    return bytes((kind << 6 | 1, (csid - 64) & 0xFF, (csid - 64) >> 8))
