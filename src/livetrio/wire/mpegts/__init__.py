"""MPEG transport streams: samples to the packets of 188 bytes that HLS began with, and back.

    mux, payload, tables            written: TsMuxer
    packets, sections, pes          the layers, read
    frames, elementary, demux       streams to Packets: TsDemuxer
    index, survey, title            a file that can be played from any key frame: read_ts

Source: ISO/IEC 13818-1 (systems), RFC 8216 section 3.2 (what HLS asks of them).
"""

from livetrio.wire.mpegts.mux import TsMuxer, in_ts, ticks

__all__ = ["TsMuxer", "in_ts", "ticks"]
