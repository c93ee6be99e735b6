"""The sessions of a test run on a server in another process, for the pytest plugin."""

from __future__ import annotations

import os
from itertools import count
from typing import Any

from mockllm.client.calls import RemoteCall
from mockllm.client.control import AwaitedSession, Control, RemoteSession
from mockllm.client.words import plain
from mockllm.config.models import MOCK_FIELDS
from mockllm.engine.building import ConfigSource, read_config
from mockllm.serve.controlled import TOKEN_VARIABLE


def connect(url: str) -> Control | None:
    """Return the control of the server at `url`, with the token in ``MOCKLLM_CONTROL_TOKEN``. None
    without a token: a server is not asked whether it does without, as it may be no mock at all."""
    token = os.environ.get(TOKEN_VARIABLE)
    return Control(url, token=token) if token else None


def lists_of(source: ConfigSource) -> dict[str, Any]:
    """Return the lists of mocks of a configuration, in the order in which they are tried.

    Raises:
        TypeError: a mock is no JSON.
        ValueError: it has other members, which a server in another process has set already.
    """
    config = read_config(source)
    others = sorted(
        name
        for name in config.model_fields_set - MOCK_FIELDS.keys()
        if getattr(config, name) not in ([], None)
    )
    if others:
        raise ValueError(f"{', '.join(map(repr, others))} cannot be set for one test")
    given = plain(config)
    return {field: given[field] for field in MOCK_FIELDS if given.get(field)}


class Suite:
    """The sessions of one process of a run; `run` differs from that of all others."""

    def __init__(self, control: Control, run: str) -> None:
        self.control = control
        self._run = run
        self._numbers = count(1)
        self._names: set[str] = set()

    def begin(self, test: str, *, awaits: bool, strict_requests: bool) -> RemoteSession:
        """Begin the session of a test, whose name begins with that of the `test`. With `awaits`,
        what waits is awaited."""
        begun = self.control.session(f"{test}.{self._run}-{next(self._numbers)}")
        kind = AwaitedSession if awaits else RemoteSession
        session = kind(begun._transport, begun.name, begun.control_token)
        session.strict_requests = strict_requests
        self._names.add(session.name)
        return session

    def end(self, session: RemoteSession) -> dict[str, int]:
        """End the session of a test. Returns the number of answers that were held at gates."""
        held: dict[str, int] = session._ask("GET", "gates")["held"]
        session.end()
        return held

    def late(self) -> list[RemoteCall]:
        """Return the requests that came after the end of their test."""
        calls = self.control._calls(unmatched="true") if self._names else []
        return [call for call in calls if call.is_late and call.session in self._names]

    def close(self) -> None:
        """Close the connections to the server."""
        self.control.close()
