"""Where a demo listens: on this machine only, or with one certificate for all that pages ask."""

from __future__ import annotations

from dataclasses import fields

from livetrio.config import Config
from livetrio.demo import _on_loopback, _prepared


def addresses(config: Config) -> dict[str, str | None]:
    listen = {place.name: getattr(config.listen, place.name) for place in fields(config.listen)}
    found = {name: end.address.host for name, end in listen.items() if end.address is not None}
    return found | {"webrtc": config.webrtc.address.host}


def test_no_listener_of_a_demo_is_open_to_the_network():
    assert None in addresses(Config()).values()
    assert set(addresses(_on_loopback(Config())).values()) == {"127.0.0.1"}


def test_on_the_local_network_every_port_that_a_page_asks_has_the_certificate():
    with _prepared(Config(), lan=True) as place:
        listen = place.config.listen
        ends = (listen.web, listen.httpflv, listen.hls, listen.im)
        assert len({end.tls for end in ends}) == 1
        assert listen.web.tls is not None
