"""Listeners and the one guard that every connection runs in."""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import socket
import ssl

import pytest
import trio
import trio.testing
import trustme
from kit.logs import lines
from kit.peers import listening

from livetrio.errors import RefusalCode, Refused, RemoteProtocolError, StartError
from livetrio.net.connection import Connection
from livetrio.net.listen import Address, Caps, Listener, bind, serve_listener
from livetrio.net.scope import open_scope, tree
from livetrio.net.tls import ServerTls


def listener(**changes) -> Listener:
    return Listener("test", bind("test", Address("127.0.0.1", 0)), **changes)


async def echo(connection: Connection) -> None:
    while data := await connection.receive():
        connection.outbox.send(data)


async def whoami(connection: Connection) -> None:
    connection.outbox.send(f"{connection.peer} {connection.port} {connection.trusted}".encode())


async def exchange(port: int, data: bytes = b"", host: str = "127.0.0.1") -> bytes:
    with trio.fail_after(10):
        async with await trio.open_tcp_stream(host, port) as stream:
            if data:
                await stream.send_all(data)
            await stream.send_eof()
            received = b""
            async for chunk in stream:
                received += chunk
            return received


async def test_what_a_handler_sends_reaches_the_peer_before_the_close():
    async with listening(listener(), echo) as port:
        assert await exchange(port, b"hello") == b"hello"


async def test_last_words_reach_a_peer_that_is_still_sending():
    async def refuse(connection: Connection) -> None:
        await connection.receive()
        connection.outbox.send(b"no: ask first")
        raise Refused(RefusalCode.FORBIDDEN, "no")

    async with listening(listener(), refuse) as port:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            with trio.fail_after(10):
                await stream.send_all(bytes(300_000))
                received = b""
                async for chunk in stream:
                    received += chunk
        assert received == b"no: ask first"


@pytest.mark.parametrize(
    ("error", "level", "words"),
    [
        (RemoteProtocolError("chunk of a lie"), logging.WARNING, "chunk of a lie"),
        (Refused(RefusalCode.FORBIDDEN, "no key", hint="make one"), logging.WARNING, "make one"),
        (trio.BrokenResourceError("reset"), logging.INFO, "reset"),
        (trio.TooSlowError(), logging.WARNING, "deadline"),
        (ValueError("oops"), logging.ERROR, "oops"),
        (ExceptionGroup("two", [RemoteProtocolError("inner")]), logging.WARNING, "inner"),
    ],
)
async def test_whatever_a_handler_raises_ends_that_peer_with_one_reason(
    error, level, words, caplog
):
    caplog.set_level(logging.INFO)

    async def fail_once(connection: Connection) -> None:
        if await connection.receive() == b"fail":
            raise error
        connection.outbox.send(b"fine")

    async with listening(listener(), fail_once) as port:
        assert await exchange(port, b"fail") == b""
        assert await exchange(port, b"work") == b"fine"
    (line,) = lines(caplog)
    assert line.level == level
    if level == logging.ERROR:
        assert words in caplog.text  # with its traceback
    else:
        assert words in line.fields["reason"] + line.fields.get("hint", "")


async def test_connections_appear_in_the_tree_and_are_gone_with_the_listener():
    async with open_scope("server", "root") as root:
        one = listener()
        address = await root.nursery.start(serve_listener, one, echo)
        async with await trio.open_tcp_stream("127.0.0.1", address.port):
            await trio.testing.wait_all_tasks_blocked(0.05)
            (info,) = tree(root).children
            assert (info.kind, info.sockets) == ("listener", 1)
            (connection,) = info.children
            assert (connection.kind, connection.sockets, connection.tasks) == ("connection", 1, 1)
            (scope,) = root.children
            scope.cancel("stop")
            while root.children:
                await trio.lowlevel.checkpoint()
        with pytest.raises(OSError, match="all attempts to connect"):
            await trio.open_tcp_stream("127.0.0.1", address.port)


