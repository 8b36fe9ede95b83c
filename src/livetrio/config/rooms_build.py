"""From values to `RoomsConfig`; apart from `build` for the number of its keys."""

from __future__ import annotations

from typing import Protocol, TypeVar

from livetrio.config.rooms import MixConfig, RoomsConfig
from livetrio.config.settings import Keys, Setting

__all__ = ["rooms_config"]

T = TypeVar("T")


class Values(Protocol):
    """Typed answers by setting."""

    def __getitem__(self, setting: Setting[T]) -> T: ...


def rooms_config(values: Values) -> RoomsConfig:
    """The slice of rooms."""
    return RoomsConfig(
        create=values[Keys.rooms_create],
        max=values[Keys.rooms_max],
        video_seats=values[Keys.rooms_video_seats],
        voice_seats=values[Keys.rooms_voice_seats],
        resume_window=values[Keys.rooms_resume_window],
        idle_time=values[Keys.rooms_idle_time],
        invite_timeout=values[Keys.rooms_invite_timeout],
        applications=values[Keys.rooms_applications],
        voices=values[Keys.rooms_voices],
        open_seats=values[Keys.rooms_open_seats],
        mix=MixConfig(
            width=values[Keys.rooms_mix_width],
            height=values[Keys.rooms_mix_height],
            fps=values[Keys.rooms_mix_fps],
            video_bitrate=values[Keys.rooms_mix_video_bitrate],
            audio_bitrate=values[Keys.rooms_mix_audio_bitrate],
            max=values[Keys.rooms_mix_max],
            linger=values[Keys.rooms_mix_linger],
            font=values[Keys.rooms_mix_font],
        ),
    )
