"""Static push: every stream of an application goes to its fixed targets while it is online."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NoReturn
from urllib.parse import quote

from livetrio.errors import Refused
from livetrio.ingest.relay import Relays
from livetrio.logs import get_logger
from livetrio.media.registry import Registry
from livetrio.packet import StreamKey

__all__ = ["push_statically"]

log = get_logger(__name__)


async def push_statically(
    registry: Registry, relays: Relays, targets: Mapping[str, Sequence[str]]
) -> NoReturn:
    """Keep one push relay per stream and target as long as the stream lives.

    Each is an ordinary relay: listed, retried, and never waited for by the publisher. A stream
    lives through its publisher's resume window, so a short interruption cuts no target off.

    Args:
        registry: whose streams are pushed.
        relays: where the relays are run.
        targets: livego's static_push: by application the base URLs, to which "/" and the
            stream's name are added.
    """
    running: dict[tuple[StreamKey, str], str] = {}  # relay ids
    look = partial(_reconcile, registry, relays, targets, running)
    await registry.events.follow("stream.", look)


def _reconcile(
    registry: Registry,
    relays: Relays,
    targets: Mapping[str, Sequence[str]],
    running: dict[tuple[StreamKey, str], str],
) -> None:
    wanted = {(key, base) for key in registry.streams for base in targets.get(key.app, ())}
    for gone in running.keys() - wanted:
        relays.retire(running.pop(gone))
    for key, base in wanted - running.keys():
        # A "?" in a name must not become a parameter, nor a "#" a fragment.
        url = f"{base.rstrip('/')}/{quote(key.name, safe='/')}"
        try:
            running[key, base] = relays.start("push", key, url).id
        except Refused as refused:
            running[key, base] = ""  # said once per stream
            log.warning("static push refused", stream=str(key), reason=refused.reason)
