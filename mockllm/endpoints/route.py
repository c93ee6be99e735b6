"""A route to an endpoint, and the context that the endpoint receives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from mockllm.engine.decision import Decision, Question
from mockllm.engine.engine import Engine
from mockllm.engine.mocks import Table
from mockllm.exchange import Request
from mockllm.observers.lateness import Lateness
from mockllm.providers.routes import Values
from mockllm.state.responses import OTHER_SERVERS, StoredResponses
from mockllm.state.sessions import COMMON
from mockllm.state.store import Condition

CHAT, RESPONSES, MESSAGES = "openai", "openai_response", "anthropic"


@dataclass(frozen=True, slots=True)
class Context:
    """The state that endpoints use: the current engine, the readiness of the server, the stored
    responses, the slots of the other workers (`peers`), and the session of the request."""

    engine: Engine
    is_ready: Callable[[], bool]
    stored: StoredResponses
    peers: frozenset[int] = frozenset()
    session: str = COMMON
    timing: Callable[[], Lateness] = Lateness
    """How late the steps of paced answers were."""
    condition: Callable[[], Condition] = lambda: Condition.OWN
    """What is known of the state of mocks and sessions."""
    added: Mapping[str, Table] | None = None
    """The mocks of each API as the session sees them, if some were added at run time."""

    @property
    def tables(self) -> Iterable[Table]:
        """The mocks of each API that the session sees."""
        return self.engine.tables if self.added is None else self.added.values()

    def table(self, name: str) -> Table:
        """Return the mocks of the API called `name` (``openai``) that the session sees."""
        return self.engine.table(name) if self.added is None else self.added[name]

    def has_peer(self, slot: int | None) -> bool:
        """Return True if there is another worker in `slot`, or in any slot if that is None."""
        return slot in self.peers if slot is not None else bool(self.peers)

    @property
    def has_servers(self) -> bool:
        """True if other servers share the stored responses."""
        return OTHER_SERVERS in self.peers


Endpoint = Callable[[Context, Request, Values], Decision | Question]
"""Answers a request with these values in its path; raises RequestError if it is invalid."""


@dataclass(frozen=True, slots=True)
class Route:
    """A function, `answer`, for requests with `method` and a path of `template`
    (`providers.routes`). A `public` route needs no credentials."""

    method: str
    template: str
    answer: Endpoint
    public: bool = False
