"""Instant messaging: channels, members and live rooms, one core under every chat protocol."""