async def test_a_listener_that_stops_accepting_ends_with_its_last_connection():
    one = listener()
    async with open_scope("server", "root") as root:
        ended = trio.Event()

        async def serve(task_status: trio.TaskStatus[Address]) -> None:
            await serve_listener(one, echo, task_status=task_status)
            ended.set()

        address = await root.nursery.start(serve)
        with trio.fail_after(10):
            async with await trio.open_tcp_stream("127.0.0.1", address.port) as stream:
                await stream.send_all(b"one")
                assert await stream.receive_some() == b"one"
                one.accepting.cancel()
                await trio.testing.wait_all_tasks_blocked(0.01)
                with pytest.raises(OSError, match="all attempts to connect"):
                    await trio.open_tcp_stream("127.0.0.1", address.port)
                await stream.send_all(b"two")
                assert await stream.receive_some() == b"two"
                assert not ended.is_set()
            await ended.wait()


async def test_connections_beyond_the_listeners_cap_are_closed_at_once():
    async with listening(listener(caps=Caps(per_listener=2)), echo) as port:
        streams = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(3)]
        with trio.fail_after(10):
            assert await streams[2].receive_some() == b""
            await streams[0].send_all(b"still here")
            assert await streams[0].receive_some() == b"still here"
            await streams[1].aclose()
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert await exchange(port, b"room again") == b"room again"
        for stream in streams:
            await stream.aclose()


async def test_connections_beyond_an_addresss_cap_are_closed_and_others_are_not():
    caps = Caps(per_ip=1)
    async with listening(listener(caps=caps), echo) as port:
        async with await trio.open_tcp_stream("127.0.0.1", port):
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert await exchange(port, b"") == b""
            with trio.fail_after(10):
                stream = await trio.open_tcp_stream("127.0.0.1", port, local_address="127.0.0.2")
                async with stream:
                    await stream.send_all(b"other")
                    assert await stream.receive_some() == b"other"
    assert caps._by_ip == {}


async def test_running_out_of_files_is_waited_out_and_told_once_a_second(monkeypatch, caplog):
    caplog.set_level(logging.WARNING)
    one = listener()
    real, failures = one.sock, iter([errno.EMFILE] * 3)

    class Failing(socket.socket):
        def accept(self):
            for code in failures:
                raise OSError(code, os.strerror(code))
            return super().accept()

    failing = Failing(fileno=real.detach())
    failing.setblocking(False)
    async with listening(Listener("test", failing), echo) as port:
        assert await exchange(port, b"in the end") == b"in the end"
    assert len([r for r in caplog.records if "cannot accept" in r.getMessage()]) == 1


