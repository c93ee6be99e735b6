"""Stored responses of large requests, which are read again in pieces."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.app import App
from mockllm.config.models import Config
from mockllm.endpoints import stored_responses
from mockllm.endpoints.stored_responses import complete_input_item
from mockllm.engine.building import build_engine
from mockllm.engine.decision import Decision, DividedWork, Question
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.exchange import Reply, Request
from mockllm.prompt import conversation
from mockllm.providers import contents
from mockllm.wire import json_encoding
from tests.support.apps import LoneApp
from tests.support.goldens import FRESH
from tests.support.work import count_work

LOADED = load(
    Config.from_dict(
        {
            "openai_response": [
                {
                    "match": {"user": "call"},
                    "response": {
                        "output": [
                            {"type": "function_call", "call_id": "c9", "name": "f"},
                            {"type": "message", "content": [{"type": "output_text", "text": "é"}]},
                        ]
                    },
                },
            ],
            "mocks": [
                {"match": {"tool_result": {"name": "f"}}, "reply": "of f"},
                {"match": {"tool_result": {"call_id": "c9"}}, "reply": "of c9"},
                *(
                    {
                        "match": {"turn": turn, "step": step, "last_user": word},
                        "reply": f"{turn}, {step}, {word}",
                    }
                    for turn in range(1, 6)
                    for step in range(1, 6)
                    for word in ("zz", "hello", "")
                ),
                {"reply": "other"},
            ],
        }
    )
)
KEY = (b"authorization", b"Bearer x")
PATH = "/v1/responses"
ID = f"resp_{FRESH.unique_id.decode()}"

WORDS = st.sampled_from(["hello", "zz", "", "call", "\u2028é"])
PARTS = st.lists(st.builds(lambda text: {"type": "input_text", "text": text}, WORDS), max_size=4)
SAID = st.lists(st.builds(lambda text: {"type": "output_text", "text": text}, WORDS), max_size=4)
MESSAGES = st.builds(lambda content: {"role": "user", "content": content}, WORDS | PARTS)
ANSWERS = st.builds(lambda content: {"role": "assistant", "content": content}, WORDS | SAID)
NOTES = st.builds(lambda content: {"role": "system", "content": content}, WORDS)
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
RESULTS = st.builds(
    lambda call_id, output: {"type": "function_call_output", "call_id": call_id, "output": output},
    st.sampled_from(["c1", "c9"]),
    WORDS | PARTS,
)
ITEMS = st.lists(
    st.one_of(MESSAGES, ANSWERS, NOTES, st.just(CALL), RESULTS, st.just({"id": "x", **CALL})),
    min_size=1,
    max_size=6,
)
MORE = st.fixed_dictionaries(
    {},
    optional={
        "background": st.just(True),
        "store": st.booleans(),
        "instructions": WORDS,
        "metadata": st.dictionaries(WORDS, WORDS, max_size=3),
        "tools": st.lists(st.just({"type": "function", "name": "f", "parameters": {}}), max_size=5),
        "temperature": st.sampled_from([1, 0.5]),
        "conversation": st.just("c"),
    },
)


def ask(
    app: LoneApp, method: str, path: str, query: str = "", body: bytes = b""
) -> tuple[Reply, bytes]:
    reply = app.decide(Request.of(method, path, (KEY,), body, query=query)).reply
    return reply, reply.body


def create(app: LoneApp, body: dict[str, Any], previous: str | None = None) -> str:
    """Create a response that is stored. Returns its id."""
    written = orjson.dumps({"model": "m", "previous_response_id": previous, **body})
    request = Request.of("POST", PATH, (KEY,), written)
    number = len(app.responses.stored)
    fresh = FRESH._replace(unique_id=b"%020d" % number)
    app.responses.store(request, app.decide(request), fresh)
    found = app.responses.stored.all()[-1]
    return str(stored_responses.id_in(found))


def everything_about(app: LoneApp, bodies: list[dict[str, Any]], page: str) -> list[Any]:
    """The answers to all that clients may ask about the last of several responses, each of which
    continues the one before."""
    last: str | None = None
    for body in bodies:
        last = create(app, body, last)
    path = f"{PATH}/{last}"
    continuing = {"model": "m", "previous_response_id": last}
    result = {"type": "function_call_output", "call_id": "c9", "output": "ok"}
    asked = [
        ("GET", path, "", b""),
        ("GET", path, "stream=true&starting_after=1", b""),
        ("GET", f"{path}/input_items", page, b""),
        ("POST", PATH, "", orjson.dumps({**continuing, "input": "hello"})),
        ("POST", PATH, "", orjson.dumps({**continuing, "input": [result]})),
        ("POST", f"{path}/cancel", "", b""),
        ("GET", path, "", b""),
        ("DELETE", path, "", b""),
        ("GET", path, "", b""),
    ]
    return [ask(app, *each)[1] for each in asked]


@given(
    st.lists(
        st.builds(lambda items, more: {"input": items, **more}, ITEMS | WORDS, MORE),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from(["", "order=asc", "limit=1", "order=asc&after=x&limit=2", "after=no"]),
)
def test_large_requests_are_read_again_like_small_ones(
    bodies: list[dict[str, Any]], page: str
) -> None:
    at_once = everything_about(LoneApp(Engine(LOADED)), bodies, page)
    app = LoneApp(Engine(LOADED))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored_responses, "MAX_UNDIVIDED", 0)
        patch.setattr(stored_responses, "MESSAGES_AT_ONCE", 1)
        patch.setattr("mockllm.endpoints.earlier.MESSAGES_AT_ONCE", 1)
        patch.setattr(conversation, "MESSAGES_AT_ONCE", 1)
        patch.setattr(contents, "PARTS_AT_ONCE", 1)
        patch.setattr(json_encoding, "_MAX_WEIGHT", 10)
        in_pieces = everything_about(app, bodies, page)

    assert in_pieces == at_once
    assert app.pauses > 0


def test_a_page_with_a_large_item_is_the_same() -> None:
    said = {"role": "assistant", "content": [{"type": "output_text", "text": "é"}] * 5_000}
    app = LoneApp(Engine(LOADED))
    path = f"{PATH}/{create(app, {'input': [said, USER]})}/input_items"

    _, body = ask(app, "GET", path)

    _, completed = orjson.loads(body)["data"]
    assert completed["content"] == complete_input_item(said, 0)["content"]
    assert orjson.loads(body)["last_id"] == completed["id"]


@pytest.mark.parametrize("what", ["", "/input_items"])
def test_small_requests_are_read_again_at_once(what: str) -> None:
    app = LoneApp(Engine(LOADED))
    path = f"{PATH}/{create(app, {'input': 'hello'})}{what}"

    assert isinstance(App.decide(app, Request.of("GET", path, (KEY,))), Decision)


def test_what_a_small_request_continues_is_found_at_once() -> None:
    app = LoneApp(Engine(LOADED))
    previous = create(app, {"input": "hello"})
    body = orjson.dumps({"model": "m", "input": "hello", "previous_response_id": previous})

    assert isinstance(App.decide(app, Request.of("POST", PATH, (KEY,), body)), Decision)


def test_what_is_known_of_a_large_request_is_not_read_again() -> None:
    app = LoneApp(Engine(LOADED))
    previous = create(app, LARGE["messages"])
    body = orjson.dumps({"model": "m", "input": "hello", "previous_response_id": previous})
    request = Request.of("POST", PATH, (KEY,), body)

    assert isinstance(App.decide(app, request), Question)
    app.decide(request)
    assert isinstance(App.decide(app, request), Decision)


MANY = 20_000
USER = {"role": "user", "content": "hello"}
LARGE: dict[str, dict[str, Any]] = {
    "messages": {"input": [USER] * MANY},
    "parts": {
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "hello"}] * MANY}]
    },
    "results": {
        "input": [
            USER,
            *(
                {"type": "function_call_output", "call_id": f"c{at}", "output": "ok"}
                for at in range(MANY)
            ),
        ]
    },
    "tools": {
        "input": "hello",
        "tools": [{"type": "function", "name": f"f{at}", "parameters": {}} for at in range(MANY)],
    },
}
MAX_CALLS = 30_000  # of functions in one piece; without pauses there are several times as many
ASKED = {
    "whole": ("GET", ""),
    "page": ("GET", "/input_items"),
    "after": ("GET", "/input_items?order=asc&after=no"),
    "deletion": ("DELETE", ""),
}


def work_of(app: LoneApp, request: Request) -> list[int]:
    question = App.decide(app, request)
    assert isinstance(question, Question)
    (work,) = question.operations
    assert isinstance(work, DividedWork)
    return count_work(work.pieces)


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("asked", ASKED)
def test_no_piece_of_reading_a_large_request_again_has_much_work(name: str, asked: str) -> None:
    app = LoneApp(build_engine({"mocks": [{"reply": "ok"}]}))
    method, what = ASKED[asked]
    path, _, query = f"{PATH}/{create(app, LARGE[name])}{what}".partition("?")

    assert max(work_of(app, Request.of(method, path, (KEY,), query=query))) < MAX_CALLS


@pytest.mark.parametrize("name", LARGE)
def test_no_piece_of_finding_what_is_continued_has_much_work(name: str) -> None:
    app = LoneApp(Engine(LOADED))
    previous = create(app, LARGE[name])
    body = orjson.dumps({"model": "m", "input": "hello", "previous_response_id": previous})

    counts = work_of(app, Request.of("POST", PATH, (KEY,), body))

    assert max(counts) < MAX_CALLS
    assert sum(counts) > MAX_CALLS
