"""Site: is a request made by another site's page, or under a name that is not this machine's?

A browser sends whatever a page tells it to, to loopback too. Where no token is asked for, the
two questions here are all that keeps pages of others away: `is_cross_site`, and, since a page's
own name can be made to point here (DNS rebinding) and then counts as the same site,
`is_foreign_name`.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

__all__ = ["is_cross_site", "is_foreign_name"]

_OWN_SUFFIXES = (".localhost", ".local", ".internal", ".lan", ".home.arpa")
"""Names that nobody can register (RFC 6761, 6762, 8375, and custom)."""


def is_cross_site(site: str | None, origin: str | None, host: str) -> bool:
    """Did a page of another origin make the browser send this?

    Programs send neither header. Sec-Fetch-Site is the browser's own judgement and right behind
    any proxy; where browsers leave it out (plain HTTP), Origin is compared with Host.

    Args:
        site: the header Sec-Fetch-Site, if there is one.
        origin: Origin, likewise.
        host: Host.
    """
    if site is not None:
        return site not in {"same-origin", "none"}
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() != host.lower()
    except ValueError:
        return True


def is_foreign_name(host: str, own: Collection[str] = ()) -> bool:
    """Can the name of this Host header, with or without port, be somebody else's?

    own: names that are ours beside the machine's own, in lower case.
    """
    if host.startswith("["):
        return False  # an IPv6 address
    name = host.partition(":")[0].rstrip(".").lower()
    if "." not in name or name in own or name == socket.gethostname().lower():
        return False
    if name.endswith(_OWN_SUFFIXES):
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return True
    return False
