"""From the options of the command to a server that runs."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator
from types import FrameType

from mockllm.cli.limit_options import limits_of
from mockllm.cli.terminal import (
    OK,
    say,
    set_up_logging,
    tell,
)
from mockllm.config import demo
from mockllm.config.address import DEFAULT_HOST, DEFAULT_PORT, parse_address
from mockllm.config.models import Config
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load, load_config
from mockllm.errors import ConfigError
from mockllm.observers.access_log import log_access
from mockllm.serve.address import bind, tls_context, unix_socket, url_of
from mockllm.serve.process import RELOAD_SIGNAL, STOP_SIGNALS, Settings, serve
from mockllm.serve.reload import Reload, Watch
from mockllm.serve.supervisor import Supervisor, require_workers


def run_server(options: argparse.Namespace) -> int:
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
            say(f"unix:{options.uds.absolute()}" if options.uds else url, stream=sys.stdout)
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
        tell(loaded.warnings)
    echo = None if options.config else demo.echo
    engine = Engine(loaded, echo=echo, reuse=not options.no_reuse)
    engine.warm()
    return engine


def _load_again(options: argparse.Namespace) -> Engine | None:
    """The engine of the files as they are now; None, and told why, if they cannot be served."""
    try:
        engine = _engine(options, _config(options))
    except ConfigError as exc:
        tell(exc.problems)
        say("mockllm: not loaded; the configuration from before stays", stream=sys.stderr)
        return None
    say(f"mockllm: loaded again: {_mocks(engine)}", stream=sys.stderr)
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
    say(*lines, stream=sys.stderr)


def _address(options: argparse.Namespace, config: Config) -> tuple[str, int]:
    """--host and --port, else --listen-addr, else the file's `listen_addr`, else the default."""
    host, port = DEFAULT_HOST, DEFAULT_PORT
    for address in (config.listen_addr, options.listen_addr):
        own_host, own_port = parse_address(address or "")
        host = own_host or host
        port = port if own_port is None else own_port
    return options.host or host, port if options.port is None else options.port
