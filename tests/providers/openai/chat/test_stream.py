"""Streams of chat completions: their order, their shape, and their reading by clients."""

from __future__ import annotations

import asyncio
import re

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import APIError
from openai.types.chat import ChatCompletionChunk
from pydantic import ValidationError

from mockllm.providers.openai.chat import stream
from mockllm.wire.chunking import Chunk
from tests.support import goldens
from tests.support.openai.chat.streams import (
    CASES,
    CLIENTS,
    INVALID,
    SENTENCE,
    TEXTS,
    WIRE,
    Event,
    accumulate,
    accumulate_async,
    check_envelope,
    check_order,
    entries,
    expected,
    join,
    meaning,
    name_and_input,
    read,
    responses,
    streamed,
    tokens_of,
)

CHUNKS: list[Chunk] = ["word", "char", "token", 1, 3]


EACH_CASE = pytest.mark.parametrize("case", CASES, ids=lambda case: case.folder.name)
USABLE = [case for case in CASES if case.folder.name not in INVALID | {"error_object"}]
EACH_USABLE = pytest.mark.parametrize("case", USABLE, ids=lambda case: case.folder.name)


@EACH_CASE
def test_stream_is_the_golden_one(case: goldens.Case) -> None:
    assert case.render(stream=True) == (case.folder / "stream.txt").read_bytes()


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if not case.folder.name.endswith("_not_objects")],
    ids=lambda case: case.folder.name,
)
def test_events_come_in_order(case: goldens.Case) -> None:
    events = read(case.render(stream=True))

    check_order(events)
    check_envelope(events, include_usage=case.options.include_usage)


@pytest.mark.parametrize(
    "words",
    [
        "opening ",
        "content finish ",
        "opening opening finish ",
        "opening tool_calls content finish ",
        "opening finish content ",
        "opening unknown unknown finish ",
    ],
)
def test_grammar_refuses_disorder(words: str) -> None:
    assert not SENTENCE.fullmatch(words)


@EACH_CASE
def test_events_are_strictly_valid_except_for_invalid_cases(case: goldens.Case) -> None:
    frames = case.render(stream=True).split(b"\n\n")[:-2]

    def validate() -> None:
        for frame in frames:
            ChatCompletionChunk.model_validate_json(frame.removeprefix(b"data: "), strict=True)

    if case.folder.name in INVALID:
        with pytest.raises(ValidationError):
            validate()
    else:
        validate()


@EACH_USABLE
def test_helper_rebuilds_the_response(case: goldens.Case) -> None:
    body = case.render(stream=True)

    assert meaning(accumulate(body)) == _expected_of(case)


@EACH_USABLE
def test_async_helper_rebuilds_the_response(case: goldens.Case) -> None:
    body = case.render(stream=True)

    assert meaning(asyncio.run(accumulate_async(body))) == _expected_of(case)


def _expected_of(case: goldens.Case) -> Event:
    return expected(case.response, include_usage=case.options.include_usage)


def test_error_object_reaches_the_client_as_an_error() -> None:
    WIRE.body = streamed({"error": {"message": "No luck today"}})

    with pytest.raises(APIError, match="No luck today"):
        list(CLIENTS[True].chat.completions.create(model="m", messages=[], stream=True))


