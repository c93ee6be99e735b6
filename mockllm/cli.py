"""The command line: ``mockllm``, ``mockllm check``, ``mockllm schema``.

Exit status: 0 stopped as asked or clean, 1 warnings (`check`) or an address that cannot be
listened on, 2 a mistake in the configuration or on the command line.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from mockllm import demo
from mockllm.config import DEFAULT_HOST, DEFAULT_PORT, Config
from mockllm.engine import Engine
from mockllm.errors import ConfigError, MockLLMError, Problem, Severity
from mockllm.loading import load, load_config
from mockllm.serve.running import serve
from mockllm.serve.server import DRAIN_TIMEOUT, bind, url_of
from mockllm.serve.workers import Supervisor, require_workers

OK, WARNINGS, MISTAKES = 0, 1, 2
FAILED = 1

LOG_LEVELS = ("debug", "info", "warning", "error")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        match words:
            case ["check", *rest]:
                return _check(_check_parser().parse_args(rest))
            case ["schema", *rest]:
                return _schema(_schema_parser().parse_args(rest))
            case _:
                return _serve(_serve_parser().parse_args(words))
    except ConfigError as exc:
        _tell(exc.problems)
        return MISTAKES
    except MockLLMError as exc:
        print(f"mockllm: {exc}", file=sys.stderr)
        return FAILED


# --- mockllm check, mockllm schema ---------------------------------------------------------------


def _check(options: argparse.Namespace) -> int:
    loaded = load(load_config(*options.files))
    _tell(loaded.warnings)
    if loaded.warnings:
        return WARNINGS
    mocks = sum(len(table.mocks) for table in loaded.tables)
    print(f"{mocks} mocks, no warnings")
    return OK


def _schema(options: argparse.Namespace) -> int:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    print(json.dumps(schema | Config.model_json_schema(), indent=2))
    return OK


def _tell(problems: Sequence[Problem]) -> None:
    for problem in problems:
        print(f"{problem.severity}: {problem}", file=sys.stderr)


# --- mockllm -------------------------------------------------------------------------------------


def _serve(options: argparse.Namespace) -> int:
    logging.basicConfig(
        level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(message)s"
    )
    if options.workers > 1:
        require_workers()
    config = load_config(*options.config) if options.config else Config.from_dict(demo.config())
    if options.no_auth:
        config = config.model_copy(update={"require_auth": False})
    host, port = _address(options, config)
    sock = bind(host, port, shared=options.workers > 1)
    loaded = load(config, strict=options.strict)
    if options.config:
        _tell(loaded.warnings)
    engine = Engine(loaded, echo=None if options.config else demo.echo)
    engine.warm()
    url = url_of(sock)

    def listening() -> None:
        print(url, flush=True)
        _hint(url, engine, demonstrates=not options.config)

    if options.workers > 1:
        supervisor = Supervisor(engine, sock, options.workers, drain_timeout=options.drain_timeout)
        supervisor.run(listening)
    else:
        serve(engine, sock, drain_timeout=options.drain_timeout, listening=listening)
    return OK


def _hint(url: str, engine: Engine, *, demonstrates: bool) -> None:
    mocks = ", ".join(f"{count} {name}" for name, count in engine.counts.items())
    lines = [
        f"mockllm: {mocks}",
        f"export OPENAI_BASE_URL={url}/v1 OPENAI_API_KEY=any",
        f"export ANTHROPIC_BASE_URL={url} ANTHROPIC_API_KEY=any",
    ]
    if demonstrates:
        lines.insert(1, "mockllm: these are demo mocks; --config FILE serves your own")
    print(*lines, sep="\n", file=sys.stderr, flush=True)


def _address(options: argparse.Namespace, config: Config) -> tuple[str, int]:
    """--host and --port, else --listen-addr, else the file's `listen_addr`, else the default."""
    host, port = DEFAULT_HOST, DEFAULT_PORT
    for source, address in (("listen_addr", config.listen_addr), ("", options.listen_addr)):
        if address:
            host, port = _parsed(address, source or "--listen-addr", host, port)
    return options.host or host, port if options.port is None else options.port


def _parsed(address: str, source: str, host: str, port: int) -> tuple[str, int]:
    """``HOST:PORT``, ``:PORT``, ``PORT`` or ``HOST``; what is absent stays as it is."""
    before, colon, after = address.rpartition(":")
    if not colon and not after.isdecimal():
        return after, port
    if not after.isdecimal() or int(after) > 65535:
        message = f"expected HOST:PORT, found {address!r}"
        raise ConfigError((Problem(source, message, Severity.ERROR),))
    return before.strip("[]") or host, int(after)


# --- the words of the command line ---------------------------------------------------------------


def _serve_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mockllm",
        description="A mock LLM server: OpenAI Chat Completions, OpenAI Responses and Anthropic "
        "Messages from a table of mocks. Without --config it serves demo mocks.",
        epilog="mockllm check FILE... tells what is wrong with configuration files; "
        "mockllm schema prints the JSON Schema of their format.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config",
        type=Path,
        action="append",
        metavar="PATH",
        help="a JSON file of mocks, or a directory of *.json; may be repeated",
    )
    parser.add_argument("--listen-addr", metavar="HOST:PORT")
    parser.add_argument("--host", help=f"default {DEFAULT_HOST}")
    parser.add_argument("--port", type=_port, help=f"default {DEFAULT_PORT}; 0 takes a free one")
    parser.add_argument("--workers", type=_count, default=1, metavar="N", help="default 1")
    parser.add_argument(
        "--strict",
        action="store_true",
        help="refuse to start on warnings, and refuse requests that the SDK's types do not know",
    )
    parser.add_argument(
        "--no-auth", action="store_true", help="answer requests without credentials too"
    )
    parser.add_argument(
        "--drain-timeout",
        type=_seconds,
        default=DRAIN_TIMEOUT,
        metavar="SECONDS",
        help="for answers under way when the server stops; default %(default)s",
    )
    parser.add_argument("--log-level", choices=LOG_LEVELS, default="warning")
    return parser


def _check_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mockllm check",
        description="Tells what is wrong with configuration files. "
        "Exit status 0: nothing, 1: warnings, 2: mistakes.",
        allow_abbrev=False,
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    return parser


def _schema_parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog="mockllm schema", description="Prints the JSON Schema of the configuration format."
    )


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"expected 0 to 65535, found {text}")
    return port


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, found {text}")
    return count


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"expected 0 or more seconds, found {text}")
    return seconds
