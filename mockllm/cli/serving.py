"""Runs a server with the options of the command line."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from mockllm.cli.limit_options import limits_of
from mockllm.cli.terminal import (
    OK,
    print_lines,
    report,
    set_up_logging,
)
from mockllm.config import demo
from mockllm.config.address import DEFAULT_HOST, DEFAULT_PORT, parse_address
from mockllm.config.models import Config
from mockllm.engine.building import build_engine, read_config
from mockllm.engine.engine import Engine
from mockllm.errors import ConfigError
from mockllm.observers.access_log import log_access
from mockllm.serve.process import RELOAD_SIGNAL, STOP_SIGNALS, serve
from mockllm.serve.reload import Reload, Watch
from mockllm.serve.settings import Settings
from mockllm.serve.supervisor import Supervisor, require_workers


def run_server(options: argparse.Namespace) -> int:
    """Serve until the process is stopped. Returns the exit status.

    Raises:
        ConfigError: the configuration cannot be served.
        ListenError: the address cannot be listened on.
    """
    set_up_logging(options.log_level, options.log_format)
    if options.workers > 1:
        require_workers()
    # Created before the files are read, so that it notices a change during the first load.
    watch = Watch(options.config) if options.reload else None
    reload = Reload(lambda: _load_again(options), watch) if options.config else None
    with contextlib.ExitStack() as files:
        files.enter_context(_exits_on_signals(files, reloads=reload is not None))
        config = read_config(options.config or demo.config())
        settings = _settings(options, config)
        bound = files.enter_context(settings.bind(shared=options.workers > 1))
        engine = _engine(options, config)

        def listening() -> None:
            _announce(bound.url, engine.counts, options)

        if options.workers > 1:
            supervisor = Supervisor(
                engine,
                bound,
                options.workers,
                settings,
                hang_timeout=options.worker_timeout,
                reload=reload,
            )
            supervisor.run(listening)
        else:
            serve(engine, bound, settings, listening=listening, reload=reload)
    return OK


def _settings(options: argparse.Namespace, config: Config) -> Settings:
    host, port = _address(options, config)
    return Settings(
        host=host,
        port=port,
        uds=options.uds,
        ssl_certfile=options.ssl_certfile,
        ssl_keyfile=options.ssl_keyfile,
        limits=limits_of(options),
        drain_timeout=options.drain_timeout,
        observers=(log_access,) if options.access_log else (),
    )


@contextlib.contextmanager
def _exits_on_signals(files: contextlib.ExitStack, *, reloads: bool) -> Iterator[None]:
    """Close `files` and exit on SIGINT and SIGTERM until the server handles them itself.

    The exception that Python raises by default could be swallowed by the code that is loading, or
    end in a traceback. With `reloads`, SIGHUP is ignored: the first load is still in progress.
    """

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


def _engine(options: argparse.Namespace, source: Config | Sequence[Path]) -> Engine:
    engine = build_engine(
        source,
        require_auth=False if options.no_auth else None,
        cors=False if options.no_cors else None,
        strict_config=options.strict or options.strict_config,
        strict_requests=options.strict or options.strict_requests,
        echo=None if options.config else demo.echo,
        models=() if options.config else demo.MODELS,
        reuse=not options.no_reuse,
    )
    if options.config:
        report(engine.warnings)
    engine.warm()
    return engine


def _load_again(options: argparse.Namespace) -> Engine | None:
    """Load the files again. If they cannot be served, report the problems and return None."""
    try:
        engine = _engine(options, options.config)
    except ConfigError as exc:
        report(exc.problems)
        print_lines(
            "mockllm: reload failed; still serving the previous configuration", stream=sys.stderr
        )
        return None
    print_lines(f"mockllm: reloaded: {_summary(engine.counts)}", stream=sys.stderr)
    return engine


def _announce(url: str, counts: Mapping[str, int], options: argparse.Namespace) -> None:
    """Print the address to standard output, and usage hints to standard error."""
    lines = [f"mockllm: {_summary(counts)}"]
    if not options.config:
        lines.append("mockllm: these are demo mocks; 'mockllm FILE' serves your own")
    if options.uds:
        lines.append(f"curl --unix-socket {shlex.quote(str(options.uds))} {url}/health")
    else:
        lines.append(f"export OPENAI_BASE_URL={url}/v1 OPENAI_API_KEY=any")
        lines.append(f"export ANTHROPIC_BASE_URL={url} ANTHROPIC_API_KEY=any")
    print_lines(f"unix:{options.uds.absolute()}" if options.uds else url, stream=sys.stdout)
    print_lines(*lines, stream=sys.stderr)


def _summary(counts: Mapping[str, int]) -> str:
    """``2 openai, 1 anthropic``: the number of mocks of each API."""
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _address(options: argparse.Namespace, config: Config) -> tuple[str, int]:
    """--host and --port, else --listen-addr, else the file's `listen_addr`, else the default."""
    host, port = DEFAULT_HOST, DEFAULT_PORT
    for address in filter(None, (config.listen_addr, options.listen_addr)):
        own_host, port = parse_address(address)
        host = own_host or host
    return options.host or host, port if options.port is None else options.port
