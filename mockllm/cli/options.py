"""The options of the command line, as tables from which the parsers are built."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import mockllm
from mockllm.cli.checking import REPORT_FORMATS
from mockllm.cli.console import LOG_FORMATS
from mockllm.cli.limit_options import add_limits, seconds
from mockllm.config.address import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    MAX_PORT,
    parse_address,
    parse_host,
    shown,
)
from mockllm.config.latency import PRESETS, Latency, parse_latency
from mockllm.errors import closest
from mockllm.limits import MAX_SPEED
from mockllm.observers.journal import MAX_ENTRIES
from mockllm.redaction import escape
from mockllm.serve.gates import HOLD_FOR
from mockllm.serve.process import HANG_TIMEOUT
from mockllm.serve.redis_address import PASSWORD_VARIABLE, RedisAddress, parse_redis_address
from mockllm.serve.settings import DRAIN_TIMEOUT
from mockllm.serve.sharing import STATE_TIMEOUT

MAX_WORKERS = 1024
MAX_JOURNAL = 10_000_000  # requests
TOKEN, OPEN = "token", "open"  # the values of --control
REFUSE, ALLOW = "refuse", "allow"  # the values of --state-lost
OWN, VLLM = "own", "vllm"  # the values of --metrics
_NUMBER = re.compile(r"[0-9]{1,9}")
LOG_LEVELS = ("debug", "info", "warning", "error")


# --- types of values -----------------------------------------------------------------------------


def _listen_addr(text: str) -> str:
    try:
        parse_address(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc
    return text


def _host(text: str) -> str:
    try:
        return parse_host(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def _path(text: str) -> Path:
    if not text.strip():  # of an unset variable; as a path, it is the current directory
        raise argparse.ArgumentTypeError(f"expected a path, found {text!r}")
    return Path(text)


def _port(text: str) -> int:
    return _whole_number(text, 0, MAX_PORT)


def _count(text: str) -> int:
    return _whole_number(text, 1, MAX_WORKERS)


def _whole_number(text: str, least: int, most: int) -> int:
    if not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"expected {least} to {most}, found {shown(text)}")
    return int(text)


def _seconds_above_zero(text: str) -> float:
    number = seconds(text)
    if number == 0:
        raise argparse.ArgumentTypeError("expected more than 0")
    return number


def _latency(text: str) -> Latency:
    try:
        return parse_latency(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed <= MAX_SPEED:
        message = f"expected a number above 0, at most {MAX_SPEED:g}, found {shown(text)}"
        raise argparse.ArgumentTypeError(message)
    return speed


def _control(text: str) -> str:
    if text not in (TOKEN, OPEN):
        raise argparse.ArgumentTypeError(
            f"expected --control or --control=open, found {shown(text)}"
        )
    return text


def _metrics(text: str) -> str:
    if text not in (OWN, VLLM):
        raise argparse.ArgumentTypeError(
            f"expected --metrics or --metrics vllm, found {shown(text)}"
        )
    return text


def _state(text: str) -> RedisAddress:
    try:
        return parse_redis_address(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def _journal(text: str) -> int:
    return _whole_number(text, 0, MAX_JOURNAL)


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
            "the same as FILE, tried before the others; may be repeated",
            _path,
            "PATH",
            extra={"action": "append"},
        ),
        Flag("--reload", "reload when a file of mocks changes; SIGHUP always does"),
        Flag(
            "--strict",
            "both --strict-config and --strict-requests",
        ),
        Flag("--strict-config", "refuse to start on warnings about the configuration"),
        Flag("--strict-requests", "reject requests that the SDK's types do not allow"),
        Flag("--no-auth", "accept requests without credentials"),
        Flag("--no-cors", "do not let web pages of other origins read responses"),
        Flag(
            "--client-faults",
            "let clients ask for errors, latencies and faults by x-mockllm- headers",
        ),
        Flag("--no-reuse", "match every request anew, even one identical to an earlier one"),
    ),
    "latency": (
        Option(
            "--latency",
            "how long answers take, unless a mock says so itself: a preset "
            f"({', '.join(PRESETS)}), or members such as ttft=350ms,itl=10ms, or both",
            _latency,
            "LATENCY",
        ),
        Option(
            "--speed",
            f"make latencies and the times of traffic N times as short; {_DEFAULT}",
            _speed,
            "N",
            1.0,
        ),
        Flag("--no-summary", "do not say at the end how late paced answers were"),
    ),
    "address": (
        Option("--host", f"host name or IP address to listen on; default {DEFAULT_HOST}", _host),
        Option(
            "--port", f"port to listen on; default {DEFAULT_PORT}; 0 chooses a free port", _port
        ),
        Option(
            "--listen-addr",
            "host and port in one option; --host and --port override it",
            _listen_addr,
            "HOST:PORT",
        ),
        Option("--uds", "listen on a Unix socket instead of a port", _path, "PATH"),
        Option("--ssl-certfile", "serve TLS with this certificate (PEM)", _path, "PATH"),
        Option(
            "--ssl-keyfile",
            "private key of the certificate, if it is in a separate file",
            _path,
            "PATH",
        ),
    ),
    "processes": (
        Option("--workers", f"number of worker processes; {_DEFAULT}", _count, "N", 1),
        Option(
            "--worker-timeout",
            f"replace a worker that hangs for this long; {_DEFAULT} seconds",
            _seconds_above_zero,
            "SECONDS",
            HANG_TIMEOUT,
        ),
        Option(
            "--drain-timeout",
            f"time for responses in progress to finish when the server stops; {_DEFAULT} seconds",
            seconds,
            "SECONDS",
            DRAIN_TIMEOUT,
        ),
    ),
    "state": (
        Option(
            "--state",
            "share sequences, sessions and rate limits with other servers, in the Redis at "
            "redis://HOST:PORT/DATABASE or rediss://...; ?prefix=NAME tells groups of servers "
            f"apart. Its password is that in {PASSWORD_VARIABLE}",
            _state,
            "URL",
        ),
        Option(
            "--state-dir",
            "directory for the state that --workers share, such as places in sequences; by default "
            "in memory, if possible",
            Path,
            "DIR",
        ),
        Option(
            "--state-timeout",
            f"time that a request waits for its state; {_DEFAULT} seconds",
            _seconds_above_zero,
            "SECONDS",
            STATE_TIMEOUT,
        ),
        Option(
            "--state-lost",
            f"let rate limits refuse all requests, or allow them, without state; {_DEFAULT}",
            default=REFUSE,
            extra={"choices": (REFUSE, ALLOW)},
        ),
        Flag("--state-any-config", "share state with servers whose configuration differs"),
    ),
    "metrics": (
        Option(
            "--metrics",
            "answer GET /metrics for Prometheus; '--metrics vllm' adds the names of vLLM",
            _metrics,
            VLLM,
            extra={"nargs": "?", "const": OWN},
        ),
    ),
    "control": (
        Option(
            "--control",
            "let clients with the token that is printed, or that in MOCKLLM_CONTROL_TOKEN, read "
            "what was requested, and add mocks; '--control=open': those of this machine need none",
            _control,
            "=open",
            extra={"nargs": "?", "const": TOKEN},
        ),
        Flag("--control-templates", "let mocks that come over the control API have templates"),
        Option(
            "--hold-for",
            f"cut an answer that a gate holds for this long; {_DEFAULT} seconds",
            seconds,
            "SECONDS",
            HOLD_FOR,
        ),
        Option(
            "--journal",
            "number of requests that are kept for the control API; default "
            f"{MAX_ENTRIES:,} with --control, else 0",
            _journal,
            "N",
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


COMMANDS = ("serve", "check", "schema")
"""The first words of a command line that are not files."""

_COMMAND_HELP = """\
commands:
  mockllm [serve] [FILE ...]  serve mocks
  mockllm check FILE ...      report what is wrong with files of mocks
  mockllm schema              print the JSON Schema of the files

