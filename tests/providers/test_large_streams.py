"""Streams of answers with very many parts: no step takes long, and the bytes are those of small
ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mockllm.exchange import PAUSE
from mockllm.prompt import ResponseOptions
from mockllm.providers.anthropic.messages import MESSAGES
from mockllm.providers.anthropic.messages import stream as messages_stream
from mockllm.providers.api import API
from mockllm.providers.openai.chat import CHAT
from mockllm.providers.openai.chat import stream as chat_stream
from mockllm.providers.speech import speak
from mockllm.wire import json_encoding
from tests.support import goldens

MANY = 4_000
STREAMED = ResponseOptions(stream=True, include_usage=True)
CITATION = {"url_citation": {"url": "http://a", "title": "é", "start_index": 1, "end_index": 2}}
RESULT = {"type": "web_search_result", "url": "http://a", "title": "é" * 40}

LARGE: list[tuple[API, dict[str, Any]]] = [
    (CHAT, {"choices": [{"message": {"content": "a", "annotations": [CITATION] * MANY}}]}),
    (CHAT, {"choices": [{"message": {"content": "a", "other": {"b": [CITATION] * MANY}}}]}),
    (CHAT, {"choices": [], "moderation": [CITATION] * MANY}),
    (MESSAGES, {"content": [{"type": "web_search_tool_result", "content": [RESULT] * MANY}]}),
]


def bodies(api: API, response: dict[str, Any], options: ResponseOptions) -> bytes:
    return goldens.delivered(api.render(response, options, "word"))


@pytest.mark.parametrize(("api", "response"), LARGE)
@pytest.mark.parametrize("include_obfuscation", [False, True])
def test_a_large_event_is_encoded_in_pieces(
    api: API,
    response: dict[str, Any],
    include_obfuscation: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = STREAMED._replace(include_obfuscation=include_obfuscation)
    pauses = sum(step == PAUSE for step in api.render(response, options, "word").steps)
    in_pieces = bodies(api, response, options)

    for module in (chat_stream, messages_stream, json_encoding):
        monkeypatch.setattr(module, "takes_long", lambda value: False)

    assert in_pieces == bodies(api, response, options)
    assert pauses > 2


@pytest.mark.parametrize(("api", "response"), LARGE)
def test_a_paced_stream_does_not_begin_with_a_pause(api: API, response: dict[str, Any]) -> None:
    assert api.speaker is not None
    steps = speak(api.speaker, response, STREAMED, "word")

    opening = next(step for step in steps if step != PAUSE or api.speaker.opening == 0)

    assert opening.pieces[0].startswith((b"data: {", b"event: message_start"))


def interleaved(texts: list[str], indices: list[int]) -> Iterator[tuple[int, str]]:
    """The text of each chunk of choices with these texts, in turn, with its index."""
    streams = [
        iter(["", *text.split(), "stop"])
        for _, text in sorted(zip(indices, texts, strict=True), key=lambda pair: pair[0])
    ]
    left = dict(enumerate(streams))
    while left:
        for index, stream in [*left.items()]:
            word = next(stream, None)
            if word is None:
                del left[index]
            else:
                yield index, word


@pytest.mark.parametrize("indices", [[0, 1, 2, 3], [3, 1, 2, 0], [5, 5, 1, 1]])
def test_the_chunks_of_several_choices_alternate(indices: list[int]) -> None:
    texts = ["a b c", "", "d", "e f g h"]
    choices = [
        {"index": index, "message": {"content": text}, "finish_reason": "stop"}
        for index, text in zip(indices, texts, strict=True)
    ]

    events = chat_stream.events({"choices": choices}, ResponseOptions(stream=True), "word")
    said = [
        (choice["index"], (choice["finish_reason"] or choice["delta"].get("content")).strip())
        for event in events
        for choice in event["choices"]
    ]

    assert said == [*interleaved(texts, indices)]
