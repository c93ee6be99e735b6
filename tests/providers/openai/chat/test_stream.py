"""Streams of chat completions: their order, their shape, and what clients make of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from itertools import groupby, pairwise
from typing import Any

import httpx2
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import APIError, AsyncOpenAI, ContentFilterFinishReasonError, LengthFinishReasonError
from openai import OpenAI as SyncOpenAI
from openai.types.chat import ChatCompletionChunk
from pydantic import ValidationError

from mockllm.prompt import ResponseOptions
from mockllm.providers.openai.chat import stream
from mockllm.providers.openai.chat.render import render
from mockllm.wire import sse
from mockllm.wire.chunking import Chunk
from tests.support import goldens

Json = Any
Event = dict[str, Any]

HEADERS = {"content-type": "text/event-stream"}
CASES = goldens.cases("openai/chat")
CHUNKS: list[Chunk] = ["word", "char", "token", 1, 3]

# What no chunk can say: the user wrote another type than `ChatCompletionChunk` has, or a tool call
# of a type that it does not know.
INVALID = {
    "choices_not_objects",
    "content_parts",
    "explicit_nulls",
    "tool_calls_not_objects",
    "tool_calls_odd_members",
}

GRAMMAR = (
    ("opening", "once"),
    ("unknown", "at most once"),
    ("content", "any number"),
    ("refusal", "any number"),
    ("annotations", "at most once"),
    ("audio", "any number"),
    ("function_call", "any number"),
    ("tool_calls", "any number"),
    ("finish", "once"),
)
"""The chunks of one choice, in order."""
QUANTIFIERS = {"once": "", "at most once": "?", "any number": "*"}
SENTENCE = re.compile("".join(f"({word} ){QUANTIFIERS[number]}" for word, number in GRAMMAR))


# --- reading a stream ---------------------------------------------------------------------------


def read(body: bytes) -> list[Event]:
    """The events of a stream that ends as it should."""
    *frames, done, rest = body.split(b"\n\n")
    assert done + b"\n\n" == sse.DONE
    assert rest == b""
    assert all(frame.startswith(b"data: {") and b"\n" not in frame for frame in frames)
    return [orjson.loads(frame.removeprefix(b"data: ")) for frame in frames]


def streamed(response: Event, chunk: Chunk = "word", **form: bool) -> bytes:
    """The body of a stream as delivered, without obfuscation unless it is asked for."""
    asked = ResponseOptions(stream=True, **({"include_obfuscation": False} | form))
    return goldens.delivered(render(response, asked, chunk))


def entries(events: list[Event]) -> list[Event]:
    """The choices of all events, in order."""
    return [choice for event in events for choice in event["choices"]]


def word_of(choice: Event) -> str:
    """What a chunk of a choice is in the grammar."""
    delta = choice["delta"]
    if "role" in delta:
        return "opening"
    if not delta:
        return "finish"
    (name, *more) = map(str, delta)
    return name if not more and name in dict(GRAMMAR) else "unknown"


def check_order(events: list[Event]) -> None:
    """The grammar of each choice, of their turns, and of what follows them."""
    choices = entries(events)
    firsts = list(dict.fromkeys(choice["index"] for choice in choices))
    assert firsts == list(range(len(firsts)))
    for index in firsts:
        own = [choice for choice in choices if choice["index"] == index]
        assert SENTENCE.fullmatch("".join(word_of(choice) + " " for choice in own))
        check_members(own)
        check_calls([call for choice in own for call in choice["delta"].get("tool_calls", ())])
    kinds = [key for key, _ in groupby("choices" if e["choices"] else "end" for e in events)]
    assert kinds in (["choices"], ["choices", "end"], ["end"])


def check_members(own: list[Event]) -> None:
    """Role, logprobs and finish_reason are where they belong."""
    *before, _finish = own
    assert all(choice["finish_reason"] is None for choice in before)
    assert not any((own[0]["logprobs"] or {}).values())  # clients would count tokens twice
    texts = [choice["delta"].get("content") for choice in before[1:]]
    assert "" not in texts


def check_calls(calls: list[Event]) -> None:
    """Calls follow each other from 0; id, type and name are said once, with the first part."""
    assert [call["index"] for call in calls] == sorted(call["index"] for call in calls)
    for number, (index, parts) in enumerate(groupby(calls, key=lambda call: call["index"])):
        assert index == number
        opening, *fragments = parts
        assert "id" in opening
        for fragment in fragments:
            assert fragment in (
                {
                    "index": index,
                    "function": {"arguments": fragment.get("function", {}).get("arguments")},
                },
                {"index": index, "custom": {"input": fragment.get("custom", {}).get("input")}},
            )


def check_envelope(events: list[Event], *, include_usage: bool) -> None:
    """All chunks are of one completion; usage is where it was asked for, and only there."""
    beside = {"choices", "usage", "moderation", "obfuscation"}
    envelopes = [{k: v for k, v in event.items() if k not in beside} for event in events]
    assert all(envelope == envelopes[0] for envelope in envelopes)
    assert envelopes[0]["object"] == "chat.completion.chunk"
    if include_usage:
        assert events[-1]["choices"] == []
        assert all(event["usage"] is None for event in events[:-1])
    else:
        assert not any("usage" in event for event in events)


# --- clients ------------------------------------------------------------------------------------


class Wire:
    """A transport that answers every request with `body`."""

    def __init__(self) -> None:
        self.body = b""
        self.transport = httpx2.MockTransport(
            lambda _: httpx2.Response(200, content=self.body, headers=HEADERS)
        )


WIRE = Wire()
CLIENTS = {
    strict: SyncOpenAI(
        api_key="k",
        http_client=httpx2.Client(transport=WIRE.transport),
        _strict_response_validation=strict,
    )
    for strict in (True, False)
}


def accumulate(body: bytes, *, strict: bool = True) -> Event:
    """What the SDK's helper rebuilds from a stream."""
    WIRE.body = body
    with CLIENTS[strict].chat.completions.stream(model="m", messages=[]) as helper:
        try:
            final: Any = helper.get_final_completion()
        except (LengthFinishReasonError, ContentFilterFinishReasonError) as exc:
            final = exc.completion
    rebuilt: Event = final.to_dict(mode="json", warnings=False)
    return rebuilt


