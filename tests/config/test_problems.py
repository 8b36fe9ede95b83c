"""What is wrong is told with place and key, all at once; hostile files are harmless."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetrio.config import load
from livetrio.errors import ConfigError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def problems(text, name="c.yaml", flags=None):
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    Path(name).write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        load(flags, file=name)
    return str(caught.value).splitlines()


def test_all_problems_are_told_at_once_in_the_order_of_their_lines():
    found = problems(
        "gop_num: x\nrtmp_adr: ':1'\nserver:\n  - appname: live\n    lve: 1\n  - live: true\n"
        "jwt:\n  secrt: x\n",
        flags={"max_lag": "-1"},
    )
    assert found == [
        "c.yaml:1: gop_num: must be a whole number, not 'x'",
        "c.yaml:2: rtmp_adr: unknown key; rtmp_addr?",
        "c.yaml:5: server[0].lve: unknown key; server[0].live?",
        "c.yaml:6: server[1]: has no appname",
        "c.yaml:8: jwt.secrt: unknown key; jwt.secret?",
        "command line: max_lag: must be between 0.1 and 300 seconds, not -1",
    ]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("rtmp_addr: '1935'", "no port or no colon"),
        ("rtmp_addr: ':70000'", "0 to 65535"),
        ("rtmp_addr: ':-1'", "0 to 65535"),
        ("rtmp_addr: ':99999999999999999999'", "0 to 65535"),
        ("rtmp_addr: ':١٩'", "0 to 65535"),
        ("rtmp_addr: 'host:'", "0 to 65535"),
        ("rtmp_addr: ':http'", "0 to 65535"),
        ("rtmp_addr: '::1:80'", "not a host"),
        ("rtmp_addr: '[::1]'", "0 to 65535"),
        ("rtmp_addr: '[1.2.3.4]:80'", "not an IPv6 address"),
        ("rtmp_addr: 'a b:80'", "not a host"),
        ('rtmp_addr: "a\\r\\nb:80"', "'a\\r\\nb' is not a host"),
        ("rtmp_addr: [':1']", "single value, not a list"),
        ("webrtc_addr: 'localhost:1'", "must be an IP address"),
        ("webrtc_addr: {addr: ':1', tls: false}", "brings its own encryption"),
        ("webrtc: {public_addresses: [example.com]}", "not an IP address"),
        ("webrtc: {engine: janus}", "must be one of gateway, aiortc"),
        ("rtmp_addr: {addr: ':1', port: 2}", "unknown key"),
        ("jwt: text", "must be a mapping with secret and algorithm"),
        ("jwt: {secret: [a]}", "single value"),
        ("jwt: {addr: a}", "unknown key"),
        ("level: loud", "must be one of panic, fatal"),
        ("level: {a: b}", "single value, not a mapping"),
        ("log_format: xml", "must be one of human, json"),
        ("rtmp_noauth: maybe", "must be true or false"),
        ("rtmp_noauth: 2", "must be true or false"),
        ("rtmp_noauth:", "must be true or false"),
        ("gop_num: -1", "between 0 and"),
        ("gop_num: 1.5", "whole number"),
        ("gop_num: 1_0", "whole number"),
        ("gop_num: " + "9" * 5000, "whole number"),
        ("read_timeout: 0", "between 0.1 and 3600"),
        ("read_timeout: nan", "between"),
        ("read_timeout: inf", "between"),
        ("read_timeout: 1e400", "between"),
        ("write_timeout: soon", "must be a number of seconds"),
        ("merge_window: 2001", "milliseconds"),
        ("max_connections: 0", "between 1 and"),
        ("max_connections_per_ip: 0", "between 1 and"),
        ("resume_window: -0.1", "between 0 and"),
        ("trusted_proxies: [10.0.0.0/33]", "not an IP address or network"),
        ("trusted_proxies: [[1.2.3.4]]", "single value"),
        ("override_publisher: sometimes", "auto, always, never"),
        ("data_dir: ''", "must be a path"),
        ('data_dir: "a\\0b"', "must be a path"),
        ("flv_archive: 7", "must be true or false"),
        ("hls_addr: x", "no port or no colon"),
        ("server: live", "must be a list"),
        ("server: {appname: live}", "must be a list"),
        ("server: []", "lists no app"),
        ("server: [live]", "must be a mapping with appname"),
        ("server: [{appname: }]", "1 to 128 bytes"),
        ("server: [{appname: a/b}]", "one path segment"),
        ("server: [{appname: ..}]", "one path segment"),
        ('server: [{appname: "a\\x1b"}]', "printable"),
        ("server: [{appname: " + "x" * 129 + "}]", "1 to 128 bytes"),
        ("server: [{appname: a}, {appname: a}]", "'a' is listed twice"),
        ("server: [{appname: a, auth: maybe}]", "must be one of key, none"),
        ("server: [{appname: a, static_push: http://h/x}]", "entry 1 does not begin with rtmp://"),
        ("server: [{appname: a, static_push: ['rtmp://h/x', 'rtmp:///x']}]", "entry 2 has no host"),
        ("server: [{appname: a, static_push: ['rtmp://h:x/']}]", "entry 1 is not a URL"),
        ("server: [{appname: a, exec: x}]", "unknown key"),
        ("server: [{appname: a, play: no/such/folder}]", "there is no folder no/such/folder"),
        ("reacord: true", "unknown key"),
        ("tls: {cert: c}", "needs tls.key"),
    ],
)
def test_a_bad_value_is_told_with_its_line_and_key(line, what):
    found = problems("\n\n" + line)
    assert found
    assert found[0].startswith("c.yaml:3: " + line.partition(":")[0])
    assert what in found[0]
    assert len(found[0]) < 400


def test_a_push_url_is_never_shown_for_it_ends_in_a_secret():
    assert "hush" not in problems("server: [{appname: a, static_push: 'rtmq://h/a/hush'}]")[0]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.yaml", "a: 1\nA: 2\n", "c.yaml:2: A: is given twice, first at c.yaml:1"),
        ("c.yaml", "server:\n- appname: a\n  appname: b", "c.yaml:3: appname: is given twice"),
        ("c.yaml", "jwt: {secret: a}\njwt.secret: b", "c.yaml:2: jwt.secret: is given twice"),
        ("c.yaml", "level: [", "c.yaml:1: "),
        ("c.yaml", "level: 'a\nx: [", "c.yaml:"),
        ("c.yaml", "a: b: c", "c.yaml:1: mapping values are not allowed"),
        ("c.yaml", "- a", "c.yaml:1: the file must be a mapping"),
        ("c.yaml", "? [a]\n: b", "c.yaml:1: a key must be text"),
        ("c.yaml", "level: info\n---\nlevel: info", "c.yaml:2: a second document"),
        ("c.yaml", "level: *a", "c.yaml:1: alias *a is not defined"),
        ("c.yaml", "level: &a [*a]", "c.yaml:1: alias *a is inside itself"),
        ("c.yaml", "<<: 1", "c.yaml:1: <<: needs a mapping"),
        ("c.yaml", b"level: \xff", "c.yaml:1: is not UTF-8"),
        ("c.yaml", "level: \x01", "c.yaml: is not YAML"),
        ("c.yaml", "level: !!python/object/apply:os.system [x]", "c.yaml:1: level: must be"),
        ("c.yaml", "x: " + "[" * 100_000, "c.yaml:1: nested deeper than 16"),
        ("c.yaml", "x: " + "[" * 17 + "]" * 17, "c.yaml:1: nested deeper than 16"),
        ("c.yaml", "server:\n" + "- a\n" * 1001, "c.yaml:2: more than 1000 entries"),
        ("c.yaml", b"#" * (1 << 20) + b"\n", "c.yaml: is larger than"),
        ("c.json", '{"a": 1,}', "c.json:1: "),
        ("c.json", '{\n"level":\n}', "c.json:3: "),
        ("c.json", '{"level": "info",\n "level": "info"}', "c.json:2: level: is given twice"),
        ("c.json", '{\n\t"levle": "info"}', "c.json:2: levle: unknown key; level?"),
        ("c.json", "[" * 100_000, "c.json: is nested too deep"),
        ("c.json", "[]", "c.json:1: the file must be a mapping"),
        ("c.toml", "level = ", "c.toml:1: "),
        ("c.toml", "a = 1\nlevel = 'x", "c.toml:2: "),
        ("c.toml", "\n[jwt]\nsecrt = 'x'", "c.toml:3: jwt.secrt: unknown key; jwt.secret?"),
        ("c.toml", "[[server]]\nappname='a'\n[[server]]\nappname='b'\nx=1", "c.toml:5: server[1]"),
        ("c.toml", "level = 'info'\nLEVEL = 'info'", "c.toml:2: LEVEL: is given twice"),
        ("c.toml", "x = " + "[" * 100_000, "c.toml: is nested too deep"),
        ("c.toml", "x = " + "[" * 20 + "]" * 20, "c.toml:1: nested deeper than 16"),
        ("c.ini", "", "c.ini: unknown kind '.ini'"),
        ("c", "", "c: unknown kind ''"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_says_where_and_why(name, text, message):
    assert problems(text, name)[0].startswith(message)


def test_a_folder_in_the_files_place_is_an_error():
    Path("c.yaml").mkdir()
    with pytest.raises(ConfigError, match=r"c\.yaml: cannot be read"):
        load(file="c.yaml")


@pytest.mark.parametrize(("name", "text"), [("c.yaml", ""), ("c.yaml", "~"), ("c.toml", "")])
def test_an_empty_file_is_an_empty_configuration(name, text):
    Path(name).write_text(text)
    assert load(file=name).source == name


def test_anchors_and_merge_keys_work():
    Path("c.yaml").write_text(
        "server:\n- &first {appname: a, hls: false, flv: false}\n"
        "- <<: *first\n  appname: b\n  flv: true\n"
        "- <<: [*first]\n  appname: c\n"
    )
    apps = load(file="c.yaml").apps
    assert (apps["b"].hls, apps["b"].flv) == (False, True)
    assert (apps["c"].hls, apps["c"].flv) == (False, False)


def test_an_alias_bomb_stays_as_small_as_its_file():
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 40)]
    levels += ["rtmp_addr: *a39"]
    found = problems("\n".join(levels))
    assert len(found) == 41  # each unknown key once, and:
    assert "c.yaml:41: rtmp_addr: must be a single value, not a list" in found


def test_an_astral_character_in_json_is_one_character():
    Path("c.json").write_text(r'{"server": [{"appname": "\ud83d\ude00"}]}')
    assert list(load(file="c.json").apps) == ["😀"]


@given(st.sampled_from(["c.yaml", "c.json", "c.toml"]), st.text() | st.binary())
def test_garbage_raises_config_error_only(tmp_path_factory, name, garbage):
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(
        garbage if isinstance(garbage, bytes) else garbage.encode("utf-8", "surrogatepass")
    )
    try:
        load(file=path)
    except ConfigError as error:
        assert str(error).startswith(str(path))  # noqa: PT017 - an error or none: both are right


@given(st.from_regex(r"(\A[a-z_]{1,12}: ?[\[\]{}&*<:,'\"a-z0-9 #|>!-]{0,20}\n){1,6}\Z"))
def test_nearly_yaml_raises_config_error_only(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "near.yaml"
    path.write_text(text)
    with suppress(ConfigError):
        load(file=path)
