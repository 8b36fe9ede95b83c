"""MPEG transport streams: samples to the packets of 188 bytes that HLS began with.

Source: ISO/IEC 13818-1 (systems), RFC 8216 section 3.2 (what HLS asks of them).
"""

from livetrio.wire.mpegts.mux import TsMuxer, in_ts

__all__ = ["TsMuxer", "in_ts"]