async def accumulate_async(body: bytes) -> Event:
    """The same with the asynchronous client."""
    WIRE.body = body
    http_client = httpx2.AsyncClient(transport=WIRE.transport)
    client = AsyncOpenAI(api_key="k", http_client=http_client, _strict_response_validation=True)
    async with client, client.chat.completions.stream(model="m", messages=[]) as helper:
        try:
            final: Any = await helper.get_final_completion()
        except (LengthFinishReasonError, ContentFilterFinishReasonError) as exc:
            final = exc.completion
    rebuilt: Event = final.to_dict(mode="json", warnings=False)
    return rebuilt


def join(chunks: Iterator[ChatCompletionChunk]) -> list[Event]:
    """What a program that joins raw chunks by hand has at the end: one entry for each choice."""
    found: dict[int, Event] = {}
    for choice in (choice for chunk in chunks for choice in chunk.choices):
        own = found.setdefault(choice.index, {"content": "", "refusal": "", "calls": {}})
        own["content"] += choice.delta.content or ""
        own["refusal"] += choice.delta.refusal or ""
        own["finish_reason"] = choice.finish_reason
        for call in choice.delta.tool_calls or ():
            body: Event = call.to_dict()
            part = body.get("function") or body.get("custom") or {}
            name, said = own["calls"].get(call.index, ("", ""))
            text = part.get("arguments", part.get("input", ""))
            own["calls"][call.index] = (name + part.get("name", ""), said + text)
    return [found[index] for index in sorted(found)]


def meaning(value: Json) -> Json:
    """A completion without what a stream has no words for: nulls, the index of a tool call, empty
    lists of annotations and calls, the type of a custom call, and what the helper parses."""
    if isinstance(value, list):
        return [meaning(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    members = {
        name: meaning(member)
        for name, member in value.items()
        if member is not None and name not in ("parsed", "parsed_arguments")
    }
    if "choices" in members:
        members["object"] = "chat.completion"
    for name in ("annotations", "tool_calls"):
        if members.get(name) == []:
            del members[name]
    if "function" in members or "custom" in members:
        members.pop("index", None)
    if members.get("type") == "custom":
        del members["type"]
    return members


def expected(response: Event, *, include_usage: bool) -> Event:
    """What a client may know of a response after a stream of it."""
    completed = orjson.loads(goldens.delivered(render(response, ResponseOptions(), "word")))
    if not include_usage:
        del completed["usage"]
    known: Event = meaning(completed)
    known["choices"].sort(key=lambda choice: choice["index"])
    return known


# --- responses ----------------------------------------------------------------------------------

SNIPPETS = st.sampled_from(
    [
        "Hello",
        " world",
        " ",
        "\n\n",
        "👩‍👩‍👧‍👦",
        "👍🏽",
        "🇨🇭",
        "🇯",
        "e\u0301",
        "\u0301",
        "\u2028",
        "\u0085",
        "\x00",
        "\r\n",
        '"',
        "\\",
        "日本語",
        "नमस्ते",
        "\U0010ffff",
        "longlonglonglonglonglong",
        "[DONE]",
        "data: ",
    ]
)
TEXTS = st.lists(SNIPPETS, max_size=6).map("".join) | st.text(max_size=12)
NAMES = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
FUNCTION_CALLS = st.fixed_dictionaries(
    {"id": NAMES, "type": st.just("function")}
    | {"function": st.fixed_dictionaries({"name": NAMES, "arguments": TEXTS})},
    optional={"index": st.integers(-1, 9), "extra_content": st.just({"google": {"x": [1]}})},
)
CUSTOM_CALLS = st.fixed_dictionaries(
    {"id": NAMES, "type": st.just("custom")}
    | {"custom": st.fixed_dictionaries({"name": NAMES, "input": TEXTS})}
)
BARE_CALLS = st.fixed_dictionaries(
    {"function": st.fixed_dictionaries({"name": NAMES}, optional={"arguments": TEXTS})}
)
ANNOTATION = {"start_index": 0, "end_index": 1, "title": "t", "url": "u"}
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "role": st.just("assistant"),
        "content": st.none() | TEXTS,
        "refusal": st.none() | TEXTS,
        "annotations": st.none()
        | st.lists(st.just({"type": "url_citation", "url_citation": ANNOTATION}), max_size=2),
        "audio": st.none()
        | st.fixed_dictionaries(
            {"id": NAMES, "data": st.sampled_from(["", "QUJD", "QUJD" * 5000])}
            | {"expires_at": st.integers(0, 2**40), "transcript": TEXTS}
        ),
        "function_call": st.none() | st.fixed_dictionaries({"name": NAMES, "arguments": TEXTS}),
        "tool_calls": st.none() | st.lists(FUNCTION_CALLS | CUSTOM_CALLS | BARE_CALLS, max_size=3),
        "reasoning_content": TEXTS,
        "images": st.just([{"url": "data:,"}]),
    },
)


