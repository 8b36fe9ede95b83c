"""Log lines: readable, unforgeable, without secrets."""

import io
import json
import logging

import pytest

from livetrio.logs import LEVELS, Redacted, get_logger, logs_to, redact

KEY = "k" * 24 + "7" * 24
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"

log = get_logger("livetrio.test")


def human(*write, level="info"):
    stream = io.StringIO()
    with logs_to(stream, level=level):
        for one in write:
            one()
    return stream.getvalue()


def machine(*write, level="info"):
    stream = io.StringIO()
    with logs_to(stream, level=level, form="json"):
        for one in write:
            one()
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def raised(message):
    try:
        raise ValueError(message)
    except ValueError as error:
        return error


def test_a_human_line_has_time_level_event_and_fields():
    text = human(lambda: log.warning("stream online", stream="live/movie", viewers=3, codec=None))
    time, rest = text[:23], text[24:]
    assert time[4] == time[7] == "-"
    assert rest == "warning stream online stream=live/movie viewers=3 codec=-\n"


def test_a_json_line_is_an_object_that_keeps_numbers():
    (line,) = machine(lambda: log.info("x", n=1, f=0.5, yes=True, no=None, key=redact(KEY)))
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info", "logger": "livetrio.test", "event": "x",
        "n": 1, "f": 0.5, "yes": True, "no": None, "key": "kkkk…",
    }  # fmt: skip


def test_a_field_cannot_take_the_place_of_what_identifies_a_line():
    (line,) = machine(lambda: log.info("x", level="fake", time="fake", name="a", args=1, msg="m"))
    assert (line["level"], line["level_"], line["time_"]) == ("info", "fake", "fake")
    assert (line["name"], line["args"], line["msg"]) == ("a", 1, "m")


def test_json_has_no_nan():
    (line,) = machine(lambda: log.info("x", n=float("nan"), i=float("-inf")))
    assert (line["n"], line["i"]) == ("nan", "-inf")


HOSTILE = [
    "a\r\n2026-01-01 00:00:00.000 info    forged",
    "a\x1b[2Jb",
    "a\x9b31mb",
    "a\x00b",
    "a\u2028b\u0085c",
    "a\u202eb",
    "\ud800",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_value_event_field_name_or_exception_can_forge_a_line_or_move_the_cursor(text):
    def write():
        log.info("seen", value=text)
        log.info("seen", **{text: 1})
        log.info(text)
        logging.getLogger("library").warning("%s", text)
        log.error("bug", exc_info=raised(text))

    lines = human(write).removesuffix("\n").split("\n")
    assert all(line.isprintable() for line in lines)
    starts = [line for line in lines if not line.startswith("    | ")]
    assert len(starts) == 5
    for line in machine(write):
        assert set(line) >= {"time", "level", "event"}
    stream = io.StringIO()
    with logs_to(stream, form="json"):
        write()
    assert stream.getvalue().isascii()
    assert stream.getvalue().replace("\n", "").isprintable()


def test_values_that_would_read_as_several_are_quoted():
    text = human(lambda: log.info("x", a="b c=d", e='q"', f="", g="back\\slash", h="直播"))
    assert text.endswith('x a="b c=d" e="q\\"" f="" g="back\\\\slash" h=直播\n')


@pytest.mark.parametrize(
    "field", ["key", "token", "secret", "jwt", "query", "password", "auth", "authorization"]
)
def test_a_secret_field_is_dropped_unless_redacted(field):
    assert f"{field}=…" in human(lambda: log.info("x", **{field: "hunter2hunter2"}))
    assert f"{field}=hunt…" in human(lambda: log.info("x", **{field: redact("hunter2hunter2")}))


def test_redact_shows_four_characters_of_long_secrets_and_none_of_short_ones():
    assert redact(KEY) == "kkkk…"
    assert redact("hunter22") == "…"
    assert isinstance(redact("x"), Redacted)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"live/{KEY}", "live/kkkk…"),
        (f"key {KEY} does not exists", "key kkkk… does not exists"),
        (f"GET /a.flv?token=abcdefghij&x={KEY}1 HTTP", f"GET /a.flv?token=abcd…&x={KEY}1 HTTP"),
        (f"GET /a?x=1&jwt={JWT}", "GET /a?x=1&jwt=eyJh…"),
        (f"Authorization: Bearer {JWT}", "Authorization: Bearer eyJh…"),
        ("bearer opaque-token-text", "bearer opaq…"),
        (f"sha {'a' * 40}", f"sha {'a' * 40}"),
    ],
)
def test_keys_and_tokens_are_cut_wherever_they_got_to(text, shown):
    def write():
        log.info(text)
        log.info("x", value=text)
        logging.getLogger("hypercorn.access").info("%s", text)
        log.error("x", exc_info=raised(text))

    event, value, foreign, bug = machine(write)
    assert (event["event"], value["value"], foreign["event"]) == (shown, shown, shown)
    assert bug["exception"].endswith(f"ValueError: {shown}")
    assert (KEY not in human(write)) or f"{KEY}1" in shown


def test_values_are_bounded():
    (line,) = machine(lambda: log.info("x", name="n " * 65_536))
    assert len(line["name"]) == 1001


def test_an_exception_is_told_with_its_lines_behind_a_margin():
    text = human(lambda: log.error("bug", exc_info=raised("a\nb")))
    assert text.split("\n", 1)[1].startswith("    | Traceback (most recent call last):\n")
    assert text.endswith("    | ValueError: a\n    | b\n")


@pytest.mark.parametrize(
    ("level", "heard"),
    [
        ("panic", "f"), ("fatal", "f"), ("error", "fe"), ("warn", "few"), ("warning", "few"),
        ("info", "fewi"), ("debug", "fewid"), ("trace", "fewid"),
    ],
)  # fmt: skip
def test_levels_have_livegos_names(level, heard):
    def write():
        for say in (log.critical, log.error, log.warning, log.info, log.debug):
            say("x")

    assert "".join(line["level"][0] for line in machine(write, level=level)) == heard
    assert level in LEVELS


def test_debug_lines_say_where_they_come_from():
    assert "debug   [livetrio.test] x\n" in human(lambda: log.debug("x"), level="debug")


def test_colours_are_for_terminals_without_no_color(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    shown = {}
    for name, no_color in (("plain", "1"), ("coloured", None)):
        if no_color is None:
            monkeypatch.delenv("NO_COLOR", raising=False)
        else:
            monkeypatch.setenv("NO_COLOR", no_color)
        stream = Terminal()
        with logs_to(stream):
            log.error("x")
        shown[name] = stream.getvalue()
    assert "\x1b" not in shown["plain"]
    assert "\x1b[31merror  \x1b[0m x" in shown["coloured"]


def test_leaving_the_block_gives_logging_back_as_it_was():
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    with logs_to(io.StringIO(), level="trace"):
        assert root.handlers[:] != before[0]
    assert (root.handlers[:], root.level) == before


def test_standard_error_is_the_default(capsys):
    with logs_to():
        log.info("here")
    assert capsys.readouterr().err.endswith("here\n")


def test_a_stream_that_is_gone_ends_nothing_and_betrays_nothing(capsys):
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    with logs_to(Gone()):
        log.info("x", token="hunter2hunter2")
    assert capsys.readouterr().err == ""


def test_a_bug_in_a_value_is_told(capsys):
    class Broken:
        def __str__(self):
            raise ZeroDivisionError

    with logs_to(io.StringIO()):
        log.info("x", value=Broken())
    assert "ZeroDivisionError" in capsys.readouterr().err
