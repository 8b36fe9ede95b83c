"""Centrifugo's client protocol, JSON and Protobuf: messages <-> bytes, sans-I/O."""
