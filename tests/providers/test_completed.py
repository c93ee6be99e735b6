"""Answers with many parts are completed in pieces: the same as at once, with pauses."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.pieces import AT_ONCE, Pieces, finish
from mockllm.prompt import ResponseOptions
from mockllm.providers import completed
from mockllm.providers.anthropic.messages import MESSAGES
from mockllm.providers.api import API
from mockllm.providers.completed import CompletedResponse, is_large
from mockllm.providers.openai.chat import CHAT
from mockllm.providers.openai.responses import RESPONSES
from mockllm.wire import jsontext
from tests.support import goldens
from tests.support.work import count_pauses

MANY = 10 * AT_ONCE
APIS = {"openai/chat": CHAT, "openai/responses": RESPONSES, "anthropic/messages": MESSAGES}
FAILED = {"type": "web_search_tool_result_error", "error_code": "unavailable"}

Response = dict[str, Any]


def chat(**message: Any) -> Response:
    return {"choices": [{"message": message}]}


LARGE: list[tuple[API, Response]] = [
    (CHAT, chat(tool_calls=[{"function": {"name": "f"}}] * MANY)),
    (CHAT, chat(content="a", tool_calls=[{"custom": {"name": "f", "input": "abc"}}] * MANY)),
    (CHAT, chat(tool_calls=[None, {"id": 1}, {"type": "function"}] * MANY)),
    (CHAT, {"choices": [{"message": {"content": "words", "reasoning": "thought"}}, None] * MANY}),
    (CHAT, {"choices": [{"index": 7}] + [{}] * MANY, "usage": {"total_tokens": 9}}),
    (RESPONSES, {"output": [{"type": "function_call", "name": "f", "arguments": "abc"}] * MANY}),
    (RESPONSES, {"output": [{"type": "reasoning", "summary": [{"text": "so"}]}] * MANY}),
    (RESPONSES, {"output": [{"type": "web_search_call"}, {"type": "message"}, 1] * MANY}),
    (RESPONSES, {"output": [{"content": [{"text": "words"}, {"refusal": "no"}, 0] * MANY}]}),
    (RESPONSES, {"output": [{"type": "other", "content": [{"text": "words"}] * MANY}]}),
    (RESPONSES, {"output": [{"type": "reasoning", "content": [{"text": "thought"}] * MANY}]}),
    (RESPONSES, {"output": [{"type": "function_call"}] * MANY, "error": {"code": "x"}}),
    (RESPONSES, {"output": [{"status": "in_progress"}] + [{"type": "message"}] * MANY}),
    (RESPONSES, {"output": [{"content": []}] * MANY + [{"content": [], "status": "incomplete"}]}),
    (
        RESPONSES,
        {
            "output": [{"type": "function_call"}] * MANY
            + [{"type": "function_call_output", "call_id": str(number)} for number in range(MANY)]
        },
    ),
    (MESSAGES, {"content": [{"type": "tool_use", "name": "f", "input": {"a": 1}}] * MANY}),
    (MESSAGES, {"content": [{"type": "text", "text": "words"}, {"type": "thinking"}] * MANY}),
    (
        MESSAGES,
        {
            "content": [{"type": "server_tool_use", "name": "web_search"}] * MANY
            + [{"type": "web_search_tool_result", "content": FAILED}] * (MANY // 2)
        },
    ),
]


def complete_in_pieces(api: API, response: Response) -> Pieces[CompletedResponse]:
    assert api.speaker is not None
    assert api.speaker.complete_in_pieces is not None
    return api.speaker.complete_in_pieces(response)


def complete(api: API, response: Response) -> Response:
    assert api.speaker is not None
    return api.speaker.complete(response)


@pytest.mark.parametrize(("api", "response"), LARGE)
def test_an_answer_is_completed_in_pieces_as_it_is_at_once(api: API, response: Response) -> None:
    at_once = complete(api, response)

    in_pieces, pauses = count_pauses(complete_in_pieces(api, response))

    assert jsontext.dumps(in_pieces) == jsontext.dumps(at_once)
    assert pauses >= MANY // AT_ONCE


@pytest.mark.parametrize("folder", APIS)
def test_all_kinds_of_parts_are_completed_in_pieces_as_they_are_at_once(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completed, "MAX_PARTS", 0)
    api = APIS[folder]

    for case in goldens.cases(folder):
        in_pieces = finish(complete_in_pieces(api, case.response))
        reply = api.render(in_pieces, case.options._replace(stream=True), case.chunk)

        assert jsontext.dumps(in_pieces) == jsontext.dumps(complete(api, case.response))
        assert goldens.delivered(reply) == (case.folder / "stream.txt").read_bytes()


@pytest.mark.parametrize("api", APIS.values())
def test_a_complete_answer_is_not_completed_again(api: API) -> None:
    completed = finish(complete_in_pieces(api, api.text_response("words")))

    assert complete(api, completed) is completed
    assert api.render(completed, ResponseOptions(stream=False), "word").response is completed


@pytest.mark.parametrize(("api", "response"), LARGE)
def test_answers_with_many_parts_are_large(api: API, response: Response) -> None:
    assert is_large(response)


def test_other_answers_are_not_large() -> None:
    assert not is_large(chat(content="a" * 1000, tool_calls=[{"function": {"name": "f"}}] * 100))
    assert not is_large({"output": [{"content": [{"text": "a"}] * 10}] * 10})
    assert is_large({"output": [{"content": [{"text": "a"}] * 100}] * 10})
    assert is_large(chat(content="a" * 1_000_000))
    assert not is_large(chat(tool_calls="abc"))
