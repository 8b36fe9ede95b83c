"""Dialling: the address that is dialled is the one the policy has seen, under one deadline."""

from __future__ import annotations

import socket
import ssl

import pytest
import trio
import trustme

from livetrio.errors import RefusalCode, Refused, RemoteProtocolError
from livetrio.net.dial import AddressPolicy, Remote, dial, is_local, is_public
from livetrio.net.outbox import OutboxLimits
from livetrio.net.scope import open_scope, tree
from livetrio.net.tls import client_tls

LIMITS = OutboxLimits()


class Names:
    """A name server of our own; counts what it is asked."""

    def __init__(self, answers: dict[str, list[list[str]]]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def getaddrinfo(self, host, port, family=0, type=0, proto=0, flags=0):
        host = host.decode()  # Trio has encoded it already (IDNA)
        self.asked.append(host)
        turns = self.answers[host]
        ips = turns.pop(0) if len(turns) > 1 else turns[0]
        return [
            (socket.AF_INET6, type, proto, "", (ip, port, 0, 0))
            if ":" in ip
            else (socket.AF_INET, type, proto, "", (ip, port))
            for ip in ips
        ]

    async def getnameinfo(self, sockaddr, flags):
        raise NotImplementedError


@pytest.fixture
async def names():
    """Fill in `answers`: host to the lists of addresses given out turn by turn."""
    resolver = Names({})
    trio.socket.set_custom_hostname_resolver(resolver)  # for this run of Trio only
    return resolver


@pytest.fixture
def door():
    """A listening socket that nobody accepts from; the kernel does."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        yield sock


def port_of(sock: socket.socket) -> int:
    return sock.getsockname()[1]


async def failure(remote: Remote, policy=AddressPolicy.ANY, **options) -> BaseException:
    """How dialling fails."""
    try:
        async with (
            open_scope("test", "root"),
            dial(remote, policy=policy, limits=LIMITS, **options),
        ):
            pytest.fail("it was let through")
    except BaseExceptionGroup as group:
        errors = [group]
        while isinstance(errors[0], BaseExceptionGroup):
            errors = list(errors[0].exceptions)
        assert len(errors) == 1
        return errors[0]


PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "0.1.2.3",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("ip", PRIVATE)
def test_an_address_that_is_not_one_public_host_is_not_public(ip: str):
    assert not is_public(ip)
    with pytest.raises(Refused) as refused:
        AddressPolicy.PUBLIC_ONLY.check(ip)
    assert refused.value.code is RefusalCode.FORBIDDEN
    assert ip not in refused.value.reason  # it may be shown to who asked; the hint is for the log
    AddressPolicy.ANY.check(ip)


@pytest.mark.parametrize(
    "ip", ["8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1", "2606:4700::1111"]
)
def test_a_public_address_is_public_in_whatever_clothes(ip: str):
    assert is_public(ip)
    AddressPolicy.PUBLIC_ONLY.check(ip)


@pytest.mark.parametrize("ip", ["127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::ffff:127.0.0.1"])
def test_addresses_of_this_machine_are_local(ip: str):
    assert is_local(ip)


@pytest.mark.parametrize("ip", ["192.0.2.1", "2001:db8::1"])
def test_addresses_of_others_are_not_local(ip: str):
    assert not is_local(ip)


async def test_a_dialled_connection_has_a_scope_and_leaving_the_block_closes_it(door):
    remote = Remote("127.0.0.1", port_of(door))
    async with open_scope("test", "root") as root:
        async with dial(remote, policy=AddressPolicy.ANY, limits=LIMITS) as connection:
            (info,) = tree(root).children
            assert (info.kind, info.name, info.sockets) == ("connection", f"to {remote}", 1)
            assert str(connection) == str(remote)
            server, _ = door.accept()
            connection.outbox.send(b"hello")
            assert server.recv(10) == b"hello"
        assert root.children == set()
        with server:
            server.settimeout(5)
            assert server.recv(10) == b""


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "localhost"])
async def test_whatever_resolves_to_the_loopback_is_refused_where_only_public_may_be_dialled(
    door, host: str
):
    error = await failure(Remote(host, port_of(door)), AddressPolicy.PUBLIC_ONLY)
    assert isinstance(error, Refused)
    with pytest.raises(BlockingIOError):
        door.accept()  # nobody even knocked


async def test_the_name_is_resolved_once_so_a_second_answer_cannot_slip_in(door, names):
    names.answers = {"rebind.example": [["192.0.2.1"], ["127.0.0.1"]]}
    error = await failure(Remote("rebind.example", port_of(door)), AddressPolicy.PUBLIC_ONLY)
    assert isinstance(error, Refused)
    assert names.asked == ["rebind.example"]
    with pytest.raises(BlockingIOError):
        door.accept()


async def test_of_several_addresses_the_forbidden_ones_are_passed_over(door, names):
    names.answers = {"mixed.example": [["127.0.0.2", "127.0.0.1"]]}
    seen = []

    def screen(ip: str, port: int) -> None:
        seen.append(ip)
        if ip == "127.0.0.2":
            raise Refused(RefusalCode.FORBIDDEN, "not that one")

    remote = Remote("mixed.example", port_of(door))
    async with (
        open_scope("test", "root"),
        dial(remote, policy=AddressPolicy.ANY, limits=LIMITS, screen=screen) as connection,
    ):
        assert connection.peer == "127.0.0.1"
    assert seen == ["127.0.0.2", "127.0.0.1"]


async def test_an_address_where_nobody_is_does_not_hide_the_next(door, names):
    names.answers = {"two.example": [["127.0.0.3", "127.0.0.1"]]}
    remote = Remote("two.example", port_of(door))  # the door is at 127.0.0.1 only
    async with (
        open_scope("test", "root"),
        dial(remote, policy=AddressPolicy.ANY, limits=LIMITS) as connection,
    ):
        assert connection.peer == "127.0.0.1"


async def test_a_name_with_hundreds_of_addresses_is_not_tried_to_its_end(names):
    names.answers = {"many.example": [[f"127.0.1.{n}" for n in range(200)]]}
    seen = []
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # not listening
        error = await failure(
            Remote("many.example", port_of(probe)), screen=lambda ip, port: seen.append(ip)
        )
    assert isinstance(error, ConnectionRefusedError)
    assert len(seen) == 8


async def test_nobody_there_is_an_os_error_with_its_number():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        error = await failure(Remote("127.0.0.1", port_of(probe)))
    assert isinstance(error, ConnectionRefusedError)


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..b", "\udc80"])
async def test_a_name_that_cannot_be_one_is_refused(host: str):
    error = await failure(Remote(host, 1))
    assert isinstance(error, Refused | socket.gaierror)


async def test_an_unanswered_connect_ends_at_the_deadline():
    """A full backlog: the kernel drops further SYNs."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with socket.create_connection(full.getsockname()):
            error = await failure(Remote("127.0.0.1", port_of(full)), timeout=0.2)
    assert isinstance(error, trio.TooSlowError)


async def test_cancelling_in_mid_connect_leaves_no_socket():
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with socket.create_connection(full.getsockname()):
            remote = Remote("127.0.0.1", port_of(full))
            with trio.move_on_after(0.05) as patience:
                async with dial(remote, policy=AddressPolicy.ANY, limits=LIMITS):
                    pytest.fail("it was let through")
    # An unclosed socket would be a ResourceWarning, and that an error.
    assert patience.cancelled_caught


async def test_a_slow_name_server_ends_at_the_same_deadline(names, autojump_clock):
    async def never(*_args, **_options):
        await trio.sleep_forever()

    names.getaddrinfo = never
    error = await failure(Remote("slow.example", 1))
    assert isinstance(error, trio.TooSlowError)
    assert trio.current_time() == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("name", "verify", "fine"),
    [("localhost", True, True), ("other.example", True, False), ("other.example", False, True)],
)
async def test_the_certificate_is_checked_against_the_name_dialled_unless_told_not_to(
    door, name: str, verify: bool, fine: bool
):
    authority = trustme.CA()
    server_context = trust(authority, name)
    context = client_tls(verify=verify)
    if verify:
        authority.configure_trust(context)
    remote = Remote("localhost", port_of(door), tls=True)

    async def serve() -> None:
        await trio.lowlevel.wait_readable(door)
        sock, _ = door.accept()
        sock.setblocking(False)
        stream = trio.SSLStream(
            trio.SocketStream(trio.socket.from_stdlib_socket(sock)),
            server_context,
            server_side=True,
            https_compatible=True,
        )
        try:
            await stream.send_all(b"welcome")
            await stream.receive_some()
        except trio.BrokenResourceError:
            pass
        finally:
            await trio.aclose_forcefully(stream)

    with trio.fail_after(10):
        async with open_scope("test", "root") as root:
            root.nursery.start_soon(serve)
            if not fine:
                error = await failure(remote, tls=context)
                assert isinstance(error, RemoteProtocolError)
                assert "TLS handshake failed" in str(error)
                return
            async with dial(remote, policy=AddressPolicy.ANY, limits=LIMITS, tls=context) as ours:
                assert await ours.receive() == b"welcome"


def trust(authority: trustme.CA, name: str):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context
