"""Turns on the control API of a server: its token, and what it needs of the loop."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from mockllm.endpoints.control.access import Access
from mockllm.endpoints.control.api import ControlAPI
from mockllm.endpoints.control.desk import Calls, Desk
from mockllm.endpoints.control.making import LocalChanges
from mockllm.errors import MockLLMError
from mockllm.serve.all_calls import AllCalls
from mockllm.serve.connections import Service
from mockllm.serve.distant.calls import DistantCalls
from mockllm.serve.distant.changes import DistantChanges
from mockllm.serve.gates import Gates
from mockllm.serve.shared_changes import SharedChanges
from mockllm.serve.turns import Turns
from mockllm.serve.waiting import wait_for_gate, wait_unless_stopped

TOKEN_VARIABLE = "MOCKLLM_CONTROL_TOKEN"  # noqa: S105  # its name
MIN_TOKEN = 8  # characters; a made one has 43
_TOKEN = re.compile(rf"[!-~]{{{MIN_TOKEN},512}}")


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """The parameters of the control API. With `is_open`, clients of this machine need no token."""

    token: str = field(repr=False)
    is_open: bool = False
    allows_templates: bool = False
    strict_config: bool = False
    """Refuse mocks with likely mistakes."""


def given_token() -> str | None:
    """Return the token in the environment; None if there is none.

    Raises:
        MockLLMError: it is too short, or no header could have it.
    """
    token = os.environ.get(TOKEN_VARIABLE)
    if token is not None and not _TOKEN.fullmatch(token):
        expected = f"at least {MIN_TOKEN} characters, all of them printable ASCII without spaces"
        raise MockLLMError(f"{TOKEN_VARIABLE}: expected {expected}")
    return token


def make_token() -> str:
    """Return the token in the environment, or a new one that nobody can guess.

    Raises:
        MockLLMError: as `given_token` does.
    """
    return given_token() or secrets.token_urlsafe(32)


def turn_on(
    service: Service,
    settings: ControlSettings,
    *,
    calls: AwaitedCalls | None,
    host: str,
    is_tls: bool,
    shared: SharedChanges | DistantChanges | None = None,
) -> None:
    """Let the app of `service` answer the control API, in the loop of the server. Its changes are
    those of all processes, or of all servers, if they are `shared`."""
    access = Access(settings.token, settings.is_open, host, is_tls)
    local = LocalChanges(service.app, service.clock, service.gates, calls)
    if isinstance(shared, DistantChanges):
        shared.use(service, local, calls if isinstance(calls, DistantCalls) else None)
    elif shared is not None:
        shared.use(service, local)
        if isinstance(calls, AllCalls):
            calls.use_changes(shared.follow_patiently, service.gates.has_cut)
    desk = Desk(
        service.app,
        local if shared is None else shared,
        access,
        calls,
        service.clock,
        service.gates,
        _Waiting(calls, service.gates, service.turns),
        _name_session,
        strict_config=settings.strict_config,
        allows_templates=settings.allows_templates,
    )
    service.app.control = ControlAPI(desk)


class AwaitedCalls(Calls, Protocol):
    """The calls of a server, and those that are yet to come, for its control API."""

    async def wait(self, session: str | None, count: int, timeout: float) -> bool:  # noqa: ASYNC109  # the client's
        """Wait until there are `count` calls of a session, or of all. Returns False if there are
        not after `timeout` seconds."""


class _Waiting:
    """Waits for the control API, in the loop of the server."""

    def __init__(self, calls: AwaitedCalls | None, gates: Gates, turns: Turns) -> None:
        self._turns = turns
        self._working = asyncio.Lock()
        self._calls = calls
        self._gates = gates

    async def calls(self, session: str | None, count: int, timeout: float) -> bool:  # noqa: ASYNC109  # the client's
        """Wait until there are `count` calls, or the server stops."""
        assert self._calls is not None  # or the API has refused to wait
        waiting = self._calls.wait(session, count, timeout)
        return await wait_unless_stopped(waiting, self._gates)

    async def gate(self, session: str | None, name: str, count: int, timeout: float) -> bool:  # noqa: ASYNC109  # the client's
        """Wait until `count` answers have reached a gate."""
        return await wait_for_gate(self._gates, session, name, count, timeout) >= count

    async def thread(self, work: Callable[[], Any]) -> Any:
        """Return the result of `work`, done in a thread: of one request after the other, because
        several would take no less time, and slow the loop down."""
        async with self._working:
            worker = ThreadPoolExecutor(1, "mockllm-control")
            try:
                with self._turns.beside():
                    return await asyncio.get_running_loop().run_in_executor(worker, work)
            finally:
                worker.shutdown(wait=False)


def _name_session() -> str:
    return f"session-{secrets.token_hex(8)}"
