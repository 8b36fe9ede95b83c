"""The command line: `livetrio serve | demo | check CONFIG | doctor`; no command means serve.

livego's flags work as they do there (`livetrio --level=debug --flv_dir=./data`). Exit codes: 0 a
clean end, 1 the server could not start (or the doctor found errors), 2 the command line or the
configuration is wrong and nothing was started.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, Final

import trio

from livetrio import __version__
from livetrio.config import DEFAULT_FILES, SETTINGS, Config, load
from livetrio.errors import ConfigError, StartError, StoreError
from livetrio.logs import get_logger, logs_to

__all__ = ["main"]

COMMANDS: Final = ("serve", "demo", "check", "doctor")

EXIT_OK: Final = 0
EXIT_NOT_STARTED: Final = 1
EXIT_CONFIG: Final = 2
EXIT_INTERRUPTED: Final = 130  # 128 + SIGINT, as shells report it

log = get_logger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run livetrio with these arguments (the process's by default) and return its exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    command = given.pop(0) if given and not given[0].startswith("-") else "serve"
    parser = _parser(command)
    if command not in COMMANDS:
        parser.error(f"unknown command {command!r}; there are {', '.join(COMMANDS)}")
    options = vars(parser.parse_args(list(_spelled_out(given))))
    file = options.pop("config", None)
    lan = options.pop("lan", False)
    as_json = options.pop("json", False)
    try:
        config = load(
            options,
            environ=os.environ,
            file=file,
            must_exist=command == "check",
            search=command != "demo",
        )
    except ConfigError as error:
        print(error, file=sys.stdout if command == "check" else sys.stderr)
        return EXIT_CONFIG
    match command:
        case "check":
            print("\n".join(_report(config)))
            return EXIT_OK
        case "demo":
            from livetrio.demo import demo  # its encoder loads FFmpeg's libraries: only when asked

            return _run(config, partial(demo, config, lan))
        case "doctor":
            from livetrio.doctor.diagnosis import diagnose
            from livetrio.doctor.report import exit_code, human, machine

            findings = trio.run(diagnose, config)
            print(machine(findings) if as_json else "\n".join(human(findings)))
            return exit_code(findings)
        case _:
            from livetrio.app import serve_until_signal  # not for `check`, which starts nothing

            return _run(config, partial(serve_until_signal, config))


def _run(config: Config, run: Callable[[], Coroutine[Any, Any, object]]) -> int:
    code = EXIT_OK
    with logs_to(level=config.log.level, form=config.log.format):
        for notice in config.notices:
            (log.warning if notice.level == "warning" else log.info)(notice.text)
        try:
            trio.run(run)
        except* (StartError, StoreError) as group:
            for error in _leaves(group):
                log.critical("cannot start", reason=str(error))
            code = EXIT_NOT_STARTED
        except* KeyboardInterrupt:
            code = EXIT_INTERRUPTED  # before the server listened to signals itself
    return code


def _leaves(error: BaseException) -> Iterable[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _report(config: Config) -> Iterable[str]:
    """What `check` says of a configuration in order: where everything will be."""
    yield f"{config.source or 'defaults'}: OK"
    for name in ("rtmp", "rtmps", "httpflv", "web", "api"):
        yield f"  {name + '_addr':<13} {getattr(config.listen, name)}"
    store = config.store
    yield f"  {'room keys':<13} {f'redis {store.redis.address}' if store.redis else store.data_dir}"
    for app in config.apps.values():
        plain = config.access.rtmp_noauth or app.auth == "none"
        rules = ["any name publishes" if plain else "publishing needs a room key"]
        rules += [] if app.live else ["not live"]
        rules += [] if app.flv else ["no HTTP-FLV"]
        rules += [f"{len(app.static_push)} static pushes"] if app.static_push else []
        yield f"  {'app ' + app.name:<13} {', '.join(rules)}"
    for notice in config.notices:
        yield f"  {notice.level}: {notice.text}"


def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="livetrio",
        usage="livetrio [serve | demo | check CONFIG | doctor] [--config FILE] [--KEY=VALUE ...]",
        description=f"A live streaming server. Commands: serve (the default) runs it; demo runs "
        f"it and publishes a test picture to it; check reads a configuration and says what is "
        f"wrong; doctor looks at host and network too, and says what to do. Options below are "
        f"those of {command}; each may also be a key of the configuration file or an "
        f"environment variable (RTMP_ADDR).",
        # As in pflag a flag is spelled whole: `--api` must not one day mean something else.
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("--version", action="version", version=f"livetrio {__version__}")
    if command == "check":
        parser.add_argument("config", nargs="?", metavar="CONFIG", help="the file to check")
    else:
        parser.add_argument(
            "--config",
            "--config_file",
            metavar="FILE",
            help=f"YAML, JSON or TOML, by extension [{', else '.join(DEFAULT_FILES)}]",
        )
    if command == "doctor":
        parser.add_argument("--json", action="store_true", help="one JSON document for programs")
    if command == "demo":
        parser.add_argument("--lan", action="store_true", help="for a phone: HTTPS and a QR code")
    for setting in SETTINGS.values():
        if setting.flag:
            parser.add_argument(
                f"--{setting.key}",
                dest=setting.key,
                metavar=setting.reader.metavar,
                help=_help(setting.help, setting.default),
            )
    return parser


def _help(text: str, default: object) -> str:
    if "[" in text or default is None or default == () or isinstance(default, bool):
        return text
    shown = f"{default:g}" if isinstance(default, float) else str(default)
    return f"{text} [{shown}]"


def _spelled_out(arguments: Iterable[str]) -> Iterable[str]:
    """The arguments as the parser knows them.

    livego's flags have underscores, everybody else's fingers type dashes. A boolean without a
    value is true and, as in pflag, never takes the word that follows for one.
    """
    for argument in arguments:
        name, equals, value = argument.partition("=")
        setting = SETTINGS.get(name.removeprefix("--").replace("-", "_"))
        if not name.startswith("--") or setting is None:
            yield argument
        elif setting.is_switch and not equals:
            yield f"--{setting.key}=true"
        else:
            yield f"--{setting.key}{equals}{value}"


if __name__ == "__main__":
    sys.exit(main())
