"""The words of one mock as keywords of Python: those of the mock and of its `match` side by side.

Two words are keys of both: `headers` are conditions as a list, and set on the answer as an object;
`stream` is a condition as true or false, and the form of the stream as an object. `first` as true
or false is neither: it is the place of the mock among the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypedDict

from mockllm.config import foreign_words
from mockllm.config.keys import keys_of
from mockllm.config.models import (
    MOCK_FIELDS,
    AnthropicRequestMatch,
    Mock,
    OpenAIEmbeddingsRequestMatch,
    OpenAIRequestMatch,
    OpenAIResponseRequestMatch,
)
from mockllm.config.objects import ConfigObject
from mockllm.errors import ConfigError, Problem, closest, describe_first, did_you_mean

PLACE = "add()"
"""The place of mistakes that belong to no key of a mock."""

_LISTS = {
    "chat": "openai",
    "responses": "openai_response",
    "messages": "anthropic",
    "embeddings": "openai_embeddings",
}
"""The list of each API, by its word in conditions."""
_MATCHES: tuple[type[ConfigObject], ...] = (
    OpenAIRequestMatch,
    OpenAIResponseRequestMatch,
    AnthropicRequestMatch,
    OpenAIEmbeddingsRequestMatch,
)
_MATCH_KEYS = frozenset(key for model in _MATCHES for key in keys_of(model))
_MOCK_KEYS = frozenset(key for model in MOCK_FIELDS.values() for key in keys_of(model)) - {"match"}
_KNOWN = sorted((_MOCK_KEYS | _MATCH_KEYS | {"match", "not_"}) - {"not"})
_OF_ONE_API = frozenset({"response", "message", "input", "match_type", "events"})
"""Keys whose value has the form of one API."""

Words = Mapping[str, object]
Text = str | Words | ConfigObject | list[Any] | tuple[Any, ...]
"""A condition on a text: the text, an object that says how it is tested, or a list of these."""


class MockWords(TypedDict, total=False):
    """The keywords of one mock: the keys of a mock and of its `match`, as in a file. ``not`` is
    `not_`."""

    # the mock
    name: str
    reply: Any
    response: Any
    error: Any
    fault: Any
    latency: str | Words | ConfigObject
    sequence: Any
    at_end: str
    match: Words | ConfigObject
    first: bool | list[Any]
    headers: Mapping[str, str] | list[Any]
    stream: bool | Words | ConfigObject
    # its match
    user: Text
    tool_result: Text
    last_user: Text
    any_message: Text
    system: Text
    model: Text
    api: str | list[str]
    tools: list[str] | Words | ConfigObject
    schema: Text
    turn: int | Words | ConfigObject
    step: int | Words | ConfigObject
    body: Words
    all_of: list[Any]
    any_of: list[Any]
    not_: Words | ConfigObject
    message: Any
    input: Any
    match_type: str
    system_contains: list[str]
    tool_names: list[str]


class AddedWords(NamedTuple):
    """A mock that is added: the list that it would stand in, its value there, and whether it comes
    before those that were added earlier."""

    field: str
    mock: dict[str, Any]
    is_first: bool


def expect_keywords(unnamed: Sequence[object]) -> None:
    """Refuse what was given to `add` without a keyword.

    Raises:
        TypeError: there is something.
    """
    if unnamed:
        raise TypeError('add() takes keywords only; write add(user="...", reply="...")')


def arrange(words: Mapping[str, Any]) -> AddedWords:
    """Return the mock that `words` describe.

    Raises:
        ConfigError: a word is unknown, or the API of the mock is not clear.
    """
    mock: dict[str, Any] = {}
    match: dict[str, Any] = {}
    is_first = False
    unknown: list[str] = []
    for word, value in words.items():
        key = word.removesuffix("_") if word == "not_" else word
        if key == "first" and isinstance(value, bool):
            is_first = value
        elif key == "match":
            pass
        elif _is_condition(key, value):
            match[key] = value
        elif key in _MOCK_KEYS:
            mock[key] = value
        else:
            unknown.append(word)
    if unknown:
        raise ConfigError(describe_first(unknown, _unknown, PLACE))
    given = words.get("match")
    if given is not None and match:
        found = ", ".join(map(repr, match))
        raise _mistake(f"match= cannot be combined with conditions beside it, found {found}")
    whole = match if given is None else _plain(given)
    if whole:
        mock["match"] = whole
    return AddedWords(_field_of(mock, whole), mock, is_first)


def _is_condition(key: str, value: Any) -> bool:
    if key == "headers":
        return isinstance(value, (list, tuple))
    if key == "stream":
        return isinstance(value, bool)
    return key in _MATCH_KEYS


def _field_of(mock: Mapping[str, Any], match: Any) -> str:
    """Return the list of the mock: that of one API if it has its form, else that of all."""
    conditions = match if isinstance(match, Mapping) else {}
    apis = conditions.get("api")
    named = list(apis) if isinstance(apis, (list, tuple)) else [apis]
    forms = sorted(_OF_ONE_API.intersection((*mock, *conditions, *_inner(mock))))
    if not forms and named != ["embeddings"]:
        return "mocks"
    if len(named) == 1 and isinstance(named[0], str) and named[0] in _LISTS:
        return _LISTS[named[0]]
    words = ", ".join(map(repr, _LISTS))
    raise _mistake(f"{forms[0]!r} has the form of one API: name it, api= one of {words}")


def _inner(mock: Mapping[str, Any]) -> set[str]:
    """Return the keys of the entries and of the stream of a mock."""
    parts = [mock.get("stream")]
    for entries in (mock.get("sequence"), mock.get("first")):
        parts += entries if isinstance(entries, (list, tuple)) else ()
    members = map(_plain, parts)
    return {key for each in members if isinstance(each, Mapping) for key in each}


def _plain(value: Any) -> Any:
    """Return the members that are set in an object created in Python, by their keys."""
    if not isinstance(value, ConfigObject):
        return value
    keys = {
        name: key for key, name in zip(keys_of(type(value)), type(value).model_fields, strict=True)
    }
    return {keys[name]: getattr(value, name) for name in value.model_fields_set}


def _unknown(word: str) -> Problem:
    for model in (Mock, OpenAIRequestMatch):
        foreign = foreign_words.find(model, word)
        if foreign is not None:
            return Problem(PLACE, f"unknown key {word!r}: {foreign.message}")
    hint = did_you_mean(closest(word, _KNOWN))
    expected = "the keys of a mock and of its match"
    return Problem(PLACE, f"unknown key {word!r}, expected {expected}{hint}")


def _mistake(message: str) -> ConfigError:
    return ConfigError((Problem(PLACE, message),))
