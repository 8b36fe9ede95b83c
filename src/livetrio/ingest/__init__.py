"""Media coming in: RTMP conversations, FLV push, relays."""
