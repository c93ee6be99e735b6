"""Mocks with state: the questions they ask, and the answers that follow."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.app import App
from mockllm.config.models import Config
from mockllm.engine import engine as engine_module
from mockllm.engine import matcher
from mockllm.engine.asking import answer_at_once, begin, without_pauses
from mockllm.engine.decision import Decision, DividedWork, ForwardRequest, Match, Outcome, Question
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.errors import RequestError
from mockllm.exchange import Reply, Request
from mockllm.pieces import finish
from mockllm.state.choosing import AtEnd, ScriptEntry
from mockllm.state.operations import EndSession, Reset
from mockllm.state.sessions import COMMON
from mockllm.state.store import LocalStore
from tests.support.goldens import delivered
from tests.support.sequences import engine, sequence

PATH = "/v1/chat/completions"
KEY = (b"authorization", b"Bearer any")
FAILING = ScriptEntry(advances_retry=True)


def asking(text: str = "hi", retry: int | None = None, *, stream: bool = False) -> Request:
    body = {"model": "m", "messages": [{"role": "user", "content": text}], "stream": stream}
    mark = () if retry is None else ((b"x-stainless-retry-count", str(retry).encode()),)
    return Request.of("POST", PATH, (KEY, *mark), orjson.dumps(body))


def ask(app: App, request: Request | None = None) -> str:
    """What a whole answer says, or the code of the error."""
    decision = decide(app, request or asking())
    answer = orjson.loads(delivered(decision.reply))
    if "error" in answer:
        return str(answer["error"]["code"])
    return str(answer["choices"][0]["message"]["content"])


def decide(app: App, request: Request) -> Decision:
    decision = app.decide(request)
    assert isinstance(decision, Decision)
    return decision


def error(app: App, request: Request | None = None) -> Any:
    return orjson.loads(delivered(decide(app, request or asking()).reply))["error"]


def test_a_mock_with_state_gives_its_answers_in_order() -> None:
    app = App(engine(["hi"], {"hi": sequence(ScriptEntry(2), ScriptEntry())}))

    assert [ask(app) for _ in range(4)] == ["0", "0", "1", "mock_exhausted"]


def test_each_entry_is_sent_whole_and_streamed() -> None:
    app = App(engine(["hi"], {"hi": sequence(ScriptEntry(2), ScriptEntry(2))}))

    said = [delivered(decide(app, asking(stream=each)).reply) for each in (False, True) * 2]

    assert [b"data: [DONE]" in each for each in said] == [False, True] * 2
    assert [b'"content":"0"' in each for each in said] == [True, True, False, False]
    assert [b'"content":"1"' in each for each in said] == [False, False, True, True]


def test_prepared_replies_of_entries_are_told_apart() -> None:
    one = engine(["hi"], {"hi": sequence(ScriptEntry(), ScriptEntry(), at_end=AtEnd.RESTART)})
    one.warm()
    app = App(one)

    assert [ask(app) for _ in range(4)] == ["0", "1", "0", "1"]


def test_a_marked_retry_gets_the_same_answer() -> None:
    app = App(engine(["hi"], {"hi": sequence(ScriptEntry(), ScriptEntry(), ScriptEntry())}))

    retries = [None, 1, 2, 0, 1]

    assert [ask(app, asking(retry=retry)) for retry in retries] == ["0", "0", "0", "1", "1"]


def test_a_marked_retry_of_a_failing_entry_gets_the_next() -> None:
    app = App(engine(["hi"], {"hi": sequence(FAILING, FAILING, ScriptEntry())}))

    assert [ask(app, asking(retry=retry)) for retry in range(4)] == ["0", "1", "2", "2"]


def test_an_exhausted_mock_is_named_with_its_count() -> None:
    app = App(engine(["hi"], {"hi": sequence(ScriptEntry(3))}))
    for _ in range(3):
        ask(app)

    decision = decide(app, asking())

    assert (decision.reply.status, decision.match.outcome) == (404, Outcome.UNMATCHED)
    assert error(app)["message"] == (
        "The sequence of openai[0] 'hi' is exhausted after 3 answers. Add an entry, or set "
        "'at_end' to 'pass', 'repeat' or 'restart'."
    )


def test_a_mock_that_passes_leaves_the_request_to_the_next() -> None:
    passing = {"hi": sequence(ScriptEntry(), at_end=AtEnd.PASS)}
    app = App(engine(["hi", "hi"], passing))

    assert [ask(app) for _ in range(3)] == ["0", "hi", "hi"]


def test_the_mock_that_answers_is_the_one_that_was_chosen() -> None:
    app = App(engine(["hi", "hi"], {"hi": sequence(ScriptEntry(), at_end=AtEnd.PASS)}))

    rules = [decide(app, asking()).match.rule for _ in range(2)]

    assert [rule and rule.index for rule in rules] == [0, 1]


def test_a_mock_that_is_used_up_is_named_when_none_is_left() -> None:
    app = App(engine(["hi"], {"hi": sequence(ScriptEntry(), at_end=AtEnd.PASS)}))
    ask(app)

    assert ask(app) == "mock_not_found"
    assert error(app)["message"] == (
        "No matching mock found. The request's last message: user 'hi'. "
        "Closest mock: openai[0] 'hi': its sequence is over."
    )


def test_the_echo_answers_when_none_is_left() -> None:
    one = engine(
        ["hi"], {"hi": sequence(ScriptEntry(), at_end=AtEnd.PASS)}, lambda prompt: "echoed"
    )
    app = App(one)

    assert [ask(app) for _ in range(2)] == ["0", "echoed"]


def test_mocks_without_state_are_cached_and_ask_nothing() -> None:
    app = App(engine(["hi", "ho"], {"hi": sequence(ScriptEntry(), at_end=AtEnd.PASS)}))
    cache = app._engine.match_cache
    assert cache is not None

    assert [ask(app, asking("ho")) for _ in range(3)] == ["ho"] * 3
    assert (len(cache), cache.hits) == (1, 1)
    assert app.own_store._answered.groups() == ()


@pytest.mark.parametrize("at_end", AtEnd)
def test_a_match_that_depends_on_state_is_asked_for_each_time(at_end: AtEnd) -> None:
    app = App(engine(["hi", "hi"], {"hi": sequence(ScriptEntry(3), at_end=at_end)}))
    for number in range(1, 7):
        assert not decide(app, asking()).match.reusable
        answered, *_ = app.own_store._answered.of("").values()
        assert answered == (number if at_end in (AtEnd.REPEAT, AtEnd.RESTART) else min(number, 3))


def test_state_survives_a_reload() -> None:
    app = App(engine(["hi"], {"hi": sequence(ScriptEntry(), ScriptEntry())}))
    assert ask(app) == "0"

    app.use(engine(["hi"], {"hi": sequence(ScriptEntry(), ScriptEntry())}))

    assert ask(app) == "1"


def test_a_reset_begins_anew() -> None:
    app = App(engine(["hi"], {"hi": sequence(ScriptEntry(), ScriptEntry())}))
    assert ask(app) == "0"

    app.own_store.perform([Reset()], 0.0)

    assert ask(app, asking(retry=1)) == "0"


PLAY = {
    "a": sequence(ScriptEntry(2), FAILING, ScriptEntry(None)),
    "b": sequence(ScriptEntry(), ScriptEntry(), at_end=AtEnd.RESTART),
    "c": sequence(FAILING, at_end=AtEnd.PASS),
}
CACHED, UNCACHED = (engine("abccd", dict(PLAY), reuse=reuse) for reuse in (True, False))


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 2), st.booleans())))
def test_an_engine_with_the_cache_answers_as_one_without(
    requests: list[tuple[str, int, bool]],
) -> None:
    """The mock for d has no state, nor has the second one for c; none matches e."""
    apps = [App(one) for one in (CACHED, UNCACHED)]

    for text, retry, stream in requests:
        one, other = (decide(app, asking(text, retry, stream=stream)) for app in apps)
        assert delivered(one.reply) == delivered(other.reply)


# --- Sessions -------------------------------------------------------------------------------------


def said_in(one: Engine, store: LocalStore, session: str) -> Any:
    """The body of the answer in a session."""
    question = one.decide(one.table("openai"), asking(), session=session)
    decision = answer_at_once(question, store, 0.0)
    assert isinstance(decision, Decision)
    return orjson.loads(delivered(decision.reply))


def test_each_session_has_a_script_of_its_own() -> None:
    one, store = engine(["hi"], {"hi": sequence(ScriptEntry(), ScriptEntry())}), LocalStore()

    answers = [said_in(one, store, session) for session in ("a", "b", COMMON, "a")]

    said = [answer["choices"][0]["message"]["content"] for answer in answers]
    assert said == ["0", "0", "0", "1"]


def test_a_request_after_the_end_of_its_session_is_refused() -> None:
    one, store = engine(["hi"], {"hi": sequence(ScriptEntry(), ScriptEntry())}), LocalStore()
    store.perform([EndSession("a")], 0.0)

    refusal = said_in(one, store, "a")["error"]

    assert refusal["code"] == "session_ended"
    assert refusal["message"].startswith("The session 'a' has ended")


# --- Questions that a store does not answer -------------------------------------------------------


def test_a_question_to_another_worker_is_left_to_the_caller() -> None:
    def resume(results: Sequence[Any]) -> Decision:
        raise AssertionError("not answered yet")

    question = Question((ForwardRequest(asking(), None, "resp_1", ""),), resume)

    assert answer_at_once(question, LocalStore(), 0.0) is question


def test_divided_work_is_left_to_the_caller_who_may_do_it_without_pauses() -> None:
    def pieces() -> Generator[bool, None, int]:
        yield True
        return 7

    forward = Question((ForwardRequest(asking(), None, "resp_1", ""),), lambda results: results[0])
    asked: list[Any] = []

    def resume(results: Sequence[Any]) -> Question:
        asked.extend(results)
        return forward

    question = Question((DividedWork(pieces()),), resume)

    assert answer_at_once(question, LocalStore(), 0.0) is question
    assert without_pauses(question) is forward
    assert asked == [7]


def test_a_store_is_asked_after_divided_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "MAX_UNDIVIDED", 0)
    monkeypatch.setattr(matcher, "MAX_UNDIVIDED", 0)
    monkeypatch.setattr(matcher, "MAX_SMALL", 0)
    monkeypatch.setattr("mockllm.engine.mocks.MAX_STRAIGHT", -1)
    app = App(engine(["hi"], {"hi": sequence(ScriptEntry(2), ScriptEntry())}))

    def said() -> Any:
        question = app.decide(asking())
        assert isinstance(question, Question)
        decision = without_pauses(question)
        assert isinstance(decision, Decision)
        return orjson.loads(delivered(decision.reply))

    answers = [said() for _ in range(4)]

    texts = [each["choices"][0]["message"]["content"] for each in answers[:3]]
    assert texts == ["0", "0", "1"]
    assert answers[3]["error"]["code"] == "mock_exhausted"


def test_a_long_conversation_is_read_in_pieces() -> None:
    """20,000 messages held the loop for 160 ms."""
    mock = {"match": {"tool_result": {"contains": "no"}}, "response": {"choices": []}}
    deciding = Engine(load(Config.from_dict({"openai": [mock]})))
    turns = [{"role": ("user", "assistant")[at % 2], "content": "hi"} for at in range(5_001)]
    body = orjson.dumps({"model": "m", "messages": turns})
    credentials = ((b"authorization", b"Bearer any"),)

    question = deciding.decide(
        deciding.table("openai"), Request.of("POST", "/v1/chat/completions", credentials, body)
    )

    assert isinstance(question, Question)
    (work,) = question.operations
    assert isinstance(work, DividedWork)
    assert list(work.pieces).count(False) >= 20


@pytest.mark.parametrize("size", [1, 200_000], ids=["small", "large"])
@pytest.mark.parametrize("regex", ["[0-9]+", "[a-z]{9}x"], ids=["matches", "does not"])
def test_a_match_that_is_found_in_pieces_is_cached(size: int, regex: str) -> None:
    mock = {"match": {"user": {"regex": regex}}, "response": {"choices": []}}
    deciding = Engine(load(Config.from_dict({"openai": [mock]})))
    body = {"model": "m", "messages": [{"role": "user", "content": "1 " * size}]}
    request = Request.of(
        "POST", "/v1/chat/completions", ((b"authorization", b"Bearer any"),), orjson.dumps(body)
    )

    def decide() -> Decision:
        decision = without_pauses(deciding.decide(deciding.table("openai"), request))
        assert isinstance(decision, Decision)
        return decision

    first = [delivered(decide().reply) for _ in range(2)]  # what comes twice is cached

    assert deciding.match_cache is not None
    before = deciding.match_cache.hits
    assert delivered(decide().reply) == first[0] == first[1]
    assert deciding.match_cache.hits == before + 1


def made_in(pauses: int) -> Generator[bool, None, Decision]:
    for _ in range(pauses):
        yield False
    return DECISION


DECISION = Decision.by(Match(Outcome.MOCK, Reply(200, (), ())))


def test_what_is_made_without_a_pause_is_no_question() -> None:
    assert begin(made_in(0)) is DECISION


@pytest.mark.parametrize("pauses", [1, 3])
def test_what_is_made_in_pieces_is_begun_and_goes_on_as_divided_work(pauses: int) -> None:
    question = begin(made_in(pauses))

    assert isinstance(question, Question)
    (work,) = question.operations
    assert isinstance(work, DividedWork)
    assert question.resume([finish(work.pieces)]) is DECISION


def test_an_error_in_a_later_piece_is_raised_where_the_decision_is_asked_for() -> None:
    def failing() -> Generator[bool, None, Decision]:
        yield True
        raise RequestError(400, "no")

    question = begin(failing())

    assert isinstance(question, Question)
    (work,) = question.operations
    assert isinstance(work, DividedWork)
    result = finish(work.pieces)
    with pytest.raises(RequestError, match="no"):
        question.resume([result])
