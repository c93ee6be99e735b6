"""The parameters of a server: where it listens, and how it serves there."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mockllm.config.address import DEFAULT_HOST
from mockllm.limits import Limits
from mockllm.serve import address
from mockllm.serve.connections import Observer
from mockllm.serve.controlled import ControlSettings
from mockllm.serve.distant.sharing import STATE_TIMEOUT, Sharing
from mockllm.serve.gates import HOLD_FOR
from mockllm.serve.metrics_board import MetricsBoard
from mockllm.serve.timing_board import TimingBoard

DRAIN_TIMEOUT = 10.0  # seconds that responses in progress have to finish when a server stops


class Bound(NamedTuple):
    """A bound address that does not listen yet. `url` is the base URL for clients."""

    sock: socket.socket
    tls: ssl.SSLContext | None
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All parameters of a server except its mocks. Times are in seconds."""

    host: str = DEFAULT_HOST
    port: int = 0
    """0 chooses a free one."""
    uds: Path | None = None
    """Path of a Unix socket, used instead of `host` and `port`."""
    ssl_certfile: Path | None = None
    """PEM certificate; None serves plain HTTP."""
    ssl_keyfile: Path | None = None
    """Private key of the certificate; None reads it from `ssl_certfile`."""
    limits: Limits = field(default_factory=Limits)
    drain_timeout: float = DRAIN_TIMEOUT
    hold_for: float = HOLD_FOR
    """After so long, an answer that a gate holds is cut."""
    workers: int = 1
    """The number of processes, which share the places of pools."""
    timing: TimingBoard = field(default_factory=TimingBoard)
    """How late the steps of paced answers are; with a slot for each of the processes."""
    metrics: MetricsBoard | None = None
    """Counts requests for ``GET /metrics``; None is without."""
    speed: float = 1.0
    """How much faster than real time latencies and traffic are."""
    started: float | None = None
    """When the server started, on the monotonic clock; None of a process that starts with it."""
    journal: int = 0
    """The number of requests that the journal of each process has; 0 keeps none."""
    sharing: Sharing | None = None
    """The state that the server shares with others; None is its own."""
    state_dir: Path | None = None
    """Where the state is that worker processes share; None is in memory, if possible."""
    state_timeout: float = STATE_TIMEOUT
    """How long a request waits for state that other processes use."""
    control: ControlSettings | None = None
    """The parameters of the control API; None is without one."""
    observers: tuple[Observer, ...] = ()
    unmatched_observers: tuple[Observer, ...] = ()
    """Observers of the requests that no mock matches; others cost nothing."""

    @contextlib.contextmanager
    def bind(self, *, shared: bool = False) -> Iterator[Bound]:
        """Bind the address and yield it. The file of a Unix socket is removed when the context
        ends; the caller owns the socket. With `shared` other sockets may bind the same port.

        Raises:
            ListenError: the address or the certificate cannot be used.
        """
        tls = None
        if self.ssl_certfile is not None:
            tls = address.tls_context(self.ssl_certfile, self.ssl_keyfile)
        with contextlib.ExitStack() as files:
            if self.uds is not None:
                sock = files.enter_context(address.unix_socket(self.uds))
            else:
                sock = address.bind(self.host, self.port, shared=shared)
            yield Bound(sock, tls, address.url_of(sock, tls=tls is not None))
