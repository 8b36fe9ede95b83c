"""Decoding and encoding: sound in worker threads, pictures in worker processes."""
