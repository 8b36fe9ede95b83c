"""Recording, as configured: livego's switch for all, or a format for each application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from livetrio.compose.node import Node
from livetrio.config import Config
from livetrio.delivery.record import RecordOptions
from livetrio.delivery.recordings import Recordings, open_recordings

__all__ = ["opened_recordings"]


@asynccontextmanager
async def opened_recordings(config: Config, node: Node) -> AsyncIterator[Recordings]:
    """The recordings; somebody has to run them."""
    record = config.record
    options = RecordOptions(
        folder=record.folder or config.store.data_dir / "recordings",
        template=record.path,
        split_time=record.split_time,
        split_size=record.split_size,
        keep_time=record.keep_time,
        keep_size=record.keep_size,
    )
    apps = {name: app.record for name, app in config.apps.items() if app.record is not None}
    async with open_recordings(node.registry, node.renditions, options, apps) as recordings:
        yield recordings
