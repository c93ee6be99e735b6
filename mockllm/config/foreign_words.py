"""Words that authors bring along from the vendors' formats and other tools, and what to write
instead.

It knows the words that stand in another place than expected, by the object they are found in. It
does not know which keys are allowed: that is the model of the object. A word in camel case is known
by its form with underscores.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from pydantic import BaseModel

from mockllm.errors import closest


class ForeignWord(NamedTuple):
    """What to tell of a foreign key. `meant` is the key to write instead, if it is one in the same
    object, which is not reported as missing then."""

    message: str
    meant: str | None = None


_OF_ONE_API = "expected in the list of an API, whose form it has, found in 'mocks'"

_MATCH_OF_ONE_API = "expected in the list of an API, whose form it has, not in 'mocks' or 'traffic'"


def _instead(*keys: str) -> dict[str, ForeignWord]:
    """The entries for `keys[1:]`, each of which means the first."""
    own = keys[0]
    word = ForeignWord(f"a word of the vendors' formats; write {own!r} instead", own)
    return dict.fromkeys(keys[1:], word)


def _told(message: str, *keys: str, meant: str | None = None) -> dict[str, ForeignWord]:
    return dict.fromkeys(keys, ForeignWord(message, meant))


def _test(*keys: str) -> dict[str, ForeignWord]:
    """The entries for `keys[1:]`, names of a test that other tools give the first."""
    own = keys[0]
    return dict.fromkeys(keys[1:], ForeignWord(f"write {own!r} instead", own))


_REPLY_WORDS = (
    *("text", "reasoning", "tool_calls", "refusal", "json", "finish", "usage"),
    *("template", "generate", "content", "answer", "tool_call", "function_call"),
    *("finish_reason", "stop_reason", "thinking", "output_text", "json_body"),
)
_MATCH_WORDS = (
    *("user", "tool_result", "last_user", "any_message", "system", "model", "api", "tools"),
    *("schema", "turn", "step", "body", "all_of", "any_of", "not", "contains", "message", "input"),
)
_ERROR_WORDS = ("status", "status_code", "http_status", "retry_after", "content_type")
_IN_TRAFFIC = 'write it into an entry of "traffic": [{...}], which holds for all requests'
_BESIDE_AN_ANSWER = {
    **_told("write it into 'error', as an object", *_ERROR_WORDS, meant="error"),
    **_told(
        'write {"latency": {"ttft": "..."}}',
        *("delay", "sleep", "wait", "delay_ms", "latency_ms", "response_delay"),
        *("fixed_delay_milliseconds", "delay_milliseconds"),
        meant="latency",
    ),
    **_told("write it into 'latency'", "ttft", "itl", "tps", "streaming_profile", meant="latency"),
    **_told(
        'write {"fault": {"end": "cut", "after": ...}}, for some of the requests with "chance"',
        *("chaos", "disconnect", "disconnect_after_ms", "truncate_after_chunks", "drop"),
        meant="fault",
    ),
    **_told("write it into 'fault', or into an entry of 'traffic'", "chance", "probability"),
    **_told(_IN_TRAFFIC, "rate_limit", "rate_limits"),
}
_SPOKEN = {
    **_told("write it into 'reply', which is the answer", *_REPLY_WORDS, meant="reply"),
    **_test("reply", "returns", "return", "then", "output", "completion", "result", "assistant"),
    **_told('write {"stream": {"chunk": ...}}', "chunk", "chunk_size", meant="stream"),
}
_IN_EACH_MOCK = {
    **_BESIDE_AN_ANSWER,
    **_told("write it into 'match', which has the conditions", *_MATCH_WORDS),
    **_test("match", "request", "when", "condition", "conditions", "matcher", "matchers"),
    **_test("sequence", "responses", "replies", "answers"),
    **_told("write it into an entry of 'sequence' or 'first'", "times", "repeat", "retry"),
    **_told(
        "write a 'sequence', or 'turn' or 'step' in 'match', which are counted in the request",
        *("scenario", "scenario_name", "required_scenario_state", "new_scenario_state", "state"),
    ),
    **_told("the first mock in the file that matches answers: write it earlier", "priority"),
    **_test("name", "id", "title", "label"),
    **_told('leave it out, or write it as a comment: "_comment"', "description", "comment"),
    **_told("leave the mock out while it is not to answer", "enabled", "disabled", "skip"),
}
_IN_A_MOCK = {**_IN_EACH_MOCK, **_SPOKEN}
_IN_EACH_ENTRY = {
    **_BESIDE_AN_ANSWER,
    **_test("times", "repeat", "count"),
    **_told("write it beside 'sequence': all entries have the conditions of the mock", "match"),
    **_told("an entry has one answer: write its entries into this list", "sequence", "first"),
    **_told("write it beside 'sequence'", "at_end", "name"),
}
_IN_AN_ENTRY = {**_IN_EACH_ENTRY, **_SPOKEN}

_OF_RESPONSE = _told(f"{_OF_ONE_API}; write 'reply' instead", "response", meant="reply")
_OF_EMBEDDINGS = _told(
    "embeddings are vectors, which no reply has; write 'response' instead",
    "reply",
    meant="response",
)

_PLACE = 'write the place as "after", such as "first_token" or {"tokens": 5}'

_CAPITAL = re.compile(r"(?<=[a-z0-9])([A-Z])")
"""A letter that begins a word inside of a key in camel case."""
_FILLED_IN = "leave it out: each API fills it in"

_WORDS: Mapping[str, Mapping[str, ForeignWord]] = {
    "Config": {
        **_test("openai", "chat", "completions", "chat_completions"),
        **_test("openai_response", "responses", "openai_responses"),
        **_test("anthropic", "messages", "claude"),
        **_test("openai_embeddings", "embeddings"),
        **_test("mocks", "fixtures", "stubs", "mappings", "expectations", "rules", "replies"),
        **_test("mocks", "routes", "handlers", "interactions", "scenarios"),
        **_test("listen_addr", "listen", "address", "host", "port"),
        **_test("require_auth", "auth"),
        **_told(_IN_TRAFFIC, "error", "errors", "fault", "faults", "rate_limit", "rate_limits"),
        **_told(_IN_TRAFFIC, "chaos"),
        **_told(
            'write a mock without "match" as the last of "mocks"',
            *("default", "fallback", "default_response", "default_reply"),
            meant="mocks",
        ),
        **_told('write {"latency": {"ttft": "..."}}', "delay", "delay_ms", meant="latency"),
        **_told('write {"stream": {"chunk": ...}}', "chunk", "chunk_size", meant="stream"),
        **_told(
            "an option of the command: see mockllm --help",
            *("workers", "reload", "strict", "log_level", "access_log", "metrics", "control"),
        ),
        **_told('leave it out, or write it as a comment: "_version"', "version"),
    },
    "Mock": {**_IN_A_MOCK, **_OF_RESPONSE},
    "Entry": {**_IN_AN_ENTRY, **_OF_RESPONSE},
    **dict.fromkeys(("OpenAIMock", "OpenAIResponseMock", "AnthropicMock"), _IN_A_MOCK),
    "ResponseEntry": _IN_AN_ENTRY,
    "OpenAIEmbeddingsMock": {**_IN_EACH_MOCK, **_OF_EMBEDDINGS},
    "EmbeddingsEntry": {**_IN_EACH_ENTRY, **_OF_EMBEDDINGS},
    **dict.fromkeys(("OpenAIRequestMatch", "AnthropicRequestMatch"), _test("message", "input")),
    "OpenAIResponseRequestMatch": _test("input", "message"),
    "OpenAIEmbeddingsRequestMatch": _test("input", "message", "input_text", "text", "prompt"),
    "ReplyStream": {
        **_told(_OF_ONE_API, "events"),
    },
    "Match": {
        **_told(f"{_MATCH_OF_ONE_API}; write 'user' or 'tool_result' instead", "message", "input"),
        **_told(
            f'{_MATCH_OF_ONE_API}; write {{"contains": "..."}} as the text of a condition',
            "match_type",
        ),
    },
    "Conditions": {
        **_instead("user", "content", "prompt", "last_message"),
        **_told('write {"user": {"contains": "..."}}', "user_message", meant="user"),
        **_told('write {"system": {"contains": "..."}}', "system_message", meant="system"),
        **_told('write {"tools": ["..."]}', "tool", "tool_name", meant="tools"),
        **_told(
            'write {"tool_result": {"call_id": "..."}}',
            *("tool_call_id", "tool_use_id", "call_id"),
            meant="tool_result",
        ),
        **_told(
            'write {"tool_result": {"contains": "..."}}',
            "tool_result_contains",
            meant="tool_result",
        ),
        **_told(
            'write {"tool_result": {"contains": ""}}; without a result, only \'user\' holds',
            "has_tool_result",
            meant="tool_result",
        ),
        **_told('write {"turn": 1} for the first: it counts from 1', "turn_index", meant="turn"),
        **_told("write a 'sequence' beside 'match'", "sequence_index"),
        **_test("api", "endpoint", "provider", "vendor"),
        **_test("headers", "header"),
        **_told("write a function as the 'reply', in Python", "predicate", "function"),
        **_told("write the mock into 'openai_embeddings', with 'input' in its match", "input_text"),
        **_told(
            "write a path into 'body': {\"$.temperature\": 0}",
            *("body_patterns", "json_path", "json_body"),
            meant="body",
        ),
        **_test("user", "text", "query", "question"),
        **_told('write {"any_message": {"role": ..., "text": ...}}', "role"),
        **_told("requests are told apart by 'api' and 'body'", "url", "path", "method"),
        **_instead("any_message", "messages"),
        **_instead("system", "system_prompt", "instructions", "developer"),
        **_instead("schema", "response_format", "output_format"),
        **_told(
            'a test of a text, which belongs to a condition: write {"user": {"contains": "..."}}',
            *("contains", "starts_with", "ends_with", "exact", "regex", "ignore_case"),
        ),
        **_told(
            "write it as a path of 'body': {\"$.temperature\": 0}",
            *("temperature", "top_p", "max_tokens", "max_completion_tokens", "max_output_tokens"),
            *("metadata", "tool_choice", "reasoning_effort"),
        ),
    },
    "TextMatch": {
        **_test("exact", "equals", "equal", "eq", "equal_to", "is"),
        **_test("contains", "includes", "substring", "has", "like"),
        **_test("starts_with", "prefix", "begins_with", "startsWith", "startswith"),
        **_test("ends_with", "suffix", "endsWith", "endswith"),
        **_test("regex", "matches", "match", "pattern", "regexp"),
        **_test("ignore_case", "case_insensitive", "ignoreCase"),
        **_told(
            'write a list of texts, such as ["a", {"contains": "b"}]',
            *("any_of", "any", "one_of", "in", "or"),
        ),
        **_told(
            'write {"not": {...}} around the condition',
            "not",
            "not_contains",
            "not_equals",
            "none_of",
        ),
    },
    "CountRange": {
        **_test("at_least", "min", "minimum", "gte", "ge", "from"),
        **_test("at_most", "max", "maximum", "lte", "le", "to"),
    },
    "AnyTool": _told("write the list alone: [...]", "all", "all_of", meant="any"),
    "ToolResultMatch": {
        **_instead("name", "tool_name", "tool", "function"),
        **_instead("call_id", "tool_call_id", "tool_use_id", "id"),
        **_instead("text", "content", "output"),
        **_instead("error", "is_error"),
    },
    "MessageMatch": _instead("text", "content"),
    "Reply": {
        **_instead("text", "content", "output_text", "message", "answer"),
        **_instead("reasoning", "thinking", "reasoning_content", "reasoning_details", "summary"),
        **_instead("tool_calls", "tool_use", "tool_call", "function_call", "calls", "tools"),
        **_instead("finish", "finish_reason", "stop_reason", "incomplete_details"),
        **_instead("json", "parsed", "output_parsed", "structured_output"),
        **_told(
            "the form of an API; write 'text' and 'tool_calls', or a 'response' instead of "
            "'reply' in the API's own list",
            *("choices", "output"),
        ),
        **_told(_FILLED_IN, "id", "model", "object", "type", "role", "created", "created_at"),
        **_told(
            "write the numbers of tokens into 'usage'",
            *("input_tokens", "output_tokens", "prompt_tokens", "completion_tokens"),
        ),
        **_told("an answer of its own: write it beside 'match', instead of 'reply'", "error"),
        **_told("write it beside 'reply'", "latency", "stream", "fault", "headers", "match"),
        **_told("write an 'error' instead of 'reply', as an object with it", "status"),
    },
    "Error": {
        **_instead("as", "type", "code", "error", "name", "kind"),
        **_instead("status", "status_code", "http_status"),
    },
    "Latency": {
        **_test("ttft", "delay", "first_token", "time_to_first_token", "ms", "latency"),
        **_told("write 'ttft', with 'jitter' for times that differ", "min", "max", "mean", "std"),
        **_test("preset", "profile"),
        **_test("itl", "tpot", "per_token", "inter_token_latency", "time_per_output_token"),
        **_test("tps", "tokens_per_second"),
    },
    "Fault": {
        **_test("end", "type", "kind"),
        **_told(_PLACE, "at", "when", "where", "position", "tokens", "time", "event", "bytes"),
        **_test("pause", "delay", "sleep", "wait", "stall", "timeout"),
        **_test("hold", "gate"),
        **_test("chance", "probability", "share", "rate", "drop_rate", "disconnect_rate"),
    },
    "Traffic": {
        **_test("chance", "probability", "share", "rate", "error_rate"),
        **_told("write it into 'error', as an object", "status", "status_code", meant="error"),
        **_test("from", "start", "begin", "after", "since"),
        **_test("to", "until", "stop", "end"),
        **_told("write its end as 'to', counted like 'from'", "duration", "for", meant="to"),
        **_test("rate_limit", "limit", "limits", "rate_limits"),
        **_test("latency", "delay", "sleep", "wait"),
        **_told("write it into 'rate_limit'", "rpm", "tpm", "itpm", "otpm", "concurrent"),
    },
    "RateLimit": {
        **_test("rpm", "requests_per_minute", "requests"),
        **_test("rpd", "requests_per_day"),
        **_test("tpm", "tokens_per_minute", "tokens"),
        **_test("tpd", "tokens_per_day"),
        **_test("itpm", "input_tokens_per_minute", "input_tokens"),
        **_test("otpm", "output_tokens_per_minute", "output_tokens"),
        **_test("concurrent", "concurrency", "max_concurrent", "in_flight"),
        **_test("per", "by", "scope"),
    },
    "ToolCall": {
        **_told("write its 'name' and 'arguments' here", "function", "custom", meant="name"),
        **_told("leave it out: the call has the form of the tool that is offered", "type"),
        **_instead("name", "tool", "tool_name", "function_name"),
        **_instead("arguments", "input", "parameters"),
        **_instead("id", "call_id", "tool_call_id", "tool_use_id"),
    },
    "Usage": {
        **_instead("input", "input_tokens", "prompt_tokens"),
        **_instead("output", "output_tokens", "completion_tokens"),
        **_instead("cached", "cached_tokens", "cache_read_input_tokens", "prompt_tokens_details"),
        **_instead("cached", "input_tokens_details", "cache_creation_input_tokens"),
        **_instead("reasoning", "reasoning_tokens", "completion_tokens_details"),
        **_instead("reasoning", "output_tokens_details", "thinking_tokens"),
        **_told("leave it out: it is the sum of 'input' and 'output'", "total_tokens", "total"),
    },
}
"""What to tell of a key, by the name of the model of its object."""

_ERRORS = {
    **dict.fromkeys(("invalid_request_error", "invalid_request"), "bad_request"),
    **dict.fromkeys(("context_length_exceeded", "context_window"), "context_length"),
    **dict.fromkeys(("content_filter", "content_policy_violation", "moderation"), "flagged"),
    **dict.fromkeys(("authentication_error", "invalid_api_key", "unauthorized"), "bad_key"),
    **dict.fromkeys(("insufficient_quota", "billing_error", "quota"), "billing"),
    **dict.fromkeys(("permission_error", "permission_denied", "forbidden"), "permission"),
    **dict.fromkeys(("request_too_large", "payload_too_large"), "too_large"),
    **dict.fromkeys(("rate_limit_error", "rate_limit_exceeded", "429"), "rate_limit"),
    **dict.fromkeys(("api_error", "internal_server_error", "500"), "server_error"),
    **dict.fromkeys(("overloaded_error", "service_unavailable", "503", "529"), "overloaded"),
    "400": "bad_request",
    "401": "bad_key",
    "403": "permission",
    "404": "not_found",
    "408": "timeout",
    "409": "conflict",
    "413": "too_large",
    "422": "unprocessable",
}
"""The vendors' names of errors, and statuses, and the words that mean the same."""
_ALONE = {"Reply": ("generate", "template")}
"""Keys that stand alone in an object instead of all that its model has, by the model's name."""
_VALUES: Mapping[str, Mapping[str, str]] = {
    "finish": {
        **dict.fromkeys(("end_turn", "stop_sequence", "completed"), "stop"),
        **dict.fromkeys(("max_tokens", "max_output_tokens", "incomplete"), "length"),
        **dict.fromkeys(("tool_use", "function_call", "tool_call"), "tool_calls"),
        "refusal": "content_filter",
    },
    "api": {
        **dict.fromkeys(("openai", "chat_completions", "completions"), "chat"),
        **dict.fromkeys(("openai_response", "openai_responses"), "responses"),
        **dict.fromkeys(("anthropic", "claude"), "messages"),
        "openai_embeddings": "embeddings",
    },
    "at_end": {
        **dict.fromkeys(("loop", "cycle"), "restart"),
        **dict.fromkeys(("last", "stay"), "repeat"),
        **dict.fromkeys(("next", "continue"), "pass"),
    },
    **dict.fromkeys(("error", "as", "full"), _ERRORS),
}
"""The values of other tools and of lists of mocks, and what means the same, by their keys."""
_ELSEWHERE: Mapping[str, Mapping[str, str]] = {
    "role": dict.fromkeys(("system", "developer"), "; instructions are matched by 'system'")
}
"""Values of which another key of the match is the place."""
_FAULTS = {
    **{end: f'{{"end": "{end}"}}' for end in ("cut", "reset", "hang")},
    "clean": '{"end": "clean", "after": "head"}',  # it needs a place
    "timeout": '{"end": "hang"}',
}
"""What to write instead of a word for a fault."""
_TESTS = ("contains", "starts_with", "ends_with", "exact", "regex")


