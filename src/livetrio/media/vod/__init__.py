"""Files that are played by name: what RTMP, HTTP-FLV and HLS of stored media share."""
