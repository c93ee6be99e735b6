"""Neutral replies, and what the official clients read of them in each API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import orjson
from hypothesis import strategies as st

from mockllm.prompt import NOT_STREAMED, STREAMED
from mockllm.providers.anthropic.messages import MESSAGES
from mockllm.providers.api import API
from mockllm.providers.openai.chat import CHAT
from mockllm.providers.openai.responses import RESPONSES
from mockllm.providers.reply import NeutralCall, NeutralReply, NeutralUsage
from mockllm.wire.chunking import Chunk
from tests.support.anthropic.messages.streams import Service
from tests.support.goldens import delivered
from tests.support.openai.chat import streams as chat_streams
from tests.support.openai.responses import streams as responses_streams

Json = Any

APIS = (CHAT, RESPONSES, MESSAGES)
SERVICE = Service()


class Said(NamedTuple):
    """What a client reads, in the same words for all APIs."""

    text: str
    reasoning: str
    refusal: str
    calls: list[tuple[str, Json]]
    """Name and arguments; the latter parsed, if they are JSON."""
    ids: list[str]
    finish: str


def said(reply: NeutralReply) -> Said:
    """What a client should read of `reply`, which has no `json`."""
    finish = reply.finish or "stop"
    return Said(
        text=reply.text or "",
        reasoning=reply.reasoning or "",
        refusal=reply.refusal or "",
        calls=[(call.name, orjson.loads(call.arguments)) for call in reply.calls],
        ids=[call.call_id or "" for call in reply.calls],
        finish="stop" if finish == "tool_calls" else finish,
    )


def respond(api: API, reply: NeutralReply, body: Json = None) -> Json:
    """The response of `api` that says `reply`."""
    assert api.respond is not None
    return api.respond(reply, body or {})


def whole(api: API, reply: NeutralReply, body: Json = None) -> Json:
    """The whole answer as it is sent."""
    answer = api.render(respond(api, reply, body), NOT_STREAMED, "word")
    return orjson.loads(delivered(answer))


def rebuilt(api: API, reply: NeutralReply, chunk: Chunk) -> Json:
    """The answer that the SDK's helper makes of the stream."""
    return _REBUILD[api.name](delivered(api.render(respond(api, reply), STREAMED, chunk)))


def read(api: API, answer: Json) -> Said:
    """What is in an answer of `api`."""
    return _READ[api.name](answer)


# --- Reading --------------------------------------------------------------------------------------


def _read_chat(answer: Json) -> Said:
    (choice,) = answer["choices"]
    message = choice["message"]
    calls = message.get("tool_calls") or []
    finish = choice["finish_reason"]
    return Said(
        message.get("content") or "",
        message.get("reasoning_content") or "",
        message.get("refusal") or "",
        [(each["function"]["name"], orjson.loads(each["function"]["arguments"])) for each in calls],
        [each["id"] for each in calls],
        "stop" if finish == "tool_calls" else finish,
    )


def _read_responses(answer: Json) -> Said:
    items = answer["output"]
    parts = [part for item in items if item["type"] == "message" for part in item["content"]]
    calls = [item for item in items if item["type"] == "function_call"]
    reasons = {"max_output_tokens": "length", "content_filter": "content_filter"}
    incomplete = answer.get("incomplete_details")
    return Said(
        "".join(part.get("text", "") for part in parts),
        "".join(part["text"] for item in items for part in item.get("summary", ())),
        "".join(part.get("refusal", "") for part in parts),
        [(each["name"], orjson.loads(each["arguments"])) for each in calls],
        [each["call_id"] for each in calls],
        reasons[incomplete["reason"]] if incomplete else "stop",
    )


def _read_messages(answer: Json) -> Said:
    blocks = answer["content"]
    calls = [block for block in blocks if block["type"] == "tool_use"]
    refusal = (answer.get("stop_details") or {}).get("explanation") or ""
    finishes = {"max_tokens": "length", "refusal": "stop" if refusal else "content_filter"}
    assert all(block["signature"] for block in blocks if block["type"] == "thinking")
    return Said(
        "".join(block.get("text", "") for block in blocks),
        "".join(block.get("thinking", "") for block in blocks),
        refusal,
        [(each["name"], each["input"]) for each in calls],
        [each["id"] for each in calls],
        finishes.get(answer["stop_reason"], "stop"),
    )


_READ: dict[str, Callable[[Json], Said]] = {
    CHAT.name: _read_chat,
    RESPONSES.name: _read_responses,
    MESSAGES.name: _read_messages,
}


def _rebuild_response(body: bytes) -> Json:
    events = responses_streams.read_raw(body, strict=False)
    if not responses_streams.ends_completed(events):
        return events[-1]["response"]  # the helper has no result for it
    return responses_streams.read_with_helper(body)[1]


def _rebuild_message(body: bytes) -> Json:
    SERVICE.body = body
    return SERVICE.helped(SERVICE.client.messages)


_REBUILD: dict[str, Callable[[bytes], Json]] = {
    CHAT.name: chat_streams.accumulate,
    RESPONSES.name: _rebuild_response,
    MESSAGES.name: _rebuild_message,
}


# --- Replies --------------------------------------------------------------------------------------

WORDS = chat_streams.TEXTS
SOME_WORDS = WORDS.filter(bool)
NAMES = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
VALUES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | WORDS
ARGUMENTS = st.dictionaries(WORDS, VALUES | st.lists(VALUES, max_size=2), max_size=3)


@st.composite
def replies(draw: st.DrawFn) -> NeutralReply:
    """Any reply without `json`: what a model may say."""
    reasoning = draw(st.none() | SOME_WORDS)
    finish: Any = draw(st.sampled_from([None, "stop", "length", "content_filter"]))
    usage = draw(usages())
    if draw(st.booleans()) and finish in (None, "stop"):
        return NeutralReply(None, reasoning, (), draw(SOME_WORDS), None, finish, usage)
    count = draw(st.integers(0, 3))
    ids = draw(st.lists(NAMES, min_size=count, max_size=count, unique=True))
    calls = tuple(
        NeutralCall(draw(NAMES), orjson.dumps(draw(ARGUMENTS)).decode(), each) for each in ids
    )
    if calls and finish == "stop":
        finish = draw(st.sampled_from(["tool_calls", "stop"]))
    return NeutralReply(draw(st.none() | WORDS), reasoning, calls, None, None, finish, usage)


@st.composite
def usages(draw: st.DrawFn) -> NeutralUsage:
    """Numbers of tokens, each part not greater than its whole where that is written."""
    whole, output = draw(st.none() | st.integers(0, 999)), draw(st.none() | st.integers(0, 999))
    cached = draw(st.none() | st.integers(0, 999 if whole is None else whole))
    reasoning = draw(st.none() | st.integers(0, 999 if output is None else output))
    return NeutralUsage(whole, output, cached, reasoning)