'mockllm COMMAND --help' describes each of them. A file whose name is one of
these words is given as ./check.
"""


class _Parser(argparse.ArgumentParser):
    """A parser that takes files and options in any order, and whose errors are one line."""

    def __init__(self, command: str, arguments: str, **texts: Any) -> None:
        super().__init__(
            prog=command,
            usage=f"{command} {arguments}".rstrip(),
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **texts,
        )

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """Parse a command line. Exits with status 2 if it is invalid."""
        options, unknown = self.parse_known_intermixed_args(words)
        if unknown:
            option = unknown[0].partition("=")[0]
            known = [name for action in self._actions for name in action.option_strings]
            meant = closest(option, known) if option.startswith("-") else None
            kind = "option" if option.startswith("-") else "argument"
            hint = f"; did you mean {meant}?" if meant else ""
            self.error(f"unknown {kind} {shown(option)}{hint}")
        return options

    def error(self, message: str) -> NoReturn:
        """Exit with status 2 after the usage and `message`, each on one line."""
        super().error(escape(message))


def serve_options(words: Sequence[str]) -> argparse.Namespace:
    """Parse the command line of ``mockllm``. Exits with status 2 if it is invalid. The files of
    `config` are those of --config, then the others."""
    parser = _serve_parser()
    options = parser.parse(_with_value(words))
    if "--" not in words:
        _refuse_commands(parser, [file for file in map(str, options.files) if file in words])
    options.config = [*(options.config or ()), *options.files] or None
    if options.reload and not options.config:
        parser.error("--reload needs a FILE")
    if options.ssl_keyfile and not options.ssl_certfile:
        parser.error("--ssl-keyfile needs --ssl-certfile")
    if options.control_templates and not options.control:
        parser.error("--control-templates needs --control")
    if options.journal and not options.control:
        parser.error("--journal needs --control: only the control API reads what is kept")
    if options.control and options.state:
        parser.error(
            "--control cannot be combined with --state: what it adds and changes would be that of "
            "one server"
        )
    for name in ("state_lost", "state_any_config"):
        if getattr(options, name) != parser.get_default(name) and not options.state:
            parser.error(f"--{name.replace('_', '-')} needs --state")
    if options.uds and (options.host or options.port is not None or options.listen_addr):
        parser.error("--uds cannot be combined with --host, --port or --listen-addr")
    return options


def _with_value(words: Sequence[str]) -> list[str]:
    """Return the words of a command line with the values of ``--control`` and ``--metrics`` written
    out, which would else take the file behind them for their value."""
    end = words.index("--") if "--" in words else len(words)
    written: list[str] = []
    for word in words[:end]:
        if word == VLLM and written and written[-1] == f"--metrics={OWN}":
            written[-1] = f"--metrics={VLLM}"
        else:
            written.append(_OPTIONAL_VALUES.get(word, word))
    return [*written, *words[end:]]


_OPTIONAL_VALUES = {"--control": f"--control={TOKEN}", "--metrics": f"--metrics={OWN}"}


def _refuse_commands(parser: _Parser, names: Sequence[str]) -> None:
    """Exit with status 2 if one of these names of files was meant to be a command."""
    for name in names:
        if name in COMMANDS:
            parser.error(
                f"the command {name!r} must come first; a file of this name is given as ./{name}"
            )
        if os.path.lexists(name) or not name.isalpha():
            continue
        meant = f"--{name}" if name in ("help", "version") else closest(name, COMMANDS)
        hint = f"; did you mean 'mockllm {meant}'?" if meant else f" ({', '.join(COMMANDS)})"
        parser.error(f"{shown(name)} is neither a file nor a command{hint}")


def _serve_parser() -> _Parser:
    parser = _Parser(
        "mockllm",
        "[OPTIONS] [FILE ...]",
        description="A mock LLM server: OpenAI Chat Completions, Responses and Embeddings, and\n"
        "Anthropic Messages, from a table of mocks. Without a FILE it serves demo mocks.",
        epilog=_COMMAND_HELP,
    )
    parser.add_argument(
        "files",
        type=_path,
        nargs="*",
        metavar="FILE",
        help="JSON or YAML file of mocks, or a directory of such files; mocks are tried in this "
        "order",
    )
    parser.add_argument("--version", action="version", version=f"mockllm {mockllm.__version__}")
    for title, options in SERVE_OPTIONS.items():
        group = parser.add_argument_group(title)
        for option in options:
            option.add_to(group)
    add_limits(parser)
    return parser


def check_options(words: Sequence[str]) -> argparse.Namespace:
    """Parse the rest of ``mockllm check``. Exits with status 2 if it is invalid."""
    parser = _Parser(
        "mockllm check",
        "[OPTIONS] FILE ...",
        description="Checks files of mocks. Exit status 0: no problems, 1: warnings, 2: errors.",
    )
    parser.add_argument(
        "files",
        type=_path,
        nargs="+",
        metavar="FILE",
        help="JSON or YAML file of mocks, or a directory of such files",
    )
    for option in CHECK_OPTIONS:
        option.add_to(parser)
    return parser.parse(words)


def schema_options(words: Sequence[str]) -> argparse.Namespace:
    """Parse the rest of ``mockllm schema``. Exits with status 2 if it is invalid."""
    parser = _Parser(
        "mockllm schema", "", description="Prints the JSON Schema of the configuration format."
    )
    return parser.parse(words)
