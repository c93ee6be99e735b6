"""The options of the command line, as tables from which the parsers are built."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mockllm
from mockllm.cli.checking import REPORT_FORMATS
from mockllm.cli.console import LOG_FORMATS
from mockllm.cli.limit_options import add_limits, seconds
from mockllm.config.address import DEFAULT_HOST, DEFAULT_PORT, MAX_PORT, parse_address
from mockllm.serve.process import HANG_TIMEOUT
from mockllm.serve.settings import DRAIN_TIMEOUT

MAX_WORKERS = 1024
LOG_LEVELS = ("debug", "info", "warning", "error")


# --- types of values -----------------------------------------------------------------------------


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


# --- the tables ----------------------------------------------------------------------------------


Group = argparse._ActionsContainer  # argparse has no public name for what parsers and groups share


@dataclass(frozen=True, slots=True)
class Option:
    """An option with a value. `extra` goes to argparse as it is."""

    name: str
    help: str
    type: Callable[[str], Any] = str
    metavar: str | None = None
    default: Any = None
    extra: dict[str, Any] = field(default_factory=dict)

    def add_to(self, group: Group) -> None:
        """Declare the option in a group of a parser."""
        group.add_argument(
            self.name,
            help=self.help,
            type=self.type,
            metavar=self.metavar,
            default=self.default,
            **self.extra,
        )


@dataclass(frozen=True, slots=True)
class Flag:
    """An option without a value. `short` is its one-letter form, if it has one."""

    name: str
    help: str
    short: str | None = None

    def add_to(self, group: Group) -> None:
        """Declare the flag in a group of a parser."""
        names = (self.short, self.name) if self.short else (self.name,)
        group.add_argument(*names, help=self.help, action="store_true")


_DEFAULT = "default %(default)s"

SERVE_OPTIONS: dict[str, tuple[Option | Flag, ...]] = {
    "mocks": (
        Option(
            "--config",
            "JSON or YAML file of mocks, or a directory of such files; may be repeated",
            Path,
            "PATH",
            extra={"action": "append"},
        ),
        Flag("--reload", "reload when a file of --config changes; SIGHUP always does"),
        Flag(
            "--strict",
            "both --strict-config and --strict-requests",
        ),
        Flag("--strict-config", "refuse to start on warnings about the configuration"),
        Flag("--strict-requests", "reject requests that the SDK's types do not allow"),
        Flag("--no-auth", "accept requests without credentials"),
        Flag("--no-cors", "do not let web pages of other origins read responses"),
        Flag("--no-reuse", "match every request anew, even one identical to an earlier one"),
    ),
    "address": (
        Option("--host", f"host name or IP address to listen on; default {DEFAULT_HOST}"),
        Option(
            "--port", f"port to listen on; default {DEFAULT_PORT}; 0 chooses a free port", _port
        ),
        Option(
            "--listen-addr",
            "host and port in one option; --host and --port override it",
            _listen_addr,
            "HOST:PORT",
        ),
        Option("--uds", "listen on a Unix socket instead of a port", Path, "PATH"),
        Option("--ssl-certfile", "serve TLS with this certificate (PEM)", Path, "PATH"),
        Option(
            "--ssl-keyfile",
            "private key of the certificate, if it is in a separate file",
            Path,
            "PATH",
        ),
    ),
    "processes": (
        Option("--workers", f"number of worker processes; {_DEFAULT}", _count, "N", 1),
        Option(
            "--worker-timeout",
            f"replace a worker that hangs for this long; {_DEFAULT}",
            _seconds_above_zero,
            "SECONDS",
            HANG_TIMEOUT,
        ),
        Option(
            "--drain-timeout",
            f"time for responses in progress to finish when the server stops; {_DEFAULT}",
            seconds,
            "SECONDS",
            DRAIN_TIMEOUT,
        ),
    ),
    "logging": (
        Flag("--access-log", "log one line per request"),
        Option(
            "--log-level",
            f"lowest level to log; {_DEFAULT}",
            default="warning",
            extra={"choices": LOG_LEVELS},
        ),
        Option(
            "--log-format",
            f"format of log lines; {_DEFAULT}",
            default="text",
            extra={"choices": LOG_FORMATS},
        ),
    ),
}
"""The options of ``mockllm`` by the group that ``--help`` lists them in, without the limits."""

CHECK_OPTIONS: tuple[Option | Flag, ...] = (
    Flag("--wire", "send each mock's response, whole and streamed, to the official clients"),
    Flag("--verbose", "show notes too: what is filled in", short="-v"),
    Flag("--all", "show every problem, however many there are"),
    Option(
        "--format",
        f"text, or one JSON document with all problems and notes; {_DEFAULT}",
        default="text",
        extra={"choices": REPORT_FORMATS},
    ),
)
"""The options of ``mockllm check``."""


# --- the parsers ---------------------------------------------------------------------------------


def serve_options(words: Sequence[str]) -> argparse.Namespace:
    """Parse the command line of ``mockllm``. Exits with status 2 if it is invalid."""
    parser = _serve_parser()
    options = parser.parse_args(words)
    if options.reload and not options.config:
        parser.error("--reload needs --config")
    if options.ssl_keyfile and not options.ssl_certfile:
        parser.error("--ssl-keyfile needs --ssl-certfile")
    if options.uds and (options.host or options.port is not None or options.listen_addr):
        parser.error("--uds cannot be combined with --host, --port or --listen-addr")
    return options


def _serve_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mockllm",
        description="A mock LLM server: OpenAI Chat Completions, OpenAI Responses and Anthropic "
        "Messages from a table of mocks. Without --config it serves demo mocks.",
        epilog="'mockllm check FILE...' checks configuration files; "
        "'mockllm schema' prints the JSON Schema of their format.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"mockllm {mockllm.__version__}")
    for title, options in SERVE_OPTIONS.items():
        group = parser.add_argument_group(title)
        for option in options:
            option.add_to(group)
    add_limits(parser)
    return parser


def check_parser() -> argparse.ArgumentParser:
    """Return the parser of ``mockllm check``."""
    parser = argparse.ArgumentParser(
        prog="mockllm check",
        description="Checks configuration files. "
        "Exit status 0: no problems, 1: warnings, 2: errors.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "files",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="JSON or YAML file of mocks, or a directory",
    )
    for option in CHECK_OPTIONS:
        option.add_to(parser)
    return parser


def schema_parser() -> argparse.ArgumentParser:
    """Return the parser of ``mockllm schema``."""
    return argparse.ArgumentParser(
        prog="mockllm schema", description="Prints the JSON Schema of the configuration format."
    )
