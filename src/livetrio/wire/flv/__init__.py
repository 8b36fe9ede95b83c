"""FLV and enhanced RTMP media: tags to packets and back.

An RTMP media message's body is an FLV tag's body, so everything here serves both.

    demux       Demuxer, over video, audio, script (one file per tag type) and enhanced
    mux         tag, tag_body, file_header
    file        FileReader, for whole FLV streams
    words       the numbers and names of the formats
"""

from livetrio.wire.flv.demux import Demuxer
from livetrio.wire.flv.file import FileReader
from livetrio.wire.flv.mux import HEADER_SIZE, file_header, tag, tag_body
from livetrio.wire.flv.words import AUDIO, SCRIPT, VIDEO

__all__ = [
    "AUDIO",
    "HEADER_SIZE",
    "SCRIPT",
    "VIDEO",
    "Demuxer",
    "FileReader",
    "file_header",
    "tag",
    "tag_body",
]
