"""Pull relay: a stream somewhere else, watched from here and published here."""

from __future__ import annotations

import trio

from livetrio.errors import RefusalCode, Refused
from livetrio.ingest.relay_attempt import Attempt, Source, within
from livetrio.ingest.relay_flv import open_flv_source
from livetrio.ingest.relay_rtmp import open_rtmp_source
from livetrio.media.client import Client
from livetrio.net.connection import Connection
from livetrio.packet import Packet
from livetrio.wire.rtmp.url import RtmpUrl

__all__ = ["pull"]


async def pull(attempt: Attempt) -> None:
    """Publish what the source sends, until it ends; never returns in peace.

    The name is taken with the first packet and not before: servers agree to play a stream that
    does not exist (nginx-rtmp), and a stream without packets helps nobody. It is left without
    a goodbye, so that viewers stay while the relay tries again.

    Raises:
        Refused: CONFLICT, somebody else publishes that name.
        RelayEnded, RemoteProtocolError, OSError ...: the source failed.
    """
    stream = attempt.registry.streams.get(attempt.key)
    if stream is not None and stream.publication is not None:
        raise Refused(RefusalCode.CONFLICT, f"stream {attempt.key} is being published already")
    attempt.enter("connecting")
    opener = open_rtmp_source if isinstance(attempt.url, RtmpUrl) else open_flv_source
    async with opener(attempt) as (connection, source):
        with within(attempt.timeouts.read, _silence(attempt)):
            packets = await _some(source)
        await _publish(attempt, connection, source, packets)


async def _some(source: Source) -> list[Packet]:
    while not (packets := await source.read()):
        pass
    return packets


async def _publish(
    attempt: Attempt, connection: Connection, source: Source, packets: list[Packet]
) -> None:
    client = Client("publisher", "relay", attempt.scope, connection, url=attempt.shown)
    async with attempt.registry.publish(attempt.key, client, takeover=False) as publication:
        attempt.enter("running")
        with within(attempt.timeouts.read, _silence(attempt)) as patience:
            while True:
                publication.publish(packets)
                packets = await source.read()
                if packets:
                    # Media count as a sign of life. Bytes do not: an endless stream of status
                    # messages is none.
                    patience.deadline = trio.current_time() + attempt.timeouts.read


def _silence(attempt: Attempt) -> str:
    return f"no media for {attempt.timeouts.read:g} s"
