"""The words of the command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import mockllm
from mockllm.cli.limit_options import add_limits, seconds
from mockllm.cli.terminal import (
    LOG_FORMATS,
)
from mockllm.config.address import DEFAULT_HOST, DEFAULT_PORT, MAX_PORT, parse_address
from mockllm.serve.process import HANG_TIMEOUT
from mockllm.serve.settings import DRAIN_TIMEOUT

MAX_WORKERS = 1024
LOG_LEVELS = ("debug", "info", "warning", "error")


def serve_options(words: Sequence[str]) -> argparse.Namespace:
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


def check_parser() -> argparse.ArgumentParser:
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


def schema_parser() -> argparse.ArgumentParser:
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
    return _whole_number(text, 0, MAX_PORT)


def _count(text: str) -> int:
    return _whole_number(text, 1, MAX_WORKERS)


def _whole_number(text: str, least: int, most: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"expected {least} to {most}, found {text!r}")
    return int(text)


def _seconds_above_zero(text: str) -> float:
    number = seconds(text)
    if number == 0:
        raise argparse.ArgumentTypeError("expected more than 0")
    return number
