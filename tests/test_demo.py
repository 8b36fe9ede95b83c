"""Where a demo listens: on this machine only, or with one certificate for all that pages ask; and
who may do what there."""

from __future__ import annotations

from dataclasses import fields

from livetrio.config import Config, ImConfig, ImTokenConfig
from livetrio.demo import _for_guests, _on_loopback, _prepared


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


def test_everybody_who_opens_a_demo_may_chat_and_open_a_room():
    with _prepared(Config(), lan=False) as place, _prepared(Config(), lan=False) as other:
        im = place.config.im
        assert (im.guests, im.guest_roles) == (True, ("host",))
        assert len(im.token.secret) > 40
        assert im.token.secret != other.config.im.token.secret


def test_a_demo_keeps_the_secret_and_the_roles_it_is_given():
    given = ImConfig(token=ImTokenConfig(secret="mine"), guest_roles=("vip",))
    assert _for_guests(given) == ImConfig(
        token=ImTokenConfig(secret="mine"), guest_roles=("vip",), guests=True
    )
