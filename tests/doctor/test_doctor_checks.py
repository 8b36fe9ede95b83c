"""livetrio doctor: what each check says of good and of bad."""

from __future__ import annotations

import ipaddress
import json
import resource
import socket
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio
import trustme

from livetrio.__main__ import main
from livetrio.config import (
    Address,
    AppConfig,
    Config,
    ConnectionConfig,
    ControlConfig,
    Endpoint,
    JwtConfig,
    ListenConfig,
    TlsConfig,
    TurnConfig,
    WebrtcConfig,
)
from livetrio.doctor import host
from livetrio.doctor.certificates import check_certificates
from livetrio.doctor.diagnosis import diagnose
from livetrio.doctor.finding import Finding
from livetrio.doctor.host import check_clock, check_files, check_udp_sends
from livetrio.doctor.operator import check_access, check_operator_port, check_pages
from livetrio.doctor.ports import check_listeners, check_webrtc
from livetrio.doctor.report import exit_code, human, machine
from livetrio.doctor.turn_server import TurnUrl, check_turn

EVERYWHERE = Endpoint(address=Address(None, 8090))
OFF = ListenConfig(rtmp=Endpoint(), httpflv=Endpoint(), web=Endpoint(), api=Endpoint())


def levels(findings) -> list[tuple[str, str]]:
    return [(finding.level, finding.subject) for finding in findings]


async def gathered(findings) -> list[Finding]:
    return [finding async for finding in findings]


class TestOperatorPort:
    def test_open_to_everybody_is_an_error(self) -> None:
        config = Config(listen=replace(OFF, api=EVERYWHERE), control=ControlConfig(api_open=True))
        assert levels(check_operator_port(config)) == [("error", "api_addr")]

    def test_tokens_in_the_clear_and_short_secrets_are_warned_of(self) -> None:
        control = ControlConfig(jwt=JwtConfig(secret="short"))
        found = list(
            check_operator_port(Config(listen=replace(OFF, api=EVERYWHERE), control=control))
        )
        assert levels(found) == [("warning", "api_addr"), ("warning", "jwt.secret")]
        assert "short" not in found[1].text.replace("short enough", "")

    def test_on_loopback_or_off_there_is_nothing_to_say(self) -> None:
        assert levels(check_operator_port(Config())) == [("ok", "api_addr")]
        assert list(check_operator_port(Config(listen=OFF))) == []


def test_free_apps_and_wide_proxies_are_told() -> None:
    everybody = (ipaddress.ip_network("0.0.0.0/0"),)
    config = Config(
        apps={"a": AppConfig(name="a", auth="none"), "b": AppConfig(name="b")},
        connection=ConnectionConfig(trusted_proxies=everybody),
    )
    found = list(check_access(config))
    assert levels(found) == [("warning", "server"), ("error", "trusted_proxies")]
    assert "publish to a" in found[0].text


def test_pages_without_tls_get_no_camera() -> None:
    assert levels(check_pages(Config())) == [("warning", "web_addr")]
    near = Config(listen=replace(OFF, web=Endpoint(address=Address("localhost", 8000))))
    assert list(check_pages(near)) == []


