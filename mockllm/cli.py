"""The command line: ``mockllm``, ``mockllm check``, ``mockllm schema``.

Exit status: 0 stopped as asked or clean, 1 warnings (`check`) or an address that cannot be
listened on, 2 a mistake in the configuration or on the command line, 130 interrupted (`check`).
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TextIO

import mockllm
from mockllm.config import demo
from mockllm.config.address import DEFAULT_HOST, DEFAULT_PORT, HIGHEST_PORT, parse_address
from mockllm.config.models import Config
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load, load_config
from mockllm.errors import ConfigError, MockLLMError, Problem
from mockllm.serve.access import LOG_FORMATS, log_access, set_up_logging
from mockllm.serve.address import bind, tls_context, unix_socket, url_of
from mockllm.serve.options import add_limits, limits_of, seconds
from mockllm.serve.reload import Reload, Watch
from mockllm.serve.running import (
    HANG_TIMEOUT,
    RELOAD_SIGNAL,
    STOP_SIGNALS,
    Settings,
    serve,
)
from mockllm.serve.server import DRAIN_TIMEOUT
from mockllm.serve.workers import Supervisor, require_workers

OK, WARNINGS, MISTAKES = 0, 1, 2
FAILED = 1
INTERRUPTED = 130  # 128 and the number of SIGINT, as shells tell it

MOST_WORKERS = 1024
LOG_LEVELS = ("debug", "info", "warning", "error")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    _fill_standard_descriptors()
    gc.disable()  # loading makes a million objects and drops none; `settle` turns it on again
    try:
        match words:
            case ["check", *rest]:
                return _check(_check_parser().parse_args(rest))
            case ["schema", *rest]:
                return _schema(_schema_parser().parse_args(rest))
            case _:
                return _serve(_serve_options(words))
    except ConfigError as exc:
        _tell(exc.problems)
        return MISTAKES
    except MockLLMError as exc:
        _say(f"mockllm: {exc}", stream=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


def _fill_standard_descriptors() -> None:
    """Open what was closed when the command started: a socket that took the place would be written
    to as standard error, and libuv does not close one."""
    for descriptor in range(3):  # each open takes the lowest that is free
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


# --- mockllm check, mockllm schema ---------------------------------------------------------------


def _check(options: argparse.Namespace) -> int:
    config = load_config(*options.files)
    loaded = load(config)
    _tell(loaded.warnings)
    found = [*loaded.warnings]
    if options.wire:
        from mockllm.wirecheck import check_wire  # imports both SDKs

        complaints = check_wire(config)
        _tell(complaints)
        found += complaints
    if found:
        return WARNINGS
    mocks = sum(len(table.mocks) for table in loaded.tables)
    return _print(f"{mocks} mocks, no warnings")


def _schema(options: argparse.Namespace) -> int:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return _print(json.dumps(schema | Config.model_json_schema(), indent=2))


def _print(text: str) -> int:
    """Write what was asked for. Returns the exit status."""
    try:
        print(text, flush=True)
    except OSError as exc:
        _forget(sys.stdout)
        if not isinstance(exc, BrokenPipeError):  # as when `head` has read enough
            _say(f"mockllm: cannot write: {exc.strerror}", stream=sys.stderr)
        return FAILED
    return OK


def _tell(problems: Sequence[Problem]) -> None:
    _say(*(f"{problem.severity}: {problem}" for problem in problems), stream=sys.stderr)


def _say(*lines: str, stream: TextIO | None) -> None:
    """Write `lines`, if anybody takes them: no server depends on who reads what it tells."""
    if stream is None:  # it was closed when the command started
        return
    try:
        print(*lines, sep="\n", end="\n" if lines else "", file=stream, flush=True)
    except OSError:
        _forget(stream)


def _forget(stream: TextIO) -> None:
    """Send what is still written to `stream` nowhere, or Python would try again in the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


# --- mockllm -------------------------------------------------------------------------------------


