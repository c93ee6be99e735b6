"""Conversations that a request continues: their turns, words and calls."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from mockllm.config.models import Config
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.exchange import Request
from tests.support.apps import LoneApp
from tests.support.goldens import FRESH

CALL = {"type": "function_call", "name": "get_weather", "arguments": "{}"}
CONFIG = {
    "openai_response": [
        {"match": {"turn": 4}, "response": {"id": "resp_4", "output": []}},
        {
            "match": {"tool_result": {"name": "get_weather"}, "step": 2, "last_user": "weather?"},
            "response": {"id": "resp_2", "output": []},
        },
        {"match": {"user": "weather?"}, "response": {"id": "resp_1", "output": [CALL]}},
        {"match": {"turn": 3}, "response": {"id": "resp_3", "output": []}},
    ]
}


def ask(app: LoneApp, value: Any, **more: Any) -> Any:
    """The body of the answer, which is stored."""
    body = orjson.dumps({"model": "m", "input": value, **more})
    request = Request.of("POST", "/v1/responses", ((b"authorization", b"Bearer x"),), body)
    decision = app.decide(request)
    app.responses.store(request, decision, FRESH)
    return decision.reply.body


@pytest.fixture
def app() -> LoneApp:
    return LoneApp(Engine(load(Config.from_dict(CONFIG))))


def result(app: LoneApp) -> dict[str, Any]:
    stored = app.decide(
        Request.of("GET", "/v1/responses/resp_1", ((b"authorization", b"Bearer x"),))
    )
    (call,) = orjson.loads(stored.reply.body)["output"]
    return {"type": "function_call_output", "call_id": call["call_id"], "output": "15 degrees"}


def test_a_chain_is_followed_to_its_first_turn(app: LoneApp) -> None:
    assert b"resp_1" in ask(app, "weather?")
    assert b"resp_2" in ask(app, [result(app)], previous_response_id="resp_1")
    assert b"resp_3" in ask(app, "thanks", previous_response_id="resp_2")
    assert b"resp_4" in ask(app, "bye", previous_response_id="resp_3")


def test_a_response_that_is_not_stored_is_not_known(app: LoneApp) -> None:
    refusal = ask(app, "thanks", previous_response_id="resp_9")

    assert b"the request continues a conversation that is not known here" in refusal


def test_a_deleted_response_breaks_the_chain(app: LoneApp) -> None:
    ask(app, "weather?")
    ask(app, [result(app)], previous_response_id="resp_1")
    app.decide(Request.of("DELETE", "/v1/responses/resp_2", ((b"authorization", b"Bearer x"),)))

    assert b"not known here" in ask(app, "thanks", previous_response_id="resp_2")


def test_a_match_that_looked_back_is_not_reused(app: LoneApp) -> None:
    assert b"not known here" in ask(app, "thanks", previous_response_id="resp_2")
    ask(app, "weather?")
    ask(app, [result(app)], previous_response_id="resp_1")

    assert b"resp_3" in ask(app, "thanks", previous_response_id="resp_2")


def test_a_chain_that_refers_to_itself_ends(app: LoneApp) -> None:
    ask(app, "weather?", previous_response_id="resp_1")

    assert b"not known here" in ask(app, "thanks", previous_response_id="resp_1")