class TestCertificates:
    @pytest.fixture
    def pair(self, tmp_path) -> TlsConfig:
        folder: Path = tmp_path
        leaf = trustme.CA().issue_cert("live.example.com", "192.0.2.1")
        leaf.private_key_pem.write_to_path(str(folder / "a.key"))
        for number, blob in enumerate(leaf.cert_chain_pems):
            blob.write_to_path(str(folder / "a.pem"), append=number > 0)
        trustme.CA().issue_cert("x").private_key_pem.write_to_path(str(folder / "b.key"))
        (folder / "bad.pem").write_text("nothing")
        return TlsConfig(cert=folder / "a.pem", key=folder / "a.key")

    def check(self, tls: TlsConfig, **about) -> list[Finding]:
        endpoint = Endpoint(address=Address(None, 1), tls=tls)
        config = Config(listen=replace(OFF, web=endpoint, rtmps=endpoint))
        return list(check_certificates(config, **about))

    def until(self, pair: TlsConfig) -> datetime:
        from cryptography import x509

        return x509.load_pem_x509_certificate(pair.cert.read_bytes()).not_valid_after_utc

    def test_a_good_one_is_told_once_with_its_names(self, pair) -> None:
        until, names = self.check(pair, now=self.until(pair) - timedelta(days=60))
        assert (until.level, until.subject) == ("ok", "rtmps_addr, web_addr")
        assert names.level == "ok"
        assert "live.example.com, 192.0.2.1" in names.text

    def test_its_end_is_near_or_past_or_its_beginning_ahead(self, pair) -> None:
        until = self.until(pair)
        assert self.check(pair, now=until - timedelta(days=3))[0].level == "warning"
        expired = self.check(pair, now=until + timedelta(days=1))[0]
        assert expired.level == "error"
        assert "expired" in expired.text
        ahead = self.check(pair, now=datetime(1999, 1, 1, tzinfo=UTC))[0]
        assert "begins on" in ahead.text

    def test_another_key_is_an_error(self, pair) -> None:
        found = self.check(replace(pair, key=pair.key.parent / "b.key"))
        assert any("is not the key of" in finding.text for finding in found)

    def test_what_is_no_certificate_is_an_error(self, pair) -> None:
        for wrong in ("bad.pem", "none.pem"):
            (found,) = self.check(replace(pair, cert=pair.cert.parent / wrong))
            assert found.level == "error"


class TestPorts:
    def test_a_free_port_and_a_busy_one(self) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as taken:
            port = taken.getsockname()[1]
            listen = replace(
                OFF,
                web=Endpoint(address=Address("127.0.0.1", 0)),
                rtmp=Endpoint(address=Address("127.0.0.1", port)),
            )
            found = dict(map(reversed, levels(check_listeners(Config(listen=listen)))))
        assert found["web_addr"] == "ok"
        assert found["rtmp_addr"] == "warning"

    async def webrtc(self, address: Address | None, *public: str) -> list[tuple[str, str]]:
        webrtc = WebrtcConfig(address=address, public_addresses=public)
        return levels(await gathered(check_webrtc(Config(webrtc=webrtc))))

    async def test_datagrams_go_around_at_the_address_and_the_public_one(self) -> None:
        found = await self.webrtc(Address("127.0.0.1", 0), "127.0.0.1")
        assert found == [("ok", "webrtc_addr"), ("ok", "webrtc.public_addresses")]

    async def test_one_that_nothing_comes_back_from_is_a_warning(self, autojump_clock) -> None:
        found = await self.webrtc(Address("127.0.0.1", 0), "192.0.2.77")
        assert found[1] == ("warning", "webrtc.public_addresses")

    async def test_private_addresses_alone_are_a_warning(self) -> None:
        found = await self.webrtc(Address("127.0.0.1", 0))
        assert found[1] == ("warning", "webrtc.public_addresses")

    async def test_a_busy_or_foreign_address_is_told(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
            assert await self.webrtc(Address("127.0.0.1", port)) == [("warning", "webrtc_addr")]
        assert await self.webrtc(Address("192.0.2.99", 0)) == [("error", "webrtc_addr")]
        assert await self.webrtc(None) == []


class TestHost:
    @pytest.mark.parametrize(("hard", "level"), [(500, "warning"), (10**6, "ok"), (-1, "ok")])
    def test_files_have_to_suffice_for_the_connections(self, hard, level, monkeypatch) -> None:
        monkeypatch.setattr(resource, "getrlimit", lambda _: (hard, hard))
        assert levels(check_files(Config())) == [(level, "open files")]

    @pytest.mark.parametrize(("state", "level"), [(0, "ok"), (5, "warning"), (-1, "ok")])
    def test_a_clock_that_nothing_keeps_is_warned_of(self, state, level, monkeypatch) -> None:
        class Library:
            def __init__(self, *_, **__) -> None: ...

            adjtimex = staticmethod(lambda _: state)

        monkeypatch.setattr(host.ctypes, "CDLL", Library)
        assert levels(check_clock()) == [(level, "clock")]

    def test_the_real_clock_and_sockets_can_be_asked(self) -> None:
        assert [found.subject for found in check_clock()] == ["clock"]
        assert next(iter(check_udp_sends())).subject == "UDP GSO"


class TestTurn:
    def test_urls_are_taken_apart(self) -> None:
        assert TurnUrl.parse("turn:a.example") == TurnUrl("turn", "a.example", 3478, "udp")
        assert TurnUrl.parse("turns:[::1]:443?transport=tcp") == TurnUrl("turns", "::1", 443, "tcp")
        assert TurnUrl.parse("turns:a") == TurnUrl("turns", "a", 5349, "tcp")

    async def check(self, *urls: str) -> list[Finding]:
        return await gathered(check_turn(Config(turn=TurnConfig(urls=urls, secret="s"))))

    async def test_none_is_a_warning_and_stun_is_not_tried(self) -> None:
        assert levels(await self.check()) == [("warning", "turn.urls")]
        assert await self.check("stun:a.example") == []

    async def test_nobody_there_is_an_error(self, autojump_clock) -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))  # and nobody listens
            port = sock.getsockname()[1]
            (found,) = await self.check(f"turn:127.0.0.1:{port}?transport=tcp")
        assert found.level == "error"
        assert "TCP port" in found.advice

    async def test_silence_ends_after_five_seconds(self, autojump_clock) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            (found,) = await self.check(f"turn:127.0.0.1:{sock.getsockname()[1]}")
        assert "no answer within 5 s" in found.text

    async def test_a_dead_dns_is_told_as_that(self, monkeypatch) -> None:
        async def resolve(*_, **__):
            raise socket.gaierror("no")

        monkeypatch.setattr(trio.socket, "getaddrinfo", resolve)
        for url in ("turn:turn.example.com", "turn:turn.example.com?transport=tcp"):
            (found,) = await self.check(url)
            assert "no known name" in found.text

    async def test_a_server_that_talks_nonsense_or_no_tls_is_told(self, nursery) -> None:
        async def talk(stream) -> None:
            await stream.receive_some(100)
            await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(3000))

        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, talk, [listener])
        port = listener.socket.getsockname()[1]
        (plain,) = await self.check(f"turn:127.0.0.1:{port}?transport=tcp")
        assert "TURN" in plain.text
        (secure,) = await self.check(f"turns:127.0.0.1:{port}")
        assert secure.level == "error"
        assert "TLS" in secure.text
        nursery.cancel_scope.cancel()