def _serve(options: argparse.Namespace) -> int:
    set_up_logging(options.log_level, options.log_format)
    if options.workers > 1:
        require_workers()
    watch = Watch(options.config) if options.reload else None  # from before the files are read
    reload = Reload(lambda: _load_again(options), watch) if options.config else None
    with contextlib.ExitStack() as files:
        files.enter_context(_ended_by_signals(files, reloads=reload is not None))
        config = _config(options)
        settings = Settings(
            limits=limits_of(options),
            drain_timeout=options.drain_timeout,
            tls=tls_context(options.ssl_certfile, options.ssl_keyfile)
            if options.ssl_certfile
            else None,
            observers=(log_access,) if options.access_log else (),
        )
        sock = _bound(options, config, files)
        engine = _engine(options, config)
        url, mocks = url_of(sock, tls=settings.tls is not None), _mocks(engine)

        def listening() -> None:
            _say(f"unix:{options.uds.absolute()}" if options.uds else url, stream=sys.stdout)
            _hint(url, mocks, options)

        if options.workers > 1:
            hang = options.worker_timeout
            supervisor = Supervisor(
                engine, sock, options.workers, settings, hang_timeout=hang, reload=reload
            )
            supervisor.run(listening)
        else:
            serve(engine, sock, settings, listening=listening, reload=reload)
    return OK


