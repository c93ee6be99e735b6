"""Words that authors bring along from the vendors' formats, and what to write instead.

It knows the words that stand in another place than expected, by the object they are found in. It
does not know which keys are allowed: that is the model of the object.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pydantic import BaseModel


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


_FILLED_IN = "leave it out: each API fills it in"

_WORDS: Mapping[str, Mapping[str, ForeignWord]] = {
    **dict.fromkeys(
        ("Mock", "Entry"),
        _told(f"{_OF_ONE_API}; write 'reply' instead", "response", meant="reply"),
    ),
    **dict.fromkeys(
        ("OpenAIEmbeddingsMock", "EmbeddingsEntry"),
        _told(
            "embeddings are vectors, which no reply has; write 'response' instead",
            "reply",
            meant="response",
        ),
    ),
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
        **_instead("user", "content", "prompt", "user_message", "last_message"),
        **_instead("any_message", "messages"),
        **_instead("system", "system_prompt", "instructions", "developer"),
        **_instead("schema", "response_format", "output_format"),
        **_told(
            'a test of a text, which belongs to a condition: write {"user": {"contains": "..."}}',
            *("contains", "starts_with", "ends_with", "exact", "regex", "ignore_case"),
        ),
        **_told("write it as a path of 'body': {\"$.temperature\": 0}", "temperature", "metadata"),
    },
    "TextMatch": {
        **_test("exact", "equals", "equal", "eq", "equal_to", "is"),
        **_test("contains", "includes", "substring", "has", "like"),
        **_test("starts_with", "prefix", "begins_with", "startsWith", "startswith"),
        **_test("ends_with", "suffix", "endsWith", "endswith"),
        **_test("regex", "matches", "match", "pattern", "regexp"),
        **_test("ignore_case", "case_insensitive", "ignoreCase"),
    },
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

_FINISHES: Mapping[str, str] = {
    **dict.fromkeys(("end_turn", "stop_sequence", "completed"), "stop"),
    **dict.fromkeys(("max_tokens", "max_output_tokens", "incomplete"), "length"),
    **dict.fromkeys(("tool_use", "function_call", "tool_call"), "tool_calls"),
    "refusal": "content_filter",
}
"""The reasons to stop of other APIs than Chat Completions, and what means the same in `finish`."""


def find(model: type[BaseModel], key: str) -> ForeignWord | None:
    """Return what to tell of an unknown `key` in an object; None if it is not a foreign word."""
    # Words of one API are foreign in 'mocks' only; conditions are the same in every list.
    bases = {each.__name__ for each in model.__mro__} & {"Conditions"}
    found = (_WORDS.get(name, {}).get(key) for name in (model.__name__, *bases))
    return next(filter(None, found), None)


def meant_finish(value: object) -> str | None:
    """Return the `finish` that an author means by a vendor's word; None if it is not one."""
    return _FINISHES.get(value) if isinstance(value, str) else None
