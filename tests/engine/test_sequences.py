"""Mocks of a configuration with several answers, in every API, whole and streamed."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockllm import Config
from mockllm.app import App
from mockllm.engine.asking import without_pauses
from mockllm.engine.decision import Decision, Question
from mockllm.engine.engine import MAX_PREPARED_EARLY, Engine
from mockllm.engine.loading import load
from mockllm.engine.matcher import MAX_SMALL
from mockllm.exchange import Request
from mockllm.state.attempts import Attempt
from mockllm.state.choosing import AtEnd, Candidate, Chosen, Exhausted, Script, ScriptEntry
from mockllm.state.operations import EndSession, Reset
from mockllm.state.specification import History
from tests.support.goldens import delivered
from tests.support.served import (
    chat_mock,
    chat_request,
    chat_saying,
    messages_request,
    messages_saying,
    responses_request,
    responses_saying,
)

Json = Any

KEY = ((b"authorization", b"Bearer any"), (b"anthropic-version", b"2023-06-01"))
PATHS = {
    "openai": ("/v1/chat/completions", chat_request, chat_saying),
    "openai_response": ("/v1/responses", responses_request, responses_saying),
    "anthropic": ("/v1/messages", messages_request, messages_saying),
}
APIS = list(PATHS)
SAID = re.compile(rb"say-\w+")


def app(**config: Json) -> App:
    return App(Engine(load(Config.from_dict(config))))


def asking(
    api: str = "openai",
    text: str = "hi",
    *,
    retry: int | None = None,
    session: str = "",
    stream: bool = False,
) -> Request:
    path, request, _ = PATHS[api]
    body = orjson.dumps(request(text, stream=stream))
    mark = () if retry is None else ((b"x-stainless-retry-count", b"%d" % retry),)
    prefix = f"/session/{session}" if session else ""
    return Request.of("POST", f"{prefix}{path}", (*KEY, *mark), body)


def decide(one: App, request: Request) -> Decision:
    decision = one.decide(request)
    assert isinstance(decision, Decision)
    return decision


def told(decision: Decision) -> str:
    """What an answer says, whole or streamed; its status if it is an error."""
    body = delivered(decision.reply)
    if decision.reply.status == 200:
        return str(SAID.findall(body)[0], "ascii")
    return "exhausted" if b"is exhausted" in body else f"{decision.reply.status}"


def ask(one: App, api: str = "openai", text: str = "hi", **mark: Any) -> str:
    return told(decide(one, asking(api, text, **mark)))


# --- In every API ---------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("api", APIS)
def test_entries_are_given_in_order(api: str, stream: bool) -> None:
    one = app(mocks=[{"sequence": ["say-a", {"reply": "say-b", "times": 2}, "say-c"]}])

    answers = [ask(one, api, stream=stream) for _ in range(5)]

    assert answers == ["say-a", "say-b", "say-b", "say-c", "exhausted"]


def test_a_script_for_several_apis_is_one_script() -> None:
    one = app(mocks=[{"name": "plot", "sequence": ["say-a", "say-b", "say-c"]}])

    assert [ask(one, api) for api in APIS] == ["say-a", "say-b", "say-c"]
    for api in APIS:
        decision = decide(one, asking(api))
        assert decision.reply.status == 404
        message = orjson.loads(delivered(decision.reply))["error"]["message"]
        assert message.startswith("The sequence of mocks[0] 'plot' is exhausted after 3 answers.")


@pytest.mark.parametrize("api", APIS)
def test_an_api_has_responses_of_its_own_in_its_list(api: str) -> None:
    _, _, saying = PATHS[api]
    entries = [{"response": saying("say-a")}, "say-b", {"error": {"status": 418}}]
    one = app(**{api: [{"sequence": entries, "at_end": "restart"}]})

    assert [ask(one, api) for _ in range(4)] == ["say-a", "say-b", "418", "say-a"]


@pytest.mark.parametrize("api", APIS)
def test_an_exhausted_script_is_an_error_that_sdks_do_not_retry(api: str) -> None:
    one = app(mocks=[{"sequence": ["say-a"]}])
    ask(one, api)

    reply = decide(one, asking(api)).reply

    assert reply.status == 404
    assert b"x-should-retry" not in dict(reply.headers)


# --- What is cached -------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("api", APIS)
def test_equal_requests_are_matched_twice_and_each_answer_is_made_once(
    api: str, stream: bool
) -> None:
    one = app(mocks=[{"sequence": ["say-a", {"error": "overloaded"}], "at_end": "restart"}])
    request = asking(api, stream=stream)
    cache = one.engine.match_cache
    assert cache is not None

    decisions = [decide(one, request) for _ in range(8)]

    answers = ["say-a", "503" if api != "anthropic" else "529"] * 4
    assert [told(each) for each in decisions] == answers
    assert (cache.misses, cache.hits, len(cache)) == (2, 6, 3)
    assert decisions[2].match is decisions[4].match is decisions[6].match
    assert decisions[3].match is decisions[5].match is decisions[7].match
    assert not any(one.repeats(request, each) for each in decisions)


def test_what_is_made_for_a_request_is_made_each_time() -> None:
    template = {"reply": {"template": "say-{{ session or 'nobody' }}{{ call }}"}}
    one = app(mocks=[{"sequence": ["say-a", template], "at_end": "repeat"}])

    answers = [ask(one) for _ in range(5)]
    of_session = [ask(one, session="s") for _ in range(2)]

    assert answers == ["say-a", *(f"say-nobody{call}" for call in range(2, 6))]
    assert of_session == ["say-a", "say-s2"]


def test_large_requests_are_decided_in_pieces_each_time() -> None:
    one = app(mocks=[{"sequence": ["say-a", "say-b"], "at_end": "restart"}])
    request = asking(text="x" * (MAX_SMALL + 1))

    answers = []
    for _ in range(4):
        question = one.decide(request)
        assert isinstance(question, Question)
        decided = without_pauses(question)
        assert isinstance(decided, Decision)
        answers.append(told(decided))

    assert answers == ["say-a", "say-b"] * 2


# --- The end, and what comes first ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("at_end", "expected"),
    [
        ("fail", ["say-a", "say-b", "exhausted", "exhausted"]),
        ("pass", ["say-a", "say-b", "say-next", "say-next"]),
        ("repeat", ["say-a", "say-b", "say-b", "say-b"]),
        ("restart", ["say-a", "say-b", "say-a", "say-b"]),
    ],
)
def test_what_follows_the_last_entry(at_end: str, expected: list[str]) -> None:
    script = {"sequence": ["say-a", "say-b"], "at_end": at_end}
    one = app(mocks=[script, {"reply": "say-next"}])

    assert [ask(one) for _ in range(4)] == expected


def test_a_last_entry_may_be_given_for_ever() -> None:
    one = app(mocks=[{"sequence": ["say-a", {"reply": "say-b", "times": "always"}]}])

    assert [ask(one) for _ in range(4)] == ["say-a", "say-b", "say-b", "say-b"]


def test_first_entries_come_before_the_answer() -> None:
    one = app(mocks=[{"reply": "say-a", "first": [{"error": "overloaded", "times": 2}]}])

    assert [ask(one) for _ in range(4)] == ["503", "503", "say-a", "say-a"]


def test_first_entries_come_before_a_sequence_and_are_not_repeated() -> None:
    script = {"first": ["say-f"], "sequence": ["say-a", "say-b"], "at_end": "restart"}
    one = app(mocks=[script])

    assert [ask(one) for _ in range(5)] == ["say-f", "say-a", "say-b", "say-a", "say-b"]


@pytest.mark.parametrize("api", APIS)
def test_an_entry_of_first_without_an_answer_takes_that_of_the_mock(api: str) -> None:
    one = app(mocks=[{"reply": "say-a", "first": [{"headers": {"x-a": "1"}}]}])

    replies = [decide(one, asking(api)).reply for _ in range(2)]

    assert [SAID.findall(delivered(reply))[0] for reply in replies] == [b"say-a", b"say-a"]
    assert [dict(reply.headers).get(b"x-a") for reply in replies] == [b"1", None]


# --- What entries have of their mock --------------------------------------------------------------


def test_headers_of_an_entry_are_set_before_those_of_its_mock() -> None:
    entries = [
        {"reply": "say-a", "headers": {"X-A": "entry"}},
        "say-b",
        {"error": {"status": 500, "headers": {"x-a": "error"}}, "headers": {"x-b": "entry"}},
    ]
    one = app(mocks=[{"sequence": entries, "headers": {"x-a": "mock", "x-b": "mock"}}])

    found = [dict(decide(one, asking()).reply.headers) for _ in range(3)]

    assert [(headers[b"x-a"], headers[b"x-b"]) for headers in found] == [
        (b"entry", b"mock"),
        (b"mock", b"mock"),
        (b"error", b"entry"),
    ]


def deltas(decision: Decision) -> list[str]:
    lines = delivered(decision.reply).split(b"\n\n")
    chunks = [orjson.loads(line[6:]) for line in lines if line.startswith(b"data: {")]
    contents = [each["choices"][0]["delta"].get("content") for each in chunks if each["choices"]]
    return [content for content in contents if content]


def test_an_entry_is_streamed_in_chunks_of_its_own_or_of_the_mock_or_of_the_file() -> None:
    entries = ["abcd", {"reply": "abcd", "stream": {"chunk": 1}}]
    own = {"match": {"user": "own"}, "sequence": entries, "stream": {"chunk": 2}}
    one = app(mocks=[own, {"sequence": entries}], stream={"chunk": 3})

    streams = [
        deltas(decide(one, asking(text=text, stream=True))) for text in ("own", "hi", "own", "hi")
    ]

    assert streams == [["ab", "cd"], ["abc", "d"], list("abcd"), list("abcd")]


def test_written_events_belong_to_one_answer() -> None:
    events = [{"id": "say-events"}, "[DONE]"]
    mock = chat_mock("hi", chat_saying("say-a"))
    mock |= {"stream": {"events": events}, "first": ["say-b", {"headers": {"x-a": "1"}}]}
    one = app(openai=[mock])

    assert [ask(one, stream=True) for _ in range(4)] == ["say-b", *["say-events"] * 3]


def test_an_entry_may_have_events_of_its_own() -> None:
    events = [{"id": "say-events"}, "[DONE]"]
    entry = {"response": chat_saying("say-a"), "stream": {"events": events}}
    one = app(openai=[{"sequence": [entry, entry, "say-b"]}])

    assert [ask(one, stream=stream) for stream in (True, False, True)] == [
        "say-events",
        "say-a",
        "say-b",
    ]


def test_a_call_has_the_form_of_the_tool_that_the_request_offers() -> None:
    calls = {"reply": {"tool_calls": [{"name": "f", "arguments": {}}]}}
    one = app(mocks=[{"sequence": [calls, "say-b"]}])
    body = chat_request("hi", tools=[{"type": "custom", "custom": {"name": "f"}}])
    request = Request.of("POST", "/v1/chat/completions", KEY, orjson.dumps(body))

    answer = orjson.loads(delivered(decide(one, request).reply))

    assert answer["choices"][0]["message"]["tool_calls"][0]["type"] == "custom"
    assert ask(one) == "say-b"


# --- Retries and sessions -------------------------------------------------------------------------


def test_a_marked_retry_repeats_an_answer_and_takes_the_next_after_an_error() -> None:
    one = app(mocks=[{"sequence": [{"error": "overloaded", "times": 2}, "say-a", "say-b"]}])

    retries = [0, 1, 2, 3, 0]

    assert [ask(one, retry=retry) for retry in retries] == ["503", "503", "say-a", "say-a", "say-b"]


def test_an_entry_says_itself_what_a_retry_gets() -> None:
    failing = {"error": "overloaded", "retry": "same"}
    one = app(mocks=[{"sequence": [failing, {"reply": "say-a", "retry": "next"}, "say-b"]}])

    retries = [0, 1, 2, 0, 1]

    assert [ask(one, retry=retry) for retry in retries] == ["503", "503", "503", "say-a", "say-b"]


def test_each_session_begins_with_the_first_entry() -> None:
    one = app(mocks=[{"sequence": ["say-a", "say-b"]}])

    answers = [ask(one, session=session) for session in ("s", "t", "s", "", "t", "s")]

    assert answers == ["say-a", "say-a", "say-b", "say-a", "say-b", "exhausted"]


def test_a_session_that_has_ended_gets_nothing() -> None:
    one = app(mocks=[{"sequence": ["say-a", "say-b"]}])
    ask(one, session="s")

    one.perform(EndSession("s"))

    assert ask(one, session="s") == "404"
    assert ask(one) == "say-a"


# --- Reloading ------------------------------------------------------------------------------------


def engine(*mocks: Json) -> Engine:
    return Engine(load(Config.from_dict({"mocks": list(mocks)})))


NAMED = {"name": "plot", "match": {"user": "a"}, "sequence": ["say-a", "say-b", "say-c"]}
UNNAMED = {"match": {"user": "b"}, "sequence": ["say-d", "say-e", "say-f"]}


def both(one: App) -> list[str]:
    return [ask(one, text=text) for text in ("a", "b")]


def test_mocks_that_are_the_same_go_on_wherever_they_stand() -> None:
    one = App(engine(NAMED, UNNAMED))
    assert both(one) == ["say-a", "say-d"]

    reloaded = one.use(engine({"match": {"user": "c"}, "reply": "say-x"}, UNNAMED, NAMED))

    assert both(one) == ["say-b", "say-e"]
    assert (len(reloaded.kept), reloaded.begun, reloaded.gone) == (2, (), ())


def test_a_mock_that_changes_goes_on_only_if_it_has_a_name() -> None:
    one = App(engine(NAMED, UNNAMED))
    both(one)

    changed = {"sequence": ["say-1", "say-2"]}
    reloaded = one.use(engine(NAMED | changed, UNNAMED | changed))

    assert both(one) == ["say-2", "say-1"]
    assert (reloaded.kept, len(reloaded.begun), len(reloaded.gone)) == (("mocks 'plot'",), 1, 1)


def test_a_mock_that_comes_back_begins_anew_in_every_session() -> None:
    one = App(engine(NAMED, UNNAMED))
    for session in ("", "s"):
        assert ask(one, text="a", session=session, retry=0) == "say-a"

    one.use(engine(UNNAMED))
    one.use(engine(NAMED, UNNAMED))

    assert ask(one, text="a", session="s", retry=1) == "say-a"
    assert [ask(one, text="a") for _ in range(2)] == ["say-a", "say-b"]


def test_a_script_that_got_shorter_is_over() -> None:
    one = App(engine(NAMED))
    for _ in range(3):
        ask(one, text="a", retry=0)

    one.use(engine(NAMED | {"sequence": ["say-a"]}))

    assert ask(one, text="a", retry=1) == "exhausted"


def test_an_attempt_from_before_a_reload_is_repeated_after_it() -> None:
    one = App(engine(NAMED))
    assert ask(one, text="a", retry=0) == "say-a"

    one.use(engine(NAMED | {"sequence": ["say-A", "say-B"]}))

    assert [ask(one, text="a", retry=retry) for retry in (1, 0)] == ["say-A", "say-B"]


# --- Embeddings, models, counting -----------------------------------------------------------------


def vectors(one: App, *inputs: str, retry: int = 0) -> list[list[float]] | int:
    body = orjson.dumps({"model": "m", "input": inputs})
    mark = ((b"x-stainless-retry-count", b"%d" % retry),)
    reply = decide(one, Request.of("POST", "/v1/embeddings", (*KEY, *mark), body)).reply
    if reply.status != 200:
        return reply.status
    return [entry["embedding"] for entry in orjson.loads(delivered(reply))["data"]]


def vector(*numbers: float) -> Json:
    return {"response": {"data": [{"embedding": [number]} for number in numbers]}}


def test_all_inputs_that_a_mock_answers_have_one_entry() -> None:
    script = {"sequence": [{"error": "overloaded"}, vector(1.0), vector(2.0)], "at_end": "pass"}
    dog = {"match": {"input": "dog"}, "sequence": [vector(8.0), vector(9.0)], "at_end": "repeat"}
    one = app(openai_embeddings=[dog, script, vector(3.0)])

    assert vectors(one, "cat") == 503
    assert vectors(one, "cat", "dog", "bird", "dog") == [[1.0], [8.0], [1.0], [8.0]]
    assert vectors(one, "dog", "cat") == [[9.0], [2.0]]
    assert vectors(one, "dog", "cat") == [[9.0], [3.0]]


def test_a_marked_retry_repeats_the_vectors_of_all_inputs() -> None:
    one = app(openai_embeddings=[{"sequence": [vector(1.0), {"error": "conflict"}, vector(2.0)]}])

    assert vectors(one, "a", "b") == vectors(one, "a", "b", retry=1) == [[1.0], [1.0]]
    assert [vectors(one, "a", "b", retry=retry) for retry in (0, 1)] == [409, [[2.0], [2.0]]]


def test_a_mock_that_names_all_inputs_answers_them_by_one_entry() -> None:
    pets = {"match": {"input": ["cat", "dog"]}, "sequence": [vector(1.0, 2.0), vector(3.0, 4.0)]}
    one = app(openai_embeddings=[pets | {"at_end": "pass"}, vector(5.0)])

    answers = [vectors(one, "cat", "dog") for _ in range(3)]

    assert answers == [[[1.0], [2.0]], [[3.0], [4.0]], [[5.0], [5.0]]]


def test_an_input_whose_mocks_are_over_is_answered_by_one_for_the_request() -> None:
    two = {"match": {"input": "cat"}, "sequence": [vector(1.0)], "at_end": "pass"}
    both = {"response": {"data": [{"embedding": [5.0]}, {"embedding": [6.0]}]}}
    one = app(openai_embeddings=[two, both])

    assert vectors(one, "cat", "dog") == [[1.0], [6.0]]
    assert vectors(one, "cat", "dog") == [[5.0], [6.0]]
    assert vectors(one, "cat") == 404


def test_entries_with_different_numbers_of_vectors_answer_any_number_of_inputs() -> None:
    one = app(openai_embeddings=[{"sequence": [vector(1.0, 2.0), vector(3.0)]}])

    assert vectors(one, "a", "b") == [[1.0], [2.0]]
    assert vectors(one, "a", "b") == [[3.0], [3.0]]


@pytest.mark.parametrize("at_end", ["fail", "pass"])
def test_an_exhausted_script_of_inputs_is_not_answered_without_asking(at_end: str) -> None:
    one = app(openai_embeddings=[{"sequence": [vector(1.0)], "at_end": at_end}])
    body = orjson.dumps({"model": "m", "input": "a"})
    request = Request.of("POST", "/v1/embeddings", KEY, body)

    decisions = [decide(one, request) for _ in range(4)]

    assert [each.reply.status for each in decisions] == [200, 404, 404, 404]
    assert not any(one.repeats(request, each) for each in decisions)


def test_thousands_of_inputs_are_answered_by_one_entry() -> None:
    one = app(openai_embeddings=[{"sequence": [vector(1.0), vector(2.0)]}])
    inputs = [str(number) for number in range(2_000)]
    body = orjson.dumps({"model": "m", "input": inputs})
    for number in (1.0, 2.0):
        decision = without_pauses(one.decide(Request.of("POST", "/v1/embeddings", KEY, body)))
        assert isinstance(decision, Decision)
        data = orjson.loads(delivered(decision.reply))["data"]
        assert [entry["embedding"] for entry in data] == [[number]] * 2_000


def test_models_of_all_answers_are_listed() -> None:
    entries = [{"response": {"model": "m-1"}}, {"response": {"model": "m-2"}}]
    one = app(openai=[{"sequence": entries}])

    listed = orjson.loads(delivered(decide(one, Request.of("GET", "/v1/models", KEY)).reply))

    assert [each["id"] for each in listed["data"]] == ["m-1", "m-2"]


def test_counting_tokens_takes_nothing() -> None:
    one = app(mocks=[{"sequence": [{"error": "bad_request"}, "say-a"]}])
    body = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]})

    counted = decide(one, Request.of("POST", "/v1/messages/count_tokens", KEY, body))

    assert counted.reply.status == 200
    assert ask(one, "anthropic") == "400"


@pytest.mark.parametrize("more", [0, 1])
def test_answers_are_prepared_early_unless_there_are_too_many(more: int) -> None:
    entries = ["say-a"] * (MAX_PREPARED_EARLY + more)
    one = Engine(load(Config.from_dict({"openai": [{"sequence": entries}]})))

    one.warm()

    assert len(one.renderer._prepared) == (0 if more else MAX_PREPARED_EARLY)
    assert [ask(App(one)), ask(App(one))] == ["say-a", "say-a"]


# --- Against the specification --------------------------------------------------------------------

TEXTS = ("a", "b")


@st.composite
def mocks(draw: st.DrawFn) -> tuple[Json, str | None, Script | None]:
    """A mock as it is written, the text that it matches (None: any), and its script."""
    name = draw(st.sampled_from("pqrstuvwxyz")) + str(draw(st.integers(0, 999)))
    entries: list[Json] = []
    script: list[ScriptEntry] = []
    for place in range(draw(st.integers(1, 3))):
        times, fails = draw(st.integers(1, 2)), draw(st.booleans())
        said = {"error": {"status": 500 + place}} if fails else {"reply": f"say-{name}_{place}"}
        retry = draw(st.sampled_from([{}, {}, {"retry": "same"}, {"retry": "next"}]))
        entries.append({**said, **retry, "times": times})
        script.append(ScriptEntry(times, retry.get("retry", "next" if fails else "same") == "next"))
    text = draw(st.sampled_from([None, *TEXTS]))
    match = {} if text is None else {"match": {"last_user": text}}
    at_end = draw(st.sampled_from(AtEnd))
    kind = draw(st.sampled_from(["sequence", "both", "first", "none"]))
    written: Json = {"name": name, **match}
    if kind == "none":
        return {**written, "reply": f"say-{name}"}, text, None
    if kind == "first":
        return (
            {**written, "reply": f"say-{name}_{len(entries)}", "first": entries},
            text,
            Script((*script, ScriptEntry(None))),
        )
    restart_at = draw(st.integers(0, len(script) - 1)) if kind == "both" else 0
    written |= {"sequence": entries[restart_at:], "at_end": at_end.value}
    written |= {"first": entries[:restart_at]} if restart_at else {}
    return written, text, Script(tuple(script), at_end, restart_at)


REQUESTS = st.tuples(
    st.sampled_from(APIS),
    st.sampled_from(TEXTS),
    st.integers(0, 2),
    st.sampled_from(["", "s"]),
    st.booleans(),
)


@settings(max_examples=40)  # each loads a configuration
@given(
    st.lists(mocks(), min_size=1, max_size=4, unique_by=lambda each: each[0]["name"]),
    st.lists(REQUESTS | st.just(None), max_size=12),
)
def test_a_configuration_answers_as_its_scripts_gone_through_by_hand(
    written: list[tuple[Json, str | None, Script | None]], requests: list[Any]
) -> None:
    """A request that is None is a reset of all state."""
    one = app(mocks=[mock for mock, _, _ in written])
    histories: dict[str, History] = {}
    for request in requests:
        if request is None:
            one.perform(Reset())
            histories.clear()
            continue
        api, text, retry, session, stream = request
        matching = [each for each in written if each[1] in (None, text)]
        candidates = [Candidate(mock["name"], script) for mock, _, script in matching]
        first = next((place for place, each in enumerate(candidates) if each.script is None), 99)
        found = ask(one, api, text, retry=retry, session=session, stream=stream)
        if not candidates or candidates[0].script is None:  # nothing is asked
            assert found == (f"say-{candidates[0].key}" if candidates else "404")
            continue
        history = histories.setdefault(session, History())
        attempt = Attempt(f"{api} {text} {stream}".encode(), retry)
        choice = history.choose(candidates[: first + 1], attempt)
        if isinstance(choice, Exhausted):
            assert found == "exhausted"
        elif isinstance(choice, Chosen):
            mock, _, script = matching[choice.candidate]
            assert found == _expected(mock, script, choice.entry)
        else:
            assert found == "404"


def _expected(mock: Json, script: Script | None, entry: int) -> str:
    entries = [*mock.get("first", ()), *mock.get("sequence", ())]
    said = entries[entry] if script and entry < len(entries) else mock
    return str(said["reply"]) if "reply" in said else str(said["error"]["status"])
