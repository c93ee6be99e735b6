"""Runs a server with the options of the command line."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import shlex
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from mockllm.cli.console import Console
from mockllm.cli.limit_options import limits_of
from mockllm.cli.option_values import ALLOW, OPEN, VLLM
from mockllm.cli.terminal import FAILED, MISTAKES, OK
from mockllm.config import demo
from mockllm.config.address import DEFAULT_HOST, DEFAULT_PORT, parse_address
from mockllm.config.models import Config
from mockllm.endpoints.control.access import link
from mockllm.endpoints.metrics import require_metrics
from mockllm.engine.added import prepare
from mockllm.engine.building import build_engine, read_config
from mockllm.engine.engine import Engine
from mockllm.errors import ConfigError, MockLLMError
from mockllm.observers.access_log import log_access
from mockllm.observers.journal import MAX_ENTRIES
from mockllm.observers.lateness import Lateness
from mockllm.observers.timing import Timing, as_rows
from mockllm.observers.unmatched_log import log_unmatched
from mockllm.serve.controlled import ControlSettings, given_token, make_token
from mockllm.serve.distant.redis_address import given_password
from mockllm.serve.distant.redis_link import require_redis
from mockllm.serve.distant.sharing import Sharing
from mockllm.serve.metrics_board import MetricsBoard
from mockllm.serve.process import RELOAD_SIGNAL, STOP_SIGNALS, serve
from mockllm.serve.reload import Reload, Watch
from mockllm.serve.schema_folder import keep_schemas
from mockllm.serve.settings import Settings
from mockllm.serve.supervisor import Supervisor, require_workers
from mockllm.serve.timing_board import TimingBoard

logger = logging.getLogger("mockllm")


def run_server(options: argparse.Namespace) -> int:
    """Serve until the process is stopped. Returns the exit status."""
    # a thread would not survive the forks of several workers
    console = Console(options.log_format, options.log_level, threads=options.workers == 1)
    files = contextlib.ExitStack()
    with _exits_on_signals(files, console), console, files:
        try:
            _serve(options, console, files)
        except ConfigError as exc:
            console.report(exc.problems)
            return MISTAKES
        except MockLLMError as exc:
            console.say(str(exc), logging.ERROR)
            return FAILED
        except Exception:
            logger.critical("internal error", exc_info=True)
            return FAILED
    return OK


def _serve(options: argparse.Namespace, console: Console, files: contextlib.ExitStack) -> None:
    if options.workers > 1:
        require_workers()
    # Created before the files are read, so that it notices a change during the first load.
    watch = Watch(options.config) if options.reload else None
    reload = Reload(lambda: _load_again(options, console), watch) if options.config else None
    if reload is not None and RELOAD_SIGNAL is not None:
        signal.signal(RELOAD_SIGNAL, signal.SIG_IGN)  # the first load is still in progress
    keep_schemas()
    config = read_config(options.config or demo.config())
    settings = _settings(options, config)
    bound = files.enter_context(settings.bind(shared=options.workers > 1))
    engine = _engine(options, config, console)

    def listening() -> None:
        _announce(bound.url, engine.counts, options, console)
        if settings.control is not None:
            _announce_control(bound.url, settings.control, console)

    def draining() -> None:
        seconds = f"{options.drain_timeout:g}"
        console.say(
            f"completing answers in progress, for at most {seconds} s; a second Ctrl-C cuts them"
        )

    if options.workers > 1:
        supervisor = Supervisor(
            engine,
            bound,
            options.workers,
            settings,
            hang_timeout=options.worker_timeout,
            reload=reload,
            writers=console.writers,
        )
        supervisor.run(listening, draining)
    else:
        serve(engine, bound, settings, listening=listening, draining=draining, reload=reload)
    if not options.no_summary:
        _summarise(settings.timing.total(), console)


def _summarise(lateness: Lateness, console: Console) -> None:
    """Say how late the steps of paced answers were, if there were any: in a table on a terminal,
    else in one line."""
    if not lateness.answers:
        return
    rows = as_rows(Timing.of(lateness))
    line = "; ".join(f"{name}: {value}" for name, value in rows)
    if not console.is_terminal:
        console.say(line)
        return
    for name, value in rows:
        console.say(f"{name}: {value}", text=f"{name:15}{value}")


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
        hold_for=options.hold_for,
        workers=options.workers,
        timing=TimingBoard(options.workers),
        speed=options.speed,
        metrics=_metrics(options),
        sharing=_sharing(options),
        state_dir=options.state_dir,
        state_timeout=options.state_timeout,
        journal=_journal(options),
        control=_control(options),
        observers=(log_access,) if options.access_log else (),
        unmatched_observers=() if options.access_log else (log_unmatched,),
    )


def _metrics(options: argparse.Namespace) -> MetricsBoard | None:
    """Return the memory of the metrics, if they are asked for.

    Raises:
        MissingExtraError: prometheus_client is not installed.
    """
    if not options.metrics:
        return None
    require_metrics()
    return MetricsBoard(options.workers, vllm=options.metrics == VLLM)


def _sharing(options: argparse.Namespace) -> Sharing | None:
    """Return the parameters of the state that is shared with other servers.

    Raises:
        MockLLMError: redis-py is not installed, or the password in the environment is empty.
    """
    if not options.state:
        return None
    require_redis()
    return Sharing(
        address=options.state,
        password=given_password(),
        timeout=options.state_timeout,
        allows_lost=options.state_lost == ALLOW,
        any_config=options.state_any_config,
    )


def _journal(options: argparse.Namespace) -> int:
    if options.journal is not None:
        return int(options.journal)
    return MAX_ENTRIES if options.control else 0


def _control(options: argparse.Namespace) -> ControlSettings | None:
    """Return the parameters of the control API, with its token.

    Raises:
        MockLLMError: the token in the environment is not valid.
    """
    if not options.control:
        return None
    token = make_token()
    prepare(strict_requests=options.strict or options.strict_requests)
    return ControlSettings(
        token,
        is_open=options.control == OPEN,
        allows_templates=options.control_templates,
        strict_config=options.strict or options.strict_config,
    )


def _warn_of_workers(workers: int, engine: Engine) -> None:
    """Warn of pools that are smaller than the number of workers, which have a share of each."""
    for pool in engine.pools:
        if pool.concurrency is not None and pool.concurrency < workers and not pool.shared:
            logger.warning(
                "the pool %r has fewer places (%d) than there are worker processes, which have one "
                'each: use --workers %d, or "shared": true',
                pool.name,
                pool.concurrency,
                pool.concurrency,
            )


@contextlib.contextmanager
def _exits_on_signals(files: contextlib.ExitStack, console: Console) -> Iterator[None]:
    """Close `files` and exit on SIGINT and SIGTERM until the server handles them itself.

    The exception that Python raises by default could be swallowed by the code that is loading, or
    end in a traceback.
    """

    def end(number: int, frame: FrameType | None) -> None:
        files.close()
        console.finish()
        os._exit(OK)

    numbers = [*STOP_SIGNALS, *([] if RELOAD_SIGNAL is None else [RELOAD_SIGNAL])]
    before = {number: signal.getsignal(number) for number in numbers}
    for number in STOP_SIGNALS:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _engine(
    options: argparse.Namespace, source: Config | Sequence[Path], console: Console
) -> Engine:
    config = read_config(source)
    engine = build_engine(
        config,
        require_auth=False if options.no_auth else None,
        cors=False if options.no_cors else None,
        latency=options.latency,
        strict_config=options.strict or options.strict_config,
        strict_requests=options.strict or options.strict_requests,
        echo=None if options.config else demo.echo,
        models=() if options.config else demo.MODELS,
        reuse=not options.no_reuse,
        client_faults=options.client_faults or not options.config,
    )
    console.report(engine.warnings)  # without files, those of the options
    _warn_of_workers(options.workers, engine)
    engine.warm()
    if options.state:
        engine.fingerprint = config.fingerprint()
    return engine


def _load_again(options: argparse.Namespace, console: Console) -> Engine | None:
    """Load the files again. If they cannot be served, report the problems and return None."""
    try:
        engine = _engine(options, options.config, console)
    except ConfigError as exc:
        console.report(exc.problems)
        console.say("reload failed; still serving the previous configuration", logging.ERROR)
        return None
    console.say(f"reloaded: {_summary(engine.counts)}")
    return engine


def _announce(
    url: str, counts: Mapping[str, int], options: argparse.Namespace, console: Console
) -> None:
    """Write the address to standard output, and usage hints to standard error."""
    console.answer(f"unix:{options.uds.absolute()}" if options.uds else url)
    console.say(_summary(counts))
    if not options.config:
        console.say("these are demo mocks; 'mockllm FILE' serves your own")
    if options.uds:
        hints = [f"curl --unix-socket {shlex.quote(str(options.uds))} {url}/health"]
    else:
        hints = [
            f"export OPENAI_BASE_URL={url}/v1 OPENAI_API_KEY=any",
            f"export ANTHROPIC_BASE_URL={url} ANTHROPIC_API_KEY=any",
        ]
    for hint in hints:
        console.say(hint, text=hint)


def _announce_control(url: str, control: ControlSettings, console: Console) -> None:
    """Write the link to the control API to standard error, with the token in its fragment if nobody
    else knows it."""
    is_known = control.is_open or given_token() is not None
    line = f"control: {link(url, None if is_known else control.token)}"
    console.say(line, text=line)


def _summary(counts: Mapping[str, int]) -> str:
    """``openai: 2, anthropic: 1``: the number of mocks in each list."""
    return ", ".join(f"{name}: {count}" for name, count in counts.items())


def _address(options: argparse.Namespace, config: Config) -> tuple[str, int]:
    """--host and --port, else --listen-addr, else the file's `listen_addr`, else the default."""
    host, port = DEFAULT_HOST, DEFAULT_PORT
    for address in filter(None, (config.listen_addr, options.listen_addr)):
        own_host, port = parse_address(address)
        host = own_host or host
    return options.host or host, port if options.port is None else options.port
