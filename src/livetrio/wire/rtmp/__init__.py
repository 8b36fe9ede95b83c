"""RTMP, sans-I/O: handshake, chunk stream, messages, and both sides of the conversation.

From the bytes up; nothing here imports what stands below it:

    chunks  chunk_writer                  bytes <-> messages
    digest  handshake                     the first 3073 bytes
    messages  commands  media             the bodies of messages
    link                                  what both sides do alike
    events  url  connect  requests        what a session says, and what commands ask for
    statuses  replies                     what a server says
    netstream  netstreams  calls          the server's message streams and commands
    session                               the server's side: `ServerSession`
    client                                the client's side: `ClientSession`
"""