@contextlib.contextmanager
def _ended_by_signals(files: contextlib.ExitStack, *, reloads: bool) -> Iterator[None]:
    """While inside, until what serves takes signals itself, SIGINT and SIGTERM end the process at
    once, once `files` are closed: as an exception they could be lost in what is being loaded, or
    end in its traceback. Where SIGHUP `reloads`, that is being done."""

    def end(number: int, frame: FrameType | None) -> None:
        files.close()
        os._exit(OK)

    before = {number: signal.signal(number, end) for number in STOP_SIGNALS}
    if reloads and RELOAD_SIGNAL is not None:
        before[RELOAD_SIGNAL] = signal.signal(RELOAD_SIGNAL, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _config(options: argparse.Namespace) -> Config:
    config = load_config(*options.config) if options.config else Config.from_dict(demo.config())
    if options.no_auth:
        config = config.model_copy(update={"require_auth": False})
    if options.no_cors:
        config = config.model_copy(update={"cors": False})
    return config


def _engine(options: argparse.Namespace, config: Config) -> Engine:
    loaded = load(config, strict=options.strict)
    if options.config:
        _tell(loaded.warnings)
    echo = None if options.config else demo.echo
    engine = Engine(loaded, echo=echo, reuse=not options.no_reuse)
    engine.warm()
    return engine


def _load_again(options: argparse.Namespace) -> Engine | None:
    """The engine of the files as they are now; None, and told why, if they cannot be served."""
    try:
        engine = _engine(options, _config(options))
    except ConfigError as exc:
        _tell(exc.problems)
        _say("mockllm: not loaded; the configuration from before stays", stream=sys.stderr)
        return None
    _say(f"mockllm: loaded again: {_mocks(engine)}", stream=sys.stderr)
    return engine


def _bound(
    options: argparse.Namespace, config: Config, files: contextlib.ExitStack
) -> socket.socket:
    if options.uds:
        return files.enter_context(unix_socket(options.uds))
    host, port = _address(options, config)
    return bind(host, port, shared=options.workers > 1)


def _mocks(engine: Engine) -> str:
    return ", ".join(f"{count} {name}" for name, count in engine.counts.items())


def _hint(url: str, mocks: str, options: argparse.Namespace) -> None:
    lines = [f"mockllm: {mocks}"]
    if not options.config:
        lines.append("mockllm: these are demo mocks; --config FILE serves your own")
    if options.uds:
        lines.append(f"curl --unix-socket {options.uds} {url}/health")
    else:
        lines.append(f"export OPENAI_BASE_URL={url}/v1 OPENAI_API_KEY=any")
        lines.append(f"export ANTHROPIC_BASE_URL={url} ANTHROPIC_API_KEY=any")
    _say(*lines, stream=sys.stderr)


def _address(options: argparse.Namespace, config: Config) -> tuple[str, int]:
    """--host and --port, else --listen-addr, else the file's `listen_addr`, else the default."""
    host, port = DEFAULT_HOST, DEFAULT_PORT
    for address in (config.listen_addr, options.listen_addr):
        own_host, own_port = parse_address(address or "")
        host = own_host or host
        port = port if own_port is None else own_port
    return options.host or host, port if options.port is None else options.port


# --- the words of the command line ---------------------------------------------------------------


def _serve_options(words: Sequence[str]) -> argparse.Namespace:
    parser = _serve_parser()
    options = parser.parse_args(words)
    if options.reload and not options.config:
        parser.error("--reload needs --config")
    if options.ssl_keyfile and not options.ssl_certfile:
        parser.error("--ssl-keyfile needs --ssl-certfile")
    if options.uds and (options.host or options.port is not None or options.listen_addr):
        parser.error("--uds listens on no port: leave --host, --port and --listen-addr out")
    return options


def _serve_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mockllm",
        description="A mock LLM server: OpenAI Chat Completions, OpenAI Responses and Anthropic "
        "Messages from a table of mocks. Without --config it serves demo mocks.",
        epilog="mockllm check FILE... tells what is wrong with configuration files; "
        "mockllm schema prints the JSON Schema of their format.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"mockllm {mockllm.__version__}")
    parser.add_argument(
        "--config",
        type=Path,
        action="append",
        metavar="PATH",
        help="a JSON file of mocks, or a directory of *.json; may be repeated",
    )
    parser.add_argument("--listen-addr", type=_listen_addr, metavar="HOST:PORT")
    parser.add_argument("--host", help=f"default {DEFAULT_HOST}")
    parser.add_argument("--port", type=_port, help=f"default {DEFAULT_PORT}; 0 takes a free one")
    parser.add_argument(
        "--uds", type=Path, metavar="PATH", help="listen on a Unix socket, on no port"
    )
    parser.add_argument(
        "--ssl-certfile", type=Path, metavar="PATH", help="serve TLS with this certificate (PEM)"
    )
    parser.add_argument(
        "--ssl-keyfile", type=Path, metavar="PATH", help="its key, if that is not in the same file"
    )
    parser.add_argument(
        "--reload",
        action="store_true",
        help="load again when the files of --config change, as SIGHUP does",
    )
    parser.add_argument("--workers", type=_count, default=1, metavar="N", help="default 1")
    parser.add_argument(
        "--worker-timeout",
        type=_seconds_above_zero,
        default=HANG_TIMEOUT,
        metavar="SECONDS",
        help="without a sign of life after which a worker is replaced; default %(default)s",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="refuse to start on warnings, and refuse requests that the SDK's types do not know",
    )
    parser.add_argument(
        "--no-auth", action="store_true", help="answer requests without credentials too"
    )
    parser.add_argument(
        "--no-cors", action="store_true", help="do not let web pages of any origin read answers"
    )
    parser.add_argument(
        "--no-reuse",
        action="store_true",
        help="decide each request anew, also one that came before byte for byte",
    )
    parser.add_argument(
        "--drain-timeout",
        type=seconds,
        default=DRAIN_TIMEOUT,
        metavar="SECONDS",
        help="for answers under way when the server stops; default %(default)s",
    )
    parser.add_argument("--access-log", action="store_true", help="log a line for each request")
    parser.add_argument("--log-level", choices=LOG_LEVELS, default="warning")
    parser.add_argument("--log-format", choices=LOG_FORMATS, default="text")
    add_limits(parser)
    return parser


def _check_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mockllm check",
        description="Tells what is wrong with configuration files. "
        "Exit status 0: nothing, 1: warnings, 2: mistakes.",
        allow_abbrev=False,
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument(
        "--wire",
        action="store_true",
        help="have the official clients read every mock's answer, whole and streamed",
    )
    return parser


def _schema_parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog="mockllm schema", description="Prints the JSON Schema of the configuration format."
    )


def _listen_addr(text: str) -> str:
    try:
        parse_address(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc
    return text


def _port(text: str) -> int:
    return _whole_number(text, 0, HIGHEST_PORT)


def _count(text: str) -> int:
    return _whole_number(text, 1, MOST_WORKERS)


def _whole_number(text: str, least: int, most: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"expected {least} to {most}, found {text!r}")
    return int(text)


def _seconds_above_zero(text: str) -> float:
    number = seconds(text)
    if number == 0:
        raise argparse.ArgumentTypeError("expected more than 0")
    return number
