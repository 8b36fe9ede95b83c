"""HLS and recording out of the merged settings."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, TypeVar

from livetrio.config.schema import HlsConfig, RecordConfig
from livetrio.config.settings import Keys, Setting

__all__ = ["hls_config", "record_config"]

T = TypeVar("T")


class _Values(Protocol):
    def __getitem__(self, setting: Setting[T]) -> T: ...


def hls_config(values: _Values) -> HlsConfig:
    """The keys under `hls:`, and livego's."""
    return HlsConfig(
        segment=values[Keys.hls_segment],
        window=values[Keys.hls_window],
        keep_after_end=values[Keys.hls_keep_after_end],
        dvr_window=values[Keys.hls_dvr_window],
        part=values[Keys.hls_part],
        ll_segment=values[Keys.hls_ll_segment],
        ll_window=values[Keys.hls_ll_window],
        key_every=values[Keys.hls_key_every],
    )


def record_config(values: _Values) -> RecordConfig:
    """The keys under `record:`; livego's folder where its switch is on."""
    livegos = Path(values[Keys.flv_dir]) if values[Keys.flv_archive] else None
    return RecordConfig(
        folder=values[Keys.record_dir] or livegos,
        path=values[Keys.record_path],
        split_time=values[Keys.record_split_time],
        split_size=values[Keys.record_split_size],
        keep_time=values[Keys.record_keep_time],
        keep_size=values[Keys.record_keep_size],
    )
