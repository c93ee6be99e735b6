"""The options of the command line, as tables for the parsers and the documentation."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mockllm.cli.checking import REPORT_FORMATS
from mockllm.cli.console import LOG_FORMATS
from mockllm.cli.limit_options import seconds
from mockllm.cli.option_values import (
    ALLOW,
    OWN,
    REFUSE,
    TOKEN,
    VLLM,
    control_mode,
    host_name,
    journal_size,
    latency_of,
    listen_addr,
    metric_names,
    path,
    port_number,
    seconds_above_zero,
    speed_of,
    state_address,
    worker_count,
)
from mockllm.config.address import DEFAULT_HOST, DEFAULT_PORT
from mockllm.config.latency import PRESETS
from mockllm.observers.journal import MAX_ENTRIES
from mockllm.serve.distant.redis_address import PASSWORD_VARIABLE
from mockllm.serve.distant.sharing import STATE_TIMEOUT
from mockllm.serve.gates import HOLD_FOR
from mockllm.serve.process import HANG_TIMEOUT
from mockllm.serve.settings import DRAIN_TIMEOUT

LOG_LEVELS = ("debug", "info", "warning", "error")

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
            path,
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
            latency_of,
            "LATENCY",
        ),
        Option(
            "--speed",
            f"make latencies and the times of traffic N times as short; {_DEFAULT}",
            speed_of,
            "N",
            1.0,
        ),
        Flag("--no-summary", "do not say at the end how late paced answers were"),
    ),
    "address": (
        Option(
            "--host", f"host name or IP address to listen on; default {DEFAULT_HOST}", host_name
        ),
        Option(
            "--port",
            f"port to listen on; default {DEFAULT_PORT}; 0 chooses a free port",
            port_number,
        ),
        Option(
            "--listen-addr",
            "host and port in one option; --host and --port override it",
            listen_addr,
            "HOST:PORT",
        ),
        Option("--uds", "listen on a Unix socket instead of a port", path, "PATH"),
        Option("--ssl-certfile", "serve TLS with this certificate (PEM)", path, "PATH"),
        Option(
            "--ssl-keyfile",
            "private key of the certificate, if it is in a separate file",
            path,
            "PATH",
        ),
    ),
    "processes": (
        Option("--workers", f"number of worker processes; {_DEFAULT}", worker_count, "N", 1),
        Option(
            "--worker-timeout",
            f"replace a worker that hangs for this long; {_DEFAULT} seconds",
            seconds_above_zero,
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
            state_address,
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
            seconds_above_zero,
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
            metric_names,
            VLLM,
            extra={"nargs": "?", "const": OWN},
        ),
    ),
    "control": (
        Option(
            "--control",
            "let clients with the token that is printed, or that in MOCKLLM_CONTROL_TOKEN, read "
            "what was requested, and add mocks; '--control=open': those of this machine need none",
            control_mode,
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
            journal_size,
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
