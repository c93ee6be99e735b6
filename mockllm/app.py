"""Finds the session of each request, has it decided, and owns the state of the process.

In the common session, a path of a mocked API is decided by the engine at once; all other requests
go by `endpoints.routing`. A reload replaces the engine (`App.use`); the app and its state remain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from mockllm.endpoints.control import answers as control_answers
from mockllm.endpoints.control.api import ControlAPI
from mockllm.endpoints.health import HEALTH, READY, ROOT
from mockllm.endpoints.metrics import METRICS, MetricsPage
from mockllm.endpoints.response_memory import ResponseMemory
from mockllm.endpoints.route import Context
from mockllm.endpoints.routing import Router
from mockllm.engine.added import AddedMock
from mockllm.engine.asking import (
    admit,
    answer_at_once,
    begin,
    holding_state,
)
from mockllm.engine.decision import (
    Admission,
    Answer,
    Decision,
    DividedWork,
    Match,
    Outcome,
    Question,
)
from mockllm.engine.delivery_pace import DeliveryPaces
from mockllm.engine.engine import Engine
from mockllm.engine.limiting import NOTHING, Limiter, Sent
from mockllm.engine.mocks import Table
from mockllm.engine.traffic import CompiledTraffic
from mockllm.engine.views import Seen, View, Views
from mockllm.errors import ClientError, RequestError
from mockllm.exchange import Reply, Request
from mockllm.observers.counted_store import CountedStore
from mockllm.observers.lateness import Lateness
from mockllm.observers.metrics import Meter
from mockllm.pieces import Pieces, finish
from mockllm.providers import find_vendor
from mockllm.providers.api import API
from mockllm.providers.routes import NO_VALUES, Routes
from mockllm.state.change_count import ChangeCount
from mockllm.state.keys import Reloaded, compare
from mockllm.state.operations import BeginSession, Operation, Reset, Result
from mockllm.state.session_names import (
    HEADER,
    NO_SETTING,
    named_session,
    split_request,
)
from mockllm.state.sessions import COMMON
from mockllm.state.store import Condition, HeldState, LocalStore, StateUnavailableError, Store
from mockllm.state.traffic import TrafficTimes

_WITHOUT_SESSION = frozenset({HEALTH, READY, ROOT})
"""Paths that say nothing of a session, and answer even if the current one has ended."""

CLIENT_CLOSED_REQUEST = Reply(499, (), ())  # for observers, as nginx logs it; never sent

_REPEATED = frozenset({Outcome.MOCK, Outcome.ECHO, Outcome.UNMATCHED, Outcome.NOT_FOUND})
"""Outcomes that repeat themselves, unless state or chance decides the answer."""


class App:
    """Decides every request: by the mocks of the current engine, or by an endpoint. `clock` returns
    seconds of a monotonic clock, `work_clock` the seconds that this thread has worked; the defaults
    stand still. `timing` returns how late the steps of paced answers were, `elapsed` the seconds
    since the start of the server, in its own time. `limiter` admits requests to their limits."""

    def __init__(
        self,
        engine: Engine,
        *,
        tls: bool = False,
        clock: Callable[[], float] = lambda: 0.0,
        work_clock: Callable[[], float] = lambda: 0.0,
        timing: Callable[[], Lateness] = Lateness,
        elapsed: Callable[[], float] = lambda: 0.0,
        limiter: Limiter | None = None,
    ) -> None:
        # of the process
        self._scheme = "https" if tls else "http"
        self._clock = clock
        self._work_clock = work_clock
        self.timing = timing
        """Returns how late the steps of paced answers were."""
        self.elapsed = elapsed
        """Returns the seconds since the start of the server, in its own time."""
        self._limiter = limiter or Limiter(now=elapsed)
        self.traffic = TrafficTimes()
        """When the entries of traffic began, which a reload does not change."""
        self.is_ready = True
        """The answer to ``GET /ready``; False while the server stops."""
        self.responses = ResponseMemory()
        """The delivered responses, and the conversations that end with them."""
        self._find_earlier = self.responses.find_earlier
        self.own_store = LocalStore(gone=self.forget_session)
        """The state of mocks and sessions of this process alone."""
        self.store: Store = self.own_store
        """The state that decisions depend on, which a reload does not change: that of this process,
        unless it shares one with others."""
        self._current_session = COMMON
        self._shared_state: HeldState | None = None
        self._condition: Callable[[], Condition] = lambda: Condition.OWN
        self.when_session_ends: Callable[[str], None] = lambda session: None
        """Called with the name of each session that ends or is evicted."""
        self.let_go: Callable[[list[Any]], None] = list.clear
        """Lets go of the entries of a list, to which nothing else refers."""
        self.paces = DeliveryPaces()
        """Draws the times of paced answers."""
        self.views = Views(engine)
        """What sessions see: with mocks that were added at run time, which a reload keeps."""
        self.control: ControlAPI | None = None
        """Answers requests below ``/__mockllm/``; without it, there is nothing."""
        self._metrics: MetricsPage | None = None
        self._needs_input: Callable[[API, Answer], bool] | None = None
        self._own_traffic: CompiledTraffic | None = None
        self._configured = engine
        self.changes = ChangeCount()
        """The number of changes of what decisions depend on beside the request."""
        self.asks_first = False
        """True if other servers are asked before each decision: none is repeated without it."""
        self._peers: frozenset[int] = frozenset()
        self._use(engine)

    def use(self, engine: Engine) -> Reloaded:
        """Decide all further requests by `engine`. Returns what becomes of the state of its mocks:
        that of those which are gone is dropped, so that they begin anew when they come back."""
        self._configured = engine
        if self._own_traffic is not None:
            engine = engine.with_traffic(self._own_traffic)
        reloaded = compare(self._engine.stateful_mocks, engine.stateful_mocks)
        if reloaded.gone:
            self.store.post((Reset(keys=frozenset(reloaded.gone)),), self._clock())
        self.traffic.keep(engine.traffic_names)
        self._use(engine)
        return reloaded

    def _use(self, engine: Engine) -> None:
        # of the configuration
        self.changes.add()
        self._engine = engine
        engine.responder.work_clock = self._work_clock
        engine.responder.needs_input = self._needs_input
        engine.stage.elapsed = self._since_begin
        engine.stage.limiter = self._limiter
        self._tables = self.views.use(engine).routes
        mocked = Routes((path, table) for table in engine.tables for path in table.api.routes)
        self._mocked = mocked
        context = Context(
            engine,
            lambda: self.is_ready,
            self.responses.stored,
            timing=self.timing,
            condition=lambda: self._condition(),
        )
        self.responses.use(context, mocked.literal)
        self._router = Router(context, mocked, self.responses, scheme=self._scheme)
        self._router.ask(self._peers)
        self._note_default_session()

    def show_metrics(self, page: MetricsPage, meter: Meter) -> None:
        """Answer ``GET /metrics`` with `page`, and have `meter` count operations of the store."""
        self.changes.add()
        self._metrics = page
        self.store = CountedStore(self.store, meter)
        self._needs_input = self._engine.responder.needs_input = meter.needs_input

    def set_traffic(self, traffic: CompiledTraffic | None) -> None:
        """Replace the traffic of the configuration, from the next request on; a reload does not set
        it again. None is that of the configuration."""
        self._own_traffic = traffic
        self.use(self._configured)

    @property
    def own_traffic(self) -> CompiledTraffic | None:
        """The traffic that has replaced that of the configuration; None if none has."""
        return self._own_traffic

    def _since_begin(self, name: str) -> float | None:
        return self.traffic.elapsed(name, self.elapsed())

    def set_peers(self, slots: frozenset[int]) -> None:
        """Set the slots of the other workers, to which requests about unknown responses are
        forwarded."""
        self.changes.add()
        self._peers = slots
        self._note_default_session()
        self._router.ask(slots)

    @property
    def engine(self) -> Engine:
        """The current engine."""
        return self._engine

    def tables(self, session: str | None = None) -> Iterable[Table]:
        """Return the mocks of each API that a session sees; those of all sessions if it is None.
        With many that were added, this takes long (`seen` does not)."""
        name = COMMON if session is None else session
        finish(self.views.build(name, self._apis))
        return self._view_of(name).by_name.values()

    def seen(self, session: str | None = None) -> Iterator[Seen]:
        """Return the mocks that a session sees in each API, or all sessions see."""
        return self.views.seen(session or None)

    @property
    def _apis(self) -> list[str]:
        return [table.api.name for table in self._engine.tables]

    def add(self, added: AddedMock, session: str | None) -> None:
        """Add a mock to a session, or to all if that is None, for all further requests."""
        self.add_all([added], session)

    def add_all(self, mocks: Sequence[AddedMock], session: str | None) -> None:
        """Add mocks to a session, or to all if that is None, for all further requests."""
        self.views.add_all(mocks, session)
        self._note_default_session()

    def remove(self, added: AddedMock) -> None:
        """Remove a mock that was added, and its state."""
        self.drop(added)
        if added.has_state:
            self.perform(Reset(keys=frozenset({added.id})))

    def drop(self, added: AddedMock) -> None:
        """Remove a mock that was added, but for its state."""
        self.views.remove(added)
        self._engine.forget({added.index})
        self._note_default_session()

    def _view_of(self, session: str) -> View:
        """Return what the requests of a session see."""
        if self.views.is_stale:
            self._tables = self.views.renew().routes
            self._note_default_session()
        return self.views.of(session)

    def share_state(
        self,
        store: Store,
        condition: Callable[[], Condition] = lambda: Condition.OWN,
        held: HeldState | None = None,
    ) -> None:
        """Ask `store` from now on, which other processes ask too, and of which `condition` returns
        what is known. If it can be `held`, the control API looks at it while it is."""
        self.changes.add()
        self.store = store
        self._condition = condition
        self._shared_state = held

    def forget_session(self, session: str) -> None:
        """Drop what this process remembers of a session that is over, beside its state."""
        self.changes.add()
        self.when_session_ends(session)
        self.responses.stored.drop(session)
        dropped = self.views.drop(session)
        if dropped:
            self._engine.forget(dropped.by_index.keys())
            self.let_go(dropped.take_apart())

    @property
    def has_sessions_by_credential(self) -> bool:
        """True if each API key has a session of its own."""
        return self._engine.session_setting.by_credential

    def time(self) -> float:
        """Return the time of the clock of the server, in seconds."""
        return self._clock()

    def perform(self, operation: Operation, now: float | None = None) -> Result:
        """Perform one operation on the state, for a test: begin or end a session. It is done at the
        time `now`, by default that of the clock."""
        at = self._clock() if now is None else now
        results: Sequence[Result] | None = self.store.perform_at_once((operation,), at)
        if results is None:  # other processes use the state
            self.store.post((operation,), at)
        result = None if results is None else results[0]
        if isinstance(operation, BeginSession) and operation.current and result is None:
            self.use_session(operation.session)
        return result

    @property
    def current_session(self) -> str:
        """The session of requests that name none."""
        return self._current_session

    def use_session(self, session: str) -> None:
        """Let requests that name no session belong to this one, from the next one on."""
        self._current_session = session
        self._note_default_session()

    def _note_default_session(self) -> None:
        """Note whether a request that names no session may belong to another than the common one,
        or may see other mocks than the one before, so that it need not be asked for each."""
        self.changes.add()
        has_setting = self._engine.session_setting != NO_SETTING
        has_current = self._current_session != COMMON
        looks_back = bool(self._peers) and any(
            table.looks_back for table in self._tables.literal.values()
        )
        self._takes_detour = has_setting or has_current or self.views.is_stale or looks_back

    @property
    def reuses(self) -> bool:
        """True if repeated requests are answered from caches (see `Engine.reuses`)."""
        return self._engine.reuses

    def repeats(self, request: Request, decision: Decision) -> bool:
        """Return True if `decide` returns this `decision` for every equal request, until the
        number of `changes` is another. Then neither state nor chance, time, traffic or a session of
        its own has decided it, nor has the absence of credentials."""
        match = decision.match
        if (
            self.asks_first
            or match.outcome not in _REPEATED
            or not match.reusable
            or match.trouble is not None
            or decision.reply is not match.reply
            or decision.admission is not None
            or decision.session != COMMON
            or self._takes_detour
            or HEADER in request.first_values
        ):
            return False
        if match.outcome is Outcome.NOT_FOUND:
            in_path, _ = split_request(request)
            return self.reuses and in_path is None and not self._is_for_control(request)
        table = self._tables.literal.get(request.path)
        return (
            request.method == "POST"
            and table is not None
            and self._engine.reuses_match(table, request)
        )

    def decide(self, request: Request) -> Decision | Question:
        """Return the decision on `request`, or the question that must be answered first. Nothing
        that a client sends makes this raise: an invalid request gets an error reply."""
        if (
            request.method == "POST"
            and HEADER not in request.first_values
            and not self._takes_detour
        ):
            table = self._tables.literal.get(request.path)
            if table is not None:
                decided = self._engine.decide(table, request, NO_VALUES, self._find_earlier)
                return decided if type(decided) is Decision else self._answer_at_once(decided)
        return self._answer_at_once(self._decide_in_session(request))

    def _answer_at_once(self, decided: Decision | Question) -> Decision | Question:
        """Return the decision, if it can be made without waiting; else a question after which no
        store is asked."""
        decided = answer_at_once(decided, self.store, self._clock())
        if isinstance(decided, Decision):
            return decided
        resume = decided.resume
        return decided._replace(resume=lambda results: self._answer_at_once(resume(results)))

    def _decide_in_session(self, received: Request) -> Decision | Question:
        """Return the decision on a request after finding its session, or the question before it."""
        if self._is_for_control(received):
            control = self.control
            assert control is not None
            return holding_state(self._shared_state, lambda: control.decide(received))
        metrics = self._metrics
        if metrics is not None and received.path == METRICS:
            return self._router.dispatcher.finish(received, lambda: metrics.answer(received))
        in_path, request = split_request(received)
        session = COMMON
        has_session = in_path is not None or request.path not in _WITHOUT_SESSION
        if has_session and request.method != "OPTIONS":  # of which a page sees no error
            try:
                session = self._name_session(in_path, request)
            except RequestError as exc:
                return self._router.dispatcher.refuse(request, exc, Outcome.REFUSED)
        if session == COMMON:
            return self._decide_seen(request, session, in_path)
        mocked = request.method == "POST" and self._mocked.knows(request.path)
        return admit(
            session,
            received,
            lambda: self._decide_seen(request, session, in_path),
            lambda error: self._router.dispatcher.refuse(request, error, Outcome.SESSION_ENDED),
            in_one_step=mocked,
        )

    def _decide_seen(
        self, request: Request, session: str, in_path: str | None
    ) -> Decision | Question:
        """Return the decision on a request by the mocks that its session sees, or the question that
        has these searchable first."""
        view = self._view_of(session)
        if len(view.by_name) < len(self._engine.tables):
            is_post = request.method == "POST"
            table, _ = next(self._mocked.find(request.path), (None, None)) if is_post else (None, 0)
            needed = self._apis if table is None else [table.api.name]
            if not all(name in view.by_name for name in needed):
                return begin(self._build_and_decide(request, session, in_path, needed))
        return self._router.decide(request, session, in_path, view)

    def _build_and_decide(
        self, request: Request, session: str, in_path: str | None, needed: Sequence[str]
    ) -> Pieces[Decision | Question]:
        yield from self.views.build(session, needed)
        return self._router.decide(request, session, in_path, self._view_of(session))

    def _is_for_control(self, request: Request) -> bool:
        return self.control is not None and self.control.owns(request.path)

    def _name_session(self, in_path: str | None, request: Request) -> str:
        """Return the session that a request belongs to; `in_path` is the one that its path names.

        Raises:
            RequestError: 400, the name is invalid.
        """
        setting = self._engine.session_setting
        own_headers: tuple[bytes, ...] = ()
        if setting.by_credential and (vendor := find_vendor(request)) is not None:
            own_headers = vendor.credential_headers(request)
        named = named_session(in_path, request.first_values, setting, own_headers)
        return self._current_session if named is None else named

    def decide_forwarded(
        self, request: Request, session: str | None = None
    ) -> Reply | DividedWork | None:
        """Return the reply to a `request` forwarded by another worker, which may have found its
        `session`, or the work whose result it is; None if this process does not know what it asks
        for (404)."""
        in_path, request = split_request(request)
        named = self._name_session(in_path, request) if session is None else session
        return self._router.decide_forwarded(request, named, in_path)

    def render_error(self, request: Request, error: ClientError) -> Reply:
        """Return `error` in the format of the vendor of the request's path; plain JSON if it has
        none."""
        if self._is_for_control(request):
            return control_answers.render_error(error)
        _, request = split_request(request)
        return self._router.render_error(request, error)

    def give_up(self, request: Request) -> Decision:
        """Return what observers are told of a request whose client left before it was decided."""
        if self._is_for_control(request):
            return Decision.by(Match(Outcome.CONTROL, CLIENT_CLOSED_REQUEST))
        in_path, request = split_request(request)
        try:
            session = self._name_session(in_path, request)
        except RequestError:
            session = COMMON
        undecided = Match(Outcome.UNDECIDED, CLIENT_CLOSED_REQUEST)
        return Decision.by(undecided)._replace(session=session)

    def refuse_without_state(self, request: Request, error: StateUnavailableError) -> Decision:
        """Return the decision to refuse a request whose state cannot be reached in time."""
        in_path, inner = split_request(request)
        decision = Decision.by(Match(Outcome.NO_STATE, self.render_error(request, error)))
        return decision._replace(session=self._name_session(in_path, inner))

    def end_admission(
        self, admission: Admission, answer: Answer | None = None, sent: Sent = NOTHING
    ) -> None:
        """End a request that was admitted to its limits, of whose `answer` this was sent. Without
        effect if it has ended before."""
        operations = self._limiter.end(admission, answer, sent)
        if operations:
            self.store.post(operations, self._clock())
