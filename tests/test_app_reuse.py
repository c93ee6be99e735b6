"""The specification of reuse: for every history of requests, resets, sessions, added mocks,
traffic, limits and reloads, an app with caches and one without answer the same."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from mockllm import Config
from mockllm.engine.added import AddedMock, compile_added
from mockllm.engine.decision import Decision
from mockllm.engine.engine import Engine
from mockllm.engine.limiting import Limiter, Sent
from mockllm.engine.loading import Loaded, load
from mockllm.exchange import Request
from mockllm.state.attempts import RETRY_COUNT
from mockllm.state.operations import BeginSession, EndSession, Operation, Reset
from mockllm.wire.placeholders import fill_fresh
from tests.support.apps import LoneApp
from tests.support.engines import ANTHROPIC, KEY
from tests.support.goldens import FRESH

SCRIPT: dict[str, Any] = {
    "name": "script",
    "match": {"user": "next", "headers": [{"name": "x-tenant", "value": "a"}]},
    "sequence": [
        "one",
        {"error": "overloaded"},
        {"reply": "two", "times": 2},
        {"reply": {"template": "{{ session }}, {{ call }}"}, "times": 3},
    ],
    "at_end": "pass",
}
CHANGED_SCRIPT = {**SCRIPT, "sequence": ["other"]}
FIRST = {
    "name": "first",
    "match": {"user": "never", "system": "Be brief"},
    "reply": "ever after",
    "first": [{"error": "rate_limit", "times": 2}],
}
SECOND = {"match": {"turn": 2}, "reply": {"template": "{{ turn }} of {{ session }}"}}
CHATS = {"match": {"message": {"role": "user", "content": "next"}}, "reply": "from the own list"}
TENANT = {"match": {"headers": SCRIPT["match"]["headers"]}, "reply": "for a"}
DEFAULT = {"headers": {"x-a": "1"}, "reply": "default"}
TRAFFIC: list[dict[str, Any]] = [
    {"name": "outage", "from": 10, "to": 20, "error": "overloaded"},
    {"name": "errors", "match": {"user": "next"}, "chance": 0.5, "error": "rate_limit"},
    {"name": "slow", "match": {"turn": 2}, "ramp": 20, "latency": {"ttft": 2, "jitter": 1}},
    {"match": {"headers": SCRIPT["match"]["headers"]}, "latency": "vllm-8b", "chance": 0.5},
    {"match": {"system": "Be brief"}, "fault": {"end": "cut", "after": "first_token"}},
    {"fault": {"pause": 1, "chance": 0.5}},
]
LIMITS: list[dict[str, Any]] = [
    {
        "match": {"user": "next"},
        "rate_limit": {"rpm": 2, "tpm": 100, "itpm": 60, "otpm": 12, "concurrent": 2, "per": []},
    },
    {"match": {"turn": 2}, "rate_limit": {"rpm": 3, "per": ["session"]}},
    {"rate_limit": {"rpm": 4, "otpm": 30, "concurrent": 3}},
]

CONFIGURATIONS = [
    load(Config.from_dict(each))
    for each in (
        {"mocks": [SCRIPT, FIRST, SECOND, TENANT, DEFAULT]},
        {"mocks": [FIRST, CHANGED_SCRIPT], "openai": [TENANT, CHATS]},
        {"mocks": [SECOND, SCRIPT, DEFAULT], "session": {"header": "x-test"}},
        {"mocks": [FIRST, SECOND, SCRIPT, DEFAULT], "openai": [CHATS], "traffic": TRAFFIC},
        {"mocks": [SECOND, TENANT], "traffic": [*reversed(TRAFFIC)], "latency": "vllm-8b"},
        {"mocks": [FIRST, SECOND, SCRIPT, DEFAULT], "traffic": LIMITS},
        {"mocks": [SCRIPT, TENANT], "openai": [CHATS], "traffic": [*TRAFFIC, *LIMITS]},
    )
]
ADDED: list[dict[str, Any]] = [
    {"user": "next", "reply": "added"},
    {"user": "next", "sequence": ["first", {"error": "overloaded"}, "third"], "at_end": "pass"},
    {"system": "Be brief", "reply": {"template": "{{ turn }}, {{ call }}"}},
    {"turn": 2, "reply": "ever", "first": [{"error": "rate_limit"}]},
    {"headers": SCRIPT["match"]["headers"], "first": True, "reply": "first for a"},
    {"api": "chat", "message": {"role": "user", "content": "hi"}, "reply": "of one API"},
    {"reply": "default of those added"},
]
SESSIONS = ["", "a"]
WORDS = ["start", "stop", "reset"]
OPERATIONS: list[Operation] = [
    *(Reset(session) for session in (None, *SESSIONS)),
    *(BeginSession("a", current) for current in (False, True)),
    EndSession("a"),
]

PATHS = {"/v1/chat/completions": KEY, "/v1/messages": ANTHROPIC, "/v1/responses": KEY}
UNKNOWN_PATHS = ["/v1/unknown", "/chat/completions", "/v1/messages/x", "/else", "/v1/messages"]
TEXTS = ["next", "never", "hi", "hello"]
EARLIER = "resp_0123456789abcdef0123e08d3f0d3dc2a9f8867b6fcaa71d"
"""The id of every response that is sent with `FRESH`: the latest is the one that is meant."""


class Question(NamedTuple):
    """What is asked for, in the form of the API at `path`: the answer of a turn."""

    path: str
    text: str
    turns: int
    brief: bool
    stream: bool

    def body(self, *, chained: bool) -> bytes:
        """The body of the request; a `chained` one continues a response, if the API has it."""
        said: list[dict[str, Any]] = [{"role": "user", "content": self.text}]
        said = [*said, {"role": "assistant", "content": "yes"}] * (self.turns - 1) + said
        instructions = "Be brief" if self.brief else "Be nice"
        body: dict[str, Any] = {"model": "m", "stream": self.stream}
        match self.path:
            case "/v1/messages":
                body |= {"max_tokens": 9, "system": instructions, "messages": said}
            case "/v1/responses":
                body |= {"instructions": instructions, "input": said}
                body |= {"previous_response_id": EARLIER} if chained else {}
            case _:
                body["messages"] = [{"role": "system", "content": instructions}, *said]
        return orjson.dumps(body)


QUESTIONS = st.builds(
    Question,
    path=st.sampled_from([*PATHS, "/v1/responses"]),  # which may be chained
    text=st.sampled_from(TEXTS),
    turns=st.integers(1, 2),
    brief=st.booleans(),
    stream=st.booleans(),
)


def _seen(decision: Decision) -> tuple[Any, ...]:
    """All that a client can see of an answer, and what observers see."""
    reply, ready, match = decision.reply, decision.ready, decision.match
    sent = [fill_fresh(step.data, FRESH) for step in reply.steps]
    at_once = None if ready is None else ready.finish(FRESH)
    label = None if match.rule is None else match.rule.label
    timed = reply.pacing, reply.before_head, reply.ending, [step.pause for step in reply.steps]
    limited = None if decision.admission is None else decision.admission.charges
    told = match.outcome, label, match.summary, match.answer, match.traffic, limited
    return reply.status, reply.headers, sent, at_once, timed, told


class Reuse(RuleBasedStateMachine):
    """One history, lived by both apps."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.reusing, self.plain = (
            LoneApp(
                Engine(CONFIGURATIONS[0], reuse=reuse),
                elapsed=lambda: self.now,
                limiter=Limiter(now=lambda: self.now, wall_clock=lambda: 1_740_429_471.5),
            )
            for reuse in (True, False)
        )
        self.added: list[AddedMock] = []
        self.open: list[tuple[Decision, Decision]] = []
        """Answers of both apps to requests that were admitted to limits, which are not over."""

    @initialize(questions=st.lists(QUESTIONS, min_size=1, max_size=3))
    def write(self, questions: list[Question]) -> None:
        """Choose a few questions, so that a history repeats them."""
        self.questions = questions

    @rule(
        which=st.integers(0, 2),
        chained=st.booleans(),
        session=st.sampled_from(SESSIONS),
        headers=st.sampled_from([(), ((b"x-tenant", b"a"),), ((b"x-test", b"a"),)]),
        retries=st.sampled_from([0, 0, 1]),
        times=st.integers(1, 5),
    )
    def ask(
        self,
        which: int,
        chained: bool,
        session: str,
        headers: tuple[tuple[bytes, bytes], ...],
        retries: int,
        times: int,
    ) -> None:
        """Send a request several times: a match is kept the second time."""
        question = self.questions[which % len(self.questions)]
        path = f"/session/{session}{question.path}" if session else question.path
        credentials = [
            (key.encode(), value.encode()) for key, value in PATHS[question.path].items()
        ]
        marked = [(RETRY_COUNT, b"%d" % retries)] if retries else []
        lines = (*credentials, *headers, *marked)
        request = Request.of("POST", path, lines, question.body(chained=chained))
        for _ in range(times):
            reused, anew = self.reusing.decide(request), self.plain.decide(request)
            assert _seen(reused) == _seen(anew)
            self.reusing.responses.store(request, reused, FRESH)
            self.plain.responses.store(request, anew, FRESH)
            if reused.admission is not None:
                self.open.append((reused, anew))

    def ask_all(self) -> None:
        """Send each request to each session, so that its match is kept."""
        for which in range(len(self.questions)):
            for session in SESSIONS:
                self.ask(which, False, session, headers=(), retries=0, times=2)

    @rule(which=st.integers(0, 9), share=st.sampled_from([0.0, 0.5, 1.0]))
    def finish(self, which: int, share: float) -> None:
        """End the delivery of an answer, of which this share was sent."""
        if not self.open:
            return
        decisions = self.open.pop(which % len(self.open))
        for app, decision in zip((self.reusing, self.plain), decisions, strict=True):
            assert decision.admission is not None
            app.end_admission(decision.admission, decision.match.answer, Sent(share))

    @rule(
        path=st.sampled_from(UNKNOWN_PATHS),
        method=st.sampled_from(["GET", "POST"]),
        session=st.sampled_from(SESSIONS),
        headers=st.sampled_from([(), ((b"anthropic-version", b"1"),), ((b"host", b"a:1"),)]),
        times=st.integers(1, 3),
    )
    def ask_in_vain(
        self,
        path: str,
        method: str,
        session: str,
        headers: tuple[tuple[bytes, bytes], ...],
        times: int,
    ) -> None:
        """Send a request to an unknown path, or one that is known, several times."""
        path = f"/session/{session}{path}" if session else path
        request = Request.of(method, path, headers, b"")
        for _ in range(times):
            assert _seen(self.reusing.decide(request)) == _seen(self.plain.decide(request))

    @rule(seconds=st.sampled_from([0.5, 5, 10, 100]))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    @rule(name=st.sampled_from(["outage", "errors", "slow"]), word=st.sampled_from(WORDS))
    def control(self, name: str, word: str) -> None:
        """Start, stop or reset an entry of traffic."""
        for app in (self.reusing, self.plain):
            if word == "start":
                app.traffic.start(name, self.now)
            elif word == "stop":
                app.traffic.stop(name)
            else:
                app.traffic.reset(name)

    @rule(words=st.sampled_from(ADDED), session=st.sampled_from([None, "a"]))
    def add(self, words: dict[str, Any], session: str | None) -> None:
        """Add a mock to the server, or to a session."""
        mock = compile_added(words, len(self.added))
        self.added.append(mock)
        self.ask_all()
        for app in (self.reusing, self.plain):
            app.add(mock, session)
        self.ask_all()

    @rule(which=st.integers(0, 9))
    def remove(self, which: int) -> None:
        """Remove a mock that was added, perhaps once more."""
        if not self.added:
            return
        self.ask_all()
        for app in (self.reusing, self.plain):
            app.remove(self.added[which % len(self.added)])
        self.ask_all()

    @rule(change=st.sampled_from([*CONFIGURATIONS, *OPERATIONS, *OPERATIONS]))
    def change(self, change: Loaded | Operation) -> None:
        """Reload a configuration, or perform an operation on the state."""
        if isinstance(change, Loaded):
            self.reusing.use(Engine(change))
            self.plain.use(Engine(change, reuse=False))
        else:
            self.reusing.perform(change)
            self.plain.perform(change)


TestReuse = Reuse.TestCase
