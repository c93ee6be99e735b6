"""An app whose requests other processes answer, for suites that are written for an `App`."""

from __future__ import annotations

from collections.abc import Mapping
from http.client import HTTPConnection
from itertools import count
from typing import Any
from urllib.parse import urlsplit

from mockllm import Control, RemoteSession
from mockllm.client.suite import lists_of
from mockllm.engine.decision import Decision, Match, Outcome
from mockllm.exchange import Reply, Request, Step
from mockllm.state.operations import BeginSession, EndSession, Operation, Reset
from mockllm.state.session_names import PREFIX
from tests.support.served import PATIENCE

HEADER = b"x-mockllm-session"


class RemoteApp:
    """The mocks of a configuration, in sessions of servers that `control` drives: one for each
    session that the app has, whose mocks are added to it when it is first used.

    Raises:
        ValueError: the configuration has more than mocks, which only a file can have.
    """

    _numbers = count()

    def __init__(self, control: Control, config: Any) -> None:
        self._control = control
        self._lists = lists_of(config)
        self._name = f"app{next(self._numbers)}"
        self._sessions: dict[str, RemoteSession] = {}

    def decide(self, request: Request) -> Decision:
        """The answer of whichever process the request reaches. Who gave it is not known."""
        name, path = _divided(request)
        target = f"{PREFIX}{self._session(name).name}{path}"
        headers = {key.decode(): value.decode() for key, value in request.headers if key != HEADER}
        status, lines, body = self._send(request, target, headers)
        fields = tuple((key.lower().encode(), value.encode()) for key, value in lines)
        reply = Reply(status, fields, (Step((body,)),))
        return Decision.by(Match(Outcome.UNDECIDED, reply))

    def perform(self, operation: Operation) -> None:
        """Change sessions, or the state of all."""
        match operation:
            case BeginSession(name, current=False):
                self._begin(name)
            case EndSession(name):
                self._session(name).end()
            case Reset(session=None):
                for session in self._sessions.values():
                    session.reset_state()
            case _:
                raise NotImplementedError(operation)

    def _session(self, name: str) -> RemoteSession:
        return self._sessions.get(name) or self._begin(name)

    def _begin(self, name: str) -> RemoteSession:
        begun = self._control.session(f"{self._name}.{name}")
        begun.add_lists(self._lists)
        self._sessions[name] = begun
        return begun

    def _send(
        self, request: Request, target: str, headers: Mapping[str, str]
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = HTTPConnection(urlsplit(self._control.base_url).netloc, timeout=PATIENCE)
        query = f"?{request.query}" if request.query else ""
        try:
            connection.request(request.method, target + query, request.body, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()


def _divided(request: Request) -> tuple[str, str]:
    """The session of a request, and its path without it."""
    if request.path.startswith(PREFIX):
        name, slash, path = request.path.removeprefix(PREFIX).partition("/")
        return name, slash + path
    return request.first_values.get(HEADER, b"").decode(), request.path
