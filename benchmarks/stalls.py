"""Measures how long hostile bodies hold the loop of a server: `python -m benchmarks.stalls`.

Each body is sent to a real server in this process, whose mocks look at what takes long to read.
Every callback of the server's loop is timed in CPU time of its thread, so that a busy machine does
not matter. The client is in another thread. Prints, for each shape and each table of mocks, the
longest callback in milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import http.client
import json
import sys
import time
from asyncio import events
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from mockllm import AsyncServer
from mockllm.wire.json_pieces import MAX_MEMBERS
from mockllm.wire.json_windows import MAX_UNDIVIDED

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
MESSAGES, EMBEDDINGS = "/v1/messages", "/v1/embeddings"
COUNT, COMPACT = "/v1/messages/count_tokens", "/v1/responses/compact"
MODERATIONS, COMPLETIONS = "/v1/moderations", "/v1/completions"
HEADERS = {
    "authorization": "Bearer x",
    "x-api-key": "x",
    "anthropic-version": "2023-06-01",
    "content-type": "application/json",
}
MEGABYTE = 1_000_000
MAX_SMALL_PARTS = 8_700_000  # bytes of 320,000 parts: more have more than 1,000,000 values
MAX_TOKENS = 900_000  # of embeddings: 1,000,000 values are the most of a body

Make = Callable[[int], bytes]
"""Returns a body of about so many bytes."""


class Shape(NamedTuple):
    """A body that a client may send to `path`. `mocks` are the names of the `TABLES` for which it
    is sent. With `again`, it is stored before, and this is measured: a method, and what follows the
    id of the response in the path; of a POST, the response is continued. With `control`, this is
    asked of the control API after the answer, and measured: a method, a path and a body."""

    path: str
    make: Make
    mocks: Sequence[str] = ("plain",)
    again: tuple[str, str] | None = None
    control: tuple[str, str, bytes] | None = None


def repeated(before: bytes, entry: bytes, after: bytes) -> Make:
    """Return a maker of bodies with one list of equal entries."""

    def make(size: int) -> bytes:
        number = size // (len(entry) + 1)
        return before + b",".join([entry] * number) + after

    return make


def numbered(before: bytes, entry: bytes, after: bytes) -> Make:
    """Return a maker of bodies with entries that differ: ``%d`` in `entry` is a number."""

    def make(size: int) -> bytes:
        number = size // (len(entry) + 5)
        return before + b",".join(entry.replace(b"%d", b"%d" % n) for n in range(number)) + after

    return make


def filled(before: bytes, piece: bytes, after: bytes) -> Make:
    """Return a maker of bodies with one long text, number or space of equal `piece`s."""
    return lambda size: before + piece * (size // len(piece)) + after


def equal(entry: bytes, last: str) -> list[Any]:
    """Return as many equal entries as a body of 10 MB has, the last of which has another text."""
    other = json.loads(entry)
    other["content" if "content" in other else "text"] = last
    return [*[json.loads(entry)] * (10 * MEGABYTE // (len(entry) + 1) - 1), other]


def _tokens(size: int) -> bytes:
    number = min(size // 6, MAX_TOKENS)
    numbers = b",".join(b"%d" % (10_000 + index % 80_000) for index in range(number))
    return b'{"model":"e","input":[' + numbers + b"]}"


def _token_lists(size: int) -> bytes:
    row = b"[" + b",".join(b"%d" % (10_000 + index) for index in range(1_000)) + b"]"
    return b'{"model":"e","input":[' + b",".join([row] * min(size // 6_000, 900)) + b"]}"


def _deep_tools(size: int) -> bytes:
    schema = b"{}"
    for _ in range(40):
        schema = b'{"type":"object","properties":{"a":%b,"b":{"type":"string"}}}' % schema
    tool = b'{"type":"function","function":{"name":"f","parameters":%b}}' % schema
    return repeated(b'{"model":"m","tools":[', tool, b"]," + ASKED)(size)


def _allowed_members(size: int) -> bytes:
    most = MAX_MEMBERS * (len(b'"k":"v",') + 6)
    return numbered(b'{"model":"m","tools":[{"a":{', b'"k%d":"v"', b"}}]," + ASKED)(min(size, most))


ASKED = b'"messages":[{"role":"user","content":"hello"}]}'
_CHAT = b'{"model":"m","messages":['
_ITEMS = b'{"model":"m","input":['
_PARTS = b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":['
_TEXT = b'{"model":"m","messages":[{"role":"user","content":"'
USER = b'{"role":"user","content":"hello"}'
SYSTEM = b'{"role":"system","content":"hello"}'
ANSWERED = b'{"role":"assistant","content":"hi"},' + USER
SILENT = (
    b'{"role":"assistant","content":"hi"},'
    b'{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x"}}]}'
)
CALLED = (
    b'{"role":"assistant","tool_calls":[{"id":"c%d","type":"function","function":'
    b'{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c%d","content":"ok"}'
)
PART = b'{"type":"text","text":"hello there, you"}'
ITEM_PART = b'{"type":"input_text","text":"hello there, you"}'
RESULT = b'{"role":"tool","tool_call_id":"c%d","content":"ok"}'
ITEM_RESULT = b'{"type":"function_call_output","call_id":"c%d","output":"ok"}'
BLOCK_RESULT = b'{"type":"tool_result","tool_use_id":"c%d","content":"ok"}'
TOOL = b'{"type":"function","function":{"name":"f%d"}}'

TOOL_ITEM = b'{"type":"function","name":"f%d","parameters":{}}'
DEEP_ITEM = b'{"type":"shell_call","call_id":"c","action":{"commands":['
DEEP_RESULT = b'{"type":"tool_result","tool_use_id":"c","content":['
_CALL = b'{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f",'

OWN_TEXT = "word " * 2_000_000
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
SHELL = {"type": "shell_call", "call_id": "c", "action": {"commands": ["zz"]}}
RESULT_BLOCK = {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "image"}]}
BLOCKS = {"content": [{"type": "text", "text": "no"}]}
ANSWER = {"choices": [{"message": {"role": "assistant", "content": "ok"}}]}

EVENT = {"id": "i", "object": "chat.completion.chunk", "created": 1, "model": "m"}
STREAM = [
    EVENT | {"choices": [{"index": 0, "delta": {"content": "word " * 200}, "finish_reason": None}]}
] * 10_000 + ["[DONE]"]
CALLED_STREAM = [
    EVENT
    | {
        "choices": [
            {
                "index": 0,
                "delta": {"tool_calls": [{"index": 0, "function": {"arguments": "word " * 200}}]},
                "finish_reason": None,
            }
        ]
    }
] * 10_000 + ["[DONE]"]


LARGE_EVENT = EVENT | {
    "choices": [{"index": 0, "delta": {"content": OWN_TEXT}, "finish_reason": "stop"}]
}


def written(
    events: Sequence[Any], after: Any = None, *, faults: Sequence[Any] = ()
) -> list[dict[str, Any]]:
    """Return a mock whose stream consists of these events, and is cut, or has these faults."""
    return [
        {
            "match": {"message": {"role": "user", "content": "hello"}},
            "response": ANSWER,
            "stream": {"events": events},
            "fault": [*faults] or {"end": "cut", "after": after},
        }
    ]


TABLES: dict[str, list[dict[str, Any]]] = {
    "plain": [{"reply": "ok"}],
    "turn": [{"match": {"turn": 7}, "reply": "no"}, {"reply": "ok"}],
    "step": [{"match": {"step": 7}, "reply": "no"}, {"reply": "ok"}],
    "user": [{"match": {"user": "zz"}, "reply": "no"}, {"reply": "ok"}],
    "folded": [
        {"match": {"user": {"contains": "zz", "ignore_case": True}}, "reply": "no"},
        {"reply": "ok"},
    ],
    "last_user": [{"match": {"last_user": {"regex": "zz$"}}, "reply": "no"}, {"reply": "ok"}],
    "not_user": [{"match": {"not": {"user": "hello"}}, "reply": "no"}, {"reply": "ok"}],
    "system": [{"match": {"system": {"contains": "zz"}}, "reply": "no"}, {"reply": "ok"}],
    "any": [{"match": {"any_message": "zz"}, "reply": "no"}, {"reply": "ok"}],
    "tools": [{"match": {"tools": ["zz"]}, "reply": "no"}, {"reply": "ok"}],
    "result": [{"match": {"tool_result": {"name": "zz"}}, "reply": "no"}, {"reply": "ok"}],
    "result_id": [{"match": {"tool_result": {"call_id": "zz"}}, "reply": "no"}, {"reply": "ok"}],
    "unmatched": [{"match": {"user": "zz"}, "reply": "no"}, {"match": {"turn": 7}, "reply": "no"}],
    "template": [{"reply": {"template": "{{ messages | length }}"}}],
    "path": [{"match": {"body": {"$..zz": "zz"}}, "reply": "no"}, {"reply": "ok"}],
    "exact body": [
        {"match": {"body": {"$.messages": [*[json.loads(USER)] * 300_000, {}]}}, "reply": "no"},
        {"match": {"body": {"$": {"equals": {"model": "m", "messages": []}}}}, "reply": "no"},
        {"reply": "ok"},
    ],
    "echo": [{"reply": {"generate": "echo"}}],
    "exact": [{"match": {"message": {"role": "user", "content": "zz"}}, "response": ANSWER}],
    "exact, as large": [
        {
            "match": {"message": {"role": "user", "content": equal(PART, "hello there, yoo")}},
            "response": ANSWER,
        }
    ],
    "exact items, as large": [
        {
            "match": {"input": equal(USER, "hellO")},
            "response": {"output_text": "no"},
        }
    ],
    "exact call": [
        {"match": {"message": {"role": "assistant", "tool_calls": [CALL]}}, "response": ANSWER}
    ],
    "exact item": [
        {
            "match": {"input": [SHELL]},
            "response": {"output_text": "no"},
        }
    ],
    "contains": [
        {
            "match": {"message": {"role": "user", "content": "zz"}, "match_type": "contains"},
            "response": ANSWER,
        }
    ],
    "part": [
        {
            "match": {
                "message": {"role": "user", "content": [RESULT_BLOCK]},
                "match_type": "contains",
            },
            "response": BLOCKS,
        }
    ],
    "part with text": [
        {
            "match": {
                "message": {"role": "user", "content": [RESULT_BLOCK | {"content": "aab" * 9}]},
                "match_type": "contains",
            },
            "response": BLOCKS,
        }
    ],
    "own": [{"reply": OWN_TEXT}],
    "own, paced": [{"reply": OWN_TEXT, "latency": {"ttft": "1ms"}}],
    "own, cut": [{"reply": OWN_TEXT, "fault": {"end": "cut", "after": {"tokens": 500_000}}}],
    "events, cut": written(STREAM, {"tokens": 1_250_000}),
    "events, cut in arguments": written(CALLED_STREAM, "tool_arguments"),
    "events, cut after bytes": written(STREAM, {"bytes": 5_000_000}),
    "event, cut": written([LARGE_EVENT, "[DONE]"], {"tokens": 1_250_000}),
    "event, error at a time": written(
        [*[LARGE_EVENT] * 3, "[DONE]"],
        faults=[
            {"pause": "1s", "after": {"events": 2}},
            {"error": "overloaded", "after": {"time": "0.5s"}},
        ],
    ),
    "echo, paced": [{"reply": {"generate": "echo"}, "latency": {"ttft": "1ms"}}],
}
"""Tables of mocks by their names. Nothing in the shapes matches the first mock of each."""
OWN_LISTS = {
    "exact": "openai",
    "exact, as large": "openai",
    "exact items, as large": "openai_response",
    "exact call": "openai",
    "contains": "openai",
    "exact item": "openai_response",
    "part": "anthropic",
    "part with text": "anthropic",
    "events, cut": "openai",
    "events, cut in arguments": "openai",
    "events, cut after bytes": "openai",
    "event, cut": "openai",
    "event, error at a time": "openai",
}
"""The lists of the tables that are not of `mocks`."""

OWN_STREAMS = (
    *("events, cut", "events, cut in arguments", "events, cut after bytes", "event, cut"),
    "event, error at a time",
)
OWN_ANSWERS = ("own", "own, paced", "own, cut", *OWN_STREAMS)
"""Tables with large answers, which are made for the first request."""

CONVERSED = ("turn", "step", "user", "folded", "last_user", "not_user", "system", "any")
"""Tables for many messages."""
RESULTS = ("turn", "user", "result", "result_id", "last_user", "any", "unmatched")
"""Tables for many tool results."""

AGAIN = {
    "retrieved": ("GET", ""),
    "items": ("GET", "/input_items"),
    "item": ("GET", "/input_items?order=asc&after=zz"),
    "continued": ("POST", ""),
    "deleted": ("DELETE", ""),
}
"""What is asked of a stored response, by the names of the rows."""
_STORED = {
    "items": repeated(_ITEMS, USER, b"]}"),
    "item parts": repeated(_ITEMS + b'{"role":"user","content":[', ITEM_PART, b"]}]}"),
    "item results": numbered(_ITEMS + USER + b",", ITEM_RESULT, b"]}"),
    "item tools": numbered(b'{"model":"m","input":"hi","tools":[', TOOL_ITEM, b"]}"),
    "item text": filled(b'{"model":"m","input":"', b"word ", b'"}'),
}

_CALLED = {
    "call": filled(_TEXT, b"word ", b'"}]}'),
    "call of messages": repeated(_CHAT, USER, b"]}"),
}
CONTROL = {
    "listed": ("GET", "calls", b""),
    "watched": ("GET", "watch", b""),
    "misses": ("GET", "calls/2/misses", b""),
    "reported": ("GET", "report", b""),
    "verified": ("POST", "verify", b'{"assert":"called","mock":"mocks[0]","times":9}'),
    "cleared": ("DELETE", "calls", b""),
}
"""What is asked of the control API about a call, by the names of the rows."""
MAX_KEPT = 4_000_000  # bytes of a body that the journal has whole

SHAPES: dict[str, Shape] = {
    "messages": Shape(
        CHAT,
        repeated(_CHAT, USER, b"]}"),
        ("plain", *CONVERSED, "unmatched", "template", "path", "echo", "exact", "exact body"),
    ),
    "system messages": Shape(
        CHAT, repeated(_CHAT + USER + b",", SYSTEM, b"]}"), ("plain", "system", "user", "unmatched")
    ),
    "answers": Shape(
        CHAT,
        repeated(_CHAT + USER + b",", b'{"role":"assistant","content":"hi"}', b"," + USER + b"]}"),
        ("turn", "any", "user"),
    ),
    "silent turns": Shape(
        CHAT,
        repeated(_CHAT, SILENT, b"]}"),
        ("last_user", "step", "user", "unmatched"),
    ),
    "turns": Shape(CHAT, repeated(_CHAT + USER + b",", ANSWERED, b"]}"), (*CONVERSED, "unmatched")),
    "calls": Shape(CHAT, numbered(_CHAT + USER + b",", CALLED, b"]}"), RESULTS),
    "results": Shape(CHAT, numbered(_CHAT + USER + b",", RESULT, b"]}"), RESULTS),
    "items": Shape(
        RESPONSES,
        repeated(_ITEMS, USER, b"]}"),
        ("plain", *CONVERSED, "unmatched", "template", "exact items, as large"),
    ),
    "item results": Shape(RESPONSES, numbered(_ITEMS + USER + b",", ITEM_RESULT, b"]}"), RESULTS),
    "chat parts": Shape(
        CHAT,
        repeated(_CHAT + b'{"role":"user","content":[', PART, b"]}]}"),
        (
            *("plain", "user", "last_user", "unmatched", "template"),
            *("exact", "exact, as large", "contains"),
        ),
    ),
    "small parts": Shape(
        CHAT,
        lambda size: repeated(
            _CHAT + b'{"role":"user","content":[', b'{"type":"text","text":"a"}', b"]}]}"
        )(min(size, MAX_SMALL_PARTS)),
        ("folded", "contains"),
    ),
    "item parts": Shape(
        RESPONSES,
        repeated(_ITEMS + b'{"role":"user","content":[', ITEM_PART, b"]}]}"),
        ("plain", "user", "last_user", "unmatched", "template"),
    ),
    "parts": Shape(
        MESSAGES,
        repeated(_PARTS, PART, b"]}]}"),
        ("plain", *CONVERSED, "unmatched", "template"),
    ),
    "block results": Shape(MESSAGES, numbered(_PARTS, BLOCK_RESULT, b"]}]}"), RESULTS),
    "deep tools": Shape(CHAT, _deep_tools, ("plain", "tools")),
    "many tools": Shape(
        CHAT, numbered(b'{"model":"m","tools":[', TOOL, b"]," + ASKED), ("plain", "tools")
    ),
    "members": Shape(CHAT, numbered(b'{"model":"m","metadata":{', b'"k%d":"v"', b"}," + ASKED)),
    "allowed members": Shape(CHAT, _allowed_members),
    "text": Shape(
        CHAT,
        filled(_TEXT, b'some \\"words\\"\\n', b'"}]}'),
        ("plain", "user", "folded", "path", "exact", "contains"),
    ),
    "escapes": Shape(CHAT, filled(_TEXT, b"\\u4e2d", b'"}]}'), ("plain", "user")),
    "tokens": Shape(EMBEDDINGS, _tokens),
    "token lists": Shape(EMBEDDINGS, _token_lists),
    "inputs": Shape(EMBEDDINGS, filled(b'{"model":"e","input":"', b"word ", b'"}')),
    "counted parts": Shape(COUNT, repeated(_PARTS, PART, b"]}]}")),
    "compacted": Shape(COMPACT, repeated(_ITEMS, USER, b"]}")),
    "moderated": Shape(MODERATIONS, filled(b'{"model":"m","input":"', b"word ", b'"}')),
    "prompts": Shape(COMPLETIONS, repeated(b'{"model":"m","prompt":[', b'"hello"', b"]}")),
    "prompt": Shape(COMPLETIONS, filled(b'{"model":"m","prompt":"', b"word ", b'"}')),
    "deep items": Shape(
        RESPONSES,
        repeated(_ITEMS + USER + b"," + DEEP_ITEM, b'"echo hello there"', b"]}}]}"),
        ("plain", "user", "any", "unmatched", "exact item"),
    ),
    "deep results": Shape(
        MESSAGES,
        repeated(_PARTS + DEEP_RESULT, PART, b"]}]}]}"),
        ("plain", "result", "unmatched", "part"),
    ),
    "long result": Shape(
        MESSAGES,
        filled(_PARTS + DEEP_RESULT.removesuffix(b"[") + b'"', b"aa", b'"}]}]}'),
        ("result", "part with text"),
    ),
    "arguments": Shape(
        CHAT,
        filled(_CHAT + USER + b"," + _CALL + b'"arguments":"[1', b",1", b']"}}]}]}'),
        ("plain", "any", "exact call"),
    ),
    "long item": Shape(
        RESPONSES, filled(_ITEMS + b'{"role":"user","content":"', b"word ", b'"}]}'), ("user",)
    ),
    "item text": Shape(RESPONSES, _STORED["item text"], ("plain", "user", "echo")),
    "item text, streamed": Shape(
        RESPONSES,
        filled(b'{"model":"m","stream":true,"input":"', b"word ", b'"}'),
        ("echo", "echo, paced"),
    ),
    "asked": Shape(CHAT, lambda size: _CHAT + USER + b"]}", ("own", "own, paced", "own, cut")),
    "asked for events": Shape(
        CHAT, lambda size: b'{"stream":true,"model":"m","messages":[' + USER + b"]}", OWN_STREAMS
    ),
    "asked for an item": Shape(
        RESPONSES, lambda size: _ITEMS + USER + b"]}", ("own", "own, paced", "own, cut")
    ),
    "asked for a stream": Shape(
        RESPONSES,
        lambda size: b'{"stream":true,"model":"m","input":"hello"}',
        ("own", "own, paced", "own, cut"),
    ),
    **{
        f"{name}, {what}": Shape(RESPONSES, make, ("turn",), again)
        for name, make in _STORED.items()
        for what, again in AGAIN.items()
    },
    **{
        f"{name}, {what}": Shape(
            CHAT,
            lambda size, make=make: make(min(size, MAX_KEPT)),  # type: ignore[misc]  # bound now
            ("user",),
            control=asked,
        )
        for name, make in _CALLED.items()
        for what, asked in CONTROL.items()
    },
    "number": Shape(CHAT, filled(b'{"model":"m","temperature":1', b"0", b"," + ASKED)),
    "fraction": Shape(CHAT, filled(b'{"model":"m","temperature":0.', b"01", b"," + ASKED)),
    "space": Shape(CHAT, filled(b'{"model":"m",', b" ", ASKED)),
    "space before": Shape(CHAT, filled(b"", b" \n", b'{"model":"m",' + ASKED)),
    "space behind": Shape(CHAT, filled(b'{"model":"m",' + ASKED, b" ", b"")),
    "only space": Shape(CHAT, filled(b"", b" ", b"")),
    "name": Shape(CHAT, filled(b'{"model":"m","', b"a", b'":1,' + ASKED)),
    "escaped name": Shape(CHAT, filled(b'{"model":"m","', b"\\u4e2d", b'":1,' + ASKED)),
    "allowed names": Shape(
        CHAT,
        lambda size: (
            b'{"model":"m","metadata":{'
            + b",".join(
                b'"%d%b":1' % (n, b"\\u4e2d" * (MAX_UNDIVIDED // 6 - 9))
                for n in range(size // MAX_UNDIVIDED)
            )
            + (b"}," + ASKED)
        ),
    ),
    "nested names": Shape(
        CHAT,
        lambda size: (
            (b'{"model":"m","metadata":' + (b'{"' + b"n" * (size // 500) + b'":') * 500 + b"1")
            + (b"}" * 500 + b"," + ASKED)
        ),
    ),
    "brackets": Shape(CHAT, filled(b'{"model":"m","metadata":', b"[", b"")),
    "strings cut off": Shape(CHAT, filled(b'{"model":"m","metadata":"', b"a", b"")),
}


class Longest:
    """Times all callbacks of the loop in its thread's CPU time while it is entered; `seconds` has
    the longest."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> Longest:
        run = self._run = events.Handle._run

        def timed(handle: events.Handle) -> None:
            began = time.thread_time()
            run(handle)
            self.seconds = max(self.seconds, time.thread_time() - began)

        events.Handle._run = timed  # type: ignore[method-assign, assignment]  # timed
        return self

    def __exit__(self, *exc: object) -> None:
        events.Handle._run = self._run  # type: ignore[method-assign]  # as it was