FOUND = [
    Finding("error", "a", "bad\x1b[31m", "mend it"),
    Finding("ok", "b", "good"),
    Finding("warning", "c", "odd", "look"),
]


def test_the_worst_stands_last_and_nothing_escapes_to_the_terminal() -> None:
    text = list(human(FOUND))
    assert [line.split()[0] for line in text] == ["ok", "WARNING", "->", "ERROR", "->", "1"]
    assert "\x1b" not in "".join(text)
    assert text[-1] == "1 fine, 1 warnings, 1 errors"


def test_programs_get_one_document_and_an_exit_code() -> None:
    told = json.loads(machine(FOUND))
    assert (told["errors"], told["warnings"], len(told["findings"])) == (1, 1, 3)
    assert exit_code(FOUND) == 1
    assert exit_code(FOUND[1:]) == 0


async def test_everything_is_looked_at_within_seconds(autojump_clock) -> None:
    found = await diagnose(Config(webrtc=WebrtcConfig(address=Address("127.0.0.1", 0))))
    assert {"api_addr", "web_addr", "open files", "clock", "UDP GSO", "turn.urls"} <= {
        finding.subject for finding in found
    }


def test_the_command_prints_and_answers_with_its_code(capsys, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    quiet = ["--webrtc_addr=127.0.0.1:0", "--rtmp_addr=127.0.0.1:0", "--api_addr=127.0.0.1:0"]
    assert main(["doctor", "--json", *quiet]) == 0
    assert json.loads(capsys.readouterr().out)["errors"] == 0
    assert main(["doctor", *quiet, "--api_addr=:0", "--api_open"]) == 1
    assert "ERROR     api_addr" in capsys.readouterr().out
