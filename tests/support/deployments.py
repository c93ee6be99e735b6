"""Servers of several processes behind one URL, which a suite that is written for a `Server` drives
in the same words."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from mockllm import Config, Control
from mockllm.client.words import plain
from mockllm.serve.controlled import TOKEN_VARIABLE
from tests.support.balancer import Balancer
from tests.support.processes import Command, running, write
from tests.support.redis_servers import needs_redis, new_prefix, shared_server

TOKEN = "token-of-the-server"
WORKERS, SERVERS = "four workers", "two servers"
"""Four workers of one server; two servers of two workers on one Redis, which are asked in turn."""

MARKS: dict[str, list[pytest.MarkDecorator]] = {
    WORKERS: [pytest.mark.skipif(os.name != "posix", reason="worker processes")],
    SERVERS: [needs_redis],
}
"""Where tests of a kind run."""


class Controlled(Control):
    """A server of several processes, with the words of a `Server` and its token."""

    control_token = TOKEN


@contextmanager
def deployed(kind: str, config: Config | dict[str, Any]) -> Iterator[Controlled]:
    """The servers of a kind, with this configuration and the control API. Every request, also of
    the control API, reaches the next server, and any of its workers."""
    with pytest.MonkeyPatch.context() as environment, ExitStack() as stack:
        environment.setenv(TOKEN_VARIABLE, TOKEN)
        commands = _started(stack, kind, config)
        balancer = stack.enter_context(closing(Balancer([each.port for each in commands])))
        yield stack.enter_context(Controlled(balancer.url, token=TOKEN))


def _started(stack: ExitStack, kind: str, config: Config | dict[str, Any]) -> list[Command]:
    """The servers of a kind, which have started at the same time."""
    folder = stack.enter_context(TemporaryDirectory(prefix="mockllm-test-"))
    file = write(Path(folder) / "mocks.json", plain(config))
    options = ["--port=0", "--control", "--control-templates"]
    if kind == WORKERS:
        return [stack.enter_context(running(file, *options, "--workers=4"))]
    state = f"--state={shared_server().url}?prefix={new_prefix().strip(':')}"
    with ThreadPoolExecutor(2) as pool:
        starting = [
            pool.submit(stack.enter_context, running(file, *options, "--workers=2", state))
            for _ in range(2)
        ]
    return [each.result() for each in starting]