def send(
    base_url: str,
    method: str,
    path: str,
    body: bytes,
    headers: Mapping[str, str] = MappingProxyType(HEADERS),
) -> tuple[int, bytes]:
    """Send a request and return the status of the answer, and what is received of its body."""
    connection = http.client.HTTPConnection(base_url.removeprefix("http://"), timeout=60)
    try:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        try:
            return response.status, response.read()
        except (http.client.IncompleteRead, ConnectionError):  # it was cut
            return response.status, b""
    finally:
        connection.close()


def _ask_again(base_url: str, shape: Shape, body: bytes) -> tuple[str, str, bytes]:
    """Store the response to a body. Returns the request about it."""
    assert shape.again is not None
    method, behind = shape.again
    _, stored = send(base_url, "POST", shape.path, body)
    response_id = json.loads(stored)["id"]
    if method != "POST":
        return method, f"{shape.path}/{response_id}{behind}", b""
    return (
        method,
        shape.path,
        b'{"model":"m","input":"hi","previous_response_id":"%b"}' % (response_id.encode()),
    )


async def measure(table: str, shape: Shape, size: int) -> tuple[float, int]:
    """Return the longest callback in seconds, and the status of the answer."""
    body = shape.make(size)
    mocks = {OWN_LISTS.get(table, "mocks"): TABLES[table]}
    async with AsyncServer(mocks, control=shape.control is not None) as server:
        asked = ("POST", shape.path, shape.make(200))
        if table not in OWN_ANSWERS:
            await asyncio.to_thread(send, server.base_url, *asked)  # what is made once
        asked = ("POST", shape.path, body)
        if shape.again is not None:
            asked = await asyncio.to_thread(_ask_again, server.base_url, shape, body)
        headers: dict[str, str] = HEADERS
        if shape.control is not None:
            await asyncio.to_thread(send, server.base_url, *asked)
            method, path, asked_body = shape.control
            asked = (method, f"/__mockllm/{path}", asked_body)
            headers = {**HEADERS, "authorization": f"Bearer {server.control_token}"}
        gc.collect()
        gc.freeze()
        with Longest() as longest:
            status, _ = await asyncio.to_thread(send, server.base_url, *asked, headers)
            await asyncio.sleep(0.3)  # in which what remains is let go of
        gc.unfreeze()
    return longest.seconds, status


def selected(only: Sequence[str]) -> Iterator[tuple[str, str, Shape]]:
    """Yield the shapes and tables whose name, ``shape/table``, contains one of `only`."""
    for name, shape in SHAPES.items():
        for table in shape.mocks:
            if not only or any(part in f"{name}/{table}" for part in only):
                yield name, table, shape


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stalls", description=__doc__)
    parser.add_argument("--megabytes", type=float, default=10.0, help="size of each body")
    parser.add_argument("--above", type=float, default=0.0, help="milliseconds, less is not shown")
    parser.add_argument("only", nargs="*", help="parts of names, shape/table")
    options = parser.parse_args(arguments)
    for name, table, shape in selected(options.only):
        seconds, status = asyncio.run(measure(table, shape, round(options.megabytes * MEGABYTE)))
        if seconds * 1000 >= options.above:
            sys.stdout.write(f"{seconds * 1000:6.1f} ms  {status}  {name}/{table}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
