"""Streams of Chat Completions: their grammar, how clients read them, and responses to stream."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby, pairwise
from typing import Any

import orjson
from hypothesis import strategies as st
from openai import AsyncOpenAI, ContentFilterFinishReasonError, LengthFinishReasonError
from openai import OpenAI as SyncOpenAI
from openai.types.chat import ChatCompletionChunk

from mockllm.prompt import ResponseOptions
from mockllm.providers.openai.chat.render import render
from mockllm.wire import sse
from mockllm.wire.chunking import Chunk
from tests.support import goldens
from tests.support.http_library import httpx

Json = Any
Event = dict[str, Any]

HEADERS = {"content-type": "text/event-stream"}
CASES = goldens.cases("openai/chat")


# Responses that no valid chunk can express: with a member or a tool call of a type that
# `ChatCompletionChunk` does not declare.
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
    ("added text", "any number"),
    ("content", "any number"),
    ("refusal", "any number"),
    ("annotations", "at most once"),
    ("audio", "any number"),
    ("function_call", "any number"),
    ("tool_calls", "any number"),
    ("finish", "once"),
)
"""The chunks of one choice, in order."""
ADDED = ("reasoning_content", "reasoning", "notes", "reasoning_details", "thinking")
"""Members that other services add and that are streamed, here or in golden files."""
QUANTIFIERS = {"once": "", "at most once": "?", "any number": "*"}
SENTENCE = re.compile("".join(f"({word} ){QUANTIFIERS[number]}" for word, number in GRAMMAR))


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
    """The word of a choice in the grammar."""
    delta = choice["delta"]
    if "role" in delta:
        return "opening"
    if not delta:
        return "finish"
    (name, *more) = map(str, delta)
    if not more and name in dict(GRAMMAR):
        return name
    is_text = not more and isinstance(delta[name], (str, list)) and delta[name]
    return "added text" if is_text and name in ADDED else "unknown"


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
    """Calls are numbered from 0; id, type and name are sent once, with the first part."""
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
    """All chunks belong to one completion; usage is present if and only if it was requested."""
    beside = {"choices", "usage", "moderation", "obfuscation"}
    envelopes = [{k: v for k, v in event.items() if k not in beside} for event in events]
    assert all(envelope == envelopes[0] for envelope in envelopes)
    assert envelopes[0]["object"] == "chat.completion.chunk"
    if include_usage:
        assert events[-1]["choices"] == []
        assert all(event["usage"] is None for event in events[:-1])
    else:
        assert not any("usage" in event for event in events)


class Wire:
    """A transport that answers every request with `body`."""

    def __init__(self) -> None:
        self.body = b""
        self.transport = httpx.MockTransport(
            lambda _: httpx.Response(200, content=self.body, headers=HEADERS)
        )


WIRE = Wire()
CLIENTS = {
    strict: SyncOpenAI(
        api_key="k",
        http_client=httpx.Client(transport=WIRE.transport),
        _strict_response_validation=strict,
    )
    for strict in (True, False)
}


def accumulate(body: bytes, *, strict: bool = True) -> Event:
    """The completion that the SDK's helper rebuilds from a stream."""
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
    http_client = httpx.AsyncClient(transport=WIRE.transport)
    client = AsyncOpenAI(api_key="k", http_client=http_client, _strict_response_validation=True)
    async with client, client.chat.completions.stream(model="m", messages=[]) as helper:
        try:
            final: Any = await helper.get_final_completion()
        except (LengthFinishReasonError, ContentFilterFinishReasonError) as exc:
            final = exc.completion
    rebuilt: Event = final.to_dict(mode="json", warnings=False)
    return rebuilt


def join(chunks: Iterator[ChatCompletionChunk]) -> list[Event]:
    """The result of joining raw chunks by hand: one entry for each choice."""
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
    """A completion without what a stream cannot express: nulls, the index of a tool call, empty
    lists of annotations and calls, the type of a custom call, what the helper parses, and
    the padding, which helpers keep that do not know it."""
    if isinstance(value, list):
        return [meaning(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    members = {
        name: meaning(member)
        for name, member in value.items()
        if member is not None and name not in ("parsed", "parsed_arguments", "obfuscation")
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
    """The part of a response that a stream of it conveys."""
    completed = orjson.loads(goldens.delivered(render(response, ResponseOptions(), "word")))
    if not include_usage:
        del completed["usage"]
    known: Event = meaning(completed)
    known["choices"].sort(key=lambda choice: choice["index"])
    return known


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
DETAILS = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["reasoning.text", "reasoning.summary"])},
        optional={"text": st.none() | TEXTS, "summary": TEXTS, "signature": NAMES, "format": NAMES},
    ),
    max_size=3,
).map(lambda entries: [entry | {"index": at} for at, entry in enumerate(entries)])
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
        "reasoning_content": st.none() | TEXTS,
        "reasoning": TEXTS,
        "notes": TEXTS,
        "message_id": NAMES,
        "reasoning_details": DETAILS,
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


def name_and_input(call: Event) -> tuple[str, str]:
    """The name and the input of a call, whichever kind it is."""
    body = call.get("function") or call["custom"]
    return body["name"], body.get("arguments", body.get("input"))
