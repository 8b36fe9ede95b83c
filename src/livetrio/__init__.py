"""livetrio: a whole live platform as one Trio program.

The floors; imports go down only (tests/test_floors.py holds this):

    6  __main__  app  demo                    composition root, command line
    5  control/                               request/response HTTP: REST, livego API, console
    4  ingest/  delivery/  webrtc/  im/       the services; they never import one another
    3  media/                                 streams: ring, registry, feed, timestamps
    2  net/  access/  store/  cluster/        sockets, permission, memory, other nodes
    1  wire/                                  bytes <-> words, sans-I/O
    0  packet  errors  config                 the shared words
"""

__version__ = "0.1.0"
