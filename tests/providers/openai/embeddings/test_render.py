"""Embeddings, completed, generated and rendered without a server."""

from __future__ import annotations

import base64
import importlib
import math
import struct
from operator import mul
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.exchange import Request
from mockllm.prompt import Prompt, ResponseOptions
from mockllm.providers.openai.embeddings import vectors as vectors_module
from mockllm.providers.openai.embeddings.batch import generate
from mockllm.providers.openai.embeddings.prompt import decode
from mockllm.providers.openai.embeddings.render import (
    MAX_NUMBERS_AT_ONCE,
    complete,
    render,
    text_response,
)
from mockllm.providers.openai.embeddings.vectors import (
    CHARACTERS_AT_ONCE,
    DIMENSIONS,
    TOKENS_AT_ONCE,
    GeneratedVector,
    vector,
)
from mockllm.providers.openai.vendor import OPENAI
from mockllm.providers.routes import NO_VALUES
from tests.support import goldens

Json = dict[str, Any]

# the package has a function of the same name
render_module = importlib.import_module("mockllm.providers.openai.embeddings.render")

USAGE = {"prompt_tokens": goldens.INPUT_TOKENS, "total_tokens": goldens.INPUT_TOKENS}


def served(response: Json, *, base64: bool = False) -> Any:
    """The answer as a client decodes it."""
    return orjson.loads(goldens.delivered(render(response, ResponseOptions(base64=base64), "word")))


def encoded(embedding: Any) -> Any:
    """What a client that asked for base64 gets in place of `embedding`."""
    return served({"data": [{"embedding": embedding}]}, base64=True)["data"][0]["embedding"]


def asked(value: Any, **members: Any) -> Prompt:
    body = {"model": "m", "input": value, **members}
    return decode(Request.of("POST", "/", body=orjson.dumps(body)), NO_VALUES)


def generated(value: Any, **members: Any) -> list[list[float]]:
    """The vectors generated for an input."""
    return [entry["embedding"] for entry in served(generate(asked(value, **members)))["data"]]


# --- complete and render -------------------------------------------------------------------------


def test_everything_absent_is_filled_in() -> None:
    assert served({}) == {
        "object": "list",
        "data": [],
        "model": goldens.MODEL,
        "usage": USAGE,
    }


def test_entries_are_numbered_in_order() -> None:
    assert served({"data": [{"embedding": [0.5]}, {"embedding": [1]}]})["data"] == [
        {"object": "embedding", "index": 0, "embedding": [0.5]},
        {"object": "embedding", "index": 1, "embedding": [1]},
    ]


def test_what_is_configured_is_served_as_written() -> None:
    response = {
        "object": "odd",
        "data": [{"object": None, "index": 7, "embedding": "é", "new": [1]}],
        "model": "mein-modell-👋",
        "usage": {"prompt_tokens": 1, "total_tokens": 9},
        "new": {"a": None},
    }

    assert served(response) == response


@pytest.mark.parametrize("base64", [False, True])
@pytest.mark.parametrize("data", [None, 5, "odd", {"embedding": [1.0]}, [None, 5, "odd", [1.0]]])
def test_data_that_is_not_a_list_of_objects_is_served_as_written(data: Any, base64: bool) -> None:
    assert served({"data": data}, base64=base64)["data"] == data


def test_a_response_is_not_changed_by_completing_it() -> None:
    response: Json = {"data": [{"embedding": [1.0]}]}

    complete(response)
    served(response, base64=True)

    assert response == {"data": [{"embedding": [1.0]}]}


def test_an_answer_is_whole_and_has_the_headers_of_the_vendor() -> None:
    reply = render({}, ResponseOptions(), "word")

    assert (reply.status, reply.headers, reply.streamed) == (200, OPENAI.headers, False)


# --- base64 --------------------------------------------------------------------------------------


def test_a_vector_in_base64_is_little_endian_floats() -> None:
    assert base64.b64decode(encoded([1, -0.5])) == b"\x00\x00\x80\x3f\x00\x00\x00\xbf"


def test_an_empty_vector_in_base64_is_an_empty_string() -> None:
    assert encoded([]) == ""


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=8))
def test_base64_keeps_every_number_of_32_bits(numbers: list[float]) -> None:
    decoded = struct.unpack(f"<{len(numbers)}f", base64.b64decode(encoded(numbers)))

    assert list(decoded) == numbers


@pytest.mark.parametrize(
    "embedding",
    [None, "AACAPw==", {}, [None], [1.0, "2"], [True], [[1.0]], [1.0, 1e39], [-(2**63), 1e300]],
)
def test_a_vector_that_base64_cannot_hold_is_served_as_written(embedding: Any) -> None:
    assert encoded(embedding) == embedding


def test_an_entry_keeps_its_other_members_in_base64() -> None:
    response = {"data": [{"embedding": [1.0], "new": "é"}, {"new": 1}]}

    assert served(response, base64=True)["data"] == [
        {"object": "embedding", "index": 0, "embedding": "AACAPw==", "new": "é"},
        {"object": "embedding", "index": 1, "new": 1},
    ]


# --- vectors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["", "a", "grüß dich 👋", [1, 2], []])
@pytest.mark.parametrize("dimensions", [1, 2, DIMENSIONS, 4096])
def test_a_vector_has_length_1_in_any_number_of_dimensions(value: Any, dimensions: int) -> None:
    numbers = vector(value, dimensions)

    assert len(numbers) == dimensions
    assert math.hypot(*numbers) == pytest.approx(1, abs=1e-5)