def test_custom_calls_reach_every_client_with_name_and_input() -> None:
    custom = {"id": "call_1", "type": "custom", "custom": {"name": "run", "input": "x = 1\ny"}}
    function = {"id": "call_2", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    body = streamed({"choices": [{"message": {"tool_calls": [custom, function]}}]})

    for strict in (True, False):
        calls = accumulate(body, strict=strict)["choices"][0]["message"]["tool_calls"]
        assert [call["id"] for call in calls] == ["call_1", "call_2"]
        assert calls[0]["custom"] == {"name": "run", "input": "x = 1\ny"}
        assert calls[1]["function"]["name"] == "f"


def test_the_object_of_a_response_is_not_the_object_of_a_chunk() -> None:
    events = read(streamed({"object": "chat.completion.tool_message"}))

    assert {event["object"] for event in events} == {"chat.completion.chunk"}


def test_logprobs_come_with_the_text_of_their_tokens() -> None:
    tokens = [
        {"token": token, "logprob": -0.5, "bytes": list(token.encode()), "top_logprobs": []}
        for token in ("Hel", "lo", " there", "")
    ]
    message = {"content": "Hello there"}
    logprobs = {"content": tokens, "refusal": None}

    body = streamed({"choices": [{"message": message, "logprobs": logprobs}]}, 1)

    found = [(e["delta"].get("content"), e["logprobs"]) for e in entries(read(body))]
    assert found == [
        ("", {"content": [], "refusal": None}),
        ("Hel", {"content": tokens[:1], "refusal": None}),
        ("lo", {"content": tokens[1:2], "refusal": None}),
        (" there", {"content": tokens[2:], "refusal": None}),
        (None, None),
    ]


def test_choices_take_turns() -> None:
    texts = ["a b c", "d"]
    body = streamed({"choices": [{"message": {"content": text}} for text in texts]})

    found = [(e["index"], e["delta"].get("content")) for e in entries(read(body))]

    assert found == [
        *[(0, ""), (1, "")],
        *[(0, "a"), (1, "d")],
        *[(0, " b"), (1, None)],
        *[(0, " c"), (0, None)],
    ]


def test_a_null_choice_is_not_lost() -> None:
    events = read(streamed({"choices": [None, None]}))

    assert [event["choices"] for event in events] == [[None], [None]]


RECORDED_HEAD = (
    b'{"id":"chatcmpl-DL2G9KdEY06xq8M0PqZ5rs5Jv13ok","object":"chat.completion.chunk",'
    b'"created":1773905945,"model":"gpt-4o-2024-08-06","service_tier":"default",'
    b'"system_fingerprint":"fp_f986a632b0","choices":[{"index":0,"delta":'
)
RECORDED_TAIL = b',"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":'
RECORDED = [
    RECORDED_HEAD + delta + RECORDED_TAIL + noise + b"}"
    for delta, noise in (
        (b'{"role":"assistant","content":"","refusal":null}', b'"RmYFV8ad65HP9F"'),
        (b'{"content":"Hello"}', b'"fjE24R0ZOJr"'),
        (b'{"content":"!"}', b'"qAlxZuNpvVvIIOm"'),
    )
]
"""The first chunks of a stream of the service, as published, with `include_usage`."""


def test_chunks_are_those_of_the_service() -> None:
    response = {
        "id": "chatcmpl-DL2G9KdEY06xq8M0PqZ5rs5Jv13ok",
        "created": 1773905945,
        "model": "gpt-4o-2024-08-06",
        "service_tier": "default",
        "system_fingerprint": "fp_f986a632b0",
        "choices": [{"message": {"content": "Hello!"}}],
    }
    body = streamed(response, 5, include_usage=True, include_obfuscation=True)

    frames = [frame.removeprefix(b"data: ") for frame in body.split(b"\n\n")]
    noise = re.compile(rb'"obfuscation":"(\w*)"')
    for ours, recorded in zip(frames, RECORDED, strict=False):
        assert noise.sub(b"", ours) == noise.sub(b"", recorded)
        assert len(noise.findall(ours)[0]) == len(noise.findall(recorded)[0])


def test_obfuscation_fills_blocks_of_characters() -> None:
    response = {
        "id": "i",
        "created": 1,
        "model": "m",
        "choices": [{"message": {"content": "日本 é!"}}],
    }
    body = streamed(response, "char", include_obfuscation=True)

    for event in read(body):
        noise = event.pop("obfuscation")
        assert re.fullmatch(r"[A-Za-z0-9]{0,15}", noise)
        assert (len(orjson.dumps(event).decode()) + len(noise)) % 16 == 0
    assert body == streamed(response, "char", include_obfuscation=True)


def test_frame_is_one_line_of_data() -> None:
    assert stream.frame({"a": "b\u2028c"}) == b'data: {"a":"b\\u2028c"}\n\n'


@settings(deadline=None, max_examples=60)
@given(responses(), st.sampled_from(CHUNKS), st.booleans(), st.booleans())
def test_any_response_is_rebuilt(
    response: Event, chunk: Chunk, include_usage: bool, include_obfuscation: bool
) -> None:
    form = {"include_usage": include_usage, "include_obfuscation": include_obfuscation}
    body = streamed(response, chunk, **form)
    events = read(body)

    check_order(events)
    check_envelope(events, include_usage=include_usage)
    assert all(("obfuscation" in event) is include_obfuscation for event in events)
    assert meaning(accumulate(body)) == expected(response, include_usage=include_usage)


@settings(deadline=None, max_examples=20)
@given(responses(), st.sampled_from(CHUNKS))
def test_any_response_is_rebuilt_by_the_async_helper(response: Event, chunk: Chunk) -> None:
    body = streamed(response, chunk, include_usage=True)

    rebuilt = asyncio.run(accumulate_async(body))

    assert meaning(rebuilt) == expected(response, include_usage=True)


@settings(deadline=None, max_examples=40)
@given(responses(), st.sampled_from(CHUNKS))
def test_any_response_is_rebuilt_from_raw_chunks(response: Event, chunk: Chunk) -> None:
    WIRE.body = streamed(response, chunk)

    found = join(CLIENTS[True].chat.completions.create(model="m", messages=[], stream=True))

    known = expected(response, include_usage=False)["choices"]
    assert len(found) == len(known)
    for joined, choice in zip(found, known, strict=True):
        message = choice["message"]
        assert joined["content"] == message.get("content", "")
        assert joined["refusal"] == message.get("refusal", "")
        assert joined["finish_reason"] == choice["finish_reason"]
        assert list(joined["calls"].values()) == [
            name_and_input(c) for c in message.get("tool_calls", [])
        ]


@settings(deadline=None, max_examples=40)
@given(responses(), st.sampled_from(CHUNKS))
def test_every_event_of_any_response_is_strictly_valid(response: Event, chunk: Chunk) -> None:
    body = streamed(response, chunk, include_usage=True, include_obfuscation=True)

    for frame in body.split(b"\n\n")[:-2]:
        ChatCompletionChunk.model_validate_json(frame.removeprefix(b"data: "), strict=True)


@settings(deadline=None, max_examples=60)
@given(TEXTS.filter(bool).flatmap(lambda text: st.tuples(st.just(text), tokens_of(text))))
def test_tokens_spell_the_text_that_they_come_with(said: tuple[str, list[Event]]) -> None:
    text, tokens = said
    response = {"choices": [{"message": {"content": text}, "logprobs": {"content": tokens}}]}

    found = entries(read(streamed(response)))[:-1]

    beside = [(e["delta"]["content"], e["logprobs"]["content"]) for e in found]
    assert [token for _, covered in beside for token in covered] == tokens
    for content, covered in beside:
        assert bytes(b for token in covered for b in token["bytes"]) == content.encode()
