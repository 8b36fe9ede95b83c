"""What the relays are given to speak WHIP and WHEP: an attempt for each URL scheme."""

from __future__ import annotations

from typing import Protocol, TypeVar

from livetrio.net.beat import Beat
from livetrio.webrtc.editions import Editions
from livetrio.webrtc.outbound import Attempt, Url
from livetrio.webrtc.turn import Turn

__all__ = ["outbound_webrtc"]

U = TypeVar("U", bound=Url)


class Outbound(Protocol):
    """One try, as `livetrio.ingest` knows it."""

    async def __call__(self, attempt: Attempt[U], url: U, /) -> None:
        """Returns when a stream of ours has ended, raises when the other end has failed."""


def outbound_webrtc(
    editions: Editions, beat: Beat, turn: Turn | None = None
) -> dict[str, Outbound]:
    """For `open_relays`: whip and whips push, whep and wheps pull.

    Args:
        editions: renditions for WebRTC.
        beat: for feedback to sources.
        turn: servers that we may ask for an address; None: none.
    """

    async def push(attempt: Attempt[U], url: U, /) -> None:
        # aiortc is dear to import: only for those who use it.
        from livetrio.webrtc.whip_client import push_whip

        await push_whip(attempt, url, editions=editions, turn=turn)

    async def pull(attempt: Attempt[U], url: U, /) -> None:
        from livetrio.webrtc.whep_client import pull_whep

        await pull_whep(attempt, url, beat=beat, turn=turn)

    return {"whip": push, "whips": push, "whep": pull, "wheps": pull}
