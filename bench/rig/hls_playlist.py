"""What a low-latency player needs of a playlist: which part comes next, and under which name."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Edge", "body_of", "edge_of", "segments_of"]


class Edge(NamedTuple):
    """The live edge of a playlist."""

    msn: int
    """Of the segment that is not whole yet."""
    part: int
    """Number of the part that comes next in it."""
    hint: str
    """Its URI, relative to the playlist's; "" if the playlist has no parts."""


def edge_of(text: str) -> Edge:
    """Read a media playlist."""
    first = whole = trailing = 0
    hint = ""
    for line in text.splitlines():
        if line.startswith("#EXT-X-MEDIA-SEQUENCE:"):
            first = int(line.partition(":")[2])
        elif line.startswith("#EXT-X-PART:"):
            trailing += 1
        elif line.startswith("#EXT-X-PRELOAD-HINT:"):
            hint = line.partition('URI="')[2].partition('"')[0]
        elif line and not line.startswith("#"):
            whole += 1
            trailing = 0
    return Edge(first + whole, trailing, hint)


def segments_of(text: str) -> list[str]:
    """The URIs of a media playlist's segments."""
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def body_of(response: bytes) -> tuple[int, int] | None:
    """Where the body of an HTTP response begins and ends; None while its head is not whole.

    Raises:
        ValueError: it is not a 200 with a Content-Length.
    """
    start = response.find(b"\r\n\r\n") + 4
    if start < 4:
        return None
    head = response[:start]
    if not head.startswith(b"HTTP/1.1 200"):
        raise ValueError(head.split(b"\r\n")[0].decode("latin-1"))
    size = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
    return start, start + int(size)
