"""The bodies of answers that endpoints make."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.endpoints.bodies import endpoint_decision, json_answer
from mockllm.engine.decision import Outcome, Summary
from mockllm.exchange import Reply, Request
from mockllm.matching.rule import Rule
from mockllm.providers import VENDORS
from mockllm.providers.envelope import JSON_HEADERS
from tests.support.strategies import ask_chat

REPLY = Reply.whole(204, (), b"")
PROMPT = ask_chat([{"role": "user", "content": "hi"}], stream=True)


# -- Decisions --


def test_an_endpoint_answers_with_a_reply_alone() -> None:
    decision = endpoint_decision(REPLY)
    assert decision.reply is decision.match.reply is REPLY
    assert decision.match.outcome is Outcome.ENDPOINT
    assert (decision.match.rule, decision.match.summary) == (None, None)


def test_an_endpoint_may_answer_with_a_mock() -> None:
    rule = Rule(0, "mock")
    decision = endpoint_decision(REPLY, PROMPT, outcome=Outcome.MOCK, rule=rule)
    assert decision.match.outcome is Outcome.MOCK
    assert decision.match.rule is rule
    assert decision.match.summary == Summary("openai", "m", True)


def test_the_answer_of_an_endpoint_is_never_cached() -> None:
    assert not endpoint_decision(REPLY, PROMPT).match.reusable


# -- JSON --


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: str(vendor.name))
def test_json_has_the_headers_of_the_vendor_of_the_path(vendor: Any) -> None:
    path = {"OpenAI": "/v1/chat/completions", "Anthropic": "/v1/messages"}[vendor.name]
    reply = json_answer(Request.of("GET", path), {}).reply
    assert reply.headers == vendor.headers


def test_json_outside_of_every_vendor_has_plain_headers() -> None:
    assert json_answer(Request.of("GET", "/elsewhere"), {}).reply.headers == JSON_HEADERS


@pytest.mark.parametrize(
    ("body", "text"),
    [({"a": [1, None]}, '{"a":[1,null]}'), ([], "[]"), ("é\u2028", '"é\\u2028"')],
)
def test_json_is_one_compact_line_with_status_200(body: Any, text: str) -> None:
    reply = json_answer(Request.of("GET", "/elsewhere"), body).reply
    assert (reply.status, reply.body.decode(), reply.streamed) == (200, text, False)


def test_json_is_summarised_by_its_prompt() -> None:
    request = Request.of("POST", "/v1/chat/completions")
    assert json_answer(request, {}).match.summary is None
    assert json_answer(request, {}, prompt=PROMPT).match.summary == Summary("openai", "m", True)
