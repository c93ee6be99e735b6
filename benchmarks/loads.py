"""The loads of the benchmarks, as pure data: configurations, requests and expected answers.

`wrk` or `h2load` generates the load and `servers` starts the servers that answer it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks import conditions
from benchmarks.conditions import KINDS, Kind, filler

LIMIT, OURS = "limit", "mockllm"
H11_LOOP, FASTAPI, AIMOCK = "h11_loop", "fastapi", "aimock"
ALL_SERVERS = (LIMIT, OURS, H11_LOOP, FASTAPI, AIMOCK)

CHAT = "/v1/chat/completions"
END = b"}]}"
"""The end of every body. These bytes occur nowhere else in it, so a server that parses nothing can
find the end of a request."""

QUESTION = "Hello"
REPLY = "Hello! How can I help you today?"
WORDS = 50  # of five letters each
CHUNK_LENGTH = 6  # characters, a word and a space: cutting by words or by length is the same
STREAMED_TEXT = " ".join(["chunk"] * WORDS)
LONG_QUESTION = "Tell me all"
LONG_TEXT = " ".join(["chunk"] * 350_000)  # streamed, it is 5 MB

CONVERSATION = 35_000  # bytes: an agent's tenth turn or so, with its system prompt
TURNS = 40

PACED_TTFT, PACED_ITL = 0.2, 0.025  # seconds, of paced streams
PACED = 500  # paced streams at once
PACED_WORDS = 200
PACED_TEXT = " ".join(["chunk"] * PACED_WORDS)
SLOW_ITL = 0.5  # seconds, of paced streams by the ten thousand
SLOW_WORDS = 20

ENOUGH = 10**12  # requests or tokens that are never used up

POOL_PLACES = 1_000  # more than there are connections

LOAD_TOOL_TTFT, LOAD_TOOL_ITL = 0.2, 0.02  # seconds
LOAD_TOOL_TOKENS = 100

SERVICE_INPUT, SERVICE_TOKENS = 5_000, 500  # tokens

FEW, MANY = 1_000, 100_000  # mocks
IDLE = 5_000  # keep-alive connections
SLOW = 500  # connections that ask for a long stream and do not read it


# --- requests ------------------------------------------------------------------------------------

COUNT, TRACE, USER, LENGTH = "<n>", "<trace>", "<user>", "<length>"
"""Placeholders in a request: its number, its number as 32 hexadecimal digits, one to sixteen
letters in rotation, and (in a head) the length of the body."""


@dataclass(frozen=True, slots=True)
class Template:
    """A request whose placeholders are filled for each request. Without any, all are the same."""

    head: str
    body: str

    def render(self, n: int) -> bytes:
        """The request number `n`, as the load generator sends it."""
        body = self._fill(self.body, n)
        head = self._fill(self.head, n).replace(LENGTH, str(len(body)))
        return (head + body).encode("ascii")

    def _fill(self, text: str, n: int) -> str:
        filled = text.replace(COUNT, str(n)).replace(TRACE, f"{n:032x}")
        return filled.replace(USER, "u" * (1 + n % 16))


PLAIN_HEADERS = (
    "host: 127.0.0.1",
    "authorization: Bearer any",
    "content-type: application/json",
)

SDK_HEADERS = (
    "Host: 127.0.0.1",
    "Accept-Encoding: gzip, deflate",
    "Connection: keep-alive",
    "authorization: Bearer any",
    "accept: application/json",
    "content-type: application/json",
    "user-agent: OpenAI/Python 3.54.0",
    "x-stainless-lang: python",
    "x-stainless-package-version: 3.54.0",
    "x-stainless-os: Linux",
    "x-stainless-arch: x64",
    "x-stainless-runtime: CPython",
    "x-stainless-runtime-version: 3.11.7",
    "x-stainless-async: false",
    "x-stainless-retry-count: 0",
    "x-stainless-read-timeout: 600",
)
"""The headers of openai 3.54.0: thirteen of its own and three of its HTTP library."""

GATEWAY_HEADERS = (
    f"x-request-id: {TRACE}",
    f"traceparent: 00-{TRACE}-00f067aa0ba902b7-01",
)
"""Headers that a gateway adds, different in every request."""


def _post(
    *messages: tuple[str, str] | dict[str, Any],
    headers: tuple[str, ...] = PLAIN_HEADERS,
    path: str = CHAT,
    **members: Any,
) -> Template:
    """A chat request. `members` come before the messages, so that the body ends with `END`."""
    objects = [
        each if isinstance(each, dict) else {"role": each[0], "content": each[1]}
        for each in messages
    ]
    body = json.dumps({"model": "gpt-4o", **members, "messages": objects}, separators=(",", ":"))
    lines = (f"POST {path} HTTP/1.1", *headers, f"content-length: {LENGTH}", "", "")
    return Template("\r\n".join(lines), body)


def _unique(text: str) -> Template:
    """A request whose body is never repeated, so that no cached match is reused."""
    return _post(("user", text), user=COUNT)


def _conversation(session: str) -> Template:
    """A conversation of many turns; the last message is `QUESTION`."""
    turn = filler(CONVERSATION // TURNS - 40)
    turns = [(("user", "assistant")[number % 2], turn) for number in range(TURNS)]
    return _post(("system", f"Session {session}."), *turns, ("user", QUESTION))


# --- configurations ------------------------------------------------------------------------------

Config = dict[str, Any]
"""The content of a configuration file of this server."""


def _mock(text: str, match_type: str = "exact", reply: str = REPLY) -> dict[str, Any]:
    message = {"role": "user", "content": text}
    return {
        "name": text,
        "match": {"match_type": match_type, "message": message},
        "response": _completion(reply),
    }


def _terse(mock: dict[str, Any]) -> dict[str, Any]:
    """The mock without the members that a server fills in, some of them per request."""
    choices = [{"message": choice["message"]} for choice in mock["response"]["choices"]]
    return mock | {"response": {"choices": choices}}


def _completion(text: str) -> dict[str, Any]:
    """A response with all members, so that every server sends the same amount."""
    message = {"role": "assistant", "content": text}
    return {
        "id": "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG",
        "object": "chat.completion",
        "created": 1741570283,
        "model": "gpt-4o",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18},
    }


def question(number: int) -> str:
    """The message that only the mock with this number matches."""
    return f"Question {number:06d}?"


def _questions(count: int, match_type: str) -> Config:
    return {"openai": [_mock(question(number), match_type) for number in range(count)]}


def _paced(words: int, itl: float) -> Config:
    """One mock whose stream has a token for each word, sent over some seconds."""
    mock = _mock(QUESTION, reply=" ".join(["chunk"] * words))
    mock["response"]["usage"] = {
        "prompt_tokens": 9,
        "completion_tokens": words,
        "total_tokens": 9 + words,
    }
    return {"openai": [mock], "latency": {"ttft": PACED_TTFT, "itl": itl}}


def _limited(**limits: int) -> Config:
    """One mock, behind limits that refuse no request of a benchmark."""
    return {"openai": [_mock(QUESTION)], "traffic": [{"rate_limit": limits}]}


def _in_pool(*, shared: bool) -> Config:
    """One mock, whose answers take a millisecond, in a pool that is never full."""
    pool = {"pool": "gpu", "concurrency": POOL_PLACES, "shared": shared}
    return {"openai": [_mock(QUESTION)], "latency": {"ttft": 0.001, "itl": 0, **pool}}


def _sequence() -> Config:
    """One mock with two answers in order, of which the last is repeated."""
    mock = _mock(QUESTION)
    answer = {"response": mock.pop("response")}
    return {"openai": [mock | {"sequence": [answer, answer], "at_end": "repeat"}]}


def _for_load_tools() -> Config:
    """One mock for any request, whose tokens are 100 to everybody."""
    return {
        "openai": [{"match": {}, "reply": {"generate": {"tokens": LOAD_TOOL_TOKENS}}}],
        "latency": {"ttft": LOAD_TOOL_TTFT, "itl": LOAD_TOOL_ITL},
    }


def _service() -> Config:
    """One mock with the times of a measured service."""
    mock = {"match": {}, "reply": {"generate": {"tokens": SERVICE_TOKENS}}}
    return {"openai": [mock], "latency": "vllm-70b"}


def _both_sdks() -> Config:
    answer = {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [{"type": "text", "text": REPLY}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 9},
    }
    match = {"message": {"role": "user", "content": QUESTION}}
    return {"openai": [_mock(QUESTION)], "anthropic": [{"match": match, "response": answer}]}


def _differing_in(kind: Kind) -> Config:
    """Mocks that differ in one condition."""
    answer = _completion(REPLY)
    matches = map(kind.match, range(conditions.COUNT))
    return {"openai": [{"match": match, "response": answer} for match in matches]}


CONFIGS: Mapping[str, Callable[[], Config]] = {
    "one": lambda: {"openai": [_mock(QUESTION)]},
    "one_contains": lambda: {"openai": [_mock(QUESTION, "contains")]},
    "one_terse": lambda: {"openai": [_terse(_mock(QUESTION, "contains"))]},
    "one_paced": lambda: _paced(PACED_WORDS, PACED_ITL),
    "one_paced_slowly": lambda: _paced(SLOW_WORDS, SLOW_ITL),
    "one_limited": lambda: _limited(rpm=ENOUGH, tpm=ENOUGH),
    "one_with_places": lambda: _limited(concurrent=ENOUGH),
    "one_in_own_pool": lambda: _in_pool(shared=False),
    "one_in_shared_pool": lambda: _in_pool(shared=True),
    "one_for_load_tools": _for_load_tools,
    "service": _service,
    "one_sequence": _sequence,
    "one_streamed": lambda: {"openai": [_mock(QUESTION, reply=STREAMED_TEXT)]},
    "one_streamed_contains": lambda: {"openai": [_mock(QUESTION, "contains", reply=STREAMED_TEXT)]},
    "one_and_long": lambda: {"openai": [_mock(QUESTION), _mock(LONG_QUESTION, reply=LONG_TEXT)]},
    "one_of_each_sdk": _both_sdks,
    "hundred": lambda: _questions(100, "exact"),
    "few": lambda: _questions(FEW, "exact"),
    "few_contains": lambda: _questions(FEW, "contains"),
    "many": lambda: _questions(MANY, "exact"),
    "many_contains": lambda: _questions(MANY, "contains"),
    **{name: partial(_differing_in, kind) for name, kind in KINDS.items()},
}
"""Configurations by name, created on demand because some are large."""

LARGE = frozenset({"many", "many_contains"})  # creating and loading them takes many seconds


# --- loads ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """An expected answer: a status, the assistant's text (empty for an error, with any text) and
    the number of stream chunks that contain text (0: not streamed)."""

    status: int = 200
    text: str = REPLY
    chunks: int = 0


NOT_FOUND = Answer(404, "")


@dataclass(frozen=True, slots=True)
class Load:
    """One row of the table, for each of `servers`.

    Its ratio is the CPU time of `against` divided by that of this load. `against` is `LIMIT`, or
    the name of another load of this server in the same group. With `in_redis` the server keeps its
    state in a Redis of its own, whose CPU time does not count. With `from_h2load` another load
    generator sends the requests, which are all the same.
    """

    name: str
    title: str
    config: str
    request: Template
    answer: Answer = Answer()
    servers: tuple[str, ...] = ALL_SERVERS
    against: str = LIMIT
    workers: int = 1
    idle: int = 0
    in_redis: bool = False
    from_h2load: bool = False


_SMALL = _post(("user", QUESTION))
LONG_STREAM = _post(("user", LONG_QUESTION), stream=True)
LONG_ANSWER = Answer(text=LONG_TEXT, chunks=10_000)
"""The answer to `LONG_STREAM`, the request of slow readers."""
LONG_PROMPT = _post(("user", f"{COUNT} " + "word" * (SERVICE_INPUT - 7)), stream=True)
"""A request of `SERVICE_INPUT` tokens."""


def _of_mocks(title: str, name: str, config: str, text: str, answer: Answer = Answer()) -> Load:
    return Load(
        f"mocks_{name}",
        title,
        config,
        _unique(text),
        answer,
        servers=(OURS, AIMOCK) if name in ("1", f"{FEW}_last") else (OURS,),
        against="mocks_1",
    )


def _of_count(count: int, config: str) -> tuple[Load, ...]:
    first, last, none = question(0), question(count - 1), question(count)
    return (
        _of_mocks(f"{count:,} mocks, the first matches", f"{count}_first", config, first),
        _of_mocks(f"{count:,} mocks, the last matches", f"{count}_last", config, last),
        _of_mocks(
            f"{count:,} contains mocks, the last matches",
            f"{count}_contains",
            f"{config}_contains",
            f"Please tell me: {last} Thank you.",
        ),
        _of_mocks(f"{count:,} mocks, none matches", f"{count}_none", config, none, NOT_FOUND),
    )


def _of_condition(name: str, kind: Kind) -> tuple[Load, ...]:
    """The last of mocks that differ in a condition, against the first, by requests of two sizes."""
    loads: list[Load] = []
    for long, size in ((False, "small"), (True, "35 kB")):
        first = f"conditions_{name}_first{'_35kb' if long else ''}"
        for place, number in (("first", conditions.FIRST), ("last", conditions.LAST)):
            members, messages = kind.ask(number[long], long)
            loads.append(
                Load(
                    first.replace("first", place),
                    f"{conditions.COUNT:,} of '{name}', {size}, the {place} matches",
                    name,
                    _post(*messages, user=COUNT, **members),
                    servers=(OURS,),
                    against=first,
                )
            )
    return tuple(loads)


GROUPS: tuple[tuple[Load, ...], ...] = (
    (
        Load("small", "small request", "one", _SMALL),
        Load(
            "small_h2load",
            "small request, sent by h2load",
            "one",
            _SMALL,
            servers=(LIMIT, OURS),
            from_h2load=True,
        ),
        Load(
            "workers_2",
            "small request, 2 workers",
            "one",
            _SMALL,
            servers=(OURS,),
            against="small",
            workers=2,
        ),
        Load(
            "idle",
            f"small request, {IDLE:,} idle connections",
            "one",
            _SMALL,
            servers=(OURS,),
            against="small",
            idle=IDLE,
        ),
        Load(
            "limited",
            "small request, limits of requests and tokens",
            "one_limited",
            _SMALL,
            servers=(OURS,),
            against="small",
        ),
        Load(
            "limited_places",
            "small request, a limit of concurrent ones",
            "one_with_places",
            _SMALL,
            servers=(OURS,),
            against="small",
        ),
    ),
    (
        Load(
            "sdk_headers",
            "SDK headers",
            "one",
            _post(("user", QUESTION), headers=SDK_HEADERS),
        ),
    ),
    (
        Load(
            "heads_differ",
            "SDK headers, every head different",
            "one",
            _post(("user", QUESTION), headers=(*SDK_HEADERS, *GATEWAY_HEADERS), user=USER),
        ),
        Load(
            "all_differs",
            "SDK headers, every head and body different",
            "one_contains",
            _post(("user", f"{QUESTION} {COUNT}"), headers=(*SDK_HEADERS, *GATEWAY_HEADERS)),
            servers=(LIMIT, OURS),
        ),
    ),
    (
        Load(
            "bodies_differ",
            "every body different",
            "one_contains",
            _post(("user", f"{QUESTION} {COUNT}")),
        ),
        Load(
            "streams_differ",
            f"stream of {WORDS} chunks, every body different",
            "one_streamed_contains",
            _post(("user", f"{QUESTION} {COUNT}"), stream=True),
            Answer(text=STREAMED_TEXT, chunks=WORDS),
            servers=(OURS,),
            against="bodies_differ",
        ),
    ),
    (
        Load(
            "terse",
            "every body different, a terse mock",
            "one_terse",
            _post(("user", f"{QUESTION} {COUNT}")),
            servers=(LIMIT, OURS),
        ),
    ),
    (
        Load(
            "stateless_2",
            "every body different, 2 workers",
            "one",
            _unique(QUESTION),
            servers=(OURS,),
            against="stateless_2",
            workers=2,
        ),
        Load(
            "sequence",
            "every body different, a sequence",
            "one_sequence",
            _unique(QUESTION),
            servers=(OURS,),
            against="stateless_2",
        ),
        Load(
            "sequence_2",
            "every body different, a sequence, 2 workers",
            "one_sequence",
            _unique(QUESTION),
            servers=(OURS,),
            against="stateless_2",
            workers=2,
        ),
        Load(
            "sequence_redis",
            "the same in Redis, 2 workers",
            "one_sequence",
            _unique(QUESTION),
            servers=(OURS,),
            against="stateless_2",
            workers=2,
            in_redis=True,
        ),
    ),
    (
        Load(
            "pool_2",
            "an answer that takes 1 ms, 2 workers",
            "one_in_own_pool",
            _SMALL,
            servers=(OURS,),
            against="pool_2",
            workers=2,
        ),
        Load(
            "shared_pool_2",
            "the same, in a pool that they share",
            "one_in_shared_pool",
            _SMALL,
            servers=(OURS,),
            against="pool_2",
            workers=2,
        ),
    ),
    (Load("conversation", "35 kB conversation", "one", _conversation("of today")),),
    (
        Load(
            "conversations_differ",
            "35 kB conversation, every body different",
            "one",
            _conversation(COUNT),
        ),
    ),
    (
        Load(
            "stream",
            f"stream of {WORDS} chunks",
            "one_streamed",
            _post(("user", QUESTION), stream=True),
            Answer(text=STREAMED_TEXT, chunks=WORDS),
        ),
    ),
    (
        Load(
            "not_found",
            "404, an unknown path",
            "one",
            _post(("user", QUESTION), path="/v1/unknown"),
            NOT_FOUND,
        ),
    ),
    (
        _of_mocks("1 mock", "1", "one", QUESTION),
        *_of_count(FEW, "few"),
        *_of_count(MANY, "many"),
    ),
    *(_of_condition(name, kind) for name, kind in KINDS.items()),
)
"""Loads, grouped by the rounds in which they are measured."""

CONDITIONS = frozenset(
    load.name for group in GROUPS for load in group if load.config in KINDS
)  # measured only if they are asked for: they take three minutes

LOADS: Mapping[str, Load] = {load.name: load for group in GROUPS for load in group}
