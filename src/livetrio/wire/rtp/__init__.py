"""RTP and RTCP: packets to words and back.

header          RtpPacket, parse_rtp, build_rtp_header, unwrap
extensions      header extensions by id, and what they say
rtcp            parse_rtcp over a whole datagram
rtcp_reports    SenderReport, ReceiverReport, SourceDescription, Bye
rtcp_feedback   Nack, Pli, Fir, Remb
twcc            TransportFeedback: transport-wide congestion control
depacketize     payloads to the frames FLV and MP4 carry
packetize       those frames to payloads
"""
