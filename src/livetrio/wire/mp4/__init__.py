"""MP4 files, read: tables to an index, an index to the frames of any part.

    boxes       the boxes everything is made of
    tables      when and where the samples of a track are
    entries     sample entries to Tracks
    header      moov: the tracks, with tables or with defaults for fragments
    fragment    moof: the samples of a fragment
    movie       the whole file: which boxes lie where, read_movie
    progressive, fragmented     the two kinds of Title

Source: ISO/IEC 14496-12. Every size and count is checked against the bytes that are there
before anything is allocated for it; unknown boxes are passed over unread.
"""

from livetrio.wire.mp4.movie import read_movie

__all__ = ["read_movie"]