def test_a_port_in_use_is_one_clear_line():
    with bind("rtmp", Address("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=f"^flv cannot listen on 127.0.0.1:{port}: Address"):
            bind("flv", Address("127.0.0.1", port))


async def test_without_a_host_ipv4_and_ipv6_are_served_and_peers_named_plainly():
    one = Listener("test", bind("test", Address(None, 0)))
    async with listening(one, whoami) as port:
        assert (await exchange(port)).startswith(b"127.0.0.1 ")
        if socket.has_dualstack_ipv6():
            assert (await exchange(port, host="::1")).startswith(b"::1 ")


TRUST_LOOPBACK = [ipaddress.ip_network("127.0.0.0/8")]


async def test_a_trusted_proxy_tells_the_real_address():
    async with listening(listener(trusted=TRUST_LOOPBACK), whoami) as port:
        header = b"PROXY TCP4 203.0.113.7 198.51.100.1 56324 1935\r\n"
        assert await exchange(port, header) == b"203.0.113.7 56324 True"
        assert (await exchange(port, b"\x03no header")).startswith(b"127.0.0.1 ")


async def test_the_proxys_header_may_come_in_pieces_and_is_not_payload():
    async with listening(listener(trusted=TRUST_LOOPBACK), echo) as port:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            with trio.fail_after(10):
                for byte in b"PROXY TCP4 203.0.113.7 198.51.100.1 56324 1935\r\nhello":
                    await stream.send_all(bytes([byte]))
                received = b""
                while len(received) < 5:
                    received += await stream.receive_some()
                assert received == b"hello"


async def test_without_trust_a_proxy_header_is_just_bytes():
    async with listening(listener(), echo) as port:
        header = b"PROXY TCP4 203.0.113.7 198.51.100.1 56324 1935\r\n"
        assert await exchange(port, header) == header


async def test_addresses_behind_a_proxy_are_capped_one_by_one():
    caps = Caps(per_ip=1)
    async with listening(listener(trusted=TRUST_LOOPBACK, caps=caps), echo) as port:
        header = b"PROXY TCP4 203.0.113.%d 198.51.100.1 56324 1935\r\n"
        async with await trio.open_tcp_stream("127.0.0.1", port) as first:
            await first.send_all(header % 7 + b"x")
            with trio.fail_after(10):
                assert await first.receive_some() == b"x"
            assert await exchange(port, header % 7 + b"y") == b""
            assert await exchange(port, header % 8 + b"z") == b"z"
    assert caps._by_ip == {}


@pytest.fixture
def certificate(tmp_path):
    authority = trustme.CA()
    cert = authority.issue_cert("localhost")
    cert.cert_chain_pems[0].write_to_path(tmp_path / "server.crt")
    cert.private_key_pem.write_to_path(tmp_path / "server.key")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return authority, context, tmp_path / "server.crt", tmp_path / "server.key"


async def tls_exchange(port: int, context: ssl.SSLContext, data: bytes) -> bytes:
    with trio.fail_after(10):
        stream = await trio.open_ssl_over_tcp_stream(
            "localhost", port, ssl_context=context, https_compatible=True
        )
        async with stream:
            await stream.send_all(data)
            received = b""
            while len(received) < len(data):
                received += await stream.receive_some()
            return received


async def test_tls_carries_the_same_handler(certificate):
    _, context, cert, key = certificate
    async with listening(listener(tls=ServerTls(cert, key)), echo) as port:
        data = bytes(range(256)) * 2000
        assert await tls_exchange(port, context, data) == data


async def test_tls_behind_a_proxy_learns_the_address_before_the_handshake(certificate):
    _, context, cert, key = certificate
    one = listener(tls=ServerTls(cert, key), trusted=TRUST_LOOPBACK)
    async with listening(one, whoami) as port:
        tcp = await trio.open_tcp_stream("127.0.0.1", port)
        await tcp.send_all(b"PROXY TCP4 203.0.113.7 198.51.100.1 5 6\r\n")
        stream = trio.SSLStream(tcp, context, server_hostname="localhost", https_compatible=True)
        with trio.fail_after(10):
            await stream.do_handshake()
            assert await stream.receive_some() == b"203.0.113.7 5 True"
        await trio.aclose_forcefully(stream)


async def test_plain_bytes_on_a_tls_port_are_refused_with_the_reason(certificate, caplog):
    _, _, cert, key = certificate
    caplog.set_level(logging.WARNING)
    async with listening(listener(tls=ServerTls(cert, key)), echo) as port:
        await exchange(port, b"\x03" + bytes(1536))
    (line,) = lines(caplog)
    assert line.fields["reason"].startswith("TLS handshake failed: ")


async def test_a_tls_handshake_that_never_comes_is_given_up(certificate, autojump_clock, caplog):
    _, _, cert, key = certificate
    async with listening(listener(tls=ServerTls(cert, key)), echo) as port:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            assert await stream.receive_some() == b""
    (line,) = lines(caplog)
    assert line.fields["reason"] == "TLS handshake not finished in time"


async def test_a_renewed_certificate_is_used_and_a_broken_one_is_not(certificate):
    authority, context, cert, key = certificate
    tls = ServerTls(cert, key)
    first = tls.context()
    assert tls.context() is first
    renewed = authority.issue_cert("localhost")
    renewed.cert_chain_pems[0].write_to_path(cert)
    assert tls.context() is first  # the new certificate does not fit the old key yet
    renewed.private_key_pem.write_to_path(key)
    assert tls.context() is not first
    async with listening(listener(tls=tls), echo) as port:
        assert await tls_exchange(port, context, b"renewed") == b"renewed"


def test_a_certificate_that_cannot_be_used_stops_the_start(tmp_path):
    (tmp_path / "x").write_text("not a certificate")
    for cert in (tmp_path / "x", tmp_path / "missing"):
        with pytest.raises(StartError, match="cannot use certificate"):
            ServerTls(cert, cert)
