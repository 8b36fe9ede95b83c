"""Whole peer connections: aiortc under trio-asyncio, for the few peers that need them.

A server behind a NAT that must ask a TURN server for an address, relays to and from other
servers, participants inside this process. Nobody outside of this folder sees asyncio.
"""
