"""Several inputs of one embeddings request, and the mocks that answer them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm import Config
from mockllm.engine import engine as engine_module
from mockllm.engine import matcher
from mockllm.engine.batches import MAX_INPUTS_AT_ONCE
from mockllm.engine.decision import Decision, DividedWork, Question
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.engine.matcher import MAX_UNDIVIDED
from mockllm.engine.unmatched import MAX_REQUEST_QUOTE
from mockllm.exchange import Request
from mockllm.providers.openai.embeddings.vectors import DIMENSIONS, vector
from mockllm.wire import jsontext
from tests.support.apps import LoneApp
from tests.support.engines import ask, echo, told

Json = dict[str, Any]


def mock(value: Any = None, *vectors: float, contains: bool = False, **response: Any) -> Json:
    """A mock with one-dimensional vectors; without `vectors`, it has no data."""
    match: Json = {"match_type": "contains" if contains else "exact"}
    if value is not None:
        match["input"] = value
    data = [{"embedding": [number]} for number in vectors]
    return {"match": match, "response": ({"data": data} if vectors else {}) | response}


def anything(*vectors: float) -> Json:
    return mock(None, *vectors)


def answered(mocks: list[Json], value: Any, **members: Any) -> Any:
    """The body of the answer to an input."""
    engine = LoneApp(Engine(load(Config.from_dict({"openai_embeddings": mocks}))))
    body = {"model": "m", "input": value, **members}
    return told(ask("POST", "/v1/embeddings", body=body, engine=engine))


def numbers(mocks: list[Json], value: Any) -> list[float]:
    """The one-dimensional vectors in an answer."""
    data = answered(mocks, value)["data"]
    assert [entry["index"] for entry in data] == list(range(len(data)))
    return [number for entry in data for number in entry["embedding"]]


CAT, DOG = mock("cat", 1.0), mock("dog", 2.0)
PETS = mock(["cat", "dog"], 3.0, 4.0)


@pytest.mark.parametrize(
    ("mocks", "value", "expected"),
    [
        # the only vector of a mock is that of each input
        ([anything(7)], ["a", "b", "c"], [7, 7, 7]),
        ([mock("", 7, contains=True)], [[1, 2], [3]], [7, 7]),
        ([mock(["a", "b"], 7)], ["a", "b"], [7, 7]),
        # as many vectors as inputs are in their order
        ([anything(7, 8)], ["a", "b"], [7, 8]),
        ([PETS], ["cat", "dog"], [3, 4]),
        # each input has the mock that matches it alone
        ([CAT, DOG], ["dog", "cat", "dog"], [2, 1, 2]),
        ([CAT, DOG], ["cat"], [1]),
        ([mock("c", 1, contains=True), mock("d", 2, contains=True)], ["dog", "cat"], [2, 1]),
        ([mock([1, 2], 1), mock([3], 2)], [[3], [1, 2]], [2, 1]),
        ([CAT, anything(7)], ["bird", "cat"], [7, 1]),
        ([CAT, anything(7, 8)], ["cat", "bird"], [1, 8]),
        # else that which matches the request
        ([mock("c", 1, contains=True)], ["bird", "cat"], [1, 1]),
        ([mock("c", 1, 5, contains=True)], ["bird", "cat"], [1, 5]),
        # a mock of the whole list is not taken apart
        ([CAT, DOG, PETS], ["cat", "dog"], [3, 4]),
        ([PETS, CAT, DOG], ["dog", "cat"], [2, 1]),
        ([anything(7), PETS], ["cat", "dog"], [7, 7]),
        # a number of vectors is a condition
        ([anything(5, 6, 7), anything(8, 9), anything(1)], ["a", "b"], [8, 9]),
        ([anything(5, 6, 7), anything(8, 9), anything(1)], "a", [1]),
        # unless the input is written out
        ([mock("cat", 5, 6)], "cat", [5, 6]),
        ([mock(["cat", "dog"], 5, 6, 7)], ["cat", "dog"], [5, 6, 7]),
        ([mock("cat", 5, 6), DOG], ["cat", "dog", "cat"], [5, 2, 5]),
    ],
)
def test_each_input_has_a_vector(mocks: list[Json], value: Any, expected: list[float]) -> None:
    assert numbers(mocks, value) == expected


@given(
    st.lists(
        st.builds(
            mock,
            st.none() | st.sampled_from(["a", "b", ["a", "b"], [1]]),
            st.integers(0, 9),
        ),
        max_size=5,
    ),
    st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4),
)
def test_an_answer_has_as_many_vectors_as_there_are_inputs(
    mocks: list[Json], value: list[str]
) -> None:
    answer = answered([*mocks, anything(99)], value)

    assert [entry["index"] for entry in answer["data"]] == list(range(len(value)))


def test_a_response_without_data_has_generated_vectors() -> None:
    named = mock(None, model="mine")

    one = answered([named], "a")
    two = answered([CAT, named], ["a", "cat"], dimensions=3)

    assert one["model"] == "mine"
    assert [entry["embedding"] for entry in one["data"]] == [vector("a", DIMENSIONS)]
    assert [entry["embedding"] for entry in two["data"]] == [vector("a", 3), [1.0]]


@pytest.mark.parametrize("data", [[], None, "odd"])
@pytest.mark.parametrize("value", ["a", ["a", "b"]])
def test_data_without_vectors_is_sent_as_written(data: Any, value: Any) -> None:
    assert answered([{"response": {"data": data}}], value)["data"] == data


def test_what_several_mocks_say_besides_is_that_of_the_first_without_its_usage() -> None:
    usage = {"prompt_tokens": 50, "total_tokens": 50}
    first, second = mock("a", 1, model="x", usage=usage), mock("b", 2, model="y")

    assert answered([first, second], ["a", "b"])["model"] == "x"
    assert answered([first, second], ["a", "b"])["usage"]["total_tokens"] < 50
    assert answered([first, second], ["a", "a"])["usage"] == usage


def test_written_indices_do_not_repeat() -> None:
    one = {"response": {"data": [{"index": 0, "embedding": [1.0]}]}}

    assert [entry["index"] for entry in answered([one], ["a", "b"])["data"]] == [0, 1]


@pytest.mark.parametrize(
    ("mocks", "value", "reason"),
    [
        (
            [CAT],
            ["cat", "bird"],
            "input differs at character 0: expected 'cat', found 'bird'.",
        ),
        (
            [anything(1, 2, 3)],
            ["cat", "bird"],
            "its response has 3 vectors, the request has 2 inputs.",
        ),
        (
            [mock("a", 1, 2, contains=True)],
            "cat",
            "its response has 2 vectors, the request has 1 input.",
        ),
        (
            [mock([1, 2], 1)],
            [1, 3],
            "Closest mock: openai_embeddings[0]: input[1] is 3, expected 2.",
        ),
    ],
)
def test_an_input_without_an_answer_is_explained(
    mocks: list[Json], value: Any, reason: str
) -> None:
    assert answered(mocks, value)["error"]["message"].endswith(reason)


def test_a_404_quotes_the_input_that_nothing_answers() -> None:
    start = "No matching mock found. The request's last input: input "

    for value, quoted in ((["cat", "bird"], "'bird'"), ([1, 3], "'[1,3]'")):
        assert answered([CAT], value)["error"]["message"].startswith(start + quoted)


@pytest.mark.parametrize("nested", [False, True])
def test_a_404_encodes_no_more_tokens_than_it_quotes(
    nested: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[bytes] = []
    dumps = jsontext.dumps

    def recorded(value: Any) -> bytes:
        encoded.append(dumps(value))
        return encoded[-1]

    monkeypatch.setattr("mockllm.engine.unmatched.jsontext.dumps", recorded)
    tokens = list(range(10_000))

    message = answered([CAT], [tokens] if nested else tokens)["error"]["message"]

    text = dumps([tokens] if nested else tokens).decode()[:MAX_REQUEST_QUOTE]
    assert f"{text!r}…" in message
    assert max(map(len, encoded)) < 10 * MAX_REQUEST_QUOTE


def test_an_echo_has_a_vector_for_each_input() -> None:
    config = Config.from_dict({"openai_embeddings": [CAT]})
    engine = LoneApp(Engine(load(config), echo=echo))
    body = {"model": "m", "input": ["a", "cat"], "dimensions": 3}

    data = told(ask("POST", "/v1/embeddings", body=body, engine=engine))["data"]

    assert [entry["embedding"] for entry in data] == [vector("a", 3), [1.0]]


@pytest.mark.parametrize(
    ("written", "warning"),
    [
        (mock("cat", 1, 2), "2 vectors, but match.input has 1 input"),
        (mock([1, 2, 3], 1, 2), "2 vectors, but match.input has 1 input"),
        (mock(["cat", "dog"], 1, 2, 3), "3 vectors, but match.input has 2 inputs"),
    ],
)
def test_another_number_of_vectors_than_inputs_is_a_warning(written: Json, warning: str) -> None:
    loaded = load(Config.from_dict({"openai_embeddings": [written]}))

    assert [str(problem) for problem in loaded.warnings] == [
        f"openai_embeddings[0]: response.data: {warning}"
    ]


@pytest.mark.parametrize(
    "written", [CAT, PETS, mock(["cat", "dog"], 1), mock("cat", 1, 2, contains=True)]
)
def test_numbers_of_vectors_that_may_fit_are_no_warning(written: Json) -> None:
    assert load(Config.from_dict({"openai_embeddings": [written]})).warnings == ()


# --- Many inputs are matched in pieces -----------------------------------------------------------


def decided(mocks: list[Json], value: Any) -> Decision | Question:
    engine = Engine(load(Config.from_dict({"openai_embeddings": mocks})))
    body = jsontext.dumps({"model": "m", "input": value, "user": "u" * MAX_UNDIVIDED})
    request = Request.of("POST", "/v1/embeddings", ((b"authorization", b"Bearer any"),), body)
    return engine.decide(engine.table("openai_embeddings"), request)


@pytest.mark.parametrize("mocks", [[anything(7)], [CAT, anything(7)], [CAT, mock("a", 7)]])
def test_there_is_a_pause_after_each_of_many_inputs(mocks: list[Json]) -> None:
    question = decided(mocks, ["a"] * 2048)

    assert isinstance(question, Question)
    (work,) = question.operations
    assert isinstance(work, DividedWork)
    assert list(work.pieces).count(False) >= 2048


def test_few_inputs_are_matched_without_a_pause() -> None:
    assert isinstance(decided([anything(7)], ["a"] * MAX_INPUTS_AT_ONCE), Decision)


@given(
    st.lists(st.sampled_from([CAT, DOG, PETS, anything(7), mock("c", 8, contains=True), mock()])),
    st.lists(st.sampled_from(["cat", "dog", "bird", ""]), min_size=1, max_size=4)
    | st.lists(st.lists(st.integers(0, 9), min_size=1), min_size=1, max_size=3)
    | st.sampled_from([[], [1, True], ["a", 1]]),
    st.booleans(),
)
def test_matching_with_and_without_pauses_is_the_same(
    mocks: list[Json], value: Any, echoes: bool
) -> None:
    loaded = load(Config.from_dict({"openai_embeddings": mocks}))
    body = {"model": "m", "input": value, "dimensions": 2}

    def answer() -> Any:
        engine = LoneApp(Engine(loaded, echo=echo if echoes else None))
        decision = ask("POST", "/v1/embeddings", body=body, engine=engine)
        return told(decision), decision.match.outcome, decision.match.rule

    at_once = answer()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_module, "MAX_UNDIVIDED", 0)
        patch.setattr(matcher, "MAX_UNDIVIDED", 0)
        patch.setattr(matcher, "MAX_INPUTS_AT_ONCE", 0)
        in_pieces = answer()

    assert in_pieces == at_once
