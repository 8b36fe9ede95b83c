"""Streams: ring, registry, feeds, timestamps."""
