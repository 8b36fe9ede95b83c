"""Where peers are told to go, and the sockets that are there."""

from __future__ import annotations

import socket

import pytest

from livetrio.config import Address
from livetrio.errors import StartError
from livetrio.webrtc import candidates
from livetrio.webrtc.candidates import bind_sockets, candidate_lines, interface_addresses


def test_udp_comes_before_tcp_and_each_in_the_order_of_the_addresses():
    lines = candidate_lines(["192.0.2.1", "2001:db8::1"], 8189)
    assert lines == (
        "1 1 udp 2130706431 192.0.2.1 8189 typ host",
        "2 1 udp 2130706175 2001:db8::1 8189 typ host",
        "3 1 tcp 1520435199 192.0.2.1 8189 typ host tcptype passive",
        "4 1 tcp 1520434943 2001:db8::1 8189 typ host tcptype passive",
    )


def test_public_addresses_are_told_in_place_of_the_own():
    lines = candidate_lines(["10.0.0.5"], 8189, public=["203.0.113.9"], ice_tcp=False)
    assert lines == ("1 1 udp 2130706431 203.0.113.9 8189 typ host",)


def test_loopback_is_told_only_where_there_is_nothing_else():
    both = candidate_lines(["127.0.0.1", "192.0.2.1"], 1, ice_tcp=False)
    assert [line.split()[4] for line in both] == ["192.0.2.1"]
    alone = candidate_lines(["127.0.0.1", "::1"], 1, ice_tcp=False)
    assert [line.split()[4] for line in alone] == ["127.0.0.1", "::1"]


def test_the_hosts_addresses_are_found_without_link_local_ones():
    found = interface_addresses()
    assert "127.0.0.1" in found
    assert not any(host.startswith(("fe80", "169.254")) for host in found)


def test_every_address_has_a_socket_on_one_port_number(monkeypatch):
    monkeypatch.setattr(candidates, "interface_addresses", lambda: ["127.0.0.1", "::1"])
    with bind_sockets(Address(None, 0), ice_tcp=False) as sockets:
        assert sockets.hosts == ("127.0.0.1", "::1")
        assert {sock.getsockname()[1] for sock in sockets.udp} == {sockets.port}
        assert sockets.tcp is None
    assert all(sock.fileno() == -1 for sock in sockets.udp)


def test_an_address_that_is_not_ready_is_left_out(monkeypatch):
    monkeypatch.setattr(candidates, "interface_addresses", lambda: ["192.0.2.77", "127.0.0.1"])
    with bind_sockets(Address(None, 0), ice_tcp=False) as sockets:
        assert sockets.hosts == ("127.0.0.1",)
    with (
        pytest.raises(StartError, match=r"192\.0\.2\.77"),
        bind_sockets(Address("192.0.2.77", 0), ice_tcp=False),
    ):
        pass
    monkeypatch.setattr(candidates, "interface_addresses", lambda: ["192.0.2.77"])
    with pytest.raises(StartError, match="no usable"), bind_sockets(Address(None, 0)):
        pass


def test_tcp_is_on_the_same_port_number():
    with bind_sockets(Address("127.0.0.1", 0)) as sockets:
        assert sockets.tcp is not None
        assert sockets.tcp.getsockname()[1] == sockets.port


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_port_in_use_is_said_in_one_line(kind):
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(StartError, match=f"webrtc cannot listen on 127.0.0.1:{port}"),
            bind_sockets(Address("127.0.0.1", port)),
        ):
            pass
