"""SDP: session descriptions to words and back, for offers, answers and trickled fragments.

    session         SessionDescription, MediaDescription, parse_sdp: lines, and their limits
    attributes      rtpmap, fmtp, rtcp-fb, extmap, rid, simulcast, ssrc
    transport       ICE credentials, fingerprints, setup, candidates, BUNDLE
    fragment        application/trickle-ice-sdpfrag

aiortc's parser was refused: it drops rid and simulcast lines, fails assertions on odd SDP, and
its codecs cannot carry transport-cc.
"""
