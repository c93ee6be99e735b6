"""Decisions: what is kept of a request, and what a decision takes from its match."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from mockllm.engine.decision import Decision, Delivery, End, Match, Outcome, Summary
from mockllm.exchange import Reply
from mockllm.pieces import finish
from mockllm.prompt import Prompt
from tests.support.strategies import ask_chat, ask_embeddings, ask_messages, ask_responses

HELLO = [{"role": "user", "content": "hi"}]
REPLY = Reply.whole(200, (), b"{}")


@pytest.mark.parametrize(
    ("prompt", "summary"),
    [
        (ask_chat(HELLO), Summary("openai", "m", False)),
        (ask_chat(HELLO, stream=True), Summary("openai", "m", True)),
        (ask_responses("hi", stream=True), Summary("openai_response", "m", True)),
        (ask_messages(HELLO, stream=False), Summary("anthropic", "m", False)),
        (ask_embeddings("hi"), Summary("openai_embeddings", "m", False)),
    ],
)
def test_a_summary_has_the_api_the_model_and_the_form(prompt: Prompt, summary: Summary) -> None:
    assert Summary.of(prompt) == summary


def test_a_decision_by_a_match_sends_its_reply() -> None:
    match = Match(Outcome.ENDPOINT, REPLY)
    decision = Decision.by(match)
    assert decision.match is match
    assert decision.reply is REPLY
    assert decision.ready is None


def test_a_match_is_not_cached_unless_it_says_so() -> None:
    assert not Match(Outcome.MOCK, REPLY).reusable


def test_a_delivery_is_complete_unless_it_says_otherwise() -> None:
    assert Delivery(0.0, 0.0, 0.0).end is End.COMPLETE


@pytest.mark.parametrize("kind", [Outcome, End])
def test_each_word_of_the_access_log_has_one_meaning(kind: type[Outcome | End]) -> None:
    """Two members with the same value would be one."""
    assert [name for name, member in kind.__members__.items() if member.name != name] == []


def test_pieces_are_finished_without_a_pause() -> None:
    done = []

    def pieces() -> Generator[bool, None, str]:
        for at in range(3):
            done.append(at)
            yield at == 1
        return "done"

    assert finish(pieces()) == "done"
    assert done == [0, 1, 2]
