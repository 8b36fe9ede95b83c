"""Keys, flags and variables of livego and ours; who wins; what is told."""

import ipaddress
from pathlib import Path

import pytest

from livetrio.config import (
    SETTINGS,
    Address,
    AppConfig,
    Config,
    ConnectionConfig,
    Endpoint,
    JwtConfig,
    LogConfig,
    MediaConfig,
    RedisConfig,
    TlsConfig,
    load,
)
from livetrio.errors import ConfigError

LIVEGO = """\
# # Logger level
level: debug
flv_archive: false
rtmp_noauth: false
rtmp_addr: ":1936"
enable_rtmps: false
httpflv_addr: ":7011"
hls_addr: ":7002"
hls_keep_after_end: false
api_addr: ":8091"
redis_addr: localhost:6379
redis_pwd: 007
read_timeout: 11
write_timeout: 12
enable_tls_verify: false
gop_num: 3
jwt:
    secret: testing
    algorithm: HS384
server:
    - appname: live
      live: true
      hls: true
      api: true
      flv: true
      static_push: ["rtmp://push.example/live"]
    - appname: second
      live: false
      hls: false
      api: false
      flv: false
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(text, name="livetrio.yaml"):
    Path(name).write_text(text, encoding="utf-8")
    return name


def texts(config):
    return [notice.text for notice in config.notices]


def problems(flags=None, **kwargs):
    with pytest.raises(ConfigError) as caught:
        load(flags, **kwargs)
    return str(caught.value).splitlines()


def test_without_a_file_the_defaults_are_livegos_and_a_warning_says_so():
    config = load()
    assert config.listen.rtmp == Endpoint(address=Address(None, 1935))
    assert config.listen.rtmps == Endpoint()
    assert config.listen.httpflv.address == Address(None, 7001)
    assert config.listen.web.address == Address(None, 8000)
    assert config.apps == {"live": AppConfig(name="live")}
    assert config.media == MediaConfig(gop_num=1, merge_window=0.35, resume_window=10, play_wait=5)
    assert config.connection == ConnectionConfig(read_timeout=10, write_timeout=10)
    assert config.notices[0].level == "warning"
    assert config.notices[0].text.startswith("Using default config")


def test_defaults_in_code_and_defaults_of_loading_are_the_same():
    loaded = load()
    assert loaded == Config(source=loaded.source, notices=loaded.notices)


def test_a_livego_file_works_unchanged():
    config = load(file=written(LIVEGO, "livego.yaml"))
    assert config.log == LogConfig(level="debug")
    assert config.listen.rtmp.address == Address(None, 1936)
    assert config.listen.httpflv.address == Address(None, 7011)
    assert config.listen.api.address == Address(None, 8091)
    assert config.store.redis == RedisConfig(address=Address("localhost", 6379), password="007")
    assert (config.connection.read_timeout, config.connection.write_timeout) == (11, 12)
    assert config.relay.verify_tls is False
    assert config.media.gop_num == 3
    assert config.control.jwt == JwtConfig(secret="testing", algorithm="HS384")
    assert config.apps == {
        "live": AppConfig(name="live", static_push=("rtmp://push.example/live",)),
        "second": AppConfig(name="second", live=False, hls=False, api=False, flv=False),
    }
    assert config.notices == ()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.yaml", 'rtmp_addr: ":1"\njwt: {secret: s}\nserver: [{appname: a}]'),
        ("c.yml", '"rtmp_addr": ":1"\njwt.secret: s\nserver:\n- {appname: a}'),
        ("c.json", '{\n\t"rtmp_addr":":1","jwt":{"secret":"s"},"server":[{"appname":"a"}]}'),
        ("c.toml", 'rtmp_addr = ":1"\njwt.secret = "s"\n[[server]]\nappname = "a"'),
    ],
)
def test_the_extension_decides_the_kind_of_file(name, text):
    config = load(file=written(text, name))
    assert config.listen.rtmp.address == Address(None, 1)
    assert config.control.jwt.secret == "s"
    assert config.apps == {"a": AppConfig(name="a")}


def test_values_of_json_and_toml_keep_their_meaning():
    text = "gop_num = 3\nread_timeout = 1.5\nrtmp_noauth = true\nenable_tls_verify = false"
    toml = load(file=written(text, "c.toml"))
    text = '{"gop_num": 3, "read_timeout": 1.5, "rtmp_noauth": true, "enable_tls_verify": false}'
    json = load(file=written(text, "c.json"))
    for config in (toml, json):
        assert config.media.gop_num == 3
        assert config.connection.read_timeout == 1.5
        assert config.access.rtmp_noauth is True
        assert config.relay.verify_tls is False


def test_a_mapping_left_empty_is_nothing_given():
    assert load(file=written("jwt:\ntls:\nserver:\n")).control.jwt == JwtConfig()


@pytest.mark.parametrize("auth", ["key", "none"])
def test_each_app_has_its_own_auth(auth):
    file = written(f"server: [{{appname: a, auth: {auth}}}, {{appname: b}}]")
    apps = load(file=file).apps
    assert (apps["a"].auth, apps["b"].auth) == (auth, "key")


def test_an_app_with_a_folder_is_live_only_if_it_says_so(tmp_path):
    folder = f"play: {tmp_path}"
    file = written(f"server: [{{appname: a, {folder}}}, {{appname: b, live: true, {folder}}}]")
    apps = load(file=file).apps
    assert [(app.live, app.play) for app in apps.values()] == [(False, tmp_path), (True, tmp_path)]


def test_livetrio_yaml_is_read_before_livego_yaml_and_that_where_it_is_alone():
    written("gop_num: 2", "livego.yaml")
    assert load().media.gop_num == 2
    written("gop_num: 5", "livetrio.yaml")
    assert load().media.gop_num == 5
    assert load().source == "livetrio.yaml"
    assert load(search=False).source == ""


def test_a_named_file_that_is_missing_is_a_warning_as_in_livego():
    config = load(file="nowhere.yaml")
    assert config.notices[0].text == "Using default config: there is no nowhere.yaml"


def test_a_missing_file_that_must_exist_is_an_error():
    assert problems(file="nowhere.yaml", must_exist=True) == ["nowhere.yaml: no such file"]


def test_a_file_without_apps_gets_the_app_live_and_says_so():
    config = load(file=written("gop_num: 1"))
    assert list(config.apps) == ["live"]
    assert "livetrio.yaml has no server: list; using the app live" in texts(config)


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default():
    file = written("gop_num: 2\nmax_lag: 2\nplay_wait: 2\n")
    environ = {"GOP_NUM": "3", "MAX_LAG": "3"}
    media = load({"gop_num": "4"}, environ=environ, file=file)
    assert media.media.gop_num == 4
    assert media.connection.max_lag == 3
    assert media.media.play_wait == 2
    assert media.media.resume_window == 10
    assert "set by the environment: GOP_NUM, MAX_LAG" in texts(media)


SAMPLES = {
    "level": ("trace", lambda c: c.log.level, "trace"),
    "log_format": ("json", lambda c: c.log.format, "json"),
    "rtmp_addr": ("127.0.0.1:1", lambda c: c.listen.rtmp.address, Address("127.0.0.1", 1)),
    "httpflv_addr": ("[::1]:2", lambda c: c.listen.httpflv.address, Address("::1", 2)),
    "web_addr": ("[::]:3", lambda c: c.listen.web.address, Address(None, 3)),
    "api_addr": ("localhost:4", lambda c: c.listen.api.address, Address("localhost", 4)),
    "api_open": ("true", lambda c: c.listen.api.address, Address(None, 8090)),
    "data_dir": ("/srv/x", lambda c: c.store.data_dir, Path("/srv/x")),
    "rtmp_noauth": ("1", lambda c: c.access.rtmp_noauth, True),
    "strict_keys": ("yes", lambda c: c.access.strict_keys, True),
    "override_publisher": ("never", lambda c: c.access.override_publisher, "never"),
    "enable_tls_verify": ("false", lambda c: c.relay.verify_tls, False),
    "jwt.secret": ("s", lambda c: c.control.jwt.secret, "s"),
    "jwt.algorithm": ("HS512", lambda c: c.control.jwt.algorithm, "HS512"),
    "redis_addr": (":7", lambda c: c.store.redis.address, Address("localhost", 7)),
    "read_timeout": ("1.5", lambda c: c.connection.read_timeout, 1.5),
    "write_timeout": ("2", lambda c: c.connection.write_timeout, 2),
    "max_connections": ("3", lambda c: c.connection.max_connections, 3),
    "max_connections_per_ip": ("4", lambda c: c.connection.max_connections_per_ip, 4),
    "trusted_proxies": (
        "10.1.2.3/8, ::1",
        lambda c: c.connection.trusted_proxies,
        (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1/128")),
    ),
    "grace_period": ("0", lambda c: c.connection.grace_period, 0),
    "gop_num": ("0", lambda c: c.media.gop_num, 0),
    "merge_window": ("100", lambda c: c.media.merge_window, 0.1),
    "max_lag": ("2", lambda c: c.connection.max_lag, 2),
    "resume_window": ("0", lambda c: c.media.resume_window, 0),
    "play_wait": ("0", lambda c: c.media.play_wait, 0),
    "im_addr": (":5", lambda c: c.listen.im.address, Address(None, 5)),
    "goim_tcp_addr": (":6", lambda c: c.listen.goim_tcp.address, Address(None, 6)),
    "goim_push_addr": (":7", lambda c: c.listen.goim_push.address, Address(None, 7)),
    "im.allow_anonymous": ("true", lambda c: c.im.allow_anonymous, True),
    "im.api_key": ("k", lambda c: c.im.api_key, "k"),
    "im.goim_trust_mid": ("true", lambda c: c.im.goim_trust_mid, True),
    "im.goim_domain": ("a.example", lambda c: c.im.goim_domain, "a.example"),
    "im.goim_heartbeat": ("30", lambda c: c.im.goim_heartbeat, 30.0),
    "im.goim_heartbeat_max": ("3", lambda c: c.im.goim_heartbeat_max, 3),
    "im.connect_url": ("https://a/b", lambda c: c.im.connect_url, "https://a/b"),
    "im.token.secret": ("s", lambda c: c.im.token.secret, "s"),
    "im.token.public_key": ("a.pem", lambda c: c.im.token.public_key, Path("a.pem")),
    "im.token.jwks_url": ("https://a/j", lambda c: c.im.token.jwks_url, "https://a/j"),
    "im.token.algorithms": ("RS256, ES256", lambda c: c.im.token.algorithms, ("RS256", "ES256")),
    "im.token.audience": ("me", lambda c: c.im.token.audience, "me"),
    "im.token.issuer": ("you", lambda c: c.im.token.issuer, "you"),
    "im.history_size": ("50", lambda c: c.im.history_size, 50),
    "im.backlog": ("20", lambda c: c.im.backlog, 20),
    "im.goim_subscribers": ("3", lambda c: c.im.goim_subscribers, 3),
    "im.history_ttl": ("60", lambda c: c.im.history_ttl, 60),
    "im.durable": ("group:*, pm:*", lambda c: c.im.durable, ("group:*", "pm:*")),
    "im.state": ("like:*", lambda c: c.im.state, ("like:*",)),
    "im.tick": ("100", lambda c: c.im.tick, 0.1),
    "im.kick": ("same-device", lambda c: c.im.kick, "same-device"),
    "im.connections_per_user": ("2", lambda c: c.im.connections_per_user, 2),
    "webrtc_addr": ("[::1]:9", lambda c: c.webrtc.address, Address("::1", 9)),
    "webrtc.public_addresses": (
        "203.0.113.1, 2001:db8::1",
        lambda c: c.webrtc.public_addresses,
        ("203.0.113.1", "2001:db8::1"),
    ),
    "webrtc.ice_tcp": ("false", lambda c: c.webrtc.ice_tcp, False),
    "webrtc.engine": ("AIORTC", lambda c: c.webrtc.engine, "aiortc"),
    "webrtc.max_peers": ("7", lambda c: c.webrtc.max_peers, 7),
    "webrtc.max_peers_per_ip": ("8", lambda c: c.webrtc.max_peers_per_ip, 8),
    "webrtc.peer_timeout": ("9", lambda c: c.webrtc.peer_timeout, 9.0),
    "webrtc.max_pending": ("5", lambda c: c.webrtc.max_pending, 5),
    "webrtc.max_pending_per_ip": ("6", lambda c: c.webrtc.max_pending_per_ip, 6),
    "webrtc.start_bitrate": ("0", lambda c: c.webrtc.start_bitrate, 0),
    "webrtc.key_frame_interval": ("5", lambda c: c.webrtc.key_frame_interval, 5.0),
    "rendition.opus_bitrate": ("64000", lambda c: c.rendition.opus_bitrate, 64_000),
    "rendition.aac_bitrate": ("96000", lambda c: c.rendition.aac_bitrate, 96_000),
    "rendition.video_bitrate": ("900000", lambda c: c.rendition.video_bitrate, 900_000),
    "rendition.max": ("0", lambda c: c.rendition.max, 0),
    "rendition.on_request": ("false", lambda c: c.rendition.on_request, False),
    "rendition.max_audio": ("7", lambda c: c.rendition.max_audio, 7),
    "rendition.relay_audio": ("copy", lambda c: c.rendition.relay_audio, "copy"),
    "im.guest_roles": ("host, vip", lambda c: c.im.guest_roles, ("host", "vip")),
    "rooms.create": ("anyone", lambda c: c.rooms.create, "anyone"),
    "rooms.max": ("5", lambda c: c.rooms.max, 5),
    "rooms.video_seats": ("4", lambda c: c.rooms.video_seats, 4),
    "rooms.voice_seats": ("8", lambda c: c.rooms.voice_seats, 8),
    "rooms.resume_window": ("20", lambda c: c.rooms.resume_window, 20),
    "rooms.idle_time": ("60", lambda c: c.rooms.idle_time, 60),
    "rooms.invite_timeout": ("15", lambda c: c.rooms.invite_timeout, 15),
    "rooms.applications": ("50", lambda c: c.rooms.applications, 50),
    "rooms.voices": ("5", lambda c: c.rooms.voices, 5),
    "rooms.open_seats": ("true", lambda c: c.rooms.open_seats, True),
    "rooms.mix.width": ("640", lambda c: c.rooms.mix.width, 640),
    "rooms.mix.height": ("360", lambda c: c.rooms.mix.height, 360),
    "rooms.mix.fps": ("15", lambda c: c.rooms.mix.fps, 15),
    "rooms.mix.video_bitrate": ("900000", lambda c: c.rooms.mix.video_bitrate, 900_000),
    "rooms.mix.audio_bitrate": ("64000", lambda c: c.rooms.mix.audio_bitrate, 64_000),
    "rooms.mix.max": ("6", lambda c: c.rooms.mix.max, 6),
    "rooms.mix.linger": ("5", lambda c: c.rooms.mix.linger, 5.0),
    "rooms.mix.font": ("/a.ttf", lambda c: c.rooms.mix.font, Path("/a.ttf")),
    "turn.urls": (
        "stun:[::1]:3478, stuns:t.example",
        lambda c: c.turn.urls,
        ("stun:[::1]:3478", "stuns:t.example"),
    ),
    "turn.secret": ("s", lambda c: c.turn.secret, "s"),
    "turn.ttl": ("600", lambda c: c.turn.ttl, 600),
    "turn.viewers": ("no", lambda c: c.turn.viewers, False),
    "turn.viewer_ttl": ("120", lambda c: c.turn.viewer_ttl, 120),
    "hls_addr": (":9", lambda c: c.listen.hls.address, Address(None, 9)),
    "hls_keep_after_end": ("t", lambda c: c.hls.keep_after_end, True),
    "hls.segment": ("4", lambda c: c.hls.segment, 4),
    "hls.window": ("6", lambda c: c.hls.window, 6),
    "hls.dvr_window": ("60", lambda c: c.hls.dvr_window, 60),
    "hls.part": ("100", lambda c: c.hls.part, 0.1),
    "hls.ll_segment": ("2", lambda c: c.hls.ll_segment, 2),
    "hls.ll_window": ("9", lambda c: c.hls.ll_window, 9),
    "hls.key_every": ("10", lambda c: c.hls.key_every, 10),
    "flv_archive": ("TRUE", lambda c: {app.record for app in c.apps.values()}, {"flv"}),
    "record.dir": ("/srv/r", lambda c: c.record.folder, Path("/srv/r")),
    "record.path": ("%Y/{app}-{name}", lambda c: c.record.path, "%Y/{app}-{name}"),
    "record.split_time": ("60", lambda c: c.record.split_time, 60),
    "record.split_size": ("1000", lambda c: c.record.split_size, 1000),
    "record.keep_time": ("86400", lambda c: c.record.keep_time, 86400),
    "record.keep_size": ("5000", lambda c: c.record.keep_size, 5000),
}
ELSEWHERE = {
    "im.guests",
    "redis_pwd",
    "enable_rtmps",
    "rtmps_addr",
    "rtmps_cert",
    "rtmps_key",
    "tls.cert",
    "tls.key",
    "use_hls_https",
    "flv_dir",
}


def test_every_setting_is_tried_below_or_in_a_test_of_its_own():
    assert {key for key in SETTINGS if not key.partition("_addr.")[1]} == set(SAMPLES) | ELSEWHERE


@pytest.mark.parametrize("key", SAMPLES)
def test_a_setting_may_stand_in_the_file(key):
    written_value, read, expected = SAMPLES[key]
    assert read(load(file=written(f"server: [appname: x]\n{key}: '{written_value}'"))) == expected


@pytest.mark.parametrize("key", SAMPLES)
def test_a_setting_may_stand_in_the_environment_without_a_prefix(key):
    value, read, expected = SAMPLES[key]
    config = load(environ={key.upper().replace(".", "_"): value, "UNRELATED": "1"})
    assert read(config) == expected


@pytest.mark.parametrize("key", SAMPLES)
def test_a_setting_may_be_a_flag(key):
    value, read, expected = SAMPLES[key]
    assert read(load({key: value})) == expected


def test_keys_are_found_in_any_case_as_in_viper():
    assert load(file=written("RTMP_Addr: ':5'")).listen.rtmp.address == Address(None, 5)


@pytest.mark.parametrize("name", ["rtmp", "httpflv", "web", "api"])
def test_an_empty_address_turns_a_listener_off_from_the_environment_too(name):
    assert getattr(load({f"{name}_addr": ""}).listen, name) == Endpoint()
    assert getattr(load(environ={f"{name.upper()}_ADDR": ""}).listen, name) == Endpoint()


def test_an_empty_variable_that_can_be_no_value_counts_as_not_set():
    assert load(environ={"GOP_NUM": "", "RTMP_NOAUTH": ""}).media.gop_num == 1


def test_config_file_in_the_environment_is_not_read_as_in_livego():
    assert load(environ={"CONFIG_FILE": written("gop_num: 9", "other.yaml")}).media.gop_num == 1


def test_config_file_inside_the_file_is_accepted_and_said_to_be_without_effect():
    config = load(file=written("config_file: other.yaml"))
    assert any("config_file" in text for text in texts(config))


class TestApiAddress:
    def test_is_loopback_without_a_secret_and_a_line_says_so(self):
        config = load({"api_addr": "0.0.0.0:9"})
        assert config.listen.api.address == Address("127.0.0.1", 9)
        assert any("jwt.secret" in text and "0.0.0.0:9" in text for text in texts(config))

    def test_stays_in_its_family(self):
        assert load({"api_addr": "[fe80::1]:9"}).listen.api.address == Address("::1", 9)

    @pytest.mark.parametrize("flags", [{"api_open": "true"}, {"jwt.secret": "s"}])
    def test_is_as_written_once_it_is_safe_or_asked_for(self, flags):
        config = load({"api_addr": "0.0.0.0:9", **flags})
        assert config.listen.api.address == Address("0.0.0.0", 9)
        assert not any("jwt.secret" in text for text in texts(config))

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "[::1]", "localhost"])
    def test_that_is_loopback_already_needs_no_line(self, host):
        config = load({"api_addr": f"{host}:9"})
        assert not any("bound" in text for text in texts(config))


class TestTls:
    @pytest.fixture(autouse=True)
    def files(self):
        for name in ("a.crt", "a.key", "own.crt", "own.key", "server.crt", "server.key"):
            Path(name).write_text("")

    A = TlsConfig(cert=Path("a.crt"), key=Path("a.key"))
    OWN = TlsConfig(cert=Path("own.crt"), key=Path("own.key"))
    LIVEGO = TlsConfig(cert=Path("server.crt"), key=Path("server.key"))

    def test_enable_rtmps_turns_the_one_rtmp_listener_into_tls(self):
        listen = load({"enable_rtmps": "true"}).listen
        assert listen.rtmp == Endpoint(address=Address(None, 1935), tls=self.LIVEGO)
        assert listen.rtmps == Endpoint()

    def test_flv_dir_is_where_flv_archive_goes(self):
        assert load({"flv_archive": "1", "flv_dir": "./data"}).record.folder == Path("./data")
        assert load({"flv_dir": "./data"}).record.folder is None

    def test_use_hls_https_turns_the_hls_listener_into_tls(self):
        assert load({"use_hls_https": "true"}).listen.hls.tls == self.LIVEGO
        shared = {"use_hls_https": "true", "tls.cert": "a.crt", "tls.key": "a.key"}
        assert load(shared).listen.hls.tls == self.A

    def test_rtmps_addr_opens_a_second_listener(self):
        listen = load({"rtmps_addr": ":1936"}).listen
        assert listen.rtmp.tls is None
        assert listen.rtmps == Endpoint(address=Address(None, 1936), tls=self.LIVEGO)

    def test_rtmps_uses_its_own_certificate_before_the_shared_one(self):
        shared = {"rtmps_addr": ":1936", "tls.cert": "a.crt", "tls.key": "a.key"}
        assert load(shared).listen.rtmps.tls == self.A
        own = shared | {"rtmps_cert": "own.crt", "rtmps_key": "own.key"}
        assert load(own).listen.rtmps.tls == self.OWN

    def test_a_listener_written_as_a_mapping_has_the_shared_certificate_or_its_own(self):
        file = written(
            "tls: {cert: a.crt, key: a.key}\n"
            "httpflv_addr: {addr: ':7443', tls: true}\n"
            "web_addr: {addr: ':8443', cert: own.crt, key: own.key}\n"
        )
        listen = load(file=file).listen
        assert listen.rtmp.tls is None
        assert listen.httpflv == Endpoint(address=Address(None, 7443), tls=self.A)
        assert listen.web == Endpoint(address=Address(None, 8443), tls=self.OWN)

    def test_a_flag_for_the_address_leaves_the_files_tls_on(self):
        file = written("tls: {cert: a.crt, key: a.key}\nhttpflv_addr: {addr: ':7443', tls: true}\n")
        listen = load({"httpflv_addr": ":1"}, file=file).listen
        assert listen.httpflv == Endpoint(address=Address(None, 1), tls=self.A)

    def test_half_a_certificate_is_an_error(self):
        assert problems({"tls.cert": "a.crt"}) == [
            "command line: tls.cert: needs tls.key beside it"
        ]
        assert problems({"tls.key": "a.key"}) == ["command line: tls.key: needs tls.cert beside it"]

    def test_tls_without_any_certificate_is_an_error(self):
        (line,) = problems(file=written("web_addr: {addr: ':1', tls: true}"))
        assert line.startswith("livetrio.yaml:1: web_addr.tls: needs a certificate")

    def test_a_certificate_that_is_not_there_is_an_error_once_it_is_used(self):
        pair = {"tls.cert": "gone.crt", "tls.key": "a.key"}
        assert load(pair).listen.rtmp.tls is None
        (line,) = problems(pair | {"rtmps_addr": ":9"})
        assert "gone.crt" in line


class TestPorts:
    def test_two_listeners_on_one_port_are_an_error_that_names_both(self):
        (line,) = problems({"rtmp_addr": "127.0.0.1:9", "web_addr": ":9"})
        assert "web_addr" in line
        assert "rtmp_addr" in line

    def test_one_port_on_two_addresses_is_fine(self):
        load({"rtmp_addr": "127.0.0.1:9", "web_addr": "127.0.0.2:9"})

    def test_port_0_twice_is_fine(self):
        load({"rtmp_addr": ":0", "web_addr": ":0"})

    def test_a_default_of_ours_steps_aside_for_a_port_of_livegos(self):
        config = load({"httpflv_addr": ":8000"})
        assert config.listen.httpflv.address == Address(None, 8000)
        assert config.listen.web == Endpoint()
        assert "web_addr is off: httpflv_addr has its default port" in texts(config)


def test_what_verifies_im_tokens_may_be_a_mapping_inside_a_mapping():
    token = load(file=written("im:\n  token:\n    secret: s\n    issuer: you\n")).im.token
    assert (token.secret, token.issuer) == ("s", "you")


def test_an_unknown_key_inside_a_mapping_inside_a_mapping_is_named():
    with pytest.raises(ConfigError, match=r"im\.token\.secrte"):
        load(file=written("im: {token: {secrte: s}}"))


def test_urls_of_messaging_must_be_urls():
    assert "im.connect_url" in problems({"im.connect_url": "ftp://x"})[0]


def test_guests_need_a_secret_that_signs_their_tokens():
    assert "im.token.secret" in problems({"im.guests": "true"})[0]
    public = {"im.guests": "true", "im.token.secret": "s", "im.token.algorithms": "ES256"}
    assert "HS256" in problems(public)[0]
    assert load({"im.guests": "true", "im.token.secret": "s"}).im.guests


@pytest.mark.parametrize(("roles", "warned"), [("host", False), ("vip, admin", True)])
def test_who_makes_everybody_staff_is_warned(roles, warned):
    config = load({"im.guests": "true", "im.token.secret": "s", "im.guest_roles": roles})
    assert any("im.guest_roles" in notice.text for notice in config.notices) == warned


def test_an_unknown_algorithm_is_hs256_as_in_livego_and_said():
    config = load({"jwt.algorithm": "none", "jwt.secret": "s"})
    assert config.control.jwt.algorithm == "HS256"
    assert any("jwt.algorithm" in text for text in texts(config))


def test_redis_without_a_port_number_is_an_error():
    assert problems({"redis_addr": "localhost:0"})[0].startswith("command line: redis_addr: needs")


def test_secrets_are_in_no_repr():
    push = "server: [{appname: live, static_push: 'rtmp://x/app/pushsecret'}]"
    config = load(
        {"jwt.secret": "jwtsecret", "redis_addr": ":1", "redis_pwd": "pwsecret"}, file=written(push)
    )
    assert config.apps["live"].static_push == ("rtmp://x/app/pushsecret",)
    assert "secret" not in repr(config)
