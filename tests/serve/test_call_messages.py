"""Calls that arrive in another process: nothing of them is lost on the way."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from mockllm import Call
from mockllm.engine.decision import Decision as Made
from mockllm.engine.decision import Delivery, End, Exchange, Match, Outcome, Trouble
from mockllm.exchange import Reply
from mockllm.observers.journal import Journal
from mockllm.observers.selection import mock_id
from mockllm.serve.call_messages import pack_calls, unpack_calls
from tests.support.observed import PATHS, Observed, request
from tests.support.served import (
    chat_request,
    embeddings_request,
    messages_request,
    responses_mock,
    responses_saying,
)

CONFIG: dict[str, Any] = {
    "mocks": [
        {"name": "weather", "match": {"user": {"contains": "weather"}}, "reply": "Sönnig \u2028"},
        {"match": {"user": "anonymous"}, "reply": {"text": "ok", "usage": {"input": 7}}},
        {"name": "busy", "match": {"user": "busy"}, "error": "overloaded"},
        {"name": "made", "match": {"user": "made"}, "reply": {"generate": {"tokens": 50}}},
    ],
    "openai_response": [responses_mock("hi", responses_saying("hö"))],
    "traffic": [{"name": "down", "match": {"user": "down"}, "error": "overloaded"}],
}
NAMES = [
    name
    for name, each in vars(Call).items()
    if not name.startswith("_") and not callable(each) and name not in ("rule", "error")
]


def arrived(journal: Journal) -> Journal:
    """A journal to which the calls of another one were sent."""
    other = Journal()
    message = orjson.loads(orjson.dumps(pack_calls(journal.between(0, 1_000))))
    other.insert(unpack_calls(message))
    return other


def everything(call: Call) -> dict[str, Any]:
    shown = {name: getattr(call, name) for name in NAMES}
    shown["headers"] = dict(call.headers)
    return shown | {
        "id": mock_id(call),
        "number": call.number,
        "key": call.sent_credential("any"),
    }


def test_all_that_is_known_of_a_call_arrives() -> None:
    observed = Observed(CONFIG)
    for path, body, end in (
        (PATHS["chat"], chat_request("the weather \x80 ü"), End.COMPLETE),
        (PATHS["messages"], messages_request("the weather", stream=True), End.CUT),
        ("/session/a" + PATHS["chat"], chat_request("anonymous"), End.CLIENT_GONE),
        (PATHS["chat"], chat_request("busy"), End.RESET),
        (PATHS["chat"], chat_request("made"), End.HANG),
        (PATHS["chat"], chat_request("down"), End.CLEAN),
        (PATHS["chat"], chat_request("nobody"), End.COMPLETE),
        (PATHS["responses"], {"model": "m", "input": "hi"}, End.FAILED),
        (PATHS["embeddings"], embeddings_request("hi"), End.COMPLETE),
        (PATHS["chat"], b"\xff{", End.COMPLETE),
    ):
        observed.ask(request(path, body, {"x-stainless-retry-count": "1", "x-b": "ü"}), end)
    observed.ask(request("/health", b"", method="GET"))
    observed.ask(request("/v1/models", b"", method="GET", query="api_key=sk-a"))

    here, there = (each.read().calls for each in (observed.journal, arrived(observed.journal)))

    assert len(there) == 12
    assert [*map(everything, there)] == [*map(everything, here)]
    assert [call.traffic for call in there if call.traffic] == [("down",)]


@pytest.mark.parametrize("error", [None, ValueError("no")])
def test_troubles_arrive_with_their_tracebacks(error: ValueError | None) -> None:
    journal = Journal()
    match = Match(
        Outcome.FAILED,
        Reply.whole(500, (), b""),
        trouble=Trouble("mocks[0]", "it failed", error),
        asked_for=("latency",),
    )
    delivery = Delivery(0.1, 0.2, 0.3, End.CUT, 5.0, "gate-1", 503)
    journal.observe(Exchange(request(PATHS["chat"], chat_request("x")), Made.by(match), delivery))

    (here,), (there,) = journal.read().calls, arrived(journal).read().calls

    assert everything(there) == everything(here)
    assert there.near_miss == "mocks[0]: it failed"
    assert ("ValueError: no" in there.traceback) == (error is not None)
    assert (there.held_at, there.status, there.asked_for) == ("gate-1", 503, ("latency",))


def test_a_body_that_is_cut_stays_cut() -> None:
    observed = Observed(journal=Journal(max_body=50))
    observed.ask(request(PATHS["chat"], chat_request("weather " * 100)))

    (call,) = arrived(observed.journal).read().calls

    assert call.is_body_cut
    with pytest.raises(ValueError, match="has only the first 50 of the 8"):
        _ = call.body


def test_an_answer_of_many_calls_is_sent_once() -> None:
    observed = Observed(CONFIG)
    for _ in range(5):
        observed.ask(request(PATHS["chat"], chat_request("the weather")))

    answers, entries = pack_calls(observed.journal.between(0, 1_000))

    assert (len(answers), len(entries)) == (1, 5)
