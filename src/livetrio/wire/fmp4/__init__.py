"""Fragmented MP4: tracks to an initialization segment, samples to movie fragments.

Source: ISO/IEC 14496-12 (ISO base media file format), 23000-19 (CMAF), and each codec's binding.
"""

from livetrio.wire.fmp4.fragment import fragment, ticks
from livetrio.wire.fmp4.initialization import initialization, timescale
from livetrio.wire.fmp4.sample_entry import codec_string, in_mp4

__all__ = ["codec_string", "fragment", "in_mp4", "initialization", "ticks", "timescale"]