def find(model: type[BaseModel], key: str) -> ForeignWord | None:
    """Return what to tell of an unknown `key` in an object; None if it is not a foreign word."""
    known = _words_of(model)
    keys = (key, _CAPITAL.sub(r"_\1", key).lower())
    return next((words[each] for each in keys for words in known if each in words), None)


def resembled(model: type[BaseModel], key: str) -> str | None:
    """Return the key that an author means who misspelt a foreign word; None if it is none."""
    meant = {word: each.meant for words in _words_of(model) for word, each in words.items()}
    meant |= {word: word for word in _ALONE.get(model.__name__, ())}
    return meant.get(closest(key, meant, likeness=0.8) or "")


def _words_of(model: type[BaseModel]) -> list[Mapping[str, ForeignWord]]:
    # Words of one API are foreign in 'mocks' only; conditions are the same in every list.
    bases = {each.__name__ for each in model.__mro__} & {"Conditions"}
    return [_WORDS[name] for name in (model.__name__, *bases) if name in _WORDS]


def meant_value(key: str, value: object) -> str | None:
    """Return the value of `key` that an author means by a word of others; None if it is none."""
    return _VALUES.get(key, {}).get(value) if isinstance(value, str) else None


def elsewhere(key: str, value: object) -> str:
    """Return where to write what an author means by this value of `key`; empty if unknown."""
    return _ELSEWHERE.get(key, {}).get(value, "") if isinstance(value, str) else ""


def instead_of_fault(value: object) -> str:
    """Return what to write instead of a fault that is no object; empty if unknown."""
    if not isinstance(value, str):
        return ""
    written = _FAULTS.get(closest(value, _FAULTS) or "")
    return f"; write {written}" if written else ""


def instead_of_text(key: str, value: object) -> str:
    """Return what to write instead of a list in a test of a text; empty if it is another value."""
    if key not in _TESTS or not isinstance(value, list):
        return ""
    return f'; write [{{"{key}": "..."}}, ...], of which one must hold'


def instead_of_answer(key: str, value: object) -> str:
    """Return where to write what is a condition, but stands beside an answer; empty if it is none.
    These keys mean another thing there."""
    match key, value:
        case "stream", bool():
            return "; write it into 'match': answers are streamed if that is asked for"
        case "headers", [{"name": _}, *_]:
            return "; write conditions into 'match'"
        case _:
            return ""
