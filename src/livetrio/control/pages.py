"""Pages: the files of the console and the player, from this package, under a strict policy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from quart import request, send_from_directory
from quart_trio import QuartTrio
from quart_trio.wrappers import TrioResponse as Response
from werkzeug.exceptions import NotFound

from livetrio.control.context import Bound

__all__ = ["STATIC", "add_pages", "file_below"]

STATIC = Path(__file__).parent / "static"
_VENDOR_AGE = 86_400
"""Seconds; vendored files change with releases only. Ours are revalidated, by their ETags."""
_PLAIN_NAME = re.compile(r"[A-Za-z0-9.-]+", re.ASCII)


def add_pages(app: QuartTrio, pages: Mapping[str, str], media: Sequence[Bound] = ()) -> list[str]:
    """Serve pages and what they load; returns the endpoints' names.

    Args:
        pages: file below static/ by path.
        media: ports that the pages fetch media from, on the host they came from themselves.
    """

    async def asset(path: str) -> Response:
        return await _file(path)

    app.add_url_rule("/assets/<path:path>", "page assets", asset, methods=["GET"])
    names = ["page assets"]
    for rule, file in pages.items():

        async def page(file: str = file) -> Response:
            response = await _file(file)
            response.headers["Content-Security-Policy"] = _policy(request.host, media)
            response.headers["X-Frame-Options"] = "DENY"
            return response

        names.append(f"page {rule}")
        app.add_url_rule(rule, names[-1], page, methods=["GET"])
    return names


async def file_below(folder: Path, path: str) -> Response:
    """The file at a path that a peer gave; links and dots lead nowhere outside of the folder.

    Raises:
        NotFound: there is none.
    """
    response = await send_from_directory(folder, _inside(folder, path))
    assert isinstance(response, Response)
    return response


def _inside(folder: Path, path: str) -> str:
    """The path of an existing file relative to its folder, without links and dots. A few stat
    calls on a local disk: not worth a thread."""
    folder = folder.resolve()
    try:
        target = (folder / path).resolve()
        if target.is_relative_to(folder) and target.is_file():
            return str(target.relative_to(folder))
    except (OSError, ValueError, RuntimeError):  # too long, NUL, links in a circle
        pass
    raise NotFound


async def _file(path: str) -> Response:
    vendored = path.startswith("vendor/")
    response = await file_below(STATIC, path)
    response.cache_control.public = True
    response.cache_control.no_cache = None if vendored else True
    response.cache_control.max_age = _VENDOR_AGE if vendored else None
    response.expires = None
    if response.mimetype in {"text/html", "text/css", "text/javascript", "text/plain"}:
        response.content_type = f"{response.mimetype}; charset=utf-8"
    return response


def _policy(host: str, media: Sequence[Bound]) -> str:
    """Content-Security-Policy: nothing inline, nothing from elsewhere but this node's media."""
    connect = "'self'"
    name = host.rpartition(":")[0] or host
    if not _PLAIN_NAME.fullmatch(name):
        connect += " http: https: ws: wss:" if media else ""  # CSP cannot name an IPv6 address
    else:
        for bound in media:
            letter = "s" if bound.tls else ""
            at = f"{name}:{bound.port}"
            connect += f" http{letter}://{at} ws{letter}://{at}"
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src {connect} data:",  # snapshots too
            f"media-src {connect} blob:",  # iPhones fetch HLS by themselves
            f"connect-src {connect}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )
