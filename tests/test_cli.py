"""The command line: commands, flags in livego's spelling, exit codes."""

import os
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from kit.server import LISTENED

import livetrio.__main__ as cli
from livetrio import __version__
from livetrio.config import SETTINGS, Address, load
from livetrio.errors import StartError, StoreUnavailable


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder, and no variable of the developer's that names a key."""
    monkeypatch.chdir(tmp_path)
    for setting in SETTINGS.values():
        monkeypatch.delenv(setting.environment, raising=False)


def process(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "livetrio", *arguments],
        capture_output=True, text=True, timeout=60, check=False, env=dict(os.environ),
    )  # fmt: skip


@pytest.fixture
def started(monkeypatch):
    """What would have been run: (function's name, configuration, further arguments)."""
    calls = []

    def run(config, function):
        calls.append((function.func.__name__, config, function.args[1:]))
        return 0

    monkeypatch.setattr(cli, "_run", run)
    return calls


def config_of(started, *arguments):
    assert cli.main(arguments) == 0
    return started[-1][1]


@pytest.mark.parametrize("arguments", [(), ("serve",), ("--level=debug", "--flv_dir=./data")])
def test_no_command_means_serve(started, arguments):
    assert cli.main(arguments) == 0
    assert started[0][0] == "serve_until_signal"


def test_livegos_flags_work_as_there(started):
    config = config_of(started, "--level=debug", "--rtmp_addr", ":1936", "--api_addr=")
    assert config.log.level == "debug"
    assert config.listen.rtmp.address == Address(None, 1936)
    assert config.listen.api.address is None


def test_flags_may_be_spelled_with_dashes(started):
    config = config_of(started, "serve", "--log-format", "json", "--gop-num=0")
    assert config.log.format == "json"
    assert config.media.gop_num == 0


def test_a_boolean_flag_needs_no_value_and_takes_none_but_its_own(started):
    config = config_of(started, "--strict_keys", "--rtmp-noauth", "--enable_tls_verify=false")
    assert config.access.strict_keys is True
    assert config.access.rtmp_noauth is True
    assert config.relay.verify_tls is False


@pytest.mark.parametrize("flag", ["--config", "--config_file"])
def test_the_file_may_be_named_both_ways(started, flag):
    Path("my.yaml").write_text("gop_num: 7")
    assert config_of(started, flag, "my.yaml").media.gop_num == 7
    assert config_of(started, f"{flag}=my.yaml").source == "my.yaml"


def test_the_environment_is_read(started, monkeypatch):
    monkeypatch.setenv("GOP_NUM", "4")
    assert config_of(started).media.gop_num == 4


def test_demo_has_lan_and_reads_no_file_it_was_not_given(started):
    Path("livetrio.yaml").write_text("gop_num: 7")
    assert cli.main(["demo", "--lan", "--level=warn"]) == 0
    name, config, rest = started[0]
    assert (name, rest) == ("demo", (True,))
    assert (config.media.gop_num, config.log.level, config.source) == (1, "warn", "")
    assert cli.main(["demo", "--config=livetrio.yaml"]) == 0
    assert started[1][1].media.gop_num == 7
    assert started[1][2] == (False,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sevre"], "unknown command 'sevre'; there are serve, demo, check"),
        (["serve", "--rtmp"], "unrecognized arguments: --rtmp"),
        (["--lan"], "unrecognized arguments"),
        (["--redis_pwd=x"], "unrecognized arguments"),
        (["--jwt.secret=x"], "unrecognized arguments"),
        (["--rtmp_addr"], "expected one argument"),
        (["serve", "--level=debug", "demo"], "unrecognized arguments: demo"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2(started, capsys, arguments, message):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
    assert not started


def test_a_wrong_configuration_is_exit_code_2_and_starts_nothing(started, capsys):
    Path("livetrio.yaml").write_text("gop_num: 1\nrtmp_adr: x\n")
    assert cli.main(["--level=loud"]) == 2
    unknown, bad = capsys.readouterr().err.splitlines()
    assert unknown == "livetrio.yaml:2: rtmp_adr: unknown key; rtmp_addr?"
    assert bad.startswith("command line: level: must be one of panic, fatal, error, warn")
    assert bad.endswith("trace; not 'loud'")
    assert not started


def test_help_names_every_flag_and_default(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert "--rtmp_addr [HOST]:PORT" in text
    assert "[:1935]" in text
    assert "jwt.secret " in text
    assert "--jwt" not in text


def test_check_prints_ok_and_the_effective_addresses():
    Path("c.yaml").write_text(
        "httpflv_addr: ''\nredis_addr: ':6379'\nredis_pwd: hushhush\nrtmps_cert: c.yaml\n"
        "rtmps_key: c.yaml\nrtmps_addr: '[::1]:443'\nserver:\n- {appname: a, auth: none}\n"
        "- {appname: b, live: false, flv: false, static_push: 'rtmp://x/y/hush'}\n"
    )
    done = process("check", "c.yaml")
    assert done.returncode == 0
    *facts, notice = done.stdout.splitlines()
    assert facts == [
        "c.yaml: OK",
        "  rtmp_addr     :1935",
        "  rtmps_addr    [::1]:443 (TLS)",
        "  httpflv_addr  off",
        "  web_addr      :8000",
        "  api_addr      127.0.0.1:8090",
        "  room keys     redis localhost:6379",
        "  app a         any name publishes",
        "  app b         publishing needs a room key, not live, no HTTP-FLV, 1 static pushes",
    ]
    assert notice.startswith("  info: api_addr :8090 is bound to 127.0.0.1:8090: set jwt.secret")
    assert "hush" not in done.stdout + done.stderr


def test_check_prints_each_problem_with_file_line_and_key():
    Path("bad.yaml").write_text("gop_num: x\n\nrtmp_adr: 1\n")
    done = process("check", "bad.yaml")
    assert done.returncode == 2
    assert done.stdout.splitlines() == [
        "bad.yaml:1: gop_num: must be a whole number, not 'x'",
        "bad.yaml:3: rtmp_adr: unknown key; rtmp_addr?",
    ]
    assert done.stderr == ""


def test_check_of_a_missing_file_is_exit_code_2(capsys):
    assert cli.main(["check", "nowhere.yaml"]) == 2
    assert capsys.readouterr().out == "nowhere.yaml: no such file\n"


def test_check_without_a_name_checks_what_serve_would_read(capsys):
    Path("livego.yaml").write_text("gop_num: 1")
    assert cli.main(["check"]) == 0
    assert capsys.readouterr().out.startswith("livego.yaml: OK\n")


def test_version():
    done = process("--version")
    assert (done.returncode, done.stdout) == (0, f"livetrio {__version__}\n")


def test_a_port_in_use_is_one_clear_line_and_exit_code_1():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = process(
            f"--rtmp_addr=127.0.0.1:{port}",
            *(f"--{name}_addr=" for name in LISTENED if name != "rtmp"),
            "--log-format=json",
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].count(f"127.0.0.1:{port}") == 1
    assert '"level": "fatal", ' in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


class TestRun:
    """What `_run` makes of the ways in which a server ends."""

    async def ends(self, error):
        if error:
            raise error

    def code(self, error=None, **kwargs):
        return cli._run(load(**kwargs), partial(self.ends, error))

    def test_a_clean_end_is_0_and_notices_were_logged(self, capsys):
        assert self.code() == 0
        assert "Using default config" in capsys.readouterr().err

    @pytest.mark.parametrize(
        "error",
        [
            StartError("no port"),
            StoreUnavailable("no port"),
            ExceptionGroup("", [ExceptionGroup("", [StartError("no port")])]),
        ],
    )
    def test_a_server_that_cannot_start_is_1_and_one_line(self, capsys, error):
        assert self.code(error, search=False) == 1
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.endswith('fatal   cannot start reason="no port"')

    def test_an_interrupt_before_the_server_hears_signals_is_130(self):
        assert self.code(KeyboardInterrupt()) == 130

    def test_a_bug_is_not_hidden(self):
        with pytest.raises(ExceptionGroup):
            self.code(ExceptionGroup("", [StartError("x"), ZeroDivisionError()]))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_served_program_that_is_asked_to_end_ends_with_0(number):
    addresses = [f"--{name}_addr=127.0.0.1:0" for name in LISTENED]
    with subprocess.Popen(
        [sys.executable, "-m", "livetrio", *addresses], stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stderr is not None
        heard = next(line for line in server.stderr if "listening name=api" in line)
        assert "127.0.0.1:" in heard
        server.send_signal(number)
        rest = server.stderr.read()
        assert server.wait(timeout=60) == 0
    assert rest.splitlines()[-1].endswith("stopped")
