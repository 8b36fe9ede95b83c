"""Ranges: which bytes of a file a request wants, and whether it has them already.

Source: RFC 9110 sections 13 (conditional requests) and 14 (ranges). Of several ranges none is
sent alone: the whole file is, as section 14.2 allows.
"""

from __future__ import annotations

import re
from email.utils import formatdate
from typing import Final, NamedTuple

from livetrio.net.request import Headers, Request

__all__ = ["Selection", "select"]

_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class Selection(NamedTuple):
    """How to answer."""

    status: int
    """200, 206, 304 or 416."""
    start: int
    size: int
    headers: Headers


def select(request: Request, size: int, tag: str, modified: float) -> Selection:
    """What to send of a file.

    Args:
        request: GET or HEAD.
        size: bytes of the file.
        tag: its entity tag, without quotes.
        modified: Unix time, seconds.
    """
    entity, date = f'"{tag}"', formatdate(modified, usegmt=True)
    headers = [("Accept-Ranges", "bytes"), ("ETag", entity), ("Last-Modified", date)]
    known = {word.strip() for word in request.headers.get("if-none-match", "").split(",")}
    if known & {entity, f"W/{entity}", "*"}:
        return Selection(304, 0, 0, headers)
    wanted = _RANGE.fullmatch(request.headers.get("range", "").strip())
    condition = request.headers.get("if-range", entity)
    if wanted is None or wanted[0] == "bytes=-" or condition not in (entity, date):
        return Selection(200, 0, size, headers)
    first, last = wanted[1], wanted[2]
    if not first:  # the last so many
        start, stop = max(size - int(last), 0), size
        if not int(last):
            start = size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < int(first):  # no range at all
            return Selection(200, 0, size, headers)
    if start >= size:
        return Selection(416, 0, 0, [*headers, ("Content-Range", f"bytes */{size}")])
    content_range = f"bytes {start}-{stop - 1}/{size}"
    return Selection(206, start, stop - start, [*headers, ("Content-Range", content_range)])
