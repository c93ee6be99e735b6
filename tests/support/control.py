"""Requests to a control API, without a server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple, cast

import orjson

from mockllm.app import App
from mockllm.endpoints.control.access import PREFIX, Access
from mockllm.endpoints.control.api import ControlAPI
from mockllm.endpoints.control.desk import Desk
from mockllm.endpoints.control.making import Changes, LocalChanges
from mockllm.engine.changes import GateChange
from mockllm.engine.decision import Decision, DividedWork, FindPeer, Peer, Question, Wait
from mockllm.engine.engine import Engine
from mockllm.exchange import Request
from mockllm.observers.journal import Journal
from mockllm.pieces import finish
from mockllm.serve.change_log import ChangeBoard
from mockllm.serve.clock import Clock
from mockllm.serve.connections import Service
from mockllm.serve.gates import Gates
from mockllm.serve.own_calls import OwnCalls
from mockllm.serve.shared_changes import SharedChanges
from mockllm.state.gates import GateStates
from tests.support.apps import LoneApp
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

    counts: Counter[str]
    done: list[GateChange] = field(default_factory=list)
    states: GateStates = field(default_factory=GateStates)
    post: Any = None
    is_alive: Any = None
    is_stopped: bool = False

    def cut_session(self, session: str) -> None:
        pass

    def make(self, change: GateChange) -> None:
        self.done.append(change)

    def reached(self, session: str | None, name: str) -> int:
        return self.counts[name]

    def held(self, session: str | None) -> Counter[str]:
        return self.counts

    def end_session(self, session: str) -> None:
        pass


class Part(NamedTuple):
    """One process of a server: its app, its clock and its gates."""

    observed: Observed
    clock: FixedClock
    gates: FixedGates


class Controlled:
    """An app with a control API, whose requests are observed by a journal.

    With several `workers` there are so many apps, which share what is changed: each request goes to
    the next one. They have one store and one journal, as if these were shared between processes.
    """

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
        workers: int = 1,
        folder: Path = Path(),
    ) -> None:
        self.journal = Journal()
        self.waits: list[tuple[object, ...]] = []
        self.threads = 0
        """How often work was done in a thread."""
        self.access = Access(TOKEN, is_open, host, is_tls)
        self._names = iter(f"session-{number}" for number in range(1_000))
        self._settings = {"strict_config": strict, "allows_templates": templates}
        self._calls = OwnCalls(self.journal) if journal else None
        self._counts = Counter[str]()
        self._shared: list[SharedChanges] = []
        board = ChangeBoard(folder) if workers > 1 else None
        self.parts = [self._begin({} if config is None else config, board) for _ in range(workers)]
        for part in self.parts:
            part.observed.app.store = self.parts[0].observed.app.store
        self._turns = cycle(self.parts)

    def _begin(self, config: Any, board: ChangeBoard | None) -> Part:
        """Begin one process."""
        observed = Observed(config, journal=self.journal)
        app, clock, gates = observed.app, FixedClock(), FixedGates(self._counts)
        changes: Changes
        changes = local = LocalChanges(app, clock, gates, self._calls)
        if board is not None:
            changes = shared = SharedChanges(board, len(self._shared), lambda: None)
            service = Service(app, clock=cast("Clock", clock), gates=cast("Gates", gates))
            shared.use(service, local)
            self._shared.append(shared)
        desk = Desk(
            app,
            changes,
            self.access,
            self._calls,
            clock,
            gates,
            self,
            self._names.__next__,
            **self._settings,
        )
        app.control = ControlAPI(desk)
        return Part(observed, clock, gates)

    def _next(self) -> Part:
        """The process that answers the next request, which has made all changes."""
        for shared in self._shared:
            shared.catch_up(is_patient=True)
        return next(self._turns)

    def reload(self, engine: Engine) -> None:
        """Use another configuration in all processes."""
        for part in self.parts:
            part.observed.app.use(engine)

    def close(self) -> None:
        """Close what is shared."""
        for shared in self._shared:
            shared.stop()
            shared.close()

    @property
    def observed(self) -> Observed:
        return self._next().observed

    @property
    def app(self) -> LoneApp:
        return self._next().observed.app

    @property
    def clock(self) -> FixedClock:
        return self._next().clock

    @property
    def gates(self) -> FixedGates:
        return self._next().gates

    async def calls(self, session: str | None, count: int, timeout: float) -> bool:  # noqa: ASYNC109  # as the control API calls it
        self.waits.append((session, count, timeout))
        return self.journal.count(session) >= count

    async def gate(self, session: str | None, name: str, count: int, timeout: float) -> bool:  # noqa: ASYNC109  # as the control API calls it
        self.waits.append((session, name, count, timeout))
        return self._counts[name] >= count

    async def thread(self, work: Callable[[], Any]) -> Any:
        self.threads += 1
        return work()

    def send(self, asked: Request, *, is_local: bool = True) -> Told:
        """Send any request to the app, from a peer on this machine or another one."""
        decided: Any = App.decide(self._next().observed.app, asked)
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


Begin = Callable[..., Controlled]
"""Begins a control API: a fixture, which closes it at the end."""


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