def test_equal_values_have_equal_vectors_and_others_are_nearly_orthogonal() -> None:
    values = ["a", "A", "é", "e\u0301", [1], ["1"], "1"]
    vectors = [vector(value, DIMENSIONS) for value in values]

    assert vectors == [vector(value, DIMENSIONS) for value in values]
    for at, one in enumerate(vectors):
        for other in vectors[:at]:
            assert abs(sum(map(mul, one, other))) < 0.2


def test_a_vector_is_the_same_in_every_process() -> None:
    assert vector("hello", 3) == pytest.approx([0.22653690, 0.83927238, 0.49427012], abs=1e-7)


def test_the_numbers_of_a_vector_are_exact_in_base64() -> None:
    numbers = vector("a", 64)

    assert list(struct.unpack("<64f", base64.b64decode(encoded(numbers)))) == numbers


def test_a_text_response_is_the_vector_of_the_text() -> None:
    assert text_response("é") == {"data": [{"embedding": vector("é", DIMENSIONS)}]}


def test_a_vector_written_in_base64_is_sent_as_numbers_on_request() -> None:
    data = [{"embedding": "AACAPwAAAL8="}]

    assert served({"data": data})["data"][0]["embedding"] == [1.0, -0.5]
    assert served({"data": data}, base64=True)["data"][0]["embedding"] == "AACAPwAAAL8="


@pytest.mark.parametrize("base64", [False, True])
def test_a_vector_that_entries_share_is_sent_in_each(base64: bool) -> None:
    shared = [1.0, -0.5]

    entries = served({"data": [{"embedding": shared}, {"embedding": shared}]}, base64=base64)
    alone = served({"data": [{"embedding": [1.0, -0.5]}]}, base64=base64)

    assert [entry["embedding"] for entry in entries["data"]] == [alone["data"][0]["embedding"]] * 2


# --- large answers --------------------------------------------------------------------------------

SHARED = [0.5, -1.0]
ENTRIES = [
    {"embedding": [1.0, 2.0]},
    {"embedding": SHARED, "index": 7},
    {"embedding": SHARED, "é": "\u2028"},
    {"embedding": "AACAPwAAAL8="},
    {"embedding": GeneratedVector("a", 3)},
    {"embedding": None},
    {},
    5,
]


@given(
    entries=st.lists(st.sampled_from(ENTRIES)),
    members=st.fixed_dictionaries({}, optional={"model": st.just("m"), "data": st.just([1])}),
    base64=st.booleans(),
)
def test_an_answer_in_pieces_has_the_same_body(
    entries: list[Any], members: Json, base64: bool
) -> None:
    response = members | {"data": entries, "x": 1}
    options = ResponseOptions(base64=base64)

    whole = render(response, options, "word")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render_module, "MAX_NUMBERS_AT_ONCE", -1)
        divided = render(response, options, "word")

    assert whole.has_length
    assert not divided.has_length
    assert divided.body == whole.body


@pytest.mark.parametrize("base64", [False, True])
def test_the_vectors_of_a_large_answer_are_generated_while_it_is_sent(
    base64: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = [str(number) for number in range(MAX_NUMBERS_AT_ONCE // 1000 + 1)]
    expected = [vector(value, 1000) for value in values]
    made: list[list[float]] = []
    vector_of = vectors_module._vector_of

    def recorded(found: Any, dimensions: int) -> list[float]:
        made.append(vector_of(found, dimensions))
        return made[-1]

    monkeypatch.setattr(vectors_module, "_vector_of", recorded)

    reply = render(generate(asked(values, dimensions=1000)), ResponseOptions(base64=base64), "word")
    steps = iter(reply.steps)
    before = list(made)
    next(steps)
    after_one = list(made)
    rest = len(list(steps))

    assert (before, after_one, made) == ([], expected[:1], expected)
    assert rest == len(values)


@pytest.mark.parametrize(
    "value",
    ["word " * CHARACTERS_AT_ONCE, [*range(3 * TOKENS_AT_ONCE + 1)]],
    ids=["text", "tokens"],
)
def test_a_long_input_is_hashed_while_the_answer_is_sent(value: Any) -> None:
    """900,000 tokens held the loop for 40 ms."""
    reply = render(generate(asked(value)), ResponseOptions(), "word")

    pieces = [piece for step in reply.steps for piece in step.pieces]
    pauses = next(at for at, piece in enumerate(pieces) if piece)
    assert pieces[:pauses] == [b""] * pauses
    assert pauses >= 3
    [entry] = served(generate(asked(value)))["data"]
    assert entry["embedding"] == vector(value, DIMENSIONS)


def test_vectors_of_long_inputs_are_generated_for_their_own_entries() -> None:
    texts = [letter * 2 * CHARACTERS_AT_ONCE for letter in "ab"]

    answer = served(generate(asked([*texts, "c"])))

    embeddings = [entry["embedding"] for entry in answer["data"]]
    assert embeddings == [vector(text, DIMENSIONS) for text in [*texts, "c"]]


# --- generate ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "inputs"),
    [
        ("é", ["é"]),
        ("", [""]),
        (["a", "", "a"], ["a", "", "a"]),
        ([1, 2, 3], [[1, 2, 3]]),
        ([[1, 2], [3]], [[1, 2], [3]]),
    ],
)
def test_each_input_has_its_own_vector(value: Any, inputs: list[Any]) -> None:
    assert generated(value) == [vector(each, DIMENSIONS) for each in inputs]


def test_a_text_has_the_same_vector_alone_and_in_a_list() -> None:
    assert generated("a") == generated(["a"])
    assert generated([1, 2]) == generated([[1, 2]])


@pytest.mark.parametrize(("dimensions", "length"), [(None, DIMENSIONS), (1, 1), (7, 7)])
def test_a_vector_has_the_requested_dimensions(dimensions: int | None, length: int) -> None:
    assert [len(each) for each in generated(["a", "b"], dimensions=dimensions)] == [length, length]
