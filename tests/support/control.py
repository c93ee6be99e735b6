"""Requests to a control API, without a server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from mockllm.app import App
from mockllm.endpoints.control.access import PREFIX, Access
from mockllm.endpoints.control.api import ControlAPI
from mockllm.endpoints.control.desk import Desk
from mockllm.endpoints.control.making import LocalChanges
from mockllm.engine.changes import GateChange
from mockllm.engine.decision import Decision, DividedWork, FindPeer, Peer, Question, Wait, finish
from mockllm.exchange import Request
from mockllm.observers.journal import Journal
from mockllm.serve.own_calls import OwnCalls
from tests.support.goldens import delivered
from tests.support.observed import Observed, request

TOKEN = "token-of-the-server"
BEARER = {"authorization": f"Bearer {TOKEN}"}
JSON = {"content-type": "application/json"}
HOST = {"host": "127.0.0.1:8000"}


class Told(NamedTuple):
    """An answer of the control API. `value` is its body as JSON; None without one."""

    status: int
    headers: Mapping[str, str]
    value: Any
    decision: Decision

    @property
    def code(self) -> str:
        """The code of an error."""
        code: str = self.value["error"]["code"]
        return code

    @property
    def problems(self) -> list[str]:
        """The problems of an error, each with its place."""
        return [f"{each['place']}: {each['message']}" for each in self.value["error"]["problems"]]


@dataclass
class FixedClock:
    """A clock whose speed is a number only, and whose time stands still."""

    speed: float = 1.0

    def now(self) -> float:
        return 0.0

    def elapsed(self, at: float | None = None) -> float:
        return 0.0

    def set_speed(self, speed: float, at: float, elapsed: float | None = None) -> None:
        self.speed = speed


@dataclass
class FixedGates:
    """Gates that answers have reached as a test says. What is done to them is recorded."""

    counts: Counter[str] = field(default_factory=Counter)
    done: list[GateChange] = field(default_factory=list)

    def make(self, change: GateChange) -> None:
        self.done.append(change)

    def reached(self, session: str | None, name: str) -> int:
        return self.counts[name]

    def held(self, session: str | None) -> Counter[str]:
        return self.counts

    def end_session(self, session: str) -> None:
        pass


class Controlled:
    """An app with a control API, whose requests are observed by a journal."""

    def __init__(
        self,
        config: Any = None,
        *,
        is_open: bool = False,
        journal: bool = True,
        templates: bool = False,
        strict: bool = False,
        host: str = "127.0.0.1",
        is_tls: bool = False,
    ) -> None:
        self.observed = Observed({} if config is None else config)
        self.app = self.observed.app
        self.clock = FixedClock()
        self.gates = FixedGates()
        self.waits: list[tuple[object, ...]] = []
        self.threads = 0
        """How often work was done in a thread."""
        self.access = Access(TOKEN, is_open, host, is_tls)
        names = iter(f"session-{number}" for number in range(1_000))
        calls = OwnCalls(self.observed.journal) if journal else None
        desk = Desk(
            self.app,
            LocalChanges(self.app, self.clock, self.gates, calls),
            self.access,
            calls,
            self.clock,
            self.gates,
            self,
            names.__next__,
            strict_config=strict,
            allows_templates=templates,
        )
        self.api = ControlAPI(desk)
        self.app.control = self.api

    @property
    def journal(self) -> Journal:
        return self.observed.journal

    async def calls(self, session: str | None, count: int, timeout: float) -> bool:  # noqa: ASYNC109  # as the control API calls it
        self.waits.append((session, count, timeout))
        return self.journal.count(session) >= count

    async def gate(self, session: str | None, name: str, count: int, timeout: float) -> bool:  # noqa: ASYNC109  # as the control API calls it
        self.waits.append((session, name, count, timeout))
        return self.gates.reached(session, name) >= count

    async def thread(self, work: Callable[[], Any]) -> Any:
        self.threads += 1
        return work()

    def send(self, asked: Request, *, is_local: bool = True) -> Told:
        """Send any request to the app, from a peer on this machine or another one."""
        decided: Any = App.decide(self.app, asked)
        while isinstance(decided, Question):
            (work,) = decided.operations
            decided = decided.resume([_perform(work, is_local=is_local)])
        headers = {name.decode(): value.decode("latin-1") for name, value in decided.reply.headers}
        body = b"".join(step.data for step in decided.reply.steps)
        is_json = headers.get("content-type") == "application/json"
        value = orjson.loads(body) if is_json else (body.decode() if body else None)
        return Told(decided.reply.status, headers, value, decided)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = TOKEN,
        headers: Mapping[str, str] | None = None,
        is_local: bool = True,
    ) -> Told:
        """Send a request as a client of the control API does; `path` is below its prefix."""
        lines = {**HOST}
        if token is not None:
            lines["authorization"] = f"Bearer {token}"
        if method not in ("GET", "HEAD"):
            lines.update(JSON)
        lines.update(headers or {})
        encoded = tuple((name.encode(), value.encode("latin-1")) for name, value in lines.items())
        data = b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body)
        path, _, query = path.partition("?")
        asked = Request.of(method, PREFIX + path, encoded, data, query=query)
        return self.send(asked, is_local=is_local)

    def say(self, text: str, *, session: str | None = None, key: str = "any") -> Any:
        """Ask the Chat Completions API, in a session by its URL. Returns the answer as JSON."""
        prefix = "" if session is None else f"/session/{session}"
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}
        headers = {"authorization": f"Bearer {key}"}
        decision = self.observed.ask(request(f"{prefix}/v1/chat/completions", body, headers))
        return orjson.loads(delivered(decision.reply))

    def text(self, text: str, *, session: str | None = None) -> str | None:
        """The words of the answer to `text`; None if no mock answers."""
        told = self.say(text, session=session)
        return told["choices"][0]["message"]["content"] if "choices" in told else None


def _perform(work: Any, *, is_local: bool) -> Any:
    if isinstance(work, FindPeer):
        return Peer(is_local)
    if isinstance(work, DividedWork):
        return finish(work.pieces)
    assert isinstance(work, Wait)
    waiting: Any = work.begin()
    for _ in range(1_000):  # pauses
        try:
            waiting.send(None)
        except StopIteration as end:
            return end.value
    raise AssertionError("it waits for more than is there")