@st.composite
def tokens_of(draw: st.DrawFn, text: str) -> list[Event]:
    """Tokens that spell `text`, cut anywhere, even inside a code point."""
    data = text.encode()
    cuts = sorted(draw(st.sets(st.integers(0, len(data)), max_size=6)) | {0, len(data)})
    parts = [data[start:end] for start, end in pairwise(cuts)]
    if draw(st.booleans()):
        parts.insert(draw(st.integers(0, len(parts))), b"")
    return [
        {
            "token": part.decode("utf-8", "replace"),
            "logprob": -0.25,
            "bytes": list(part),
            "top_logprobs": [],
        }
        for part in parts
    ]


@st.composite
def choices(draw: st.DrawFn) -> Event:
    """A choice without an index, with logprobs that fit its texts or do not."""
    message: Event = dict(draw(MESSAGES))
    choice: Event = {"message": message}
    if draw(st.booleans()):
        choice["logprobs"] = {
            name: draw(st.none() | tokens_of(message.get(name) or "") | tokens_of("other"))
            for name in ("content", "refusal")
        }
    if draw(st.booleans()):
        reasons = ["stop", "length", "tool_calls", "content_filter", "function_call"]
        choice["finish_reason"] = draw(st.sampled_from(reasons))
    if draw(st.booleans()):
        choice["content_filter_results"] = {"hate": {"filtered": False}}
    return choice


@st.composite
def responses(draw: st.DrawFn) -> Event:
    """Any valid response, as much of it written as a user may like."""
    found = draw(st.lists(choices(), min_size=1, max_size=3))
    if draw(st.booleans()):
        numbered = [{"index": index, **choice} for index, choice in enumerate(found)]
        found = draw(st.permutations(numbered))
    head = st.fixed_dictionaries(
        {},
        optional={
            "id": NAMES,
            "created": st.integers(0, 2**40),
            "model": TEXTS,
            "service_tier": st.sampled_from([None, "default", "flex"]),
            "system_fingerprint": st.none() | NAMES,
            "x_vendor": st.just({"queue": 0.5}),
            "usage": st.none()
            | st.fixed_dictionaries({}, optional={"prompt_tokens": st.integers(0, 99)}),
        },
    )
    return {**draw(head), "choices": found}


# --- tests --------------------------------------------------------------------------------------

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
def test_events_are_strictly_valid_except_what_cannot_be(case: goldens.Case) -> None:
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


def test_object_of_the_configuration_is_no_object_of_a_chunk() -> None:
    events = read(streamed({"object": "chat.completion.tool_message"}))

    assert {event["object"] for event in events} == {"chat.completion.chunk"}


def test_logprobs_stand_beside_the_text_of_their_tokens() -> None:
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


def test_null_choice_is_not_lost() -> None:
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
        assert list(joined["calls"].values()) == [_said(c) for c in message.get("tool_calls", [])]


def _said(call: Event) -> tuple[str, str]:
    body = call.get("function") or call["custom"]
    return body["name"], body.get("arguments", body.get("input"))


@settings(deadline=None, max_examples=40)
@given(responses(), st.sampled_from(CHUNKS))
def test_every_event_of_any_response_is_strictly_valid(response: Event, chunk: Chunk) -> None:
    body = streamed(response, chunk, include_usage=True, include_obfuscation=True)

    for frame in body.split(b"\n\n")[:-2]:
        ChatCompletionChunk.model_validate_json(frame.removeprefix(b"data: "), strict=True)


@settings(deadline=None, max_examples=60)
@given(TEXTS.filter(bool).flatmap(lambda text: st.tuples(st.just(text), tokens_of(text))))
def test_tokens_always_spell_the_text_beside_them(said: tuple[str, list[Event]]) -> None:
    text, tokens = said
    response = {"choices": [{"message": {"content": text}, "logprobs": {"content": tokens}}]}

    found = entries(read(streamed(response)))[:-1]

    beside = [(e["delta"]["content"], e["logprobs"]["content"]) for e in found]
    assert [token for _, covered in beside for token in covered] == tokens
    for content, covered in beside:
        assert bytes(b for token in covered for b in token["bytes"]) == content.encode()
