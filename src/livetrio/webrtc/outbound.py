"""Outbound: what a relay to or from another server's WHIP or WHEP endpoint is given.

The relays (their retries, back-off, address policy and loops) are in `ingest`, which this
package does not know: these are the parts of an attempt that are used here. The composition
root brings the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from typing import Literal, Protocol, Self, TypeVar

import trio

from livetrio.errors import LivetrioError
from livetrio.media.registry import Registry
from livetrio.net.connection import Connection
from livetrio.net.dial import AddressPolicy
from livetrio.net.scope import Scope
from livetrio.packet import StreamKey

__all__ = ["Attempt", "OutboundEnded", "Progress", "Url", "within"]

Progress = Literal["connecting", "running", "waiting"]


class OutboundEnded(LivetrioError):
    """The other end has gone, refused or fallen silent; the message says which."""


class Url(Protocol):
    """An HTTP or HTTPS endpoint."""

    @property
    def origin(self) -> str:
        """Scheme, host and port."""

    @property
    def target(self) -> str:
        """The request line's."""

    @property
    def user(self) -> str | None:
        """name:password."""

    def redirected(self, location: str) -> Self:
        """Where a Location header leads.

        Raises:
            Refused: BAD_REQUEST; it is not an HTTP URL.
        """


class Timeouts(Protocol):
    """Seconds."""

    @property
    def handshake(self) -> float:
        """Until the other end has agreed."""

    @property
    def read(self) -> float:
        """Without any media from a source."""


class Meter(Protocol):
    """A relay's counters."""

    def counting(self, bytes_now: Callable[[], int]) -> AbstractContextManager[None]:
        """Count these bytes while in the block."""


U_contra = TypeVar("U_contra", bound=Url, contravariant=True)


class Attempt(Protocol[U_contra]):
    """One try of a relay."""

    @property
    def registry(self) -> Registry:
        """Where streams are."""

    @property
    def key(self) -> StreamKey:
        """The stream's name here."""

    @property
    def shown(self) -> str:
        """The URL as people may see it."""

    @property
    def scope(self) -> Scope:
        """Cancelling it ends this attempt."""

    @property
    def policy(self) -> AddressPolicy:
        """Where it may go, media included."""

    @property
    def timeouts(self) -> Timeouts:
        """Its limits."""

    @property
    def meter(self) -> Meter:
        """Its counters."""

    @property
    def enter(self) -> Callable[[Progress], None]:
        """Tell people how far it is."""

    def dial(self, url: U_contra) -> AbstractAsyncContextManager[Connection]:
        """A TCP or TLS connection, checked against policy and loops."""


@contextmanager
def within(seconds: float, complaint: str) -> Iterator[None]:
    """A deadline.

    Raises:
        OutboundEnded: it has passed; the complaint is the message.
    """
    with trio.CancelScope(deadline=trio.current_time() + seconds) as patience:
        yield
    if patience.cancelled_caught:
        raise OutboundEnded(complaint)
